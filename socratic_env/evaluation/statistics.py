"""What an evaluation found: avg@n, pass@k, guided accuracy, correction rates, replies that broke off.

Pure functions. Q questions, N samples (episodes) of each, K attempts at most. An episode that a fault left
before its end is open: whether it would have been solved is unknown. Every metric then has two values,
counting it as unsolved (the headline) and as solved; see `intervals.Counted`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.intervals import (
    RESAMPLES,
    Counted,
    Floats,
    estimate,
    means,
    resamples_of,
    value,
)
from socratic_env.types import Attempt, Episode, StopReason

NOT_PLAYED = "not played to its end"
"""Why an episode is open that no fault has stopped: the evaluation was."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an episode has come.

    made: attempts made. solved: whether the last of them was right. open: it is not over.
    cut: replies that did not end by themselves, of the `told` ones of which that is known.
    empty: replies without a word.
    """

    made: int = 0
    solved: bool = False
    open: bool = True
    cut: int = 0
    told: int = 0
    empty: int = 0

    @classmethod
    def of(cls, attempts: Sequence[Attempt], stop: StopReason | None) -> Standing:
        """Of an episode's attempts; open where a teacher's or verifier's fault ended it, or nothing."""
        ends = [attempt.finished for attempt in attempts if attempt.finished is not None]
        return cls(
            made=len(attempts),
            solved=stop is StopReason.SOLVED,
            open=stop in (None, StopReason.TEACHER_FAILED, StopReason.VERIFIER_FAILED),
            cut=ends.count(False),
            told=len(ends),
            empty=sum(not attempt.text.strip() for attempt in attempts),
        )


@dataclass(frozen=True)
class Evaluation:
    """How N episodes on each of Q questions went, one array for each field of `Standing`.

    max_attempts: K.
    """

    made_QN: NDArray[np.int_]
    solved_QN: NDArray[np.bool_]
    open_QN: NDArray[np.bool_]
    cut_QN: NDArray[np.int_]
    told_QN: NDArray[np.int_]
    empty_QN: NDArray[np.int_]
    max_attempts: int

    @classmethod
    def of(cls, standings: Sequence[Standing], samples: int, max_attempts: int) -> Evaluation:
        """Of episodes grouped by question: rows i * samples .. (i + 1) * samples - 1."""
        fields = {
            f"{name}_QN": np.array([getattr(one, name) for one in standings]).reshape(-1, samples)
            for name in Standing.__dataclass_fields__
        }
        return cls(**fields, max_attempts=max_attempts)

    @classmethod
    def of_episodes(cls, episodes: Sequence[Episode], samples: int, max_attempts: int) -> Evaluation:
        """The same of episodes as a batch leaves them."""
        return cls.of([Standing.of(one.attempts, one.stop) for one in episodes], samples, max_attempts)

    def select(self, questions: Sequence[int]) -> Evaluation:
        """The same of some questions only, by index."""
        rows = list(questions)
        arrays = {f"{name}_QN": getattr(self, f"{name}_QN")[rows] for name in Standing.__dataclass_fields__}
        return Evaluation(**arrays, max_attempts=self.max_attempts)

    @property
    def open(self) -> int:
        """How many episodes are open."""
        return int(self.open_QN.sum())

    def within(self, attempts: int) -> Floats:
        """1 where an episode was solved within so many attempts, 0 where not, nan where it is open."""
        solved = self.solved_QN & (self.made_QN <= attempts)
        unknown = self.open_QN & (self.made_QN < attempts)
        return np.where(unknown, np.nan, solved.astype(np.float64))

    def per_question(self, attempts: int = 1) -> tuple[Floats, Floats]:
        """(least, most) avg@n of each question: its share of episodes solved within so many attempts, the
        open ones counted as unsolved, and as solved. Attempts = 1 is the unassisted accuracy (the paper's
        Table 1), more the guided one."""
        within = self.within(attempts)
        return np.nan_to_num(within, nan=0.0).mean(axis=1), np.nan_to_num(within, nan=1.0).mean(axis=1)

    def solved_within(self, attempts: int = 1) -> Counted:
        """avg@n: the mean over questions of the mean over samples. Never falls with attempts."""
        least, most = self.per_question(attempts)
        return Counted(means(least), means(most), int(np.isnan(self.within(attempts)).sum()))

    def accuracy(self, attempts: int = 1) -> float:
        """The headline of `solved_within`."""
        return value(self.solved_within(attempts).lower)

    def pass_at(self, k: int) -> Counted:
        """pass@k of the first attempt: see `pass_at_k`."""
        first = self.within(1)
        unknown, right = np.isnan(first).sum(axis=1), np.nansum(first, axis=1).astype(int)
        samples = first.shape[1]
        least, most = ([pass_at_k(samples, int(c), k) for c in rights] for rights in (right, right + unknown))
        return Counted(means(least), means(most), int(unknown.sum()))

    def corrections(self, attempt: int = 2) -> Counted:
        """The share of the episodes that reach an attempt that solve it there. An open one that has not
        reached it counts as one that does and fails, and as one that does and solves it."""
        reached = (self.made_QN >= attempt).sum(axis=1).astype(np.float64)
        solved = (self.solved_QN & (self.made_QN == attempt)).sum(axis=1).astype(np.float64)
        unknown = (self.open_QN & (self.made_QN < attempt)).sum(axis=1).astype(np.float64)
        return Counted((solved, reached + unknown), (solved + unknown, reached + unknown), int(unknown.sum()))

    def correction_rate(self, attempt: int = 2) -> float:
        """The headline of `corrections` (nan: no episode reached it)."""
        return value(self.corrections(attempt).lower)

    def replies(self) -> dict[str, Counted]:
        """{"cut", "empty"}: the shares of the student's replies that did not end by themselves (of those of
        which that is known), and that have no word."""
        cut, told, empty, made = (
            counts.sum(axis=1).astype(np.float64)
            for counts in (self.cut_QN, self.told_QN, self.empty_QN, self.made_QN)
        )
        return {"cut": Counted.known((cut, told)), "empty": Counted.known((empty, made))}


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


def summary(
    evaluation: Evaluation, pass_k: Sequence[int] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """All metrics of an evaluation, ready for JSON.

    {"questions": Q, "episodes": those that are over, "open": those that are not, "unassisted": avg@n of
    attempt 1, "pass_at": {"k": ..} of attempt 1, "guided": {"k": solved within k attempts},
    "correction_rate": {"k": ..}, "replies": {"cut", "empty"}}; each metric is an `intervals.estimate`.
    """
    questions, samples = evaluation.made_QN.shape
    wanted = default_pass_k(samples) if pass_k is None else pass_k
    for k in wanted:
        if not 1 <= k <= samples:
            raise ConfigurationError(f"pass@{k} needs k from 1 to the {samples} samples of a question")
    picks = resamples_of(questions, resamples, seed)
    attempts = range(1, evaluation.max_attempts + 1)
    guided = {str(k): estimate(evaluation.solved_within(k), picks) for k in attempts}
    return {
        "questions": questions,
        "episodes": questions * samples - evaluation.open,
        "open": evaluation.open,
        "unassisted": guided["1"],
        "pass_at": {str(k): estimate(evaluation.pass_at(k), picks) for k in wanted},
        "guided": guided,
        "correction_rate": {str(k): estimate(evaluation.corrections(k), picks) for k in attempts[1:]},
        "replies": {name: estimate(found, picks) for name, found in evaluation.replies().items()},
    }


def faults_of(episodes: Sequence[Episode]) -> Counter[str]:
    """Why episodes are open: the kind of fault -> how many of them it ended."""
    kinds: Counter[str] = Counter()
    for episode in episodes:
        if episode.stop is StopReason.VERIFIER_FAILED:
            kinds[type(episode.fault).__name__ if episode.fault is not None else NOT_PLAYED] += 1
        elif episode.stop is StopReason.TEACHER_FAILED:
            guidance = episode.attempts[-1].guidance
            kinds[type(guidance.fault).__name__ if guidance is not None else NOT_PLAYED] += 1
    return kinds


def grouped(labels_Q: Sequence[Any]) -> Mapping[Any, list[int]]:
    """Label -> indices of its questions, in the order of the labels."""
    found: dict[Any, list[int]] = {}
    for index, label in enumerate(labels_Q):
        found.setdefault(label, []).append(index)
    return dict(sorted(found.items()))
