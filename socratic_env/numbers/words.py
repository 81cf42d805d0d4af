"""Numbers in words: "one hundred and forty-seven", "four point two", "three quarters"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from socratic_env.numbers.reading import Number

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen"""
ONES = {word: value for value, word in enumerate(_ONES.split())}
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_DECADES.split(), 2)} | {"fourty": 40}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12, "sixteenth": 16, "twentieth": 20, "hundredth": 100,
    "thousandth": 1000,
}  # fmt: skip
_TOKEN = re.compile(r"[a-z]+|[^a-z\s-]|-(?![a-z])|\n")
_POWER = re.compile(
    r"\s(?:times|x|by)\s+ten\s+to\s+the\s+(?:power\s+(?:of\s+)?)?(minus |negative )?([a-z]+)\b"
)
_MOST = 40
"""Words that one number may have."""


_START = re.compile(
    rf"\b(?:{'|'.join((*ONES, *_TENS, 'half'))}|an?(?=\s+(?:{'|'.join(('hundred', *_SCALES, *_PARTS))})\b))\b"
)
_REACH = 600
"""Characters in which one number in words stands."""


def numbers_in_words(text: str) -> Iterator[Number]:
    """Every number that a text gives in words, in order. Upper case does not count."""
    low, at = text.lower(), 0
    if len(low) != len(text):  # a letter that has no single small one: places must stay what they are
        low = "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
    while (begin := _START.search(low, at)) is not None:
        tokens = []
        for match in _TOKEN.finditer(low, begin.start(), begin.start() + _REACH):
            tokens.append((match[0], *match.span()))
            if len(tokens) > _MOST + 5:
                break
        number, after = _number(tokens, 0, low)
        if number is not None:
            yield number
        at = max(begin.end(), tokens[after - 1][2] if after else 0, number.end if number else 0)


_Tokens = list[tuple[str, int, int]]


def _number(tokens: _Tokens, at: int, text: str) -> tuple[Number | None, int]:
    """(the number that begins at a token, the token behind it)."""
    start = tokens[at][1]
    value, after = _whole(tokens, at)
    if value is None:
        value, after = _part(tokens, at)
        if value is None:
            return None, at + 1
        return Number(value, 1, start, tokens[after - 1][2], _ratio(value)), after
    fraction = False
    if _word(tokens, after) == "point":
        value, after = _decimals(tokens, after, value)
    elif _denominator(tokens, after):
        value, after, fraction = value / _denominator(tokens, after), after + 1, True
    elif _word(tokens, after) == "in" and (_whole(tokens, after + 1)[0] or 0) > value > 0:
        below, after = _whole(tokens, after + 1)
        value, fraction = value / (below or 1), True
    elif _word(tokens, after) == "and":
        part, behind = _part(tokens, after + 1)
        if part is not None:
            value, after, fraction = value + part, behind, True
    end = tokens[after - 1][2]
    power = _POWER.match(text, end)
    if power and power[2].removesuffix("th") in ONES:
        value *= Fraction(10) ** (ONES[power[2].removesuffix("th")] * (-1 if power[1] else 1))
        end = power.end()
        while after < len(tokens) and tokens[after][1] < end:
            after += 1
    return Number(value, _digits(value), start, end, _ratio(value) if fraction else ()), after


def _ratio(value: Fraction) -> tuple[Fraction, ...]:
    return Fraction(value.numerator), Fraction(value.denominator)


def _word(tokens: _Tokens, at: int) -> str:
    return tokens[at][0] if at < len(tokens) else ""


def _denominator(tokens: _Tokens, at: int) -> int:
    word = _word(tokens, at)
    return _PARTS.get(word) or _PARTS.get(word.removesuffix("s"), 0)


def _part(tokens: _Tokens, at: int) -> tuple[Fraction | None, int]:
    """ "half", "a third", "one quarter", "two thirds"."""
    word = _word(tokens, at)
    if word == "half":
        return Fraction(1, 2), at + 1
    top = 1 if word in ("a", "an") else ONES.get(word, 0)
    below = _denominator(tokens, at + 1)
    return (Fraction(top, below), at + 2) if top and below else (None, at)


def _whole(tokens: _Tokens, at: int) -> tuple[Fraction | None, int]:
    """A whole number in words: each word may only follow on one that leaves room for it."""
    total, part, room, first = 0, 0, 1000, at
    spelt = _spelt(tokens, at)
    if spelt[0] is not None:
        return spelt
    while at < len(tokens) and at - first < _MOST:
        word = tokens[at][0]
        if word in ONES and ONES[word] < room and (room > 10 or ONES[word]):
            part, room = part + ONES[word], 1
        elif word in _TENS and room > 90:
            part, room = part + _TENS[word], 10
        elif word == "hundred" and 0 < part < 100:
            part, room = part * 100, 100
        elif word in _SCALES and part and (not total or _SCALES[word] < 1000 * total):
            total, part, room = total + part * _SCALES[word], 0, 1000
        elif word == "a" and at == first and _word(tokens, at + 1) in ("hundred", *_SCALES):
            part, room = 1, 1
        elif not (word == "and" and at > first and _goes_on(tokens, at)):
            break
        at += 1
    return (Fraction(total + part), at) if at > first else (None, at)


def _goes_on(tokens: _Tokens, at: int) -> bool:
    """Whether an "and" stands within a number: behind hundred or thousand, before what fits there."""
    behind, before = _word(tokens, at - 1), _word(tokens, at + 1)
    fits = before in ONES or before in _TENS
    return fits and (behind == "hundred" or behind in _SCALES) and not _denominator(tokens, at + 2)


def _spelt(tokens: _Tokens, at: int) -> tuple[Fraction | None, int]:
    """A number that is said digit by digit: "one four seven"."""
    digits = ""
    while len(digits) < _MOST and ONES.get(_word(tokens, at), 10) < 10:
        digits, at = digits + str(ONES[tokens[at][0]]), at + 1
    goes_on = _word(tokens, at) == "hundred" or _word(tokens, at) in _SCALES
    return (Fraction(int(digits)), at) if len(digits) > 1 and not goes_on else (None, at)


def _decimals(tokens: _Tokens, at: int, value: Fraction) -> tuple[Fraction, int]:
    """The value with the decimals that follow "point", said digit by digit or as "twenty-five"."""
    digits, behind = "", at + 1
    while len(digits) < _MOST:
        word = _word(tokens, behind)
        if word in ("oh", "o") or word in ONES:
            digits += str(ONES.get(word, 0))
        elif word in _TENS:
            ones = ONES.get(_word(tokens, behind + 1), 0)
            digits += str(_TENS[word] + (ones if ones < 10 else 0))
            behind += 0 < ones < 10
        else:
            break
        behind += 1
    return (value + Fraction(int(digits), 10 ** len(digits)), behind) if digits else (value, at)


def _digits(value: Fraction) -> int:
    """Significant digits that a value in words shows."""
    if value.denominator == 1:
        return max(1, len(str(abs(value.numerator)).rstrip("0")))
    shown = f"{float(value):.15g}".replace(".", "").partition("e")[0].lstrip("0")
    return max(1, len(shown))
