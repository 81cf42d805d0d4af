"""Alarms of a training run: what goes wrong while the curves look busy, with its definition and what to do.

An alarm is one function below, of the records of the training steps so far, and its entry in `ALARMS`; the
terminal and the report follow from it. Each looks at the last `WINDOW` steps, some against the first ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Records = Sequence[Mapping[str, Any]]
Alarm = Callable[[Records], str | None]

WINDOW = 10
"""Steps that an alarm looks at."""
RISE = 0.05
"""A smaller rise of guided accuracy is no sign of anything."""
LEAKS, FAULTS = 0.1, 0.1
"""Shares of the teacher's texts, and of its calls, above which an alarm rings."""
COLLAPSED = 0.1
"""Share of the first steps' entropy below which it has collapsed."""
MASTERED = 0.9
"""Share of right first attempts above which a low entropy is that of a student that knows."""
_ERRORS = 2.0
"""How many standard errors make a change of a mean."""


def alarms(train: Records) -> dict[str, str]:
    """The alarms that ring now: name -> what it saw, and what to do. train: the records of kind "train"."""
    found = {name: alarm(train) for name, alarm in ALARMS.items()}
    return {name: told for name, told in found.items() if told is not None}


def learns_nothing(train: Records) -> str | None:
    """No step of the window made an update."""
    last = _values(train[-WINDOW:], "skipped")
    if len(train) < WINDOW or len(last) < WINDOW or not (last > 0).all():
        return None
    right = _values(train[-WINDOW:], "guided").sum() > 0
    look = (
        "the student solves all or nothing of a batch: take other questions, or more of them in a batch"
        if right
        else "the student solved nothing at all: read its replies (socratic view RUN), and begin with easier "
        "questions or a warm start"
    )
    return f"the last {WINDOW} steps learnt nothing, since their rewards did not differ; {look}"


def assisted_reward_hacking(train: Records) -> str | None:
    """Guided accuracy rose from the first window to the last, and unassisted accuracy did not."""
    if len(train) < 2 * WINDOW:
        return None
    guided, own = (_change(train, name) for name in ("guided", "unassisted"))
    if guided is None or own is None:
        return None
    (rise, error), (own_rise, _) = guided, own
    if rise < max(RISE, _ERRORS * error) or own_rise > 0:
        return None
    return (
        f"guided accuracy rose by {100 * rise:.1f} points from the first {WINDOW} steps to the last, and "
        f"unassisted by {100 * own_rise:+.1f}: the student learns to use its teacher, not the subject; look "
        "for leaks, let a teacher say less, or raise the pressure on later attempts with the reward's decay"
    )


def leaks(train: Records) -> str | None:
    """The teacher's texts of the window give the answer away too often."""
    found = _values(train[-WINDOW:], "leaked")
    if not len(found) or found.mean() <= LEAKS:
        return None
    return (
        f"leaks of the answer were found in {found.mean():.0%} of the teacher's texts of the last "
        f"{len(found)} steps: corrections may be copies; take a protocol without the answer, or block leaks"
    )


def entropy_collapse(train: Records) -> str | None:
    """The policy's entropy has fallen to a small share of what it was, while many first attempts are wrong:
    of a student that is right a low entropy is no fault."""
    first, last = _values(train[:WINDOW], "entropy"), _values(train[-WINDOW:], "entropy")
    if len(train) < 2 * WINDOW or not len(first) or not len(last) or first.mean() <= 0:
        return None
    right = _values(train[-WINDOW:], "unassisted")
    if last.mean() >= COLLAPSED * first.mean() or (len(right) and right.mean() >= MASTERED):
        return None
    return (
        f"entropy fell from {first.mean():.3g} to {last.mean():.3g} nats per token: the student says the "
        "same each time, and there is little left to learn from; lower the learning rate, or raise "
        "loss.entropy"
    )


def teacher_faults(train: Records) -> str | None:
    """Too many calls of the teacher failed in the window."""
    calls = _values(train[-WINDOW:], "teacher_calls").sum()
    faults = _values(train[-WINDOW:], "teacher_faults").sum()
    if not calls or faults / calls <= FAULTS:
        return None
    return (
        f"{faults / calls:.0%} of the teacher's calls failed in the last {min(WINDOW, len(train))} steps: "
        "what they left open counts as unsolved; see the faults (socratic view RUN, outcome: fault)"
    )


def viewpoint_collapse(train: Records) -> str | None:
    """The reflecting teacher gives one and the same viewpoint in every step of the window, gave different
    ones before, and many first attempts are wrong."""
    first, last = (_values(part, "reflection_distinct") for part in (train[:WINDOW], train[-WINDOW:]))
    right = _values(train[-WINDOW:], "unassisted")
    if len(train) < 2 * WINDOW or len(last) < WINDOW or last.max() > 1 or not (first > 1).any():
        return None
    if len(right) and right.mean() >= MASTERED:
        return None
    return (
        f"the reflecting teacher says one thing in each of the last {WINDOW} steps, and said up to "
        f"{first.max():.0f} before: it no longer looks at the traces; raise kl where it is a model that was "
        "taught, take fresh probes, or an ensemble"
    )


ALARMS: Mapping[str, Alarm] = {
    "learns nothing": learns_nothing,
    "assisted reward hacking": assisted_reward_hacking,
    "leaks": leaks,
    "entropy collapse": entropy_collapse,
    "teacher faults": teacher_faults,
    "viewpoint collapse": viewpoint_collapse,
}


def _values(records: Records, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values of a metric where it has one: undefined ones are null in the file and nan while it runs."""
    found = np.array([record.get(name) for record in records], dtype=np.float64)
    return found[np.isfinite(found)]


def _change(train: Records, name: str) -> tuple[float, float] | None:
    """(rise of the mean from the first window to the last, its standard error over steps)."""
    first, last = _values(train[:WINDOW], name), _values(train[-WINDOW:], name)
    if min(len(first), len(last)) < 2:
        return None
    spread = first.var(ddof=1) / len(first) + last.var(ddof=1) / len(last)
    return float(last.mean() - first.mean()), float(np.sqrt(spread))
