"""The right value, in any notation: scientific, rounded, grouped, a fraction, a percentage, words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from socratic_env.numbers import Number, numbers_in, numbers_in_words, plain
from socratic_env.numbers.words import ONES
from socratic_env.types import Question

_PERCENT = re.compile(r" ?(?:\\?%|per ?cent\b)", re.IGNORECASE)
_CUE = re.compile(
    r"(?:=|:|\b(?:is|be|gets?|gives?|answer|result|find|equals|makes|to|yields|exactly|of|has|holds)) ?$",
    re.IGNORECASE,
)
_STRONG_CUE = re.compile(
    r"\b(?:answer|result|ground truth)(?: (?:is|should be|would be|must be))?[ :=]{0,3}$", re.IGNORECASE
)
_STEP = re.compile(r"\b(?:step|line|attempt|part|question|eq|equation|item|term)s? ?$", re.IGNORECASE)
_FEW = 2  # numbers of fewer significant digits must be exact, and need a cue if of one digit
_SHARED = 3  # digits from which a change of unit is recognised by the digits alone


@dataclass(frozen=True, slots=True)
class Gold:
    """The right value and what must not be mistaken for it.

    value, digits: the value and how many significant digits it is shown with.
    wrong: values of the other options. given: numbers of the statement.
    """

    value: float
    digits: int
    wrong: tuple[float, ...]
    given: frozenset[float]

    @staticmethod
    @lru_cache(maxsize=256)
    def _parsed(
        answer: str, options: tuple[str, ...], statement: str, numeric: bool
    ) -> tuple[float, int, tuple[float, ...], frozenset[float]] | None:
        mine = _leading(answer)
        if mine is None or mine[0] == 0 or not math.isfinite(mine[0]):
            return None
        wrong = tuple(other[0] for other in map(_leading, options) if other is not None)
        if not numeric and len(wrong) != len(options):
            return None
        if any(_same(value, mine[0]) for value in wrong):
            return None
        given = frozenset(abs(value) for value, *_ in _all_values(statement))
        return mine[0], mine[1], wrong, given

    @classmethod
    def of(cls, question: Question) -> Gold | None:
        """The gold value of a question, or None if its answer is no number."""
        texts = {option.letter: option.text for option in question.options}
        answer = texts.pop(question.answer, None) if texts else question.answer
        if answer is None or len(answer) > 200:
            return None
        parsed = cls._parsed(answer, tuple(texts.values()), question.statement[:20_000], not question.options)
        return None if parsed is None else cls(*parsed)


def _leading(text: str) -> tuple[float, int] | None:
    """(value, significant digits) of a text that is a number and perhaps a unit."""
    bare = plain(text).strip()
    number = next(numbers_in(bare), None)
    if number is None or number.start or len(bare[number.end :].split()) > 2:
        return None
    share = 0.01 if _PERCENT.match(bare, number.end) else 1.0
    return float(number.value) * share, number.digits


_Shown: TypeAlias = tuple[float, int, int, int, tuple[float, ...]]


def _values(numbers: Iterable[Number], text: str) -> Iterator[_Shown]:
    """(value, significant digits, start, end, parts of a fraction) of numbers of a text; of a percentage
    both the share and the number itself."""
    for number in numbers:
        value, parts = float(number.value), tuple(map(float, number.parts))
        percent = _PERCENT.match(text, number.end)
        if percent:
            yield value * 0.01, number.digits, number.start, percent.end(), parts
        yield value, number.digits, number.start, percent.end() if percent else number.end, parts


def _all_values(text: str) -> Iterator[_Shown]:
    bare = plain(text)
    yield from _values(numbers_in(bare), bare)
    yield from _values(numbers_in_words(bare), bare)


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{min(digits, 15) - 1}e}")


def _significand(value: float) -> float:
    return float(f"{value:.14e}".partition("e")[0]) if value else 0.0


def tells_number(gold: Gold, text: str, fewest_digits: int = 1) -> bool:
    """Whether the text states the right value, exactly, rounded, in a unit of another size, or in words."""
    target = abs(gold.value)
    wrong = [abs(value) for value in gold.wrong]
    text = plain(text)
    for shown in _values(numbers_in(text), text):
        if shown[1] >= fewest_digits and _gives(gold, target, shown, wrong, text):
            return True
    return fewest_digits == 1 and _in_words(gold, target, wrong, text)


def _gives(gold: Gold, target: float, shown: _Shown, wrong: list[float], text: str) -> bool:
    """Whether one number of the text is the right one."""
    value, digits, start, end, parts = shown
    value = abs(value)
    if value == 0 or any(_same(value, other) for other in wrong):
        return False
    before, after = text[max(0, start - 24) : start], text[end : end + 2]
    if parts:
        return _is_fraction_of(gold, target, value, parts, before)
    return _matches(gold, target, value, digits, wrong, before, after)


def _is_fraction_of(gold: Gold, target: float, value: float, parts: tuple[float, ...], before: str) -> bool:
    """Whether a fraction is the right value, and not merely made of numbers that the question gives."""
    rounded = gold.digits >= _SHARED and _same(_rounded(value, gold.digits), target)
    if target == int(target) or not (_same(value, target) or rounded):
        return False
    known = set(parts) <= gold.given or any(_same(value, given) for given in gold.given)
    return not known or bool(_STRONG_CUE.search(before))


def _matches(
    gold: Gold, target: float, value: float, digits: int, wrong: list[float], before: str, after: str
) -> bool:
    if any(_same(value, given) for given in gold.given):
        return _same(value, target) and bool(_STRONG_CUE.search(before))
    if _STEP.search(before):
        return False
    shown = min(digits, gold.digits)
    if _same(value, target):
        if gold.digits >= _FEW or value != int(value):
            return True
        return bool(_CUE.search(before)) or after[:1] in ("", ".", "\n")
    if shown >= _FEW and _same(_rounded(target, digits), value) and digits < gold.digits:
        return not any(_same(_rounded(other, digits), value) for other in wrong)
    if digits >= _SHARED and gold.digits >= _SHARED and _same(_rounded(value, gold.digits), target):
        return True
    if digits >= _SHARED and digits == gold.digits:
        ratio = math.log10(value / target)
        thousands = abs(ratio) > 0.5 and abs(ratio - 3 * round(ratio / 3)) < 1e-9
        return thousands and not any(_same(_significand(other), _significand(value)) for other in wrong)
    return False


def _in_words(gold: Gold, target: float, wrong: list[float], text: str) -> bool:
    """Values written out: "fifty-three", "one hundred and four point seven", "85 in words per cent"."""
    if gold.digits == 1 and target == int(target) and target < 10:
        word = next(word for word, value in ONES.items() if value == target)
        said = rf"\b(?:answer|result|gives|get|is|=) {word}\b(?! \w)"
        return bool(re.search(said, text, re.IGNORECASE))
    for shown in _values(numbers_in_words(text), text):
        if _gives(gold, target, shown, wrong, text):
            return True
        plainly = not shown[4] and not any(_same(abs(shown[0]), given) for given in gold.given)
        if plainly and _same(abs(shown[0]), target):
            return True
    return False
