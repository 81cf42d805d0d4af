"""The right option's words, or the same thing said with most of them."""

from __future__ import annotations

import re
from functools import lru_cache

from socratic_env.types import AnswerKind, Question

_SENTENCE = re.compile(r"[!?;\n]+|\.(?=\s|$)")
_WORD = re.compile(r"[^\W_]+(?:\.\d+)?")
_UNIMPORTANT = """a an the of in on at to and or is are was be been by for with from as it its that this their
    they them so more most than too very not no do does can could will would i you your we he she which what
    while hardly"""
_STOP = frozenset(_UNIMPORTANT.split())
_PLAIN_WORDS = frozenset(("true", "false", "yes", "no", "zero", "none", "all", "both", "neither", "same"))
_CLAIM = r"(?:answer|claim|statement|it|that|this|should be|must be|sentence)(?: is| be|:| =|=| ->)* ?[\"'*]*"
_OVERLAP = 0.7
_LEAD = 0.3
_STEM = 5


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, in order."""
    return [part for part in (p.strip() for p in _SENTENCE.split(text)) if part]


def _stem(word: str) -> str:
    word = word.lower()
    for ending in ("ing", "ies", "es", "ed", "ly", "er", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _content(text: str) -> frozenset[str]:
    words = (w for w in _WORD.findall(text.lower()) if w not in _STOP)
    return frozenset(_stem(word) for word in words)


@lru_cache(maxsize=256)
def _phrase(text: str) -> re.Pattern[str] | None:
    """A pattern for the text as a phrase, whatever stands between its words."""
    words = _WORD.findall(text.lower())
    if not words or sum(map(len, words)) < 2:
        return None
    if len(words) == 1 and words[0].isalpha() and len(words[0]) > _STEM:
        word = words[0]  # its plural and other endings too
        return re.compile(rf"\b{re.escape(word[: max(_STEM, len(word) - 2)])}\w{{0,4}}\b")
    between = r"[^\w]{1,4}" if len(words) < 3 else r"(?:[^\w]{1,8})"
    return re.compile(r"(?<![^\W_])" + between.join(map(re.escape, words)) + r"(?![^\W_])(?!\.\d)")


def gives_text(question: Question, parts: list[str], shortest: int = 2) -> bool:
    """Whether a sentence holds the right option's text, and not most of the other options' too."""
    options = {option.letter: option.text for option in question.options}
    right = options.pop(question.answer, None)
    if right is None:
        return False
    pattern = _phrase(right)
    if pattern is None or len(right) < shortest or right.replace(".", "").isdigit():
        return False  # numbers without a unit are judged as numbers
    if right.lower() in _PLAIN_WORDS:
        pattern = re.compile(rf"\b{_CLAIM}{right.lower()}\b")
    statement = question.statement.lower()
    wrong = [found for found in map(_phrase, options.values()) if found is not None]
    if pattern.search(statement) and not any(other.search(statement) for other in wrong):
        return False
    squeezed = re.sub(r"[^\w]", "", right.lower())
    compact = len(squeezed) >= 8 and " " not in right
    for part in parts:
        low = part.lower()
        if pattern.search(low) or (compact and squeezed in re.sub(r"[^\w]", "", low)):
            named = sum(1 for other in wrong if other.search(low))
            if named < 2 or named < len(wrong) - 1:
                return True
    return False


def gives_words(question: Question, parts: list[str]) -> bool:
    """Whether a sentence holds the whole answer of a question that is answered in words."""
    pattern = _phrase(question.answer)
    if question.kind is not AnswerKind.TEXT or pattern is None:
        return False
    return any(pattern.search(part.lower()) for part in parts)


def paraphrases(question: Question, parts: list[str]) -> bool:
    """Whether a sentence holds most content words of the right option and of no other so many."""
    options = {option.letter: option.text for option in question.options}
    right = options.pop(question.answer, None)
    if right is None:
        return False
    words = _content(right)
    others = [_content(text) for text in options.values()]
    own = words.difference(*others) - _content(question.statement)
    if len(words) < 3 or not own:
        return False
    for part in parts:
        said = _content(part)
        share = len(words & said) / len(words)
        if share < _OVERLAP or 2 * len(own & said) < len(own):
            continue
        rival = max((len(other & said) / len(other) for other in others if other), default=0.0)
        if share - rival >= _LEAD:
            return True
    return False
