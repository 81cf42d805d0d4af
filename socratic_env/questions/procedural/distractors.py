"""Which mistakes become the wrong options of a multiple-choice item.

They are chosen so that nothing but the question gives the answer away: the truth's rank by size,
its sign, its length and its likeness to the others are about even.
"""

from __future__ import annotations

import math
import random
from itertools import combinations
from operator import eq
from typing import TypeAlias, TypeVar

S = TypeVar("S")
_LIKENESS = 0.02  # options closer than this share of their size would look like rounding
_MOST_TEXTS = 7  # mistakes among which the text options of an item are picked

Value: TypeAlias = "float | str"
"""What a step works out: a number, or a text such as a sequence."""
Worked: TypeAlias = tuple[S, Value, list[str]]
"""A slip, what it leads to, and its lines of reasoning."""


def distractors(rng: random.Random, truth: Value, worked: list[Worked[S]]) -> list[Worked[S]] | None:
    """Three mistakes that differ from the truth and from each other, numbers so chosen that the
    truth's rank by size is even and its sign tells nothing."""
    rng.shuffle(worked)
    distinct: list[Worked[S]] = []
    for entry in worked:
        others = [truth, *(value for _, value, _ in distinct)]
        if all(apart(entry[1], other, _LIKENESS) for other in others):
            distinct.append(entry)
    if isinstance(truth, str):
        return _texts(rng, truth, distinct)
    numbers = [(entry, entry[1]) for entry in distinct if not isinstance(entry[1], str)]
    below = [entry for entry, value in numbers if value < truth and value * truth > 0]
    above = [entry for entry, value in numbers if value > truth and value * truth > 0]
    ranks = [rank for rank in range(4) if rank <= len(below) and 3 - rank <= len(above)]
    if not ranks:
        return None
    rank = rng.choice(ranks)
    return below[:rank] + above[: 3 - rank]


def _likeness(one: str, other: str) -> int:
    ends = sum(map(eq, one, other)) + sum(map(eq, reversed(one), reversed(other)))
    return ends + sum(min(one.count(letter), other.count(letter)) for letter in set(one))


def _rank(truth: float, others: list[float]) -> float:
    return sum((other > truth) + (other == truth) / 2 for other in others)


def _texts(rng: random.Random, truth: str, distinct: list[Worked[S]]) -> list[Worked[S]] | None:
    """Three mistakes so chosen that the truth's ranks by length and by likeness to the others,
    of which it is the common origin, are even."""
    texts = [truth, *(str(value) for _, value, _ in distinct[:_MOST_TEXTS])]
    alike = [[float(_likeness(one, other)) for other in texts] for one in texts]
    wanted, wanted_length = rng.randrange(4), rng.randrange(4)
    chosen, least = None, math.inf
    for three in combinations(range(1, len(texts)), 3):
        four = (0, *three)
        sums = [sum(alike[i][j] for j in four if j != i) for i in four]
        rank = _rank(sums[0], sums[1:])
        length = _rank(len(truth), [len(texts[i]) for i in three])
        miss = abs(rank - wanted) + abs(length - wanted_length)
        if miss < least:
            chosen, least = [distinct[i - 1] for i in three], miss
    return chosen


def apart(one: Value, other: Value, likeness: float) -> bool:
    """Whether two values differ: as texts, or by more than a share of the larger one."""
    if isinstance(one, str) or isinstance(other, str):
        return one != other
    return abs(one - other) > likeness * max(abs(one), abs(other))
