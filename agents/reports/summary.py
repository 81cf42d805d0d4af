"""What a run came to: held-out accuracy before and after, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.runs.alarms import alarms
from socratic_env.evaluation import html as pages
from socratic_env.evaluation.intervals import (
    Counted,
    Picks,
    compared,
    estimate,
    means,
    resamples_of,
    value,
)
from socratic_env.evaluation.results import blind_cells, parts_of
from socratic_env.evaluation.warnings import reply_lines

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Estimate:
    """A mean over questions with its 95 % interval.

    mean: with open episodes as unsolved. upper: with them as solved (the same, if there are none).
    """

    mean: float
    low: float
    high: float
    upper: float


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
    by_way = {way: [r for r in evaluations if r["way"] == way] for way in ("sampled", "greedy")}
    most = max(by_way["sampled"][0]["accuracy"], key=int)
    rows = [("unassisted, sampled", "sampled", "1"), ("unassisted, greedy", "greedy", "1")]
    if most != "1":  # else the same as unassisted
        rows.append((f"guided, {most} attempts", "sampled", most))
    found = []
    for name, way, attempts in rows:
        if by_way[way]:
            before, after = (_counted(by_way[way][i], attempts) for i in (0, -1))
            found.append(_change(name, before, after))
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


def warnings(evaluations: Records) -> list[str]:
    """What must be said aloud of the first and of the last evaluation."""
    steps = {record["step"] for record in (*evaluations[:1], *evaluations[-1:])}
    return [
        f"held-out at step {record['step']}, {record['way']}: {line}"
        for record in evaluations
        if record["step"] in steps
        for line in record["warnings"]
    ]


def training_warnings(train: Records) -> list[str]:
    """The same of all training steps together, and the alarms that ring at their end."""
    lines, open_ = (
        [f"training: {name}: {told}" for name, told in alarms(train).items()],
        sum(record["open"] for record in train),
    )
    if open_:
        steps = sum(bool(record["open"]) for record in train)
        lines.append(
            f"training: faults of the teacher left {open_:.0f} episodes open, in {steps} of {len(train)} "
            "steps; they count as unsolved"
        )
    made = sum(record["attempts"] for record in train) or 1.0
    shares = {
        name: {
            "value": sum((record[f"replies_{name}"] or 0.0) * record["attempts"] for record in train) / made
        }
        for name in ("cut", "empty")
    }
    return lines + [f"training: {line}" for line in reply_lines(shares, "max_response_tokens")]


def _counted(record: Mapping[str, Any], attempts: str) -> Counted:
    least, most = (np.array(record[name][attempts], dtype=float) for name in ("accuracy", "accuracy_upper"))
    return Counted(means(least), means(most), int((most > least).sum()))


def _change(name: str, before: Counted, after: Counted) -> Change:
    picks = resamples_of(len(before.lower[0]))
    change = compared(after, before, picks)
    low, high = change["difference_interval"]
    most = value(after.upper) - value(before.lower)
    return Change(
        name,
        _estimate(before, picks),
        _estimate(after, picks),
        Estimate(change["difference"], low, high, most),
    )


def _estimate(metric: Counted, picks_RQ: Picks) -> Estimate:
    found = estimate(metric, picks_RQ)
    low, high = found["interval"]
    return Estimate(found["value"], low, high, found["upper"])


def spent(metrics: Records) -> Spent:
    """The sums over the records of `metrics.jsonl` of one kind; a metric that a record lacks counts 0."""
    names = Spent.__dataclass_fields__
    return Spent(**{name: sum(record.get(name) or 0.0 for record in metrics) for name in names})
