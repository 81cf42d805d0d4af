"""The space of all Unicode texts up to a length."""

from __future__ import annotations

import string
from typing import Any

import gymnasium as gym
import numpy as np


class UnicodeText(gym.spaces.Text):
    """Any string of at most `max_length` characters; samples are printable ASCII.

    Membership checks type and length only: a set of all of Unicode would cost seconds.
    """

    LONGEST_SAMPLE = 200

    def __init__(self, max_length: int, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length, min_length=0, charset=string.printable, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether x is a string of allowed length."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A short printable text; mask and probability are as in `gymnasium.spaces.Text`."""
        if mask is None and probability is None:
            longest = min(self.max_length, self.LONGEST_SAMPLE)
            mask = (int(self.np_random.integers(0, longest + 1)), None)
        return super().sample(mask, probability)

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and other.max_length == self.max_length
