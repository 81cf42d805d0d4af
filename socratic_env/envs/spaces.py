"""The space of all Unicode texts up to a length."""

from __future__ import annotations

import string
from typing import Any, NoReturn

import gymnasium as gym
import numpy as np
from gymnasium.error import CustomSpaceError
from gymnasium.vector.utils import create_shared_memory

LONGEST_OBSERVATION = 2**31 - 1


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


@create_shared_memory.register(UnicodeText)
def _no_shared_memory(space: UnicodeText, *_args: Any, **_kwargs: Any) -> NoReturn:
    """Refuse, where the one of `Text` would fill gigabytes with room for the longest text."""
    raise CustomSpaceError(f"{space} does not fit into shared memory; use shared_memory=False")


def text_space() -> UnicodeText:
    """The space of observations and actions."""
    return UnicodeText(LONGEST_OBSERVATION)
