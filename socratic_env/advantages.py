"""The advantage that fits reward decay; `agents.advantages` holds the other estimators."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-8


def whitened(rewards_N: ArrayLike) -> NDArray[np.float64]:
    """(r - mean) / (population std + 1e-8), each attempt of the batch counting once (eq 20 with t = K)."""
    rewards = np.asarray(rewards_N, dtype=np.float64)
    return (rewards - rewards.mean()) / (rewards.std() + EPSILON)
