"""Is a set of questions sound?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from socratic_env.checks.question_check import check_question
from socratic_env.errors import CheckError, QuestionError
from socratic_env.questions import Questions, QuestionSet, load_questions
from socratic_env.types import Question
from socratic_env.verifiers import Verifier, by_kind
from socratic_env.verifiers.verdicts import blocking

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
    probe = _Probe(made)
    seen: dict[str, int] = {}
    for index, question in _sample(probe, number):
        if question.id in seen:
            probe.fail(
                f"questions {seen[question.id]} and {index} share the id {question.id!r}; give each its own"
            )
        seen[question.id] = index
        _check_identity(probe, index, question)
        check_question(question, blocking(verifier))
    _check_draws(probe, seed)
    if held_out is not None:
        check_disjoint(made, load_questions(held_out), number)


class _Probe:
    """A set of questions and its name."""

    def __init__(self, made: QuestionSet) -> None:
        self.made = made

    def fail(self, what: str) -> NoReturn:
        raise CheckError(f"{type(self.made).__name__}: {what}")


def _sample(probe: _Probe, number: int) -> Iterator[tuple[int, Question]]:
    """(index, question), evenly spread, the first and the last among them."""
    size = len(probe.made)
    if size < 1:
        probe.fail("len is 0; give at least one question")
    try:
        probe.made[size]
    except IndexError:
        pass
    else:
        probe.fail(f"len is {size}, but there is a question {size}; raise IndexError past the last one")
    for index in sorted(set(np.linspace(0, size - 1, min(number, size)).astype(int).tolist())):
        question = probe.made[index]
        if not isinstance(question, Question):
            probe.fail(f"item {index} is {question!r:.60}; make it a socratic_env.Question")
        yield index, question


def _check_identity(probe: _Probe, index: int, question: Question) -> None:
    if not isinstance(question.id, str) or not question.id:
        probe.fail(f"question {index} has the id {question.id!r}; give a text")
    if probe.made[index] != question:
        probe.fail(f"question {index} is another one the second time; derive it from its index alone")
    try:
        found = probe.made.find(question.id)
    except QuestionError as error:
        probe.fail(
            f"find does not know the id {question.id!r} of question {index} ({error}); look it up by id"
        )
    if found != question:
        probe.fail(
            f"find({question.id!r}) gives another question than index {index}; make ids unique and stable"
        )
    try:
        probe.made.find(_ABSENT)
    except QuestionError:
        return
    probe.fail(f"find({_ABSENT!r}) gives a question; raise QuestionError for an unknown id")


def _check_draws(probe: _Probe, seed: int) -> None:
    def drawn(start: int) -> list[str]:
        rng = np.random.default_rng(start)
        return [probe.made.draw(rng).id for _ in range(_DRAWS)]

    first = drawn(seed)
    if first != drawn(seed):
        probe.fail(
            "draw gives other questions for the same seed; draw by the generator that it is given alone"
        )
    if len(probe.made) >= _FEWEST_TO_DIFFER and first == drawn(seed + 1):
        probe.fail("draw gives the same questions for every seed; draw by the generator that it is given")
    for question_id in first:
        probe.made.find(question_id)


def check_disjoint(questions: QuestionSet, held_out: QuestionSet, number: int = 200) -> None:
    """Check that two sets share no question and no id; of one of more than 100 000, look at `number`."""
    probe, other = _Probe(questions), _Probe(held_out)

    def asked(of: _Probe) -> list[Question]:
        size = len(of.made)
        return [question for _, question in _sample(of, size if size <= _MOST_COMPARED else number)]

    def contents(questions: list[Question]) -> dict[tuple[str, frozenset[str]], str]:
        return {(q.statement, frozenset(o.text for o in q.options)): q.id for q in questions}

    both = asked(probe), asked(other)
    mine, theirs = map(contents, both)
    for content in mine.keys() & theirs.keys():
        probe.fail(
            f"question {mine[content]!r} is {theirs[content]!r} of the held-out set; leave one of them out"
        )
    my_ids, their_ids = ({question.id for question in questions} for questions in both)
    shared = my_ids & their_ids
    for one, found, ids in ((probe, my_ids, their_ids), (other, their_ids, my_ids)):
        if len(found) < len(one.made):
            shared |= {question_id for question_id in ids if _knows(one, question_id)}
    if shared:
        probe.fail(f"the id {min(shared)!r} is in both sets; name the split in it, or split the rows")


def _knows(probe: _Probe, question_id: str) -> bool:
    try:
        probe.made.find(question_id)
    except QuestionError:
        return False
    return True
