"""What a run came to: held-out accuracy before and after, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from socratic_env.evaluation import html as pages
from socratic_env.evaluation.results import blind_cells, parts_of
from socratic_env.evaluation.statistics import bootstrap_interval, shares, value

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Estimate:
    """A mean over questions with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Change:
    """An accuracy at the first and at the last evaluation, and their paired difference."""

    name: str
    before: Estimate
    after: Estimate
    change: Estimate


@dataclass(frozen=True)
class Spent:
    """What all steps, or all evaluations, took. cost: money, in the currency of the teacher's prices."""

    seconds: float
    response_tokens: float
    teacher_calls: float
    teacher_faults: float
    teacher_tokens: float
    teacher_cost: float


def changes(evaluations: Records) -> list[Change]:
    """Accuracy before and after, from the records of `evaluations.jsonl` (none: empty)."""
    if not evaluations:
        return []
    by_way = {way: [r["accuracy"] for r in evaluations if r["way"] == way] for way in ("sampled", "greedy")}
    most = max(by_way["sampled"][0], key=int)
    rows = [("unassisted, sampled", "sampled", "1"), ("unassisted, greedy", "greedy", "1")]
    if most != "1":  # else the same as unassisted
        rows.append((f"guided, {most} attempts", "sampled", most))
    found = []
    for name, way, attempts in rows:
        if by_way[way]:
            before, after = (np.array(by_way[way][i][attempts], dtype=float) for i in (0, -1))
            found.append(Change(name, estimate(before), estimate(after), estimate(after - before)))
    return found


def by_part(evaluations: Records) -> tuple[list[str], list[list[str]]]:
    """(headings, rows) of a table for people: sampled accuracy on all questions, on each domain and on each
    sub-task, at the first and at the last evaluation, beside the best blind rule (none: empty)."""
    sampled = [record for record in evaluations if record["way"] == "sampled"]
    if not sampled:
        return [], []
    first, last = sampled[0], sampled[-1]
    most = max(last["accuracy"], key=int)
    columns = {
        f"unassisted, step {record['step']}": (dict(parts_of(record)), "1") for record in (first, last)
    }
    if most != "1":
        columns[f"guided <= {most}, step {last['step']}"] = (dict(parts_of(last)), most)
    rows = []
    for name, part in parts_of(last):
        cells = [pages.shares(parts[name]["guided"][attempts], 2) for parts, attempts in columns.values()]
        rows.append([name, str(part["questions"]), *cells, *blind_cells(part, 2)])
    return ["", "questions", *columns, "best blind rule", "chance"], rows


def estimate(values_Q: np.ndarray) -> Estimate:
    """The mean of one value for each question (nan: not known), with its interval."""
    return Estimate(value(shares(values_Q)), *bootstrap_interval(values_Q))


def spent(metrics: Records) -> Spent:
    """The sums over the records of `metrics.jsonl` of one kind; a metric that a record lacks counts 0."""
    names = Spent.__dataclass_fields__
    return Spent(**{name: sum(record.get(name) or 0.0 for record in metrics) for name in names})
