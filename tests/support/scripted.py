"""Scripted students, teachers and batches: the doubles of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from socratic_env import Guidance, Question, Teacher, TeacherRequest
from socratic_env.dialogue import Rules, answer, open_dialogue
from socratic_env.errors import TeacherError
from socratic_env.protocols import protocol
from socratic_env.types import AnswerKind, Mistake, Option, reply


def right(question: Question) -> str:
    return reply(question.solution or "It is known.", question.answer)


def wrong(question: Question, which: int = 0) -> str:
    mistake = question.mistakes[which % len(question.mistakes)]
    return reply(mistake.reasoning, mistake.answer)


def says(question: Question, correct: bool, which: int = 0) -> str:
    return right(question) if correct else wrong(question, which)


def request_on(
    question: Question, said: str | None = None, variant: str = "paper", **changes: Any
) -> TeacherRequest:
    """After a wrong reply, the first mistake if none is given; `changes` are of the variant."""
    dialogue = answer(open_dialogue(question), wrong(question) if said is None else said, Rules())
    return TeacherRequest(dialogue, replace(protocol(variant), **changes))


def mistake(answer: str) -> Mistake:
    return Mistake(
        answer, "slipped", f"I slip\nso it is {answer}", 0, "Look there.", "You slipped.", "Go on."
    )


def choice_question(name: str = "q", answer: str = "B", letters: str = "ABCD") -> Question:
    return Question(
        id=name,
        domain="physics",
        kind=AnswerKind.CHOICE,
        statement="Which one?",
        answer=answer,
        options=tuple(Option(letter, f"option {i}") for i, letter in enumerate(letters)),
        solution=f"I reason well.\nThat is option {answer}.",
        mistakes=tuple(mistake(letter) for letter in letters if letter != answer),
    )


def numeric_question(answer: str = "10", unit: str = "", **tolerances: float) -> Question:
    return Question(
        id="n",
        domain="physics",
        kind=AnswerKind.NUMERIC,
        statement="How much?",
        answer=answer,
        unit=unit,
        solution="I work it out.",
        mistakes=(mistake("-1"),),
        **tolerances,
    )


FACTORS = {-3: "an eighth", -2: "a quarter", -1: "half", 1: "double", 2: "fourfold", 3: "eightfold"}


def gauge(truth: int) -> Question:
    """One of four questions that look the same: only the guidance on a wrong choice tells them apart."""
    letters = "ABCD"
    slips = {letters[i]: f"You took {FACTORS[i - truth]} of it." for i in range(4) if i != truth}
    return Question(
        id=f"gauge{truth}",
        domain="physics",
        kind=AnswerKind.CHOICE,
        statement="What does the covered gauge show?",
        answer=letters[truth],
        options=tuple(Option(letter, f"{10 * 2**i} bar") for i, letter in enumerate(letters)),
        mistakes=tuple(
            Mistake(letter, hint, hint, 0, hint, hint, "Choose again.") for letter, hint in slips.items()
        ),
    )


class Coach(Teacher):
    """Helps unless `faults(question id, attempt)`; counts its calls and how many overlap."""

    def __init__(self, faults: Callable[[str, int], bool] = lambda *_: False, pause: float = 0.0) -> None:
        self.faults, self.pause = faults, pause
        self.calls: list[int] = []
        self.closed = False
        self._inside = self.peak = 0

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        self.calls.append(len(requests))
        self._inside += 1
        self.peak = max(self.peak, self._inside)
        await asyncio.sleep(self.pause * (1 + len(self.calls) % 5))
        self._inside -= 1
        return [self._one(request) for request in requests]

    def _one(self, request: TeacherRequest) -> Guidance:
        question, attempt = request.dialogue.question, len(request.dialogue.attempts)
        if self.faults(question.id, attempt):
            return Guidance(fault=TeacherError(f"no guidance on {question.id}"))
        return Guidance(f"Help after attempt {attempt}.")

    async def close(self) -> None:
        self.closed = True


# -- batches -----------------------------------------------------------------------------

Row = tuple[bool, ...]
"""The verdicts of one episode; all but the last are False."""


@st.composite
def batches(
    draw: st.DrawFn, most_rows: int = 8, most_attempts: int = 4, drop_outs: bool = True
) -> tuple[int, list[Row]]:
    """(K, rows): an unsolved row of fewer than K verdicts is a drop-out."""
    k = draw(st.integers(1, most_attempts))

    def row(solved_at: int | None, lasted: int) -> Row:
        return (False,) * lasted if solved_at is None else (False,) * (solved_at - 1) + (True,)

    lasted = st.integers(0, k) if drop_outs else st.just(k)
    rows = st.builds(row, st.none() | st.integers(1, k), lasted)
    return k, draw(st.lists(rows, min_size=1, max_size=most_rows))


def exact_means(k: int, rows: Sequence[Row]) -> list[Fraction]:
    """[mu_0, .., mu_K] by the letter of eq 18: the mean of the rewards themselves."""
    means, rewards = [Fraction(1)], []
    for step in range(k):
        verdicts = [row[step] for row in rows if len(row) > step]
        rewards += [means[step] * verdict for verdict in verdicts]
        means.append(sum(rewards, Fraction(0)) / len(rewards) if verdicts else means[step])
    return means


def exact_rewards(k: int, rows: Sequence[Row]) -> list[list[float]]:
    means = exact_means(k, rows)
    return [[float(means[step] * verdict) for step, verdict in enumerate(row)] for row in rows]
