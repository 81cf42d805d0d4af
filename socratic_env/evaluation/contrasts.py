"""Sides against each other on the same questions: runs, evaluations, or groups of them that differ by seed.

A difference has two intervals, since two questions can be asked of it. Over questions: would it stand on
other questions, with these very students? Over seeds: would it stand for students trained anew? The second
needs two seeds on each side, and is Student's t on the seeds' differences (paired where both sides have the
same seeds), or Welch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.intervals import (
    RESAMPLES,
    Counted,
    Floats,
    compared,
    estimate,
    means,
    number,
    resamples_of,
)
from socratic_env.evaluation.measured import EVALUATION, Measured, mean_curve

_T975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
"""97.5 % quantiles of Student's t at 1, 2, .. degrees of freedom; beyond them the last one, a little wide."""

_SAME = 1e-9
"""A smaller spread of accuracies is rounding."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: folders that differ by their seed alone, or one folder."""

    name: str
    members: Sequence[Measured]

    def counted(self, attempts: int) -> Counted:
        """Accuracy within so many attempts: by question, the mean over the seeds."""
        least, most = (
            np.mean([member.accuracy[attempts][end] for member in self.members], axis=0) for end in (0, 1)
        )
        return Counted(means(least), means(most), sum(member.open for member in self.members))

    def by_seed(self, attempts: int) -> tuple[Floats, Floats]:
        """(least, most) accuracy of each seed."""
        least, most = (
            np.array([member.accuracy[attempts][end].mean() for member in self.members]) for end in (0, 1)
        )
        return least, most

    @property
    def seeds(self) -> list[Any]:
        """The training seed of each member; None for evaluations, which do not know their student's."""
        return [member.seed for member in self.members]


def contrast(sides: Sequence[Side], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Everything that is known of the sides, plain data for JSON; the first one is the baseline.

    {"baseline", "questions", "kind", "settings": {name: [of each side]}, "sides": [{"name", "folders",
    "seeds", "step", "open", "metrics": {name: an `estimate` with "difference", "difference_interval" (over
    questions) and "seed_interval" (None: fewer than two seeds), "by_seed"}, "won", "lost", "unknown",
    "curves"}], "warnings"}.

    Raises ConfigurationError if the sides were not measured on the same questions.
    """
    check_same(sides)
    sides = _aligned(sides)
    members = [member for side in sides for member in side.members]
    most = min(max(member.accuracy) for member in members)
    allowed = {"unassisted": 1} | ({f"guided <= {most}": most} if most > 1 else {})
    questions = len(members[0].keys)
    picks, base = resamples_of(questions, resamples, seed), sides[0]
    found = []
    for side in sides:
        metrics = {}
        for name, attempts in allowed.items():
            counted, other = side.counted(attempts), base.counted(attempts)
            difference: dict[str, Any] = {"difference": None, "difference_interval": None}
            if side is not base:
                difference = compared(counted, other, picks)
            least, _ = side.by_seed(attempts)
            metrics[name] = {
                **estimate(counted, picks),
                **difference,
                "seed_interval": None if side is base else over_seeds(side, base, attempts),
                "by_seed": [number(float(one)) for one in least],
            }
        found.append(
            {
                "name": side.name,
                "folders": [str(member.path) for member in side.members],
                "seeds": side.seeds,
                "step": [member.step for member in side.members],
                "open": sum(member.open for member in side.members),
                "metrics": metrics,
                **(_questions(side, base, 1) if side is not base else {}),
                "curves": {
                    name: mean_curve([member.curves.get(attempts, []) for member in side.members])
                    for name, attempts in allowed.items()
                },
            }
        )
    return {
        "baseline": base.name,
        "kind": members[0].kind,
        "questions": questions,
        "settings": differing(sides),
        "sides": found,
        "warnings": _warnings(sides, most),
    }


def _aligned(sides: Sequence[Side]) -> list[Side]:
    """The same sides, all with the same questions in the same order: an interrupted evaluation does not know
    those that it never came to, which are as open as can be."""
    every = [key for side in sides for member in side.members for key in member.known]
    keys, wanted = sorted(set(every)), len(sides[0].members[0].keys)
    if sides[0].members[0].kind != EVALUATION:
        return list(sides)
    keys += [f"not played {number + 1}" for number in range(wanted - len(keys))]
    return [Side(side.name, [member.along(keys) for member in side.members]) for side in sides]


def over_seeds(side: Side, base: Side, attempts: int) -> list[float] | None:
    """The 95 % interval over seeds of side minus base, from the least that open episodes leave possible to
    the most; None with fewer than two seeds on a side, or where they do not differ at all: two seeds that
    agree by chance do not make certain."""
    if min(len(side.members), len(base.members)) < 2:
        return None
    (least, most), (other_least, other_most) = side.by_seed(attempts), base.by_seed(attempts)
    paired = None not in side.seeds and sorted(side.seeds) == sorted(base.seeds)
    bounds: tuple[tuple[float, float] | None, tuple[float, float] | None]
    if paired:
        one, two = np.argsort(side.seeds), np.argsort(base.seeds)
        bounds = _paired(least[one] - other_most[two]), _paired(most[one] - other_least[two])
    else:
        bounds = _welch(least, other_most), _welch(most, other_least)
    low, high = bounds
    return None if low is None or high is None else [max(-1.0, low[0]), min(1.0, high[1])]


def quantile(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, at the next whole degree of freedom below (so never too narrow)."""
    return _T975[min(len(_T975), max(1, math.floor(freedom))) - 1]


def _paired(differences: Floats) -> tuple[float, float] | None:
    spread = float(differences.std(ddof=1))
    if spread < _SAME:
        return None
    room = quantile(len(differences) - 1) * spread / math.sqrt(len(differences))
    middle = float(differences.mean())
    return middle - room, middle + room


def _welch(one: Floats, two: Floats) -> tuple[float, float] | None:
    first, second = one.var(ddof=1) / len(one), two.var(ddof=1) / len(two)
    spread, middle = float(first + second), float(one.mean() - two.mean())
    if spread < _SAME**2:
        return None
    freedom = spread**2 / float(first**2 / (len(one) - 1) + second**2 / (len(two) - 1))
    room = quantile(freedom) * math.sqrt(spread)
    return middle - room, middle + room


def check_same(sides: Sequence[Side]) -> None:
    """Raise ConfigurationError unless all folders were measured on the same questions."""
    if len(sides) < 2:
        raise ConfigurationError("one side has nothing to be compared with; give two or more")
    names = [side.name for side in sides]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"two sides are called {twice!r}; give them paths that tell them apart")
    members = [member for side in sides for member in side.members]
    first = members[0]
    for member in members[1:]:
        pair = f"{first.path} and {member.path}"
        if member.kind != first.kind:
            raise ConfigurationError(
                f"{pair}: one is a training run, the other an evaluation; they were not measured on the "
                "same questions: measure the run's checkpoint with socratic eval, and compare evaluations"
            )
        one, two = first.questions, member.questions
        changed = [
            f"{name} {one[name]!r:.60} and {two[name]!r:.60}" for name in one if one[name] != two[name]
        ]
        if len(first.keys) != len(member.keys):
            changed.append(f"{len(first.keys)} and {len(member.keys)} questions")
        if changed:
            raise ConfigurationError(
                f"{pair} were not measured on the same questions ({'; '.join(changed)}); differences would "
                "mix the questions with the students"
            )
    for side in sides:
        paths = [member.path.resolve() for member in side.members]
        if len(set(paths)) < len(paths):
            raise ConfigurationError(f"{side.name} names a folder twice; leave one out")
        seeds = [seed for seed in side.seeds if seed is not None]
        if len(set(seeds)) < len(seeds):
            raise ConfigurationError(f"two folders of {side.name} have the same seed; leave one of them out")


def differing(sides: Sequence[Side]) -> dict[str, list[Any]]:
    """The settings that are not the same on all sides: name -> of each (of several seeds: the first's)."""
    settings = [side.members[0].settings for side in sides]
    names = dict.fromkeys(name for found in settings for name in found if name != "seed")
    return {
        name: [found.get(name) for found in settings]
        for name in names
        if any(found.get(name) != settings[0].get(name) for found in settings[1:])
    }


def _questions(side: Side, base: Side, attempts: int) -> dict[str, Any]:
    """Questions won and lost for certain, the largest first, and how many open episodes leave undecided."""
    one, two = side.counted(attempts), base.counted(attempts)
    least, most = one.lower[0] - two.upper[0], one.upper[0] - two.lower[0]
    keys, order = side.members[0].keys, np.argsort(-np.abs(one.lower[0] - two.lower[0]), kind="stable")
    row = [{"question": keys[i], "difference": float(one.lower[0][i] - two.lower[0][i])} for i in order]
    certain = {keys[i]: int(least[i] > 0) - int(most[i] < 0) for i in order}
    return {
        "won": [found for found in row if certain[found["question"]] > 0],
        "lost": [found for found in row if certain[found["question"]] < 0],
        "unknown": int(((least <= 0) & (most >= 0) & (most > least)).sum()),
    }


def _warnings(sides: Sequence[Side], most: int) -> list[str]:
    lines = []
    for side in sides:
        left = sum(member.open for member in side.members)
        if left:
            lines.append(
                f"{side.name}: {left} episodes are open; nobody knows whether they would have been solved, "
                "and the intervals over questions cover both"
            )
        others = differing([Side(str(member.path), [member]) for member in side.members])
        if side.members[0].kind == EVALUATION:  # of students that were trained with different seeds
            others = {name: told for name, told in others.items() if name.partition(".")[0] != "student"}
        if others:
            lines.append(
                f"{side.name}: its seeds differ in more than the seed ({', '.join(others)}); they are no "
                "seeds of one setting"
            )
    steps = {
        side.name: sorted({member.step for member in side.members if member.step is not None})
        for side in sides
    }
    if len({tuple(found) for found in steps.values()}) > 1 or any(len(found) > 1 for found in steps.values()):
        told = "; ".join(f"{name} at {', '.join(map(str, found))}" for name, found in steps.items())
        lines.append(f"not measured at the same step ({told}); --step N compares them at one that all have")
    allowed = {max(member.accuracy) for side in sides for member in side.members}
    if len(allowed) > 1:
        lines.append(
            f"not all allow as many attempts ({', '.join(map(str, sorted(allowed)))}); guided accuracy is "
            f"compared within {most}"
        )
    if any(len(side.members) < 2 for side in sides) and sides[0].members[0].kind != EVALUATION:
        lines.append(
            "a side of one seed says nothing about students trained anew: intervals are over questions only"
        )
    return lines
