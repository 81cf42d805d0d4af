"""A teacher that can write viewpoints for the student "modular", and does not know yet which ones help.

It begins as the schooled student, which knows workings; a few supervised steps then teach it to answer a
working with four words, every place and every thing to do there as likely as another.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from agents.learning.fit import fit
from agents.learning.rows import Rows
from agents.options import ModularStudent, TinyStudent
from agents.warm_start.modular_student import RULES, Dialogues, make_tokenizer, principle, school
from agents.warm_start.word_student import END, STUDENT, USER, make_student
from socratic_env.questions.modular import MISCONCEPTIONS, ModularQuestions, spaced, told
from socratic_env.viewpoints import KINDS

STEPS, BATCH, LR = 300, 96, 2e-3


def make_teacher(shape: TinyStudent, student: ModularStudent, seed: int, cache: Path | None) -> Any:
    """The model, before it has learnt to teach; `cache` as of the student's warm start."""
    tokenizer = make_tokenizer()
    model = make_student(shape, tokenizer)
    school(model, tokenizer, student, cache)
    ids, rng = dict(tokenizer.get_vocab()), random.Random(f"{seed}/teacher")
    dialogues, questions = Dialogues(tokenizer, student, None, seed), ModularQuestions("train")

    def row() -> tuple[list[int], list[int]]:
        expression = questions.expression(rng)
        working = told(dialogues.work(expression, ()))
        said = principle(rng.choice(list(MISCONCEPTIONS)), rng.choice(KINDS), rng.choice(RULES)).text
        asked = [USER, *f"{spaced(expression)} = {working}".split(), END, STUDENT]
        return [ids[word] for word in asked], [ids[word] for word in (*said.split(), END)]

    def batch() -> Rows:
        asked, said = zip(*(row() for _ in range(BATCH)), strict=True)
        return Rows.of(asked, said, tokenizer.pad_token_id)

    fit(model, batch, STEPS, LR)
    return model, tokenizer
