"""Probes: the questions on which a viewpoint's worth is measured, spread evenly over the sub-tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from gymnasium.utils import seeding

from socratic_env.errors import ConfigurationError, QuestionError, check_count, check_seed
from socratic_env.questions import QuestionSet
from socratic_env.types import Question
from socratic_env.viewpoints import Viewpoint, applies

_DRAWS, _DRAWS_FOR_ONE = 4, 50
"""Draws for each probe wanted, and for each that a viewpoint must apply to: so rare may such ones be."""


def generic_probes(questions: QuestionSet, number: int, seed: int = 0) -> list[Question]:
    """So many different questions of a set, as evenly spread over its sub-tasks as it has them.

    Raises ConfigurationError for a set without that many.
    """
    found = _stratified(questions, number, seed, None)
    if len(found) < number:
        raise ConfigurationError(
            f"found only {len(found)} different probes of {number}; ask for fewer, or take a larger set"
        )
    return found


def targeted_probes(questions: QuestionSet, number: int, seed: int, viewpoint: Viewpoint) -> list[Question]:
    """Up to so many questions to which a viewpoint applies, spread in the same way: fewer are needed than
    of generic ones, since on the others it cannot show.

    Raises ConfigurationError if none was found.
    """
    found = _stratified(questions, number, seed, viewpoint)
    if not found:
        raise ConfigurationError(
            f"viewpoint {viewpoint.id} applies to none of {min(len(questions), _DRAWS_FOR_ONE * number)} "
            f"questions: none has the labels of its trigger {viewpoint.trigger!r}; mend it, or take others"
        )
    return found


def source_questions(questions: QuestionSet, viewpoints: Iterable[Viewpoint]) -> list[Question]:
    """The questions that viewpoints came from, of those that a set has."""
    found: dict[str, Question] = {}
    for trace in (trace for one in viewpoints for trace in one.traces):
        with suppress(QuestionError):
            found[trace.question_id] = questions.find(trace.question_id)
    return list(found.values())


def probes_digest(probes: Sequence[Question]) -> str:
    """Twelve hexadecimal digits that tell sets of probes apart."""
    content = [[probe.id, probe.system, probe.text, probe.answer] for probe in probes]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


def _stratified(questions: QuestionSet, number: int, seed: int, target: Viewpoint | None) -> list[Question]:
    """The next question of each sub-task in turn, in an order that the seed decides."""
    check_count("number of probes", number)
    check_seed(seed)
    strata: dict[tuple[str, str], list[Question]] = {}
    most = (_DRAWS if target is None else _DRAWS_FOR_ONE) * number
    for place, question in enumerate(_different(questions, most, seed)):
        if target is None or applies(target, question):
            strata.setdefault((question.domain, question.subtask), []).append(question)
        # Past twice the number, a sub-task that was not met is too rare to wait for.
        if place >= 2 * number and strata and min(map(len, strata.values())) * len(strata) >= number:
            break
    columns = list(strata.values())
    deepest = max(map(len, columns), default=0)
    return [column[row] for row in range(deepest) for column in columns if row < len(column)][:number]


def _different(questions: QuestionSet, most: int, seed: int) -> Iterator[Question]:
    """Different questions: a small set's in another order, or so many draws from a large one."""
    generator = seeding.np_random(seed)[0]
    if len(questions) <= most:
        yield from (questions[int(index)] for index in generator.permutation(len(questions)))
        return
    seen: set[str] = set()
    for _ in range(most):
        question = questions.draw(generator)
        if question.id not in seen:
            seen.add(question.id)
            yield question
