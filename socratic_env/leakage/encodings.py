"""What a text hides in base64, hexadecimal, rot13, reversed or spaced letters."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterator

from socratic_env.types import Question

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{6,}={0,2}(?![A-Za-z0-9+/_=-])")
_HEX = re.compile(r"(?<![0-9a-zA-Z])(?:0x)?(?:[0-9a-fA-F]{2}[ :,-]?(?:0x|\\x)?){3,}(?![0-9a-zA-Z])")
_SPACED = re.compile(r"(?<!\w)\w(?:(?:[ ._*|-]| ?- ?)\w(?!\w)){3,}(?: {1,3}\w(?:[._*|-]\w(?!\w))+)*")
_PRINTABLE = re.compile(r"[\x20-\x7e\n]+")
_FEWEST = 4


def decoded(text: str) -> Iterator[tuple[str, bool]]:
    """(hidden text, whether its numbers mean anything) for every encoding of whole words."""
    found = []
    for match in _BASE64.finditer(text):
        token = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        if len(token) % 4 == 1:
            continue
        try:
            found.append(_readable(base64.b64decode(token + "=" * (-len(token) % 4))))
        except (binascii.Error, ValueError):
            continue
    for match in _HEX.finditer(text):
        digits = re.sub(r"0x|\\x|[^0-9a-fA-F]", "", match[0])
        found.append(_readable(bytes.fromhex(digits[: len(digits) // 2 * 2])))
    inside = "\n".join(part for part in found if part)
    if inside:
        yield inside, True
    yield codecs.encode(text, "rot13"), False  # digits stay what they are
    yield text[::-1], True


def _readable(raw: bytes) -> str:
    try:
        said = raw.decode("ascii")
    except UnicodeDecodeError:
        return ""
    return said.strip() if len(said) >= _FEWEST and _PRINTABLE.fullmatch(said) else ""


def spelled_out(question: Question, text: str) -> bool:
    """Whether single characters, one after another, spell the right option or its letter."""
    options = {option.letter: option.text for option in question.options}
    right = _squeezed(options.get(question.answer, question.answer))
    wanted = {f"answeris{question.answer.lower()}", f"option{question.answer.lower()}"} if options else set()
    if len(right) >= _FEWEST:
        wanted |= {right, right[::-1]}
        number = re.match(r"\d{4,}", right)
        if number:
            wanted |= {number[0], number[0][::-1]}
    for match in _SPACED.finditer(text):
        said = _squeezed(match[0])
        if any(said == word or (len(word) > _FEWEST and word in said) for word in wanted):
            return True
    return False


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()
