"""Numbers in every notation that is read, as exact values, and when two of them are close enough.

A number is: a sign; digits, perhaps in full groups of three, with a decimal point; or a fraction, set with
`\\frac` or with a slash between plain numbers; or a whole number with a set fraction behind it; then perhaps
a power of ten. It is never worked out: of powers only those of ten are numbers ("2^10" is an exercise).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from socratic_env.numbers.notation import THIN, plain, unwrapped
from socratic_env.numbers.units import currency, same_unit

Value: TypeAlias = "Fraction | float | int"

_LONGEST = 200
"""Characters that a number with its unit may have; a longer text is none."""
_SMALLEST = -400
"""Below ten to this power a number is 0; a double is from -324 on."""
_B = f"[ \u00a0{THIN}]"
_GROUPED = "|".join(rf"(?:{sign}[0-9]{{3}}(?![0-9])){{1,12}}" for sign in (*",'\u2019 \u00a0", *THIN))
_WHOLE = rf"[1-9][0-9]{{0,2}}(?:{_GROUPED})|[0-9]+"
_POINT = rf"\.[0-9]{{3}}(?:[{THIN}][0-9]{{3}}(?![0-9])){{0,12}}[{THIN}][0-9]{{1,3}}(?![0-9])|\.[0-9]*"
_DIGITS = rf"(?:(?:{_WHOLE})(?:{_POINT})?|\.[0-9]+)"
_EXPONENT = rf"{_B}?[-+]?{_B}?[0-9]+{_B}?"
_POWER = (
    rf"\{{?10\}}?{_B}?\^{_B}?(?:\{{\(?{_EXPONENT}\)?\}}|\{{\{{{_EXPONENT}\}}\}}|\({_EXPONENT}\)|[-+]?[0-9]+)"
)
_TIMES = rf"{_B}{{0,4}}[*xX\u00d7\u00b7]{_B}{{0,4}}"
_PART = r"\{(?:[^{}]|\{[^{}]{0,20}\}){1,60}\}|[0-9]"
_FRACTION = rf"\\frac{_B}?(?:{_PART}){_B}?(?:{_PART})"
_SLASH = rf"(?:{_DIGITS}){_B}?/{_B}?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"


_SIGN = rf"(?:[-+]{_B}{{0,2}})?"
_FREE_SIGN = rf"(?:(?<![\w)\]}}.])[-+](?:(?=[0-9.\\{{])|(?<![\w)\]}}.] [-+]){_B}{{0,2}}))?"
"""A sign that is none of a difference or a range: what stands before it is neither a number, a bracket nor a
word, or a blank parts it from that and none from its number."""
_UNSIGNED = (
    rf"(?:(?:[0-9]+{_B}?)?{_FRACTION}(?:{_TIMES}{_POWER})?"
    rf"|{_POWER}"
    rf"|{_SLASH}(?![0-9])"
    rf"|(?:{_DIGITS})(?:[eE][-+]?[0-9]+|{_TIMES}{_POWER})?)"
)
_AT_START = re.compile(_SIGN + _UNSIGNED)
_ANYWHERE = re.compile(rf"(?=[-+.{{\\0-9]){_FREE_SIGN}(?<![\w.]){_UNSIGNED}")
_SCIENTIFIC = re.compile(
    rf"(?P<sign>[-+]?){_B}{{0,2}}(?:(?P<power>{_POWER})"
    rf"|(?P<digits>{_DIGITS})(?:[eE](?P<e>[-+]?[0-9]+)|{_TIMES}(?P<scale>{_POWER}))?)"
)
_SET_FRACTION = re.compile(
    rf"(?P<sign>[-+]?){_B}{{0,2}}(?:(?P<whole>[0-9]+){_B}?)?\\frac{_B}?(?P<top>{_PART}){_B}?(?P<bottom>{_PART})"
    rf"(?:{_TIMES}(?P<scale>{_POWER}))?"
)
_NAME = re.compile(
    r"(?:(?:[A-Za-z]|\\[A-Za-z]+)(?:_(?:[A-Za-z]|\{(?:\\[a-z]+\{)?[A-Za-z]{1,20}\}{1,2}))?)?"
    r" ?(?:=|\\approx|\u2248) ?"
)
"""A quantity and its equals sign in front of its value: "x = 5", but not "2 x = 5"."""
DECIMAL = r"[-\u2212\u2013]?\s*[0-9]+(?:\.[0-9]+)?"
"""A decimal number within a larger pattern, as tables give it; `read_number` reads what it matches."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a text: its value, how many significant digits it shows, and where it stands.

    parts: the numerator and the denominator, where it is written as a fraction.
    """

    value: Fraction
    digits: int
    start: int
    end: int
    parts: tuple[Fraction, ...] = ()


def _power(text: str) -> int:
    return int(re.sub(r"[^-+0-9]", "", text.replace("10", "", 1)))


def _scientific(text: str) -> tuple[Fraction, int] | None:
    """(value, significant digits) of a decimal with its power of ten, None for anything else or too much."""
    match = _SCIENTIFIC.fullmatch(text)
    if match is None:
        return None
    digits = "1" if match["power"] else re.sub(r"[^0-9.]", "", match["digits"])
    exponent = int(match["e"]) if match["e"] else 0
    scale = match["power"] or match["scale"]
    if scale:
        exponent = _power(scale)
    shown = digits.replace(".", "").lstrip("0")
    if "." not in digits:
        shown = shown.rstrip("0")
    return _scaled(Fraction(digits if digits[-1] != "." else digits[:-1]), exponent, match["sign"], shown)


def _scaled(mantissa: Fraction, exponent: int, sign: str, shown: str) -> tuple[Fraction, int] | None:
    size = exponent + len(str(int(mantissa)))
    if not mantissa or exponent < _SMALLEST:
        return Fraction(0), max(1, len(shown))
    if size > 2 - _SMALLEST:
        return None
    value = mantissa * Fraction(10) ** exponent
    return (-value if sign == "-" else value), max(1, len(shown))


@lru_cache(maxsize=4096)
def _evaluated(text: str) -> tuple[Fraction, int, tuple[Fraction, ...]] | None:
    """(value, significant digits, parts of a fraction) of a text that the grammar matched."""
    if len(text) > _LONGEST:
        return None
    if "\\frac" in text:
        return _set_fraction(text)
    top, slash, bottom = text.partition("/")
    upper = _scientific(top.rstrip())
    if not slash or upper is None:
        return None if upper is None else (*upper, ())
    lower = _scientific(bottom.lstrip())
    if lower is None or not lower[0]:
        return None
    return upper[0] / lower[0], max(upper[1], lower[1]), (abs(upper[0]), lower[0])


def _inside(part: str) -> str:
    """A part of a set fraction without its braces."""
    bare = part.strip()
    while bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1].strip(f" {THIN}")
    return bare


def _set_fraction(text: str) -> tuple[Fraction, int, tuple[Fraction, ...]] | None:
    match = _SET_FRACTION.fullmatch(text)
    if match is None:
        return None
    top, bottom = (_scientific(_inside(match[part])) for part in ("top", "bottom"))
    if top is None or bottom is None or not bottom[0]:
        return None
    value, digits = top[0] / bottom[0], max(top[1], bottom[1])
    if match["whole"]:
        if not 0 < value < 1:
            return None
        value += int(match["whole"])
        digits += len(match["whole"])
    scaled = _scaled(abs(value), _power(match["scale"]), "", "") if match["scale"] else (abs(value), 1)
    if scaled is None:
        return None
    negative = (match["sign"] == "-") != (value < 0)
    return (-scaled[0] if negative else scaled[0]), digits, (abs(top[0]), abs(bottom[0]))


def read_number(text: str, unit: str = "") -> Fraction | None:
    """The exact value of a finite number, optionally followed by the unit; None for anything else.

    Read are plain and scientific notation (2e3, 2 x 10^3, 2\\times10^{3}, 2 \u00d7 10\u00b3, 10^{-3}), every
    sign that looks like a minus, a blank behind it, thousands in full groups of three (1,234.5, 1 234.5,
    1{,}234, 1\\,234; "0,123" and "1,23" are no numbers, since a comma never is a decimal point), one
    fraction (3/4, \\frac{3}{4}, \u00be, 1\u00be), all of it in math delimiters, bold or a box, and behind the
    name of a quantity (x = 5). The unit may be spelt in every way that `same_unit` knows; a percentage is a
    number with the unit "%", never divided by 100. A text of more than 200 characters is no number.
    """
    if len(text.strip(" \t\r\n")) > _LONGEST:
        return None
    bare = _without_currency(text, unit)
    undressed = unwrapped(bare)
    if undressed is None:
        return None
    undressed = plain(undressed).strip(f" \t\r\n{THIN}")
    name = _NAME.match(undressed)
    undressed = undressed[name.end() :] if name else undressed
    match = _AT_START.match(undressed)
    if match is None:
        return None
    rest = undressed[match.end() :]
    if rest.strip() and not (unit and same_unit(rest, unit)):
        return None
    found = _evaluated(match[0].strip())
    return None if found is None or not _is_double(found[0]) else found[0]


def _without_currency(text: str, unit: str) -> str:
    """The text without its sign of money, where the unit is that money: "$5" and "5 $" are amounts."""
    sign = currency(unit)
    if not sign:
        return text
    for spelt in (f"\\{sign}", sign):
        bare = text.strip()
        if bare.count(spelt) == 1 and (bare.startswith(spelt) or bare.endswith(spelt)):
            return bare.removeprefix(spelt).removesuffix(spelt)
    return text


def _is_double(value: Fraction) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def parse_number(text: str, unit: str = "") -> float | None:
    """The number that `read_number` reads, as the nearest double."""
    value = read_number(text, unit)
    return None if value is None else float(value)


def numbers_in(text: str) -> Iterator[Number]:
    """Every number of a text that `plain` has made plain, in order; of a fraction also its two parts."""
    for match in _ANYWHERE.finditer(text):
        found = _evaluated(match[0].strip())
        if found is not None and _is_double(found[0]):
            yield Number(found[0], found[1], *match.span(), found[2])
        if "/" in match[0] or "\\frac" in match[0]:
            yield from _parts(match)


def _parts(match: re.Match[str]) -> Iterator[Number]:
    """The numbers of which a fraction is made."""
    if len(match[0]) > _LONGEST:
        return
    for part in re.finditer(_DIGITS, match[0]):
        found = _scientific(part[0])
        if found is not None:
            yield Number(*found, match.start() + part.start(), match.start() + part.end())


def first_number(text: str) -> Fraction | None:
    """The value of the first number of a text; None without one."""
    return next((number.value for number in numbers_in(plain(text))), None)


def _exact(value: Value) -> Fraction:
    """A value as it is written: 0.1 is a tenth, not the double next to it."""
    return value if isinstance(value, Fraction) else Fraction(repr(value))


def close_enough(value: Value, truth: Value, abs_tol: float, rel_tol: float) -> bool:
    """|value - truth| <= max(abs_tol, rel_tol * |truth|), worked out exactly, so that a deviation of just the
    tolerance is right. A float stands for its shortest decimal."""
    if math.inf in (abs_tol, rel_tol):
        return True
    exact_value, exact_truth = _exact(value), _exact(truth)
    allowed = max(_exact(float(abs_tol)), _exact(float(rel_tol)) * abs(exact_truth))
    return abs(exact_value - exact_truth) <= allowed
