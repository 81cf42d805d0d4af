"""The right value, in any notation: scientific, rounded, grouped, a fraction, a percentage, words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from socratic_env.types import Question

_MANTISSA = r"(?:\d{1,3}(?:[ ,]\d{3}(?!\d))+|\d{1,40})(?:\.\d{1,40})?|\.\d{1,40}"
_POWER = r"(?:e([-+]?\d{1,4})| ?(?:[x*\u00d7\u00b7]|\\times|\\cdot) ?10(?:\^|\*\*) ?[{(]?([-+]?\d{1,4}))"
_NUMBER = re.compile(rf"(?<![\w.])[-+]?({_MANTISSA})(?:{_POWER})?(?:[)}}]?)( ?%| per ?cent)?", re.IGNORECASE)
_FRACTION = re.compile(r"(?<![\w./^])(\d{1,6}) ?/ ?(\d{1,6})(?![\w/]|\.\d)")
_LEADING = re.compile(rf" ?[-+]?({_MANTISSA})(?:{_POWER})?( ?%)?(.*)", re.IGNORECASE | re.DOTALL)
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
_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen"""
_WORDS = {word: value for value, word in enumerate(_ONES.split())}
_DECADES = """twenty thirty forty fifty sixty seventy eighty ninety"""
_TENS = {word: 10 * value for value, word in enumerate(_DECADES.split(), 2)}
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_PARTS = {
    "half": 0.5,
    "a quarter": 0.25,
    "one quarter": 0.25,
    "three quarters": 0.75,
    "a third": 1 / 3,
    "two thirds": 2 / 3,
    "one in two": 0.5,
    "one in four": 0.25,
    "three in four": 0.75,
}
_PARTS_PATTERN = re.compile(rf"\b(?:{'|'.join(_PARTS)})\b")
_TOKENS = re.compile(r"[a-z]+|[^a-z\s-]")


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
        given = frozenset(abs(value) for value, _, _, _ in _values(statement))
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
    match = _LEADING.fullmatch(text.strip())
    if match is None or len(match[5].split()) > 2:
        return None
    return _value(match[1], match[2] or match[3], match[4])


def _value(mantissa: str, power: str | None, percent: str | None) -> tuple[float, int]:
    plain = mantissa.replace(",", "").replace(" ", "")
    digits = plain.replace(".", "").lstrip("0")
    if "." not in plain:
        digits = digits.rstrip("0")
    value = float(plain) * (0.01 if percent else 1.0)
    exponent = int(power) if power else 0
    return (value * 10.0**exponent if abs(exponent) <= 300 else math.inf), max(1, len(digits))


def _values(text: str) -> Iterator[tuple[float, int, int, int]]:
    """(value, significant digits, start, end) of every number of a text."""
    for match in _NUMBER.finditer(text):
        value, digits = _value(match[1], match[2] or match[3], match[4])
        yield value, digits, match.start(), match.end()
        if match[4]:
            yield value * 100, digits, match.start(), match.end()


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{min(digits, 15) - 1}e}")


def _significand(value: float) -> float:
    return float(f"{value:.14e}".partition("e")[0]) if value else 0.0


def tells_number(gold: Gold, text: str, fewest_digits: int = 1) -> bool:
    """Whether the text states the right value, exactly, rounded, or in a unit of another size."""
    target = abs(gold.value)
    wrong = [abs(value) for value in gold.wrong]
    for value, digits, start, end in _values(text):
        if not math.isfinite(value) or value == 0 or max(digits, fewest_digits) != digits:
            continue
        if any(_same(value, other) for other in wrong):
            continue
        before, after = text[max(0, start - 24) : start], text[end : end + 2]
        if _matches(gold, target, value, digits, wrong, before, after):
            return True
    return fewest_digits == 1 and (_fractions(gold, target, text) or _in_words(gold, target, text.lower()))


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


def _fractions(gold: Gold, target: float, text: str) -> bool:
    if target == int(target):
        return False
    for match in _FRACTION.finditer(text):
        top, bottom = float(match[1]), float(match[2])
        if bottom and _same(top / bottom, target) and not {top, bottom} <= gold.given:
            return True
    return any(_same(_PARTS[match[0]], target) for match in _PARTS_PATTERN.finditer(text.lower()))


def _in_words(gold: Gold, target: float, text: str) -> bool:
    """Values written out: "fifty-three", "one hundred and four point seven", "85 in words per cent"."""
    if gold.digits == 1 and target == int(target) and target < 10:
        return bool(re.search(rf"\b(?:answer|result|gives|get|is|=) {_word_of(int(target))}\b(?! \w)", text))
    total, part, decimals, spelled, seen = 0.0, 0.0, "", False, False
    for match in _TOKENS.finditer(text + " ."):
        word = match[0]
        if word in _WORDS and spelled:
            decimals += str(_WORDS[word])
        elif word in _WORDS or word in _TENS:
            part, seen = part + (_WORDS.get(word) or _TENS.get(word, 0)), True
        elif word == "hundred" and seen:
            part *= 100
        elif word in _SCALES and seen:
            total, part = total + part * _SCALES[word], 0.0
        elif word == "point" and seen:
            spelled = True
        elif word != "and" or not seen:
            value = total + part + (float(f"0.{decimals[:20]}") if decimals else 0.0)
            if (
                seen
                and value not in gold.given
                and (_same(value, target) or (word in ("per", "percent") and _same(value / 100, target)))
            ):
                return True
            total, part, decimals, spelled, seen = 0.0, 0.0, "", False, False
    return False


def _word_of(number: int) -> str:
    return next(word for word, value in _WORDS.items() if value == number)
