"""The reader of numbers and units, for verifiers, teachers, the leak detector and the audit alike."""

from __future__ import annotations

import math
import re

BLANKS = " \t\r\n"
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
_LONGEST = 200
"""Characters that a number with its unit may have; a longer text is none."""


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
    stripped = text.strip(BLANKS)
    if len(stripped) > _LONGEST:
        return None
    if len(stripped) > 2 and stripped[0] == stripped[-1] == "$":
        stripped = stripped[1:-1].strip(BLANKS)
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
