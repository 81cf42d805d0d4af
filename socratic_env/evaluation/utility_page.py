"""What viewpoints are worth, as people read it: cells of a table, and the page of `socratic utility`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.evaluation.html import document, paragraph, table, warning
from socratic_env.evaluation.utilities import ALPHA, MARGIN, Measured
from socratic_env.viewpoints import Utility

HEADS = ("viewpoint", "verdict", "U", "applies", "without", "with", "won/lost", "p", "needed", "id")
READING = (
    "U: mean score of the first attempt with the viewpoint minus without, on the same probes with the same "
    "chances, and its 95 % interval over probes. p: one-sided sign test in the direction of U. Needed: "
    "probes like these for a chance of 80 % to find such an effect. Verdict: none where |U| < "
    f"{MARGIN}; helps or harms where p <= {ALPHA}, else unclear."
)


def worth(found: Utility | None, digits: int = 3) -> str:
    """A utility with its interval: +0.147 [+0.110, +0.190]."""
    if found is None:
        return "-"
    text = f"{found.value:+.{digits}f}"
    if found.interval is None:
        return text
    return f"{text} [{found.interval[0]:+.{digits}f}, {found.interval[1]:+.{digits}f}]"


def cells(one: Measured) -> list[str]:
    """A candidate's cells under `HEADS`."""
    found, text = one.utility, one.viewpoint.text
    if one.viewpoint.trigger:
        text = f"{text}\n(where: {one.viewpoint.trigger})"
    if found is None:
        return [f"{text}\n({one.vetoed})", one.verdict, *["-"] * 7, one.viewpoint.id]
    p = one.better if found.value >= 0 else one.worse
    return [
        text,
        one.verdict,
        worth(found),
        f"{one.applies} of {found.n}",
        _number(one.without),
        _number(one.with_),
        f"{found.wins}/{found.losses}",
        "-" if found.wins == found.losses == 0 else f"{p:.2g}",
        "-" if one.needed is None else str(one.needed),
        one.viewpoint.id,
    ]


def utility_page(result: Mapping[str, Any], measured: Sequence[Measured]) -> str:
    """The page of `socratic utility`."""
    return document(
        "Utility of viewpoints",
        paragraph(about(result)),
        *map(warning, result["warnings"]),
        table(HEADS, map(cells, measured), wrap=(0,)),
        paragraph(READING, note=True),
    )


def about(result: Mapping[str, Any]) -> str:
    """What was measured, in a line."""
    each = " for each viewpoint" if result["kind"] == "targeted" else ""
    return (
        f"Student {result['student']} on {result['probes']} {result['kind']} probes{each} of "
        f"{result['questions']} ({result['split']}), samples of each: {result['samples']}, seed "
        f"{result['seed']}, active viewpoints: {len(result['active'])}."
    )


def _number(found: float) -> str:
    return f"{found:.3f}" if math.isfinite(found) else "-"
