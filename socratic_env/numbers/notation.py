"""A text without the dress that numbers wear in LaTeX, markdown and typeset text.

Nothing here decides what is a number: each rule turns one spelling into a plainer one of the same meaning.
Time is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata

BLANKS = " \t\r\n"
THIN = "\u2009\u202f"
"""Thin blanks: they group digits, and `\\,` becomes one."""

VULGAR = {
    code: "\\frac{{{}}}{{{}}}".format(*unicodedata.normalize("NFKC", chr(code)).split("\u2044"))
    for code in (*range(0xBC, 0xBF), *range(0x2150, 0x215F), 0x2189)
}
"""The signs of fractions, such as \u00be, for `str.translate`."""
_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-")
"""Signs that stand for a minus; the long dash is punctuation and none of them."""
_SIGNS = VULGAR | str.maketrans(
    _DASHES
    | {"\u2044": "/", "\u2215": "/", "\u2007": "\u2009", "\u2008": "\u2009", "\u200a": "\u2009"}
    | {"\u2715": "\u00d7", "\u2a09": "\u00d7", "\u2a2f": "\u00d7", "\u22c5": "\u00b7", "\u2219": "\u00b7"}
)
_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b"
_UNRAISED = str.maketrans(_RAISED, "0123456789+-")
_SUPERSCRIPT = re.compile("[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")

_SPACING = re.compile(
    r"\\(?:[,:;> ]|(?:thinspace|medspace|thickspace|enspace|quad|qquad)(?![A-Za-z]) ?)|(?<=\S)~"
)
_NOTHING = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|limits|big|Big|bigl|bigr|negthinspace)(?![A-Za-z]) ?|\\!"
)
_NAMED = (
    (re.compile(r"\\(?:SI|qty)\{([^{}]{1,60})\}\{([^{}]{1,80})\}"), r"\1 \2"),
    (re.compile(r"\\num\{([^{}]{1,60})\}"), r"\1"),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])|\\s?nicefrac(?![A-Za-z])|\\sfrac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\{([^{}]{1,40})\\over(?![A-Za-z])([^{}]{1,40})\}"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\(?:ast|times)(?![A-Za-z])"), "\u00d7"),
    (re.compile(r"\\cdot(?:p(?![A-Za-z])|(?![A-Za-z]))"), "\u00b7"),
    (re.compile(r"\\(?:text)?minus(?![A-Za-z])"), "-"),
)
_DELIMITERS = re.compile(r"\$\$?|\\[()\[\]]")
_PYTHON_POWER = re.compile(r"(?<!\*\*)(?<![0-9.])10 ?\*\* ?(?=[-+({0-9])")
_EMPHASIS = re.compile(r"\*\*\*?|(?<![A-Za-z0-9])__(?=\S)|(?<=\S)__(?![A-Za-z0-9])|`+")
_COMMAND_AND_DIGIT = re.compile(r"(\\[A-Za-z]+)(?=[0-9])")


def plain(text: str) -> str:
    """The same text in plain signs: `\\frac{3}{4}` for every fraction that is set as one, `10^-3` for raised
    digits, "-" for the signs that look like it, a comma for `{,}`, thin blanks for those of LaTeX, and
    neither math delimiters nor bold. Applying it again changes nothing that a reader of numbers sees."""
    if not text.isascii():
        text = text.translate(_SIGNS)
        text = _SUPERSCRIPT.sub(lambda match: "^" + match[0].translate(_UNRAISED), text)
    if "\\" in text or "~" in text:
        text = _NOTHING.sub("", text)
        text = _SPACING.sub("\u2009", text)
        for pattern, sign in _NAMED:
            text = pattern.sub(sign, text)
        text = _COMMAND_AND_DIGIT.sub(r"\1 ", text)
    text = text.replace("{,}", ",").replace("{.}", ".")
    text = _PYTHON_POWER.sub("10^", text)
    return _EMPHASIS.sub(" ", _DELIMITERS.sub(" ", text))


_WRAPPERS = (
    ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("***", "***"), ("**", "**"), ("__", "__"),
    ("*", "*"), ("_", "_"), ("```", "```"), ("`", "`"), ("\\boxed{", "}"), ("\\fbox{", "}"), ("\\text{", "}"),
    ("\\mathrm{", "}"), ("\\mathbf{", "}"), ("\\textbf{", "}"), ("\\bm{", "}"), ("\\boldsymbol{", "}"),
    ("\\ensuremath{", "}"), ("{", "}"),
)  # fmt: skip
_PAIRS = re.compile(r"\$\$|\$|\\[()\[\]]|\*\*|`")
_CLOSED_BY = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]", "**": "**", "`": "`"}


def unwrapped(text: str) -> str | None:
    """A short text without what wraps all of it: math delimiters, emphasis, a box, braces. None where a
    delimiter stands alone, so that a dollar sign in front of an amount is not taken for one."""
    text = text.strip(BLANKS)
    before = ""
    while before != text:
        before = text
        for opened, closed in _WRAPPERS:
            whole = len(text) > len(opened) + len(closed) and text.startswith(opened)
            if opened == "{" and "\\over" in text:
                continue  # these braces hold a fraction
            if whole and text.endswith(closed) and not _ends_early(text, opened, closed):
                text = text[len(opened) : -len(closed)].strip(BLANKS)
                break
    return text if _balanced(text) else None


def _ends_early(text: str, opened: str, closed: str) -> bool:
    """Whether what opens the text is closed before its end."""
    inside = text[len(opened) : -len(closed)]
    if closed != "}":
        return closed in inside
    depth = 0
    for sign in inside:
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return True
    return depth != 0


def _balanced(text: str) -> bool:
    """Whether each delimiter of math, bold or code has its partner."""
    awaited = ""
    for match in _PAIRS.finditer(_PYTHON_POWER.sub("10^", text)):
        if awaited:
            if match[0] != awaited:
                return False
            awaited = ""
        elif match[0] in _CLOSED_BY:
            awaited = _CLOSED_BY[match[0]]
        else:
            return False
    return not awaited
