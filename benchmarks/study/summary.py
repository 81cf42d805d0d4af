"""What the study's results say: means over seeds, paired differences and gates, each with an interval.

Intervals are Student's t over seeds (95 %), paired where two arms are compared: each seed is a world of its
own, and both arms begin with the same student on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.study.arms import ARMS, STEPS, Gate

Records = Sequence[Mapping[str, Any]]
LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval; the interval of fewer than two seeds is unknown (None)."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.3f} (n = {self.seeds})"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """An arm minus another, seed by seed.

    improvement: the probability that a run of the arm beats one of the other, ties half; with its
    bootstrap interval over seeds. missing: seeds of the plan that one of them was not run on, or not as far.
    """

    gate: Gate
    difference: Estimate
    above: int
    improvement: tuple[float, float, float]
    missing: int

    @property
    def met(self) -> bool:
        """Whether the interval lies above 0."""
        return self.difference.low is not None and self.difference.low > 0


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of values of different seeds."""
    found = np.asarray(values, dtype=float)
    if len(found) < 2:
        return Estimate(float(found.mean()), None, None, len(found))
    half = stats.t.ppf(0.5 + LEVEL / 2, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return Estimate(float(found.mean()), float(found.mean() - half), float(found.mean() + half), len(found))


def share(values: Sequence[float]) -> Estimate:
    """The same for shares, whose interval lies within 0 and 1."""
    found = estimate(values)
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def of_arm(records: Records, arm: str, steps: int = STEPS) -> dict[int, Mapping[str, Any]]:
    """By seed, the last record of an arm after so many steps."""
    return {record["seed"]: record for record in records if (record["arm"], record["steps"]) == (arm, steps)}


def tokens_of(record: Mapping[str, Any], at: str) -> float:
    """Tokens that a run had cost where it was measured."""
    return float(record["student_tokens"]) + (record["teacher_tokens"] if at == "all tokens" else 0)


def with_tokens(records: Records, arm: str, seed: int, tokens: float, at: str) -> Mapping[str, Any] | None:
    """The first measurement of an arm's run that has had at least so many tokens; None if none has."""
    found = [r for r in records if (r["arm"], r["seed"]) == (arm, seed) and tokens_of(r, at) >= tokens]
    return min(found, key=lambda record: record["steps"], default=None)


def compare(records: Records, gate: Gate) -> Comparison | None:
    """A gate's comparison, None without a seed that both arms have.

    At equal tokens the other arm is read where it has had at least as many as the arm itself, so that what
    is left of a difference is in its favour; it counts as missing where it never had so many.
    """
    mine, theirs = of_arm(records, gate.arm), of_arm(records, gate.against)
    pairs: list[tuple[float, float]] = []
    for seed in sorted(mine.keys() & theirs.keys()):
        other: Mapping[str, Any] | None = theirs[seed]
        if gate.at != "steps":
            other = with_tokens(records, gate.against, seed, tokens_of(mine[seed], gate.at), gate.at)
        if other is not None:
            pairs.append((mine[seed]["unassisted"], other["unassisted"]))
    if not pairs:
        return None
    first, second = map(np.asarray, zip(*pairs, strict=True))
    difference = estimate((first - second).tolist())
    missing = len(ARMS[gate.arm].seeds) - len(pairs)
    return Comparison(gate, difference, int((first > second).sum()), improvement(first, second), missing)


def improvement(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """(probability that a value of the first beats one of the second, low, high)."""

    def wins(a: np.ndarray, b: np.ndarray) -> float:
        return float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean())

    rng = np.random.default_rng(0)
    drawn = [wins(rng.choice(first, len(first)), rng.choice(second, len(second))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return wins(first, second), float(low), float(high)


def arm_row(records: Records, arm: str) -> list[str]:
    """One line of the main table."""
    found = of_arm(records, arm)
    cells = [arm, str(len(found))]
    for name in ("unassisted", "greedy", "unassisted_t0.6", "guided", "correction_rate"):
        values = [record[name] for record in found.values() if record[name] is not None]
        cells.append(str(share(values)) if values else "-")
    for level in ("easy", "medium", "hard"):
        values = [record["levels"][level] for record in found.values() if level in record["levels"]]
        cells.append(f"{np.mean(values):.2f}" if values else "-")
    for name in ("student_tokens", "teacher_tokens"):
        cells.append(f"{np.mean([record[name] for record in found.values()]) / 1000:.0f}k")
    cells.append(f"{np.mean([record['seconds'] for record in found.values()]):.0f}")
    return cells


ARM_HEADS = (
    "arm", "seeds", "unassisted, T = 1", "greedy", "T = .6, top-p .95 (avg@16)", "guided", "correction rate",
    "easy", "medium", "hard", "student tokens", "teacher tokens", "seconds",
)  # fmt: skip
GATE_HEADS = ("arm", "minus", "at equal", "difference", "seeds above 0", "probability of improvement", "gate")


def gate_row(found: Comparison, gated: bool) -> list[str]:
    """One line of the comparisons."""
    likely, low, high = found.improvement
    verdict = ("met" if found.met else "missed") + (" so far" if found.missing else "")
    return [
        found.gate.arm,
        found.gate.against,
        found.gate.at,
        str(found.difference),
        f"{found.above} of {found.difference.seeds}" + (f" ({found.missing} not run)" * bool(found.missing)),
        f"{likely:.2f} [{low:.2f}, {high:.2f}]",
        verdict if gated else "none",
    ]
