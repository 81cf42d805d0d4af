"""The right letter, in any phrasing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from socratic_env.types import Question

_ORDINALS = ("first|1st", "second|2nd", "third|3rd", "fourth|4th", "fifth|5th", "sixth|6th")
_SPELLED = {
    "A": "ay|alpha|alfa",
    "B": "bee|bravo",
    "C": "cee|see|charlie",
    "D": "dee|delta",
    "E": "ee|echo",
    "F": "eff|foxtrot",
}
_OPTION = r"(?:options?|choices?|alternatives?|letter)"
_BOX = r"(?:option|choice|alternative|answer|box|letter|entry|answer choice)"
_BE = r"(?:is|was|are|were|be|been|being|to be|remains|becomes|:|=|==|->|=>|equals|says)"
_MODAL = r"(?: (?:should|would|must|will|has to|might|could|may)(?: have)?)?"
_ANSWER = (
    r"(?:answer|ans|solution|ground truth|ground[- ]truth block|key|correct|right|correct_answer|result"
    r"|(?:right|correct|best) (?:one|option|choice))"
)
_CHOOSE = (
    r"(?:choose|chosen|pick|picked|select|selected|mark|tick|circle|take|prefer|go with|went with|going with"
    r"|switch to|opt for|settle on|try)"
)
_REALLY = r"(?:really |actually |clearly |simply |rather |option |letter |then |now )?"
_OPEN, _SHUT = r"[\"'`(\[{<*_$\\]{0,4}", r"[\"'`)\]}>*_$]{0,4}"
_WRAPPED = r"(?:\\?(?:text|mathrm|mathbf|boxed)\{){0,2}"
_LINKS = r"(?:because|since|as|for|and|not|but|if|when|here|instead|rather|follows|by)"
_END = r"(?= ?(?:[.!?,;:]|$)| (?:instead|here|again|follows|for|after|because|since|in|as|when|by|is|with)\b)"
_COUNT = r"(?:\d|two|three|four|five|six)"

_NEGATED_BEFORE = re.compile(
    r"(?:\bnot|n't|\bnever|\bnor|\bneither|\bcannot|\brule out|\brules out|\beliminate|\bexclude|\bunlike"
    r"|\brather than|\binstead of|\bnone of)(?: \w+){0,2} ?$",
    re.IGNORECASE,
)
_NEGATED_AFTER = re.compile(
    r"[\"'`)\]*_]{0,4} (?:is|was|are|seems|looks|cannot|can't|could|can|will|would|does|isn't|wasn't|won't)"
    r"(?: not| n't)?(?: be)?(?: \w+)? ?(?:not|wrong|incorrect|false|impossible|excluded|out|right\?)\b"
    r"|[\"'`)\]*_]{0,4} (?:cannot|can't|isn't|won't|wasn't|is not|does not|doesn't)\b",
    re.IGNORECASE,
)
_REJECTED = re.compile(
    r"\b(?:not|n't|none|neither|nor|wrong|incorrect|rule out|ruled out|eliminate|eliminated|exclude|excluded"
    r"|false|impossible|cannot|fail)\b|n't\b",
    re.IGNORECASE,
)
_LISTED = r"[\"'(*]{0,2}\b[A-F]\b[\"')*]{0,2}"
_LIST = re.compile(rf"{_LISTED}(?:(?:,? (?:and|or|nor|&) |, ?| ?/ ?){_LISTED})+")
_CAPITAL = re.compile(r"\b[A-F]\b")
_WINDOW = 40


@dataclass(frozen=True, slots=True)
class _Cues:
    explicit: tuple[re.Pattern[str], ...]
    loose: tuple[re.Pattern[str], ...]


def names_letter(question: Question, parts: list[str], strict: bool = False) -> bool:
    """Whether a sentence singles out the right letter; `strict` wants an explicit cue."""
    right, letters = question.answer, question.letters
    if right not in _SPELLED or right not in letters:
        return False
    cues = _cues(right, letters.index(right), right == letters[-1])
    others = set(letters) - {right}
    for part in parts:
        lists = [set(_CAPITAL.findall(match[0])) for match in _LIST.finditer(part)]
        if lists:
            if not strict and len(others) > 1 and others in lists and _REJECTED.search(part):
                return True  # all others are excluded
            part = _LIST.sub(" (several) ", part)
        for pattern in cues.explicit if strict else (*cues.explicit, *cues.loose):
            if any(_stands(part, match) for match in pattern.finditer(part)):
                return True
    return False


def _stands(part: str, match: re.Match[str]) -> bool:
    """Whether what was matched is asserted, not denied."""
    if _NEGATED_AFTER.match(part[match.end() : match.end() + _WINDOW]):
        return False
    if match[0].startswith(("but", "rather")):  # "not A but B"
        return True
    return not _NEGATED_BEFORE.search(part[max(0, match.start() - _WINDOW) : match.start()])


@lru_cache(maxsize=64)
def _cues(right: str, index: int, last: bool) -> _Cues:
    """Patterns for a letter at a place in the list; explicit ones say "option" or "answer"."""
    either, spelled = f"(?:{right}|{right.lower()})", _SPELLED[right]
    after_answer = after_option = rf"{_OPEN}{_WRAPPED}{either}(?![\w'^=+]){_SHUT}"
    if right == "A":  # "a" before a word is the article, and so may "A" be
        bracketed = r"(?<=[\"'(\[*{])a(?=[\"')\]*}])"
        capital = rf"(?-i:A)(?![\w']){_SHUT}(?! (?!{_LINKS}\b)\w)"
        after_answer = rf"{_OPEN}{_WRAPPED}(?:{capital}|{bracketed}{_SHUT})"
        after_option = rf"{_OPEN}{_WRAPPED}(?:(?-i:A)|a(?! \w))(?![\w']){_SHUT}"
    letter = rf"[\"'`(\[*_$]{{0,4}}(?<![\w\-+^.°]){right}(?![\w'^=+\-]){_SHUT}"
    nth = rf"\b(?:{_ORDINALS[index]}{'|last' if last else ''})"
    explicit = (
        rf"\b{_OPTION} (?:is )?{after_option}",
        rf"\b(?:{_OPTION}|answer|spelled) {_OPEN}(?:{spelled}){_SHUT}(?!\w)",
        rf"\banswer(?: is| was)? (?:spelled )?{_OPEN}(?:{spelled}){_SHUT}(?!\w)",
        rf"\b{_ANSWER}\"?\)?[*_]{{0,2}}(?: to \w+| here| option| choice)?{_MODAL} ?{_BE}[*_]{{0,2}} ?"
        rf"{_REALLY}{after_answer}",
        rf"<answer> ?{either} ?<|boxed\{{ ?(?:\\?text\{{)?{either}\}}",
        rf"\bans(?:wer)?[.:=]? {after_answer}{_END}",
    )
    any_case = (
        rf"\b{_CHOOSE} (?:the )?{nth}(?: {_BOX}| one)?(?=\W|$)",
        rf"{nth} (?:{_BOX}|(?:one )?(?:of|on|in) the (?:list|{_COUNT} |other |given |answer ){{0,2}}"
        rf"(?:{_BOX}s?|list)?)\b",
        rf"\b(?:number|no\.|item|entry) {index + 1} (?:on|of|in) (?:the|your) (?:list|{_BOX}s)\b",
    )
    exact = (
        rf"\b(?i:{_CHOOSE}|it's|it is|it must be) {letter}{_END}",
        rf"\b(?:[Tt]herefore|[Tt]hus|[Hh]ence|[Ss]o|[Bb]ut|but rather|rather|only|says|gets?|with|to|at|for)"
        rf"[,:]? (?:it is |it's |it must be )?{letter}(?= ?(?:[.!?,;)]|$)| it is\b| survives\b| fits\b)",
        rf"(?:^|[ \"'(*]){letter} (?:is|was|would be|would have been|must be|looks|remains) "
        r"(?:clearly |in fact |then |thus )?(?:the )?(?:only )?"
        r"(?:right|correct|best|true|answer|winner|one that|solution|one)\b",
        rf"(?:^|[ \"'(*]){letter} (?:fits|matches|wins|survives|satisfies|explains|follows|works|it is)\b",
        rf"^{letter}(?:$| ?!)",
    )
    return _Cues(
        tuple(re.compile(cue, re.IGNORECASE) for cue in explicit),
        (*(re.compile(cue, re.IGNORECASE) for cue in any_case), *map(re.compile, exact)),
    )
