"""Does a guidance text give the answer away? Measured by `benchmarks/bench_leakage.py`.

A leak is text from which a reader who also sees the options learns which one is right. Naming
several or all options, quoting the question, or the student's own wrong one, is no leak. Time is
linear in the text.
"""

from __future__ import annotations

import re
import unicodedata

from socratic_env.leakage.encodings import decoded, spelled_out
from socratic_env.leakage.letters import names_letter
from socratic_env.leakage.texts import gives_text, gives_words, paraphrases, sentences
from socratic_env.leakage.values import Gold, tells_number
from socratic_env.numbers.notation import VULGAR
from socratic_env.types import Question

__all__ = ["KINDS", "detect"]

KINDS = ("letter", "text", "number", "paraphrase", "encoded")
"""Kinds of leak: the letter in any phrasing, the right option's words, its value in any notation,
its sense in other words, or one of these in a simple encoding."""

_SUPERSCRIPT = re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_QUOTES = str.maketrans("−’‘“”", "-''\"\"")
_LOOKALIKES = str.maketrans("АВСЕНІКМОРТХасеорхі", "ABCEHIKMOPTXaceopxi")
_QUOTED = 60
"""Characters from which the beginning of a question is known."""
_INVISIBLE = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0xAD))


def detect(question: Question, text: str) -> list[str]:
    """The kinds of leak found in a guidance text, in the order of `KINDS`; empty if clean.

    Any text will do, however long or broken; it never raises.
    """
    if not isinstance(text, str) or not text:
        return []
    plain = _without_quotation(question, _normalised(text))
    gold = Gold.of(question)
    found = _open_leaks(question, gold, plain)
    if _hidden_leak(question, gold, plain):
        found.add("encoded")
    return [kind for kind in KINDS if kind in found]


def _normalised(text: str) -> str:
    if not text.isascii():
        text = text.translate(_INVISIBLE).translate(_QUOTES).translate(VULGAR)
        text = _SUPERSCRIPT.sub(r"^\g<0>", text)
        text = unicodedata.normalize("NFKC", text).translate(_LOOKALIKES).replace("^−", "^-")
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _without_quotation(question: Question, text: str) -> str:
    """The text without quotations of the question or of its list of options, and without one of the
    question at the end that was cut."""
    listed = "\n".join(f"{option.letter}: {option.text}" for option in question.options)
    asked, listed = _normalised(f"{question.statement}\n{listed}"), _normalised(listed)
    for quotation in filter(None, (asked, listed)):
        text = text.replace(quotation, "\n")
    begun = text.rfind(asked[:_QUOTED]) if len(asked) > _QUOTED else -1
    return text[:begun] if begun >= 0 and asked.startswith(text[begun:]) else text


def _open_leaks(question: Question, gold: Gold | None, text: str) -> set[str]:
    found = set()
    parts = sentences(text)
    if question.options and names_letter(question, parts):
        found.add("letter")
    if gives_text(question, parts) or gives_words(question, parts):
        found.add("text")
    elif paraphrases(question, parts):
        found.add("paraphrase")
    if gold is not None and tells_number(gold, text):
        found.add("number")
    return found


def _hidden_leak(question: Question, gold: Gold | None, text: str) -> bool:
    right = next((f"{o.letter}: {o.text}" for o in question.options if o.letter == question.answer), None)
    for hidden, has_numbers in decoded(text):
        if right in hidden.split("\n"):
            return True
        parts = sentences(hidden)
        if question.options and names_letter(question, parts, strict=True):
            return True
        if gives_text(question, parts, shortest=5) or gives_words(question, parts):
            return True
        if has_numbers and gold is not None and tells_number(gold, hidden, fewest_digits=3):
            return True
    return spelled_out(question, text)
