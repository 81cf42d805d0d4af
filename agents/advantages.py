"""Advantage estimators: pure functions on arrays.

Notation: N attempts of a batch (rows of the optimizer batch), E episodes. Inputs stay as they
are. All statistics are over attempts, not tokens: each attempt counts once and its advantage is
broadcast to its tokens, the only weighting for which Theorem 1 holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

EPSILON = 1e-8
GRPO_EPSILON = 1e-6


def _whiten(values_N: Array) -> Array:
    """(v - mean) / (population std + eps), eq 20."""
    return (values_N - values_N.mean()) / (values_N.std() + EPSILON)


def reinforce_plus_plus(rewards_N: ArrayLike) -> Array:
    """REINFORCE++: each attempt's own reward, whitened over the batch (eq 20 with t = K)."""
    return _whiten(np.asarray(rewards_N, dtype=np.float64))


def reinforce_plus_plus_baseline(rewards_N: ArrayLike, question_N: ArrayLike) -> Array:
    """REINFORCE++-baseline: minus the mean of the question's attempts, then whitened.

    A question with a single attempt has baseline 0.
    """
    rewards = np.asarray(rewards_N, dtype=np.float64)
    mean, _, count = _group_statistics(rewards, question_N)
    return _whiten(rewards - np.where(count > 1, mean, 0.0))


def grpo(returns_E: ArrayLike, question_E: ArrayLike, std: bool = True) -> Array:
    """GRPO: (R - mean) / (sample std + 1e-6) within the question; `std=False` omits the division.

    A question with a single episode has mean 0 and std 1.
    """
    returns = np.asarray(returns_E, dtype=np.float64)
    mean, deviation, count = _group_statistics(returns, question_E)
    centred = returns - np.where(count > 1, mean, 0.0)
    return centred / (np.where(count > 1, deviation, 1.0) + GRPO_EPSILON) if std else centred


def _group_statistics(values: Array, groups: ArrayLike) -> tuple[Array, Array, Array]:
    """(mean, sample std, size) of each value's group, one entry for each value."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    count = np.bincount(index).astype(np.float64)
    mean = np.bincount(index, weights=values) / count
    squares = np.bincount(index, weights=(values - mean[index]) ** 2)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))
    return mean[index], deviation[index], count[index]
