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


def _thoughts(text: str) -> list[tuple[int, int]]:
    """(start, end) of all thoughts in order: think blocks, the whole beginning if the prompt opened a
    thought that the reply closes, and the rest after a block that never ends."""
    found: list[tuple[int, int]] = []
    depth, start = 0, 0
    for tag in _THINK.finditer(text):
        if not tag[1]:
            start, depth = (start if depth else tag.start()), depth + 1
        elif depth > 1:
            depth -= 1
        elif depth:
            found.append((start, tag.end()))
            depth = 0
        else:  # it closes a thought that began before the reply: all up to here is thought
            found = [(0, tag.end())]
    return [*found, (start, len(text))] if depth else found


def _said(text: str) -> str:
    """A reply in which each character of a thought is blank, so that nothing in it counts."""
    parts, at = [], 0
    for start, end in _thoughts(text):
        parts.append(text[at:start])
        parts.append("\n".join(" " * len(line) for line in text[start:end].split("\n")))
        at = end
    parts.append(text[at:])
    return "".join(parts)


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

    The block must be the only one outside the reply's thoughts, and stand outside any code fence or
    quotation. What a thought mentions does not count, neither for the answer nor against it.
    """
    said = _said(text)
    start, end = said.find(_OPEN), said.find(_CLOSE)
    if start < 0 or end < 0:
        mentioned = start < 0 and _OPEN in text
        return wrong("the answer stands inside a thought" if mentioned else "no answer block")
    if said.find(_OPEN, start + 1) >= 0 or said.find(_CLOSE, end + 1) >= 0:
        return wrong("more than one answer block")
    if end < start:
        return wrong("the answer block is closed before it is opened")
    if _inside_fence(said, start):
        return wrong("the answer stands inside a code fence")
    after = said[end + len(_CLOSE) : end + len(_CLOSE) + 1]
    before = said[start - 1 : start] if start else ""
    line = said[said.rfind("\n", 0, start) + 1 : start]
    if (before in _QUOTES and _QUOTES.get(before) == after) or line.lstrip().startswith(">"):
        return wrong("the answer is a quotation")
    return text[start + len(_OPEN) : end]  # with a thought that stands in it: that names nothing
