"""Chains: a small world in which teaching can show.

"zorin 3 5 2" asks for a chain of operations on digits: each concept has its own hidden operations, and the
answer names every operation with the value it gives: "add 8 max 8". Most concepts are hard: the student
begins with misconceptions about them, and few first operations are shared by all of them, so that a hint
that names one step makes a right answer likely and leaves the rest to be found.

The world is a function of its seed: other seeds, other rules.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from socratic_env.errors import ConfigurationError, QuestionError, check_count
from socratic_env.questions.procedural.concepts import NAMES, OPERATIONS
from socratic_env.questions.question_set import QuestionSet
from socratic_env.questions.splits import held_out
from socratic_env.types import AnswerKind, Mistake, Question

PLACES = ("first", "then", "third", "last")
"""What each step of a chain is called."""
LONGEST = len(PLACES)
_ID = re.compile(r"chains/(?P<split>train|test)/(?P<name>[^/]+)/(?P<digits>[0-9]+)")


@dataclass(frozen=True)
class World:
    """What there is to learn.

    seed: of the hidden rules.
    concepts, length: how many there are; operations of a chain, 1 to 4.
    easy, medium: shares of concepts that a student has mostly, or half, right before it learns; the others
        are hard.
    first_operations: how many operations the hard concepts' first steps come from.
    """

    seed: int = 0
    concepts: int = 16
    length: int = 2
    easy: float = 0.25
    medium: float = 0.125
    first_operations: int = 3

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigurationError(f"seed is {self.seed!r}; give a whole number of at least 0")
        for name in ("concepts", "length", "first_operations"):
            check_count(name, getattr(self, name))
        if self.length > LONGEST:
            raise ConfigurationError(f"length is {self.length}; a chain has 1 to {LONGEST} operations")
        if self.first_operations > len(OPERATIONS):
            raise ConfigurationError(
                f"first_operations is {self.first_operations}; there are {len(OPERATIONS)} operations"
            )
        for name in ("easy", "medium"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ConfigurationError(f"{name} is {share!r}; give a share from 0 to 1")
        if self.easy + self.medium > 1:
            raise ConfigurationError(
                f"easy={self.easy} and medium={self.medium} are more than all concepts; lower one"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One word for each concept."""
        numbered = itertools.chain(NAMES, (f"{name}-{i}" for i in itertools.count(2) for name in NAMES))
        return tuple(itertools.islice(numbered, self.concepts))

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """ "easy", "medium" or "hard", of each concept."""
        easy, medium = round(self.easy * self.concepts), round(self.medium * self.concepts)
        levels = ["easy"] * easy + ["medium"] * medium + ["hard"] * (self.concepts - easy - medium)
        random.Random(f"{self.seed}/levels").shuffle(levels)
        return tuple(levels)

    @cached_property
    def rules(self) -> tuple[tuple[str, ...], ...]:
        """The operations of each concept, in order."""
        rng = random.Random(f"{self.seed}/rules")
        every = list(OPERATIONS)
        shared = rng.sample(every, self.first_operations)
        return tuple(
            tuple(
                rng.choice(shared if level == "hard" and not step else every) for step in range(self.length)
            )
            for level in self.levels
        )


def values(operations: Sequence[str], digits: Sequence[int]) -> Iterator[int]:
    """What each operation of a chain gives, on one digit more than there are operations."""
    value = digits[0]
    for operation, digit in zip(operations, digits[1:], strict=True):
        value = OPERATIONS[operation](value, digit)
        yield value


def lines(operations: Sequence[str], digits: Sequence[int]) -> list[str]:
    """The working: one line for each operation, such as "add 8"."""
    return [f"{o} {v}" for o, v in zip(operations, values(operations, digits), strict=True)]


def steps(operations: Sequence[str]) -> str:
    """The hint that names every operation: "first add then max"."""
    return " ".join(f"{place} {operation}" for place, operation in zip(PLACES, operations, strict=False))


class ChainQuestions(QuestionSet):
    """Every question of a world's split: all digits for all concepts, a tenth of them held out."""

    def __init__(self, world: World | None = None, split: str = "train") -> None:
        self.world = world or World()
        self._split = split
        self._each = 10 ** (self.world.length + 1)
        every = np.arange(self.world.concepts * self._each, dtype=np.uint64)
        self._chosen = np.flatnonzero(held_out(every) == (split == "test"))

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> Question:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} is none of 0..{len(self) - 1}")
        return self._question(*divmod(int(self._chosen[index]), self._each))

    def find(self, question_id: str) -> Question:
        """The question of an id such as "chains/train/zorin/352"."""
        match = _ID.fullmatch(question_id) if isinstance(question_id, str) else None
        if (
            match is not None
            and match["split"] == self._split
            and match["name"] in self.world.names
            and len(match["digits"]) == self.world.length + 1
        ):
            concept, number = self.world.names.index(match["name"]), int(match["digits"])
            place = concept * self._each + number
            if self._chosen[min(np.searchsorted(self._chosen, place), len(self) - 1)] == place:
                return self._question(concept, number)
        raise QuestionError(f"no question {question_id!r}; ids look like {self[0].id}")

    def _question(self, concept: int, number: int) -> Question:
        world, text = self.world, f"{number:0{self.world.length + 1}d}"
        name, rule, digits = world.names[concept], world.rules[concept], [int(digit) for digit in text]
        right = lines(rule, digits)
        return Question(
            id=f"chains/{self._split}/{name}/{text}",
            domain="chains",
            kind=AnswerKind.TEXT,
            statement=" ".join([name, *text]),
            answer=" ".join(right),
            subtask=name,
            level=world.levels[concept],
            solution="\n".join(right),
            method=steps(rule),
            mistakes=tuple(_mistakes(rule, digits)),
        )


def _mistakes(rule: Sequence[str], digits: Sequence[int]) -> Iterator[Mistake]:
    """Each operation in the place of the right one, the last place first: a mistake is told by the words up
    to its operation, and one whose earlier lines are right comes before those that any value shows."""
    right = lines(rule, digits)
    for place in reversed(range(len(rule))):
        wrong_operations = [operation for operation in OPERATIONS if operation != rule[place]]
        for operation in wrong_operations:
            worked = lines([*rule[:place], operation, *rule[place + 1 :]], digits)
            yield _mistake(rule, place, worked, operation, f"not {operation}")
        slipped = f"{rule[place]} {(int(right[place][-1]) + 1) % 10}"
        worked = [*right[:place], slipped, *right[place + 1 :]]
        yield _mistake(rule, place, worked, rule[place], "wrong value")


def _mistake(rule: Sequence[str], place: int, worked: Sequence[str], sign: str, what: str) -> Mistake:
    where = PLACES[place]
    return Mistake(
        answer=" ".join(worked),
        name=f"{where}: {what}",
        reasoning="\n".join(worked),
        wrong_line=place,
        locate=f"check {where}",
        explain=what,
        next_step=f"{where} {rule[place]}",
        sign=sign,
    )
