"""Units, compared by what they are made of and never converted: "km" is not "1000 m".

A unit is a product of powers of its symbols, so that "J mol^{-1} K^{-1}" is "J/(mol K)"; names of units are
read as their symbols. What cannot be taken apart so is compared as text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from functools import lru_cache

from socratic_env.numbers.notation import plain

_LONGEST = 200
_FONTS = (
    "mathrm", "mathsf", "mathit", "mathbf", "mathnormal", "mathup", "text", "textrm", "textbf", "textup",
    "textit", "textsf", "rm", "operatorname", "unit", "si", "ensuremath", "mathring", "mbox", "hbox",
)  # fmt: skip
_COMMANDS = {
    **dict.fromkeys(("mu", "micro", "upmu", "textmu", "muup"), "\u03bc"),
    **dict.fromkeys(("Omega", "ohm", "textohm", "Upomega"), "\u03a9 "),
    **dict.fromkeys(("AA", "angstrom"), "\u00c5 "),
    **dict.fromkeys(("circ", "degree", "textdegree"), "\u00b0"),
    **dict.fromkeys(("degreeCelsius", "celsius"), "\u00b0C "),
    **dict.fromkeys(("percent", "textpercent"), "% "),
    **{"per": "/", "ell": "L", "prime": "'", "squared": "^2 ", "cubed": "^3 "},
}
_COMMAND = re.compile(r"\\([A-Za-z]+)[ \u2009]*")
_BRACES = re.compile(r"[{}$]")
_RING = re.compile(r"\\(?:mathring|r)(?: |\{) ?(?:\\mathrm\{)?A\}{0,2}|A\u030a")
_LOOKALIKES = str.maketrans(
    {"\u00b5": "\u03bc", "\u2126": "\u03a9", "\u212b": "\u00c5", "\u00ba": "\u00b0", "\u2218": "\u00b0"}
    | {"\u2103": "\u00b0C", "\u2109": "\u00b0F", "\u212a": "K", "\u2032": "'", "\u2033": "''"}
)
_BLANKS = re.compile(r"[ \t\r\n\u00a0\u2009\u202f~]+")
_PHRASES = (
    (re.compile(r"\bdeg(?:ree)?s?[ .]*(?:celsius|centigrade|c)\b|\bcelsius\b", re.IGNORECASE), "\u00b0C"),
    (re.compile(r"\bdeg(?:ree)?s?[ .]*(?:fahrenheit|f)\b|\bfahrenheit\b", re.IGNORECASE), "\u00b0F"),
    (re.compile(r"\bdeg(?:ree)?s?\b", re.IGNORECASE), "\u00b0"),
    (re.compile(r"\b(?:per ?cent|pct)\b", re.IGNORECASE), "%"),
    (re.compile(r"\belectron[ -]?volts?\b", re.IGNORECASE), "eV"),
    (re.compile(r"\bsquared\b", re.IGNORECASE), "^2"),
    (re.compile(r"\bcubed\b", re.IGNORECASE), "^3"),
    (re.compile(r"\bsquare[ -](\w+)", re.IGNORECASE), r"\1^2"),
    (re.compile(r"\bcubic[ -](\w+)", re.IGNORECASE), r"\1^3"),
    (re.compile(r"\bper\b", re.IGNORECASE), "/"),
)
_PREFIXES = {
    "": "", "femto": "f", "pico": "p", "nano": "n", "micro": "\u03bc", "milli": "m", "centi": "c",
    "deci": "d", "hecto": "h", "kilo": "k", "mega": "M", "giga": "G", "tera": "T",
}  # fmt: skip
_BASES = {
    "meter": "m", "metre": "m", "gram": "g", "second": "s", "sec": "s", "ampere": "A", "amp": "A",
    "kelvin": "K", "mole": "mol", "newton": "N", "joule": "J", "watt": "W", "pascal": "Pa", "hertz": "Hz",
    "volt": "V", "coulomb": "C", "ohm": "\u03a9", "tesla": "T", "farad": "F", "liter": "L", "litre": "L",
    "dalton": "Da", "angstrom": "\u00c5", "minute": "min", "hour": "h", "hr": "h",
}  # fmt: skip
_NAMES = {
    f"{prefix}{name}{plural}": symbol + _BASES[name]
    for prefix, symbol in _PREFIXES.items()
    for name in _BASES
    for plural in ("", "s")
}
_SYMBOLS = {"l": "L", "ml": "mL", "\u03bcl": "\u03bcL", "dl": "dL", "cl": "cL", "nl": "nL", "um": "\u03bcm"}
_TOKEN = re.compile(
    r" ?(?:(?P<symbol>\u00b0 ?[CF](?![A-Za-z])|\u00b0|%|'+|[^\W\d_]+)"
    r"(?: ?\^ ?\(?(?P<raised>[-+]?[0-9]{1,3})\)?|(?P<attached>-?[0-9]{1,2}))?|(?P<sign>[\u00b7*\u00d7./()]))"
)
_CURRENCIES = {"$": "$", "\\$": "$", "\u20ac": "\u20ac", "\u00a3": "\u00a3", "\u00a5": "\u00a5"}


def currency(unit: str) -> str:
    """The sign of money that the unit is, "" for any other unit."""
    return _CURRENCIES.get(unit.strip(), "")


def same_unit(one: str, other: str) -> bool:
    """Whether two texts name the same unit."""
    return max(len(one), len(other)) <= _LONGEST and _key(one) == _key(other)


@lru_cache(maxsize=1024)
def _key(unit: str) -> Hashable:
    bare = _bare(unit)
    factors = _factors(bare)
    return bare.replace(" ", "\u00b7") if factors is None else frozenset(factors.items())


def _bare(unit: str) -> str:
    """A unit's spelling without its dress: braces, fonts, LaTeX commands, look-alike signs, phrases."""
    text = _RING.sub("\u00c5 ", plain(unit)).replace("\\%", "%")
    text = _BRACES.sub("", _COMMAND.sub(lambda match: _spelt(match[1]), text))
    text = (
        _BLANKS.sub(" ", text.translate(_LOOKALIKES)).replace("^\u00b0", "\u00b0").replace("^'", "'").strip()
    )
    for pattern, sign in _PHRASES:
        text = pattern.sub(sign, text)
    return text.strip().removeprefix("1") if text.strip().startswith(("1/", "1 /")) else text.strip()


def _spelt(command: str) -> str:
    """A LaTeX command as what it stands for; a font is nothing, a prefix stands before its unit."""
    if command in _FONTS:
        return ""
    return _COMMANDS.get(command, command if command in _PREFIXES else f"{command} ")


def _factors(text: str) -> Counter[str] | None:
    """Symbol -> its power, of a product and quotient read from the left; None for anything else."""
    found: Counter[str] = Counter()
    at, sign, outer, awaits = 0, 1, [1], True
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        at = match.end()
        if match["symbol"]:
            power = int(match["raised"] or match["attached"] or 1)
            found[_symbol(match["symbol"])] += sign * outer[-1] * power
            sign, awaits = 1, False
        elif match["sign"] == "(":
            outer.append(sign * outer[-1])
            sign, awaits = 1, True
        elif awaits and not (match["sign"] == "/" and not found):
            return None
        elif match["sign"] == ")":
            if len(outer) < 2:
                return None
            outer.pop()
        else:
            sign, awaits = (-1 if match["sign"] == "/" else 1), True
    return None if awaits or len(outer) > 1 else Counter({name: n for name, n in found.items() if n})


def _symbol(name: str) -> str:
    bare = name.replace(" ", "")
    if bare.startswith("\u03bc") and bare[1:].lower() in _NAMES:
        return "\u03bc" + _NAMES[bare[1:].lower()]
    return _NAMES.get(bare.lower(), _SYMBOLS.get(bare, bare)) if len(bare) > 2 or bare in _SYMBOLS else bare
