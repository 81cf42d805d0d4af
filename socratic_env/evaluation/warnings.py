"""What must be said aloud beside the numbers of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MANY = 0.1
"""A larger share of replies that broke off, or are empty, gets a warning."""


def warnings_of(part: Mapping[str, Any], why: Mapping[str, int], longest: str) -> list[str]:
    """The warnings on a `summary`, each one line; none if there is nothing to warn of.

    why: the kind of fault -> how many episodes it left open. longest: the setting that bounds a reply.
    """
    lines = []
    if part["open"]:
        lines.append(open_line(part["open"], part["open"] + part["episodes"], why))
    return lines + reply_lines(part["replies"], longest)


def open_line(open_: int, episodes: int, why: Mapping[str, int]) -> str:
    """How many episodes are open, why, and how they are counted."""
    kinds = ", ".join(
        f"{count} {kind}" for kind, count in sorted(why.items(), key=lambda item: (-item[1], item[0]))
    )
    return (
        f"{open_} of {episodes} episodes are open ({kinds}): nobody knows whether they would have been "
        "solved. They count as unsolved, 'up to' is with all of them solved, and intervals cover both"
    )


def reply_lines(replies: Mapping[str, Any], longest: str) -> list[str]:
    """That many of the student's replies broke off, or are empty; {"cut", "empty"} as in `summary`."""
    cut, empty = (replies[name]["value"] or 0.0 for name in ("cut", "empty"))
    lines = []
    if cut > MANY:
        lines.append(
            f"{cut:.0%} of the student's replies did not end by themselves: they were cut at {longest}, or "
            "broken off, and their answers are mostly lost; allow longer replies"
        )
    if empty > MANY:
        lines.append(
            f"{empty:.0%} of the student's replies are empty and count as wrong; see what the model writes "
            f"(thoughts alone, a refusal, nothing left of {longest}?)"
        )
    return lines
