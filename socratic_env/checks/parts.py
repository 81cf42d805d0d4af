"""What the checks share: questions to ask about, right and wrong replies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from socratic_env.errors import CheckError
from socratic_env.numbers import close_enough, parse_number
from socratic_env.questions import load_questions
from socratic_env.types import AnswerKind, Question

Form: TypeAlias = Callable[[str, str], str]
"""(reasoning, answer) -> a reply in the form that a verifier reads, such as `socratic_env.types.reply`."""


_ROUNDED = 1e-9
"""Numbers whose texts differ by less are the same, also where there is no tolerance."""


def some_questions() -> list[Question]:
    """Procedural questions of both kinds, with their misconception tables."""
    science, drills = load_questions("procedural", None, "train"), load_questions("concepts", None, "train")
    return [science[0], drills[0], science[1], drills[1], science[2], science[3]]


def asked_about(questions: Sequence[Question] | None) -> Sequence[Question]:
    """The questions given, or `some_questions` for None. Raises CheckError if they are no list of any."""
    if questions is None:
        return some_questions()
    listed = isinstance(questions, Sequence) and not isinstance(questions, str)
    if not listed or not all(isinstance(question, Question) for question in questions):
        raise CheckError(
            f"questions is {questions!r:.80}; give a list of socratic_env.Question, such as "
            "[load_questions(path)[0]], or None for procedural ones"
        )
    if not questions:
        raise CheckError("questions is empty; give at least one, or None for procedural ones")
    return questions


def wrong_answers(question: Question) -> list[str]:
    """Answers that are wrong: the other letters; the mistakes' answers, and other words; or their values, the
    right one with the other sign, two that are just outside the tolerance and two that are far off."""
    if question.kind is AnswerKind.CHOICE:
        return [letter for letter in question.letters if letter != question.answer]
    if question.kind is AnswerKind.TEXT:
        return [
            *(mistake.answer for mistake in question.mistakes),
            f"not {question.answer}",
            "something else",
        ]
    truth = parse_number(question.answer, question.unit) or 0.0
    near = 2 * max(question.abs_tol, question.rel_tol * abs(truth))
    far = 4 * max(1.0, question.abs_tol, math.ceil(question.rel_tol) * abs(truth))
    texts = [f"{value:.12g}" for value in (-truth, truth + near, truth - near, truth + far, truth - far)]
    wrong = [
        text
        for text in texts
        if not close_enough(float(text), truth, question.abs_tol, max(question.rel_tol, _ROUNDED))
    ]
    return [*(mistake.answer for mistake in question.mistakes), *wrong]
