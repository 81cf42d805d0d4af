"""Which of a world's questions are held out."""

from __future__ import annotations

import numpy as np

TEST_SHARE = 10
"""One question in so many belongs to the test split."""


def held_out(places: np.ndarray) -> np.ndarray:
    """Whether the question at each place (from 0) is of the test split: the same on every machine, and in no
    order that a student could learn."""
    return scattered(places.astype(np.uint64)) % np.uint64(TEST_SHARE) == 0


def scattered(numbers: np.ndarray) -> np.ndarray:
    """The numbers of splitmix64 at these places."""
    mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    found: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return found
