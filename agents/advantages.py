"""Advantage estimators: pure functions on arrays.

Notation: N attempts of a batch (rows of the optimizer batch), E episodes. Inputs stay as they
are. By default all statistics are over attempts: each counts once, and its advantage is broadcast
to its tokens, the only weighting for which Theorem 1 holds. The token-weighted and other forms of
other stacks stand below, for parity and for studies; each breaks the theorem in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from socratic_env.errors import unknown
from socratic_env.plugins import attribute
from socratic_env.rewards import EPSILON, whitened

Array = NDArray[np.float64]

GRPO_EPSILON = 1e-6


# -- the definitions of this package -------------------------------------------------------


def reinforce_plus_plus(rewards_N: ArrayLike) -> Array:
    """REINFORCE++: each attempt's own reward, whitened over the batch (eq 20 with t = K)."""
    return whitened(rewards_N)


def reinforce_plus_plus_baseline(rewards_N: ArrayLike, question_N: ArrayLike) -> Array:
    """REINFORCE++-baseline: minus the mean of the question's attempts, then whitened.

    A question with a single attempt has baseline 0.
    """
    return reinforce_plus_plus(_minus_group_mean(_array(rewards_N), question_N))


def grpo(returns_E: ArrayLike, question_E: ArrayLike, std: bool = True) -> Array:
    """GRPO: (R - mean) / (sample std + 1e-6) within the question; `std=False` omits the division.

    A question with a single episode has mean 0 and std 1.
    """
    returns = _array(returns_E)
    centred = _minus_group_mean(returns, question_E)
    if not std:
        return centred
    _, deviation, count = _group_statistics(returns, question_E)
    return centred / (np.where(count > 1, deviation, 1.0) + GRPO_EPSILON)


def episode_returns(rewards_N: ArrayLike, episode_N: ArrayLike) -> Array:
    """Each attempt's episode return (eq 14), the sum of the rewards of its episode."""
    rewards = _array(rewards_N)
    _, index = np.unique(np.asarray(episode_N), return_inverse=True)
    return np.bincount(index, weights=rewards).astype(np.float64)[index]


# -- forms of other stacks ------------------------------------------------------------------


def token_whitened(values_N: ArrayLike, tokens_N: ArrayLike, unbiased: bool = True) -> Array:
    """Whitened with every attempt weighted by its tokens.

    unbiased: sample variance + 1e-8 under the root (verl), else population variance, at least
    1e-8 (OpenRLHF).
    """
    values, weights = _array(values_N), _array(tokens_N)
    total = weights.sum()
    centred = values - (weights * values).sum() / total
    variance = (weights * centred**2).sum() / total
    if unbiased:
        return centred / np.sqrt(variance * total / max(total - 1, 1) + EPSILON)
    return centred / np.sqrt(max(variance, EPSILON))


def reinforce_plus_plus_tokens(rewards_N: ArrayLike, tokens_N: ArrayLike, unbiased: bool = True) -> Array:
    """REINFORCE++ with token-weighted whitening; a corrected attempt can get a negative advantage."""
    return token_whitened(rewards_N, tokens_N, unbiased)


def reinforce_plus_plus_baseline_tokens(
    rewards_N: ArrayLike, question_N: ArrayLike, tokens_N: ArrayLike
) -> Array:
    """REINFORCE++-baseline with token-weighted whitening (verl, each attempt a row)."""
    return token_whitened(_minus_group_mean(_array(rewards_N), question_N), tokens_N)


def reinforce_plus_plus_per_step(rewards_N: ArrayLike, attempt_N: ArrayLike, tokens_N: ArrayLike) -> Array:
    """Token-weighted whitening within each attempt number; it cancels the decay altogether."""
    rewards, attempts, tokens = _array(rewards_N), np.asarray(attempt_N), _array(tokens_N)
    out = np.zeros_like(rewards)
    for attempt in np.unique(attempts):
        chosen = attempts == attempt
        out[chosen] = token_whitened(rewards[chosen], tokens[chosen])
    return out


def reinforce_plus_plus_baseline_trajectory(
    rewards_N: ArrayLike, question_N: ArrayLike, episode_N: ArrayLike, tokens_N: ArrayLike
) -> Array:
    """Episode returns minus their question's mean, broadcast to attempts, token-weighted whitening."""
    rewards, episodes = _array(rewards_N), np.asarray(episode_N)
    _, first, index = np.unique(episodes, return_index=True, return_inverse=True)
    returns_E = episode_returns(rewards, episodes)[first]
    centred_E = _minus_group_mean(returns_E, np.asarray(question_N)[first])
    return token_whitened(centred_E[index], tokens_N)


# -- by name ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempts:
    """What an estimator may look at, one entry for each attempt of the batch."""

    rewards_N: Array
    """Reward of the attempt."""
    values_N: Array
    """What the attempt is credited with: its own reward, or the return of its episode."""
    question_N: NDArray[np.int64]
    episode_N: NDArray[np.int64]
    attempt_N: NDArray[np.int64]
    tokens_N: NDArray[np.int64]


def _grpo_of_episodes(batch: Attempts, std: bool) -> Array:
    """GRPO on episodes: each episode counts once in its group, whatever its number of attempts."""
    _, first, index = np.unique(batch.episode_N, return_index=True, return_inverse=True)
    returns_E = episode_returns(batch.rewards_N, batch.episode_N)[first]
    return grpo(returns_E, batch.question_N[first], std)[index]


ESTIMATORS: Mapping[str, Callable[[Attempts], Array]] = {
    "reinforce++": lambda b: reinforce_plus_plus(b.values_N),
    "reinforce++-baseline": lambda b: reinforce_plus_plus_baseline(b.values_N, b.question_N),
    "grpo": lambda b: _grpo_of_episodes(b, std=True),
    "grpo-no-std": lambda b: _grpo_of_episodes(b, std=False),
    "grpo-attempts": lambda b: grpo(b.values_N, b.question_N),
    "reward": lambda b: b.values_N,
    "reinforce++-tokens": lambda b: reinforce_plus_plus_tokens(b.values_N, b.tokens_N),
    "reinforce++-baseline-tokens": lambda b: reinforce_plus_plus_baseline_tokens(
        b.values_N, b.question_N, b.tokens_N
    ),
    "reinforce++-baseline-trajectory": lambda b: reinforce_plus_plus_baseline_trajectory(
        b.rewards_N, b.question_N, b.episode_N, b.tokens_N
    ),
    "reinforce++-per-step": lambda b: reinforce_plus_plus_per_step(b.values_N, b.attempt_N, b.tokens_N),
}
"""Estimators that a run can select by name. grpo-attempts: as grpo, with every attempt counted on its own in
the group of its question; reward: what the attempt earned, with nothing subtracted."""

BY_QUESTION = frozenset(
    {
        "reinforce++-baseline",
        "grpo",
        "grpo-no-std",
        "grpo-attempts",
        "reinforce++-baseline-tokens",
        "reinforce++-baseline-trajectory",
    }
)
"""Those that compare the attempts on a question with each other."""

OF_EPISODES = frozenset({"grpo", "grpo-no-std", "reinforce++-baseline-trajectory"})
"""Those that go by the returns of episodes, whatever an attempt is credited with."""


def estimator_of(name: str) -> Callable[[Attempts], Array]:
    """The estimator of a name, or of module:function. Raises ConfigurationError if there is none."""
    if ":" in name:
        found: Callable[[Attempts], Array] = attribute("estimator", name)
        return found
    if name not in ESTIMATORS:
        raise unknown("estimator", name, [*ESTIMATORS, "module:function"])
    return ESTIMATORS[name]


def _array(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _minus_group_mean(values: Array, groups: ArrayLike) -> Array:
    mean, _, count = _group_statistics(values, groups)
    return values - np.where(count > 1, mean, 0.0)


def _group_statistics(values: Array, groups: ArrayLike) -> tuple[Array, Array, Array]:
    """(mean, sample std, size) of each value's group, one entry for each value."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    count = np.bincount(index).astype(np.float64)
    mean = np.bincount(index, weights=values) / count
    squares = np.bincount(index, weights=(values - mean[index]) ** 2)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))
    return mean[index], deviation[index], count[index]
