"""What a rollout leaves behind: exact ids and log-probabilities, never made again from text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from socratic_env.types import Episode


@dataclass(frozen=True)
class Sampling:
    """How a policy samples. Temperature 0 is greedy."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64


@dataclass(frozen=True)
class Completion:
    """One sampled response.

    ids: the response as sampled, the end-of-text id included if it was reached.
    logps: the sampler's log-probability of each id, in nats, at the sampling temperature.
    finished: the end was reached; otherwise the response was cut at its longest length.
    cached_tokens: prompt tokens that the sampler took from its prefix cache.
    """

    ids: list[int]
    logps: list[float]
    finished: bool
    cached_tokens: int = 0


@dataclass(frozen=True)
class Sample:
    """One attempt as the learner sees it: a prompt, a response, and what it earned.

    row: index of its episode in the batch; group: index of its question; attempt: 1-based;
    cached_tokens, finished: as of Completion; version: of the weights that it was drawn from, in updates.
    """

    row: int
    group: int
    attempt: int
    prompt: list[int]
    response: list[int]
    logps: list[float]
    correct: bool
    reward: float
    cached_tokens: int = 0
    finished: bool = True
    version: int = 0


@dataclass(frozen=True)
class RolloutBatch:
    """All attempts of a batch of episodes, and the batch's statistics.

    made, solved: m_1..m_K and s_1..s_K; mu: mu_0..mu_K.
    """

    samples: Sequence[Sample]
    episodes: Sequence[Episode]
    made: Sequence[int]
    solved: Sequence[int]
    mu: Sequence[float]

    @property
    def tokens(self) -> int:
        """Number of response tokens that were sampled."""
        return sum(len(sample.response) for sample in self.samples)
