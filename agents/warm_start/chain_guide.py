"""A teacher that can name a step of a chain and an operation, and does not know yet which ones help.

It begins as the schooled student of chains; a few supervised steps then teach it to answer a question and a
working with two words, every step and every operation as likely as another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agents.learning.fit import fit
from agents.learning.rows import Rows
from agents.options import ChainStudent, TinyStudent
from agents.warm_start.chain_student import CLOSE, OPEN, make_tokenizer, school
from agents.warm_start.word_student import END, STUDENT, UNKNOWN, USER, make_student
from socratic_env.questions.chains import PLACES, World
from socratic_env.questions.procedural.concepts import OPERATIONS

STEPS, BATCH, LR = 200, 96, 2e-3


def make_guide(
    shape: TinyStudent, student: ChainStudent, world: World, seed: int, cache: Path | None
) -> tuple[Any, Any]:
    """(model, tokenizer), before it has learnt to teach; `cache` as of the student's warm start."""
    tokenizer = make_tokenizer(world)
    model = make_student(shape, tokenizer)
    school(model, tokenizer, world, student, cache)
    ids, rng, operations = dict(tokenizer.get_vocab()), np.random.default_rng([seed, 21]), list(OPERATIONS)

    def row() -> tuple[list[int], list[int]]:
        digits = [str(digit) for digit in rng.integers(10, size=world.length + 1)]
        worked = [
            word for _ in range(world.length) for word in (rng.choice(operations), str(rng.integers(10)))
        ]
        said = UNKNOWN, OPEN, *worked, CLOSE, UNKNOWN  # the fence around an answer is of no words known here
        asked = [USER, rng.choice(world.names), *digits, *said, END, STUDENT]
        told = [PLACES[rng.integers(world.length)], rng.choice(operations), END]
        return [ids[word] for word in asked], [ids[word] for word in told]

    def batch() -> Rows:
        asked, said = zip(*(row() for _ in range(BATCH)), strict=True)
        return Rows.of(asked, said, tokenizer.pad_token_id)

    fit(model, batch, STEPS, LR)
    return model, tokenizer
