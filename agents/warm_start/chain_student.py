"""A student for the world of chains: one token for each of its words, and a warm start in two parts.

Schooling teaches the form of a reply, the operations and how to follow hints, on concepts that mean nothing
yet: one model for all worlds of a shape. Then each world's beliefs follow: which operations the student
takes a concept's steps for, right ones and misconceptions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from agents.learning.fit import fit
from agents.learning.rows import Rows
from agents.options import ChainStudent
from agents.warm_start.schooling import schooled
from agents.warm_start.word_student import END, STUDENT, USER, word_tokenizer
from socratic_env.questions import chains
from socratic_env.questions.chains import PLACES, World
from socratic_env.questions.procedural.concepts import OPERATIONS
from socratic_env.teachers.retry_teacher import RETRY_PROMPT

OPEN, CLOSE = "<answer>", "</answer>"
LEAK = "The answer is:"
HINTS = ("next_step", "all_steps", "locate", "paper", "answer", "retry")
"""Kinds of hints that the student is schooled in, equally often: what the rule-based teacher says under the
protocols that name the first wrong step, name all, locate it, explain and name it, leak, and retry."""

Ints = NDArray[np.int64]
_OPERATIONS = tuple(OPERATIONS)
_TABLE_OXY = np.array(
    [[[OPERATIONS[o](x, y) for y in range(10)] for x in range(10)] for o in _OPERATIONS], dtype=np.int64
)


def beliefs(world: World, student: ChainStudent) -> NDArray[np.float64]:
    """likely_CLO: how likely the student takes each operation for that of each step of each concept."""
    rng = np.random.default_rng([world.seed, 1])
    count = len(_OPERATIONS)
    likely_CLO = np.empty((world.concepts, world.length, count))
    for concept, (level, rule) in enumerate(zip(world.levels, world.rules, strict=True)):
        right: float = getattr(student, level)
        for step, operation in enumerate(map(_OPERATIONS.index, rule)):
            wrong = [other for other in range(count) if other != operation]
            likely_CLO[concept, step] = (1 - right) * (1 - student.dominant) / (count - 2)
            likely_CLO[concept, step, rng.choice(wrong)] = (1 - right) * student.dominant
            likely_CLO[concept, step, operation] = right
    return likely_CLO


# -- words -----------------------------------------------------------------------------------


def make_tokenizer(world: World) -> PreTrainedTokenizerFast:
    """One token for each word of worlds of this shape."""
    words = [
        OPEN, CLOSE, *map(str, range(10)), *_OPERATIONS, *PLACES, "check", "not", "wrong", "value",
        *RETRY_PROMPT.split(), *LEAK.split(), *world.names,
    ]  # fmt: skip
    return word_tokenizer(words)


# -- dialogues -------------------------------------------------------------------------------


class Dialogues:
    """Freshly drawn dialogues of a student with these beliefs and the rule-based teacher, as token ids.

    likely_CLO: see `beliefs`; None: schooling, in which every operation is as likely as another and the right
    one is drawn anew for each dialogue.
    """

    def __init__(
        self,
        world: World,
        tokenizer: Any,
        student: ChainStudent,
        likely_CLO: NDArray[np.float64] | None,
        seed: int,
    ) -> None:
        self._world, self._student, self._likely_CLO = world, student, likely_CLO
        self._rng = np.random.default_rng([seed, 2])
        self._pad = tokenizer.pad_token_id
        self._id: dict[str, int] = dict(tokenizer.get_vocab())

    def rows(self, count: int) -> Rows:
        """One row for each dialogue; the student's own words are the targets."""
        return Rows.of_pieces(self.pieces(count), self._pad, range(count), packed=False)

    def pieces(self, count: int) -> list[list[tuple[int, list[int], bool]]]:
        """Of each dialogue: (its number, ids, whether they are the student's own)."""
        rng, world = self._rng, self._world
        concept_B = rng.integers(world.concepts, size=count)
        digits_BD = rng.integers(10, size=(count, world.length + 1))
        if self._likely_CLO is None:
            likely_BLO = np.full((count, world.length, len(_OPERATIONS)), 1 / len(_OPERATIONS))
            rule_BL = rng.integers(len(_OPERATIONS), size=(count, world.length))
        else:
            likely_BLO = self._likely_CLO[concept_B]
            known = [[_OPERATIONS.index(operation) for operation in rule] for rule in world.rules]
            rule_BL = np.array(known)[concept_B]
        right_BL = self._values(rule_BL, digits_BD, slip=0.0)
        operations_BL, values_BL = self._attempt(likely_BLO, digits_BD)

        wrong_BL = (operations_BL != rule_BL) | (values_BL != right_BL)
        place_B = wrong_BL.argmax(1)
        kind_B = rng.integers(len(HINTS), size=count)
        told_BL = self._told(kind_B, place_B)
        told_BL &= rng.random((count, 1)) < self._student.heed
        certain_BLO = np.eye(len(_OPERATIONS))[rule_BL]
        again_BL, revalued_BL = self._attempt(
            np.where(told_BL[..., None], certain_BLO, likely_BLO), digits_BD
        )

        out = []
        said, again, right = (
            self._worked(*pair)
            for pair in ((operations_BL, values_BL), (again_BL, revalued_BL), (rule_BL, right_BL))
        )
        drawn = (concept_B, digits_BD, wrong_BL.any(1), kind_B, place_B)
        listed = zip(*(values.tolist() for values in drawn), said, again, right, strict=True)
        for i, (concept, digits, failed, kind, place, first, second, gold) in enumerate(listed):
            asked = [world.names[concept], *map(str, digits)]
            row = [(i, self._ids(USER, *asked, END, STUDENT), False), (i, self._reply(first), True)]
            if failed:
                hint = self._hint(HINTS[kind], place, first, gold)
                row += [(i, self._ids(USER, *hint, END, STUDENT), False), (i, self._reply(second), True)]
            out.append(row)
        return out

    def _attempt(self, likely_BLO: NDArray[np.float64], digits_BD: Ints) -> tuple[Ints, Ints]:
        """(operations_BL, values_BL) of an attempt, drawn."""
        upper_BLO = likely_BLO.cumsum(-1)
        drawn_BL1 = self._rng.random((*likely_BLO.shape[:2], 1)) * upper_BLO[..., -1:]
        operations_BL = (drawn_BL1 >= upper_BLO).sum(-1)
        return operations_BL, self._values(operations_BL, digits_BD, self._student.slip)

    def _values(self, operations_BL: Ints, digits_BD: Ints, slip: float) -> Ints:
        value_B, values = digits_BD[:, 0], []
        for step in range(operations_BL.shape[1]):
            value_B = _TABLE_OXY[operations_BL[:, step], value_B, digits_BD[:, step + 1]]
            slips_B = self._rng.random(len(value_B)) < slip
            value_B = np.where(slips_B, self._rng.integers(10, size=len(value_B)), value_B)
            values.append(value_B)
        return np.stack(values, axis=1)

    def _told(self, kind_B: Ints, place_B: Ints) -> NDArray[np.bool_]:
        """told_BL: the steps whose operation a hint of this kind names."""
        here_BL = np.arange(self._world.length) == place_B[:, None]
        names_place_B = np.isin(kind_B, [HINTS.index("next_step"), HINTS.index("paper")])
        names_all_B = np.isin(kind_B, [HINTS.index("all_steps"), HINTS.index("answer")])
        return (names_place_B[:, None] & here_BL) | names_all_B[:, None]

    def _worked(self, operations_BL: Ints, values_BL: Ints) -> list[list[str]]:
        """The words of each working: operation, value, operation, value ..."""
        pairs = zip(operations_BL.tolist(), values_BL.tolist(), strict=True)
        return [
            list(chain.from_iterable((_OPERATIONS[o], str(v)) for o, v in zip(*pair, strict=True)))
            for pair in pairs
        ]

    def _hint(self, kind: str, place: int, said: list[str], right: list[str]) -> list[str]:
        """The words of the rule-based teacher (`socratic_env.questions.chains`)."""
        if kind == "retry":
            return RETRY_PROMPT.split()
        if kind == "answer":
            return [*LEAK.split(), *right]
        if kind == "locate":
            return ["check", PLACES[place]]
        if kind == "all_steps":
            return list(chain.from_iterable(zip(PLACES, right[::2], strict=False)))
        named = [PLACES[place], right[2 * place]]
        if kind == "next_step":
            return named
        given, meant = said[2 * place], right[2 * place]
        return [*(("not", given) if given != meant else ("wrong", "value")), *named]

    def _ids(self, *words: str) -> list[int]:
        return [self._id[word] for word in words]

    def _reply(self, worked: list[str]) -> list[int]:
        return self._ids(OPEN, *worked, CLOSE, END)


# -- the student -----------------------------------------------------------------------------

Progress = Callable[[int, float], None]


def school(
    model: Any,
    tokenizer: Any,
    world: World,
    student: ChainStudent,
    cache: Path | None,
    progress: Progress | None = None,
) -> None:
    """The first part, the same for all worlds of a shape: schooling, or what was schooled before."""

    def lessons() -> None:
        dialogues = Dialogues(world, tokenizer, student, None, seed=0)
        steps = student.schooling_steps
        fit(model, lambda: dialogues.rows(student.schooling_batch), steps, student.lr, progress)

    settings = [asdict(student), world.concepts, world.length]
    schooled(model, settings, (sys.modules[__name__], chains), cache, lessons)


def warm_start(
    model: Any,
    tokenizer: Any,
    world: World,
    student: ChainStudent,
    seed: int,
    cache: Path | None,
    progress: Progress | None = None,
) -> None:
    """School a student, or take over what was schooled before, and give it the beliefs of its world.

    cache: folder of schooled weights, kept by content: the settings, the world's shape and this code.
    progress: called with (steps made of both parts, loss).
    """

    school(model, tokenizer, world, student, cache, progress)
    known = Dialogues(world, tokenizer, student, beliefs(world, student), seed)

    def advance(step: int, loss: float) -> None:
        if progress is not None:
            progress(student.schooling_steps + step, loss)

    fit(model, lambda: known.rows(student.batch), student.steps, student.lr, advance)
