"""Verifiers: (question, reply) -> Verdict. Pure, and linear in the length of the reply."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from socratic_env.errors import ConfigurationError
from socratic_env.types import AnswerKind, Question, Verdict

Verifier: TypeAlias = Callable[[Question, str], Verdict]

_OPEN, _CLOSE = "<answer>", "</answer>"
_THINK = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(?P<marks>`{3,}|~{3,})(?P<rest>.*)$", re.MULTILINE)
_QUOTES = {"`": "`", '"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
_BLANKS = " \t\r\n"
_GROUPS = ",\u0020\u00a0\u2009\u202f"
"""Thousands separators: comma, blank, and the no-break and thin blanks."""
NUMBER = re.compile(
    r"(?P<sign>[+\-\u2212]?)"
    rf"(?:(?P<grouped>[1-9]\d{{0,2}}(?P<group>[{_GROUPS}])\d{{3}}(?:(?P=group)\d{{3}})*)(?!\d)|(?P<plain>\d+))?"
    r"(?P<fraction>\.\d*)?"
    r"(?:[eE](?P<e>[+\-\u2212]?\d+)"
    r"|[ ]?(?:\*|x|\u00d7|\\times|\\cdot|\u00b7)[ ]?10\^\{?(?P<power>[+\-\u2212]?\d+)\}?"
    r"|[ ]?/[ ]?(?P<divisor>\d+(?:\.\d*)?|\.\d+))?",
    re.ASCII,
)
"""A number in every notation that `parse_number` reads; it also matches nothing."""
_UNIT_WRAPPER = re.compile(r"\\(?:mathrm|text|textrm|rm|operatorname)\b|[{}$]")
_UNIT_BLANKS = re.compile(r"(?:[ \t\r\n\u00a0\u2009\u202f~]|\\[,;: ])+")
_UNIT_DOT = re.compile(r" ?(?:\\cdot|\\times|[\u00b7\u22c5*.]) ?")
_UNIT_SIGNS = str.maketrans(
    {"\u2212": "-", "\u00b5": "\u03bc", "\u2126": "\u03a9", "\u212b": "\u00c5", "\u00ba": "\u00b0"}
    | {sign: f"^{digit}" for digit, sign in enumerate("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076")}
    | {"\u207b": "^-"}
)
_UNIT_NAMES = {
    "percent": "%",
    "per cent": "%",
    "\\%": "%",
    "deg": "\u00b0",
    "degrees": "\u00b0",
    "^\\circ": "\u00b0",
}
_LONGEST_ANSWER = 200
"""Characters of an answer block that are looked at; a longer one names nothing."""


def _wrong(reason: str) -> Verdict:
    return Verdict(correct=False, answer=None, reason=reason)


def _outside_thought(text: str, at: int) -> bool:
    """Whether `at` lies outside every think block, also outside one that the prompt opened."""
    depth, passed = 0, False
    for tag in _THINK.finditer(text):
        if tag.start() > at and not passed:
            if depth:
                return False
            passed = True
        closes = bool(tag.group(1))
        if closes and not depth and passed:
            return False  # it closes a thought that began before the reply
        depth = depth + 1 if not closes else max(0, depth - 1)
    return passed or depth == 0


def _inside_fence(text: str, at: int) -> bool:
    """Whether `at` lies inside a code fence: only a line of as many of the same marks closes it."""
    marks = ""
    for line in _FENCE.finditer(text, 0, at):
        if not marks:
            if line["marks"][0] == "~" or "`" not in line["rest"]:
                marks = line["marks"]
        elif line["marks"].startswith(marks) and not line["rest"].strip() and line.end() < at:
            marks = ""
    return bool(marks)


def answer_block(text: str) -> str | Verdict:
    """The inside of the one answer block of a reply, or the verdict that says what is wrong.

    The block must be the only one in the whole reply and stand outside any think block, code
    fence or quotation.
    """
    start, end = text.find(_OPEN), text.find(_CLOSE)
    if start < 0 or end < 0:
        return _wrong("no answer block")
    if text.find(_OPEN, start + 1) >= 0 or text.find(_CLOSE, end + 1) >= 0:
        return _wrong("more than one answer block")
    if end < start:
        return _wrong("the answer block is closed before it is opened")
    if not _outside_thought(text, start):
        return _wrong("the answer stands inside a thought")
    if _inside_fence(text, start):
        return _wrong("the answer stands inside a code fence")
    after = text[end + len(_CLOSE) : end + len(_CLOSE) + 1]
    before = text[start - 1 : start] if start else ""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if (before in _QUOTES and _QUOTES.get(before) == after) or line.lstrip().startswith(">"):
        return _wrong("the answer is a quotation")
    return text[start + len(_OPEN) : end]


def choice(question: Question, text: str, strict: bool = False) -> Verdict:
    """Multiple choice: one answer block that holds one of the question's letters in ASCII.

    Blanks and newlines around the letter are allowed; `strict=True` wants the exact form
    "<answer>\\nX\\n</answer>". Everything else is wrong, with the reason.
    """
    inside = answer_block(text)
    if isinstance(inside, Verdict):
        return inside
    if len(inside) > _LONGEST_ANSWER:
        return _wrong("the answer block is too long for a letter")
    letter = inside.strip(_BLANKS)
    if letter not in question.letters:
        return _wrong(f"the answer is none of the letters {', '.join(question.letters)}")
    if strict and inside != f"\n{letter}\n":
        return _wrong("the answer does not stand on a line of its own")
    right = letter == question.answer
    return Verdict(correct=right, answer=letter, reason="correct" if right else "wrong option")


def unit_key(unit: str) -> str:
    """A unit's spelling without its dress: braces, dollars, `\\mathrm{}` and `\\text{}` are taken off,
    superscripts become `^2`, blanks, `\\cdot` and `*` become one dot, look-alike signs and the
    words for percent and degrees become one sign. Nothing is converted: "km" is not "1000 m"."""
    bare = _UNIT_WRAPPER.sub("", unit).translate(_UNIT_SIGNS).replace("^-^", "^-")
    bare = _UNIT_BLANKS.sub(" ", bare).strip(" ")
    bare = _UNIT_NAMES.get(bare, bare)
    return _UNIT_DOT.sub("\u00b7", bare).replace(" ", "\u00b7")


def parse_number(text: str, unit: str = "") -> float | None:
    """A finite number, optionally followed by the unit; None for anything else.

    Read are plain and scientific notation (2e3, 2x10^3, 2 \\times 10^{3}), a true minus sign,
    thousands in full groups of three by commas or blanks (1,234.5 and 1 234.5; "0,123" and
    "1,23" are no numbers, since a comma never is a decimal point), and one fraction of two
    unsigned plain numbers (3/4). The unit may be spelt in every way that `unit_key` knows; a
    percentage is a number with the unit "%", never divided by 100.
    """
    stripped = text.strip(_BLANKS)
    if len(stripped) > _LONGEST_ANSWER:
        return None
    if len(stripped) > 2 and stripped[0] == stripped[-1] == "$":
        stripped = stripped[1:-1].strip(_BLANKS)
    match = NUMBER.match(stripped)
    if match is None:
        return None
    rest = stripped[match.end() :]
    if rest and not (unit and unit_key(rest) == unit_key(unit)):
        return None
    whole, fraction = match["grouped"] or match["plain"] or "", match["fraction"] or ""
    if not whole and len(fraction) < 2:
        return None
    digits = "".join(sign for sign in whole if sign.isdigit())
    exponent = (match["e"] or match["power"] or "0").replace("\u2212", "-")
    value = float(f"{match['sign'].replace(chr(0x2212), '-')}{digits or '0'}{fraction}e{exponent}")
    if match["divisor"]:
        divisor = float(match["divisor"])
        if not divisor:
            return None
        value /= divisor
    return value if math.isfinite(value) else None


def close_enough(value: float, truth: float, abs_tol: float, rel_tol: float) -> bool:
    """|value - truth| <= max(abs_tol, rel_tol * |truth|)."""
    return abs(value - truth) <= max(abs_tol, rel_tol * abs(truth))


def numeric(question: Question, text: str) -> Verdict:
    """A number within the question's absolute or relative tolerance of the truth."""
    inside = answer_block(text)
    if isinstance(inside, Verdict):
        return inside
    value = parse_number(inside, question.unit)
    if value is None:
        unit = f" in {question.unit}" if question.unit else ""
        return _wrong(f"the answer is not a number{unit}")
    truth = parse_number(question.answer, question.unit)
    if truth is None:
        raise ConfigurationError(
            f"question {question.id!r} cannot be judged as a number: its own answer is none; "
            "use verifier=None or a verifier that fits its kind"
        )
    right = close_enough(value, truth, question.abs_tol, question.rel_tol)
    return Verdict(right, inside.strip(_BLANKS), "correct" if right else "wrong value")


_OF_KIND: dict[AnswerKind, Verifier] = {AnswerKind.CHOICE: choice, AnswerKind.NUMERIC: numeric}
NAMED: dict[str, Verifier] = {
    "choice": choice,
    "choice_strict": partial(choice, strict=True),
    "numeric": numeric,
}


def by_kind(question: Question, text: str) -> Verdict:
    """Judge by the verifier of the question's own kind."""
    return _OF_KIND[question.kind](question, text)
