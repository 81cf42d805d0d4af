"""What the study's results say: means over seeds, paired differences and gates, each with an interval.

Intervals are Student's t over seeds (95 %), paired where two arms are compared: each seed is a world of its
own, and both arms begin with the same student on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    bootstrap interval over seeds. missing: seeds that only one of them has, or that did not go as far.
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


def of_arm(records: Records, arm: str, steps: int = STEPS) -> dict[int, Mapping[str, Any]]:
    """By seed, the last record of an arm after so many steps."""
    return {record["seed"]: record for record in records if (record["arm"], record["steps"]) == (arm, steps)}


def longest(records: Records, arm: str) -> dict[int, Mapping[str, Any]]:
    """By seed, the record of an arm's whole run."""
    found: dict[int, Mapping[str, Any]] = {}
    for record in records:
        known = found.get(record["seed"])
        if record["arm"] == arm and (known is None or record["steps"] >= known["steps"]):
            found[record["seed"]] = record
    return found


def tokens_of(point: Sequence[float], at: str) -> float:
    """Tokens that a point of a curve has cost."""
    _, student, teacher, _ = point
    return student + (teacher if at == "all tokens" else 0)


def accuracy_at(record: Mapping[str, Any], tokens: float, at: str) -> float | None:
    """Unassisted accuracy on a run's curve once it had so many tokens, between its points on a line; None if
    it never had."""
    curve = record["curve"]
    spent = [tokens_of(point, at) for point in curve]
    if tokens > spent[-1]:
        return None
    return float(np.interp(tokens, spent, [point[3] for point in curve]))


def compare(records: Records, gate: Gate) -> Comparison | None:
    """A gate's comparison, None without a seed that both arms have.

    At equal tokens, the arm's whole run of `STEPS` sets the tokens, and both accuracies are of the curves.
    """
    mine, theirs = of_arm(records, gate.arm), of_arm(records, gate.against)
    if gate.at != "steps":
        theirs = longest(records, gate.against)
    pairs: list[tuple[float, float]] = []
    missing = len(mine.keys() ^ theirs.keys())
    for seed in sorted(mine.keys() & theirs.keys()):
        if gate.at == "steps":
            pairs.append((mine[seed]["unassisted"], theirs[seed]["unassisted"]))
            continue
        tokens = min(tokens_of(record["curve"][-1], gate.at) for record in (mine[seed], theirs[seed]))
        tokens_mine = tokens_of(mine[seed]["curve"][-1], gate.at)
        if gate.against in SINGLE and tokens < tokens_mine:
            missing += 1
            continue
        both = [accuracy_at(record[seed], tokens, gate.at) for record in (mine, theirs)]
        pairs.append((float(both[0] or 0.0), float(both[1] or 0.0)))
    if not pairs:
        return None
    first, second = map(np.asarray, zip(*pairs, strict=True))
    difference = estimate((first - second).tolist())
    return Comparison(gate, difference, int((first > second).sum()), improvement(first, second), missing)


SINGLE = frozenset(name for name, arm in ARMS.items() if len(arm.measured) > 1)
"""Arms that were run on until they had as many tokens as the others."""


def improvement(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """(probability that a value of the first beats one of the second, low, high)."""

    def share(a: np.ndarray, b: np.ndarray) -> float:
        return float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean())

    rng = np.random.default_rng(0)
    drawn = [share(rng.choice(first, len(first)), rng.choice(second, len(second))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return share(first, second), float(low), float(high)


def arm_row(records: Records, arm: str) -> list[str]:
    """One line of the main table."""
    found = of_arm(records, arm)
    cells = [arm, str(len(found))]
    for name in ("unassisted", "greedy", "unassisted_t0.6", "guided", "correction_rate"):
        values = [record[name] for record in found.values() if record[name] is not None]
        cells.append(str(estimate(values)) if values else "-")
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
    return [
        found.gate.arm,
        found.gate.against,
        found.gate.at,
        str(found.difference),
        f"{found.above} of {found.difference.seeds}" + (f" ({found.missing} missing)" * bool(found.missing)),
        f"{likely:.2f} [{low:.2f}, {high:.2f}]",
        ("met" if found.met else "missed") if gated else "none",
    ]
