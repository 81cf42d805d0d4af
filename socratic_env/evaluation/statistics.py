"""Statistics of an evaluation: avg@n, pass@k, guided accuracy, correction rates, intervals.

Pure functions. Q questions, N samples (episodes) of each, K attempts at most, R resamples. Questions are
the unit of all intervals: samples of one question are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from socratic_env.errors import ConfigurationError
from socratic_env.types import Episode, StopReason

RESAMPLES = 2000
LEVEL = 0.95
_AT_ONCE = 2**22
"""Numbers of a bootstrap held at once."""

Floats = NDArray[np.float64]
Ratio = tuple[Floats, Floats]
"""(numerators_Q, denominators_Q) by question; the metric is sum / sum."""


@dataclass(frozen=True)
class Evaluation:
    """How N episodes on each of Q questions went.

    made_QN: attempts made. solved_QN: whether the last of them was right.
    open_QN: the episode is not over: a fault left it after these attempts (0: nothing is known of it).
    max_attempts: K.
    """

    made_QN: NDArray[np.int_]
    solved_QN: NDArray[np.bool_]
    open_QN: NDArray[np.bool_]
    max_attempts: int

    @classmethod
    def of(cls, episodes: Sequence[Episode], samples: int, max_attempts: int) -> Evaluation:
        """Of episodes grouped by question: rows i * samples .. (i + 1) * samples - 1. Those that a
        teacher's fault ended count with the attempts they made, and are open beyond them."""
        shape = (-1, samples)
        return cls(
            np.array([len(episode.attempts) for episode in episodes]).reshape(shape),
            np.array([episode.stop is StopReason.SOLVED for episode in episodes]).reshape(shape),
            np.array([episode.stop is StopReason.TEACHER_FAILED for episode in episodes]).reshape(shape),
            max_attempts,
        )

    def select(self, questions: Sequence[int]) -> Evaluation:
        """The same of some questions only, by index."""
        rows = list(questions)
        return Evaluation(self.made_QN[rows], self.solved_QN[rows], self.open_QN[rows], self.max_attempts)

    def within(self, attempts: int) -> Floats:
        """1 where an episode was solved within so many attempts, 0 where not, nan where it is open."""
        solved = self.solved_QN & (self.made_QN <= attempts)
        unknown = self.open_QN & (self.made_QN < attempts)
        return np.where(unknown, np.nan, solved.astype(np.float64))

    def per_question(self, attempts: int = 1) -> Floats:
        """avg@n of each question (nan: nothing is known): its share of episodes solved within so many
        attempts. Attempts = 1 is the unassisted accuracy (the paper's Table 1), more the guided one."""
        within = self.within(attempts)
        return divided((np.nansum(within, axis=1), np.isfinite(within).sum(axis=1).astype(np.float64)))

    def accuracy(self, attempts: int = 1) -> float:
        """avg@n: the mean over questions of the mean over samples. Never falls with attempts, if no
        episode is open."""
        return value(shares(self.per_question(attempts)))

    def pass_at(self, k: int) -> Floats:
        """pass@k of each question: see `pass_at_k`. nan where fewer than k samples are known."""
        first = self.within(1)
        known, right = np.isfinite(first).sum(axis=1), np.nansum(first, axis=1)
        return np.array([pass_at_k(int(n), int(c), k) for n, c in zip(known, right, strict=True)])

    def corrections(self, attempt: int = 2) -> Ratio:
        """(solved at this attempt, made this attempt) by question: the correction rate is the share of
        the episodes that reach an attempt that solve it there."""
        reached = self.made_QN >= attempt
        solved = self.solved_QN & (self.made_QN == attempt)
        return solved.sum(axis=1).astype(np.float64), reached.sum(axis=1).astype(np.float64)

    def correction_rate(self, attempt: int = 2) -> float:
        """The correction rate at an attempt (nan: no episode reached it)."""
        return value(self.corrections(attempt))


def pass_at_k(samples: int, right: int, k: int) -> float:
    """The chance that one of k samples is right, unbiased: 1 - C(n - c, k) / C(n, k) for c right ones
    among n, which is the mean over all subsets of k samples. nan if k > n."""
    if k > samples:
        return math.nan
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)


def default_pass_k(samples: int) -> list[int]:
    """1, 2, 4, .. up to the number of samples, and that number."""
    powers = [2**i for i in range(samples.bit_length()) if 2**i <= samples]
    return powers if powers[-1] == samples else [*powers, samples]


# -- ratios and their intervals ------------------------------------------------------------


def shares(values_Q: Sequence[float] | Floats) -> Ratio:
    """The ratio whose value is the mean over questions; those that are nan are left out."""
    values = np.asarray(values_Q, dtype=np.float64)
    known = np.isfinite(values)
    return np.where(known, values, 0.0), known.astype(np.float64)


def divided(ratio: Ratio) -> Floats:
    """Numerators over denominators, nan where a denominator is 0."""
    top, bottom = ratio
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom != 0)


def value(ratio: Ratio) -> float:
    """sum / sum, nan if nothing was counted."""
    return float(divided((np.asarray(ratio[0].sum()), np.asarray(ratio[1].sum()))))


def resamples_of(questions: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.int_]:
    """picks_RQ: indices of questions drawn with replacement. The same picks make differences paired."""
    return np.random.default_rng(seed).integers(questions, size=(resamples, questions))


def resampled(ratio: Ratio, picks_RQ: NDArray[np.int_]) -> Floats:
    """The ratio's value in each of R resamples."""
    rows = max(1, _AT_ONCE // max(1, picks_RQ.shape[1]))
    blocks = [picks_RQ[i : i + rows] for i in range(0, len(picks_RQ), rows)]
    return np.concatenate([divided((ratio[0][b].sum(axis=1), ratio[1][b].sum(axis=1))) for b in blocks])


def interval(values_R: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of resampled values (nan, nan if none is finite)."""
    finite = values_R[np.isfinite(values_R)]
    if not len(finite):
        return math.nan, math.nan
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(
    values_Q: Sequence[float] | Floats, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean, resampling questions. Give paired differences for a change."""
    ratio = shares(values_Q)
    return interval(resampled(ratio, resamples_of(len(ratio[0]), seed=seed)), level)


def estimate(ratio: Ratio, picks_RQ: NDArray[np.int_]) -> dict[str, Any]:
    """{"value", "interval"} for JSON: the value is None where nothing was counted, the interval where
    fewer than two questions were, which say nothing of their spread."""
    told = np.count_nonzero(ratio[1]) > 1
    return {
        "value": number(value(ratio)),
        "interval": list(interval(resampled(ratio, picks_RQ))) if told else None,
    }


def number(found: float) -> float | None:
    """A number for JSON: None if it is not finite."""
    return found if math.isfinite(found) else None


def summary(
    evaluation: Evaluation, pass_k: Sequence[int] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """All metrics of an evaluation with intervals, ready for JSON.

    {"questions": Q, "episodes": those that are over, "unassisted": avg@n of attempt 1, "pass_at":
    {"k": ..} of attempt 1, "guided": {"k": solved within k attempts}, "correction_rate": {"k": ..}};
    each metric is {"value", "interval"}.
    """
    questions, samples = evaluation.made_QN.shape
    wanted = default_pass_k(samples) if pass_k is None else pass_k
    for k in wanted:
        if not 1 <= k <= samples:
            raise ConfigurationError(f"pass@{k} needs k from 1 to the {samples} samples of a question")
    picks = resamples_of(questions, resamples, seed)
    attempts = range(1, evaluation.max_attempts + 1)
    guided = {str(k): estimate(shares(evaluation.per_question(k)), picks) for k in attempts}
    return {
        "questions": questions,
        "episodes": int((~evaluation.open_QN).sum()),
        "unassisted": guided["1"],
        "pass_at": {str(k): estimate(shares(evaluation.pass_at(k)), picks) for k in wanted},
        "guided": guided,
        "correction_rate": {str(k): estimate(evaluation.corrections(k), picks) for k in attempts[1:]},
    }


def grouped(labels_Q: Sequence[Any]) -> Mapping[Any, list[int]]:
    """Label -> indices of its questions, in the order of the labels."""
    found: dict[Any, list[int]] = {}
    for index, label in enumerate(labels_Q):
        found.setdefault(label, []).append(index)
    return dict(sorted(found.items()))
