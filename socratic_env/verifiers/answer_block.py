"""The one answer block of a reply, and where it may not stand."""

from __future__ import annotations

import re

from socratic_env.types import Verdict

_OPEN, _CLOSE = "<answer>", "</answer>"
_THINK = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(?P<marks>`{3,}|~{3,})(?P<rest>.*)$", re.MULTILINE)
_QUOTES = {"`": "`", '"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}

LONGEST_ANSWER = 200
"""Characters of an answer block that are looked at; a longer one names nothing."""


def wrong(reason: str) -> Verdict:
    """The verdict on a reply from which no answer can be read."""
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
        return wrong("no answer block")
    if text.find(_OPEN, start + 1) >= 0 or text.find(_CLOSE, end + 1) >= 0:
        return wrong("more than one answer block")
    if end < start:
        return wrong("the answer block is closed before it is opened")
    if not _outside_thought(text, start):
        return wrong("the answer stands inside a thought")
    if _inside_fence(text, start):
        return wrong("the answer stands inside a code fence")
    after = text[end + len(_CLOSE) : end + len(_CLOSE) + 1]
    before = text[start - 1 : start] if start else ""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if (before in _QUOTES and _QUOTES.get(before) == after) or line.lstrip().startswith(">"):
        return wrong("the answer is a quotation")
    return text[start + len(_OPEN) : end]
