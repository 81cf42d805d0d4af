"""Accuracy on held-out questions, unassisted and guided, with bootstrap intervals over questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.policies.base import Policy
from agents.records import Sampling
from agents.rollout import rollout
from socratic_env.chat import Chat
from socratic_env.vector import SocraticVectorEnv

BOOTSTRAP_SAMPLES = 2000


@dataclass(frozen=True)
class Evaluation:
    """Correctness of every sample of every question.

    solved_QSK[q, s, k]: whether sample s of question q was solved within k + 1 attempts.
    """

    solved_QSK: NDArray[np.bool_]
    tokens: int

    def per_question(self, attempts: int = 1) -> NDArray[np.float64]:
        """Share of samples solved within so many attempts, for each question. Attempts = 1 is the
        unassisted accuracy (the paper's Table 1), more are the guided one."""
        accuracy: NDArray[np.float64] = self.solved_QSK[:, :, attempts - 1].mean(axis=1)
        return accuracy

    def accuracy(self, attempts: int = 1) -> float:
        """avg@n: the mean over questions of the mean over samples."""
        return float(self.per_question(attempts).mean())

    def correction_rate(self) -> float:
        """Share of the episodes that failed attempt 1 that were solved at attempt 2 (nan: none)."""
        failed = ~self.solved_QSK[:, :, 0]
        if self.solved_QSK.shape[2] < 2 or not failed.any():
            return float("nan")
        return float(self.solved_QSK[:, :, 1][failed].mean())


def bootstrap_interval(
    values_Q: Sequence[float] | NDArray[np.float64], level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean, resampling questions. Give paired differences for a change."""
    values = np.asarray(values_Q, dtype=np.float64)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(values), size=(BOOTSTRAP_SAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def evaluate(env: SocraticVectorEnv, policy: Policy, chat: Chat, sampling: Sampling, seed: int) -> Evaluation:
    """Play one batch of held-out questions. The same seed gives the same questions."""
    batch = rollout(env, policy, chat, sampling, seed)
    samples, most = env.rollouts_per_question, env.room.rules.max_attempts
    solved = np.zeros((env.num_envs, most), dtype=np.bool_)
    for row, episode in enumerate(batch.episodes):
        for k, attempt in enumerate(episode.attempts):
            solved[row, k:] |= attempt.verdict.correct
    return Evaluation(solved.reshape(-1, samples, most), batch.tokens)
