"""Is a set of questions sound?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from socratic_env.checks.question import check_question
from socratic_env.errors import CheckError, QuestionError
from socratic_env.questions import Questions, QuestionSet, load_questions
from socratic_env.types import Question
from socratic_env.verifiers import Verifier, by_kind

_ABSENT = "no question has this id"
_DRAWS = 32
_FEWEST_TO_DIFFER = 8
_MOST_COMPARED = 100_000
"""Questions of a set that are all compared with a held-out one; sets that make questions have more."""


def check_questions(
    questions: Questions,
    *,
    held_out: Questions | None = None,
    verifier: Verifier = by_kind,
    number: int = 200,
    seed: int = 0,
) -> None:
    """Check that a set of questions can be used to teach on, and gives nothing away.

    Args:
        questions: what `questions=` of an environment takes: a name, a path, a set, or a list. Of a name
            or a folder this is the split "train"; give `load_questions(folder, split="test")` for the other.
        held_out: another set that must share no question and no id with it, such as the test split. All
            questions are compared, but of a set of more than 100 000 (procedural ones) only `number`.
        verifier: judges the answers, if not the verifier of each question's kind.
        number: how many questions of a large set to look at, evenly spread.
        seed: of the draws.

    Raises:
        CheckError: what is wrong, and the remedy. QuestionError, ConfigurationError: what cannot be
            loaded at all.
    """
    made = load_questions(questions)
    exam = _Exam(made)
    seen: dict[str, int] = {}
    for index, question in _sample(exam, number):
        if question.id in seen:
            exam.fail(
                f"questions {seen[question.id]} and {index} share the id {question.id!r}; give each its own"
            )
        seen[question.id] = index
        _check_identity(exam, index, question)
        check_question(question, verifier)
    _check_draws(exam, seed)
    if held_out is not None:
        _check_disjoint(exam, _Exam(load_questions(held_out)), number)


class _Exam:
    """A set of questions and its name."""

    def __init__(self, made: QuestionSet) -> None:
        self.made = made

    def fail(self, what: str) -> NoReturn:
        raise CheckError(f"{type(self.made).__name__}: {what}")


def _sample(exam: _Exam, number: int) -> Iterator[tuple[int, Question]]:
    """(index, question), evenly spread, the first and the last among them."""
    size = len(exam.made)
    if size < 1:
        exam.fail("len is 0; give at least one question")
    try:
        exam.made[size]
    except IndexError:
        pass
    else:
        exam.fail(f"len is {size}, but there is a question {size}; raise IndexError past the last one")
    for index in sorted(set(np.linspace(0, size - 1, min(number, size)).astype(int).tolist())):
        question = exam.made[index]
        if not isinstance(question, Question):
            exam.fail(f"item {index} is {question!r:.60}; make it a socratic_env.Question")
        yield index, question


def _check_identity(exam: _Exam, index: int, question: Question) -> None:
    if not isinstance(question.id, str) or not question.id:
        exam.fail(f"question {index} has the id {question.id!r}; give a text")
    if exam.made[index] != question:
        exam.fail(f"question {index} is another one the second time; derive it from its index alone")
    try:
        found = exam.made.find(question.id)
    except QuestionError as error:
        exam.fail(
            f"find does not know the id {question.id!r} of question {index} ({error}); look it up by id"
        )
    if found != question:
        exam.fail(
            f"find({question.id!r}) gives another question than index {index}; make ids unique and stable"
        )
    try:
        exam.made.find(_ABSENT)
    except QuestionError:
        return
    exam.fail(f"find({_ABSENT!r}) gives a question; raise QuestionError for an id that the set does not have")


def _check_draws(exam: _Exam, seed: int) -> None:
    def drawn(start: int) -> list[str]:
        rng = np.random.default_rng(start)
        return [exam.made.draw(rng).id for _ in range(_DRAWS)]

    first = drawn(seed)
    if first != drawn(seed):
        exam.fail(
            "draw gives other questions for the same seed; draw by the generator that it is given alone"
        )
    if len(exam.made) >= _FEWEST_TO_DIFFER and first == drawn(seed + 1):
        exam.fail("draw gives the same questions for every seed; draw by the generator that it is given")
    for question_id in first:
        exam.made.find(question_id)


def _check_disjoint(exam: _Exam, other: _Exam, number: int) -> None:
    def asked(of: _Exam) -> list[Question]:
        size = len(of.made)
        return [question for _, question in _sample(of, size if size <= _MOST_COMPARED else number)]

    def contents(questions: list[Question]) -> dict[tuple[str, frozenset[str]], str]:
        return {(q.statement, frozenset(o.text for o in q.options)): q.id for q in questions}

    both = asked(exam), asked(other)
    mine, theirs = map(contents, both)
    for content in mine.keys() & theirs.keys():
        exam.fail(
            f"question {mine[content]!r} is {theirs[content]!r} of the held-out set; leave one of them out"
        )
    my_ids, their_ids = ({question.id for question in questions} for questions in both)
    shared = my_ids & their_ids
    for one, found, ids in ((exam, my_ids, their_ids), (other, their_ids, my_ids)):
        if len(found) < len(one.made):
            shared |= {question_id for question_id in ids if _knows(one, question_id)}
    if shared:
        exam.fail(f"the id {min(shared)!r} is in both sets; name the split in it, or split the rows")


def _knows(exam: _Exam, question_id: str) -> bool:
    try:
        exam.made.find(question_id)
    except QuestionError:
        return False
    return True
