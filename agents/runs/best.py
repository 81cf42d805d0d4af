"""The best evaluation of a run, told from its log, so that a run that goes on knows it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MEASURE = "sampled_unassisted"
"""Held-out metric by which an evaluation is better than another. The best of many is better by luck too:
measure its checkpoint on other questions before the number is believed."""


def best_step(records: Sequence[Mapping[str, Any]]) -> int | None:
    """The step of the first evaluation that no other is better than; None: there is none with a value."""
    scores = _scores(records)
    return max(scores, key=lambda step: (scores[step], -step)) if scores else None


def stalled(records: Sequence[Mapping[str, Any]]) -> int:
    """How many evaluations there were since the best one."""
    best = best_step(records)
    return 0 if best is None else sum(step > best for step in _scores(records))


def _scores(records: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Step -> score of each evaluation among the records of `metrics.jsonl`."""
    found = {record["step"]: record.get(MEASURE) for record in records if record["kind"] == "eval"}
    return {step: score for step, score in found.items() if score is not None}
