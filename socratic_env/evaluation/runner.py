"""Runs an evaluation: every episode is played by itself.

A killed evaluation goes on where it stopped: episodes that are over are not played again, and one that a
fault stopped goes on after its last verdict, so that no verdict is drawn twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from socratic_env import dialogue as rules_of
from socratic_env.dialogue import Dialogue
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.errors import (
    SocraticError,
    StudentContextError,
    StudentError,
    StudentUnusable,
    TeacherUnusable,
    VerifierUnusable,
    check_seed,
)
from socratic_env.evaluation.comparison import draw_questions
from socratic_env.evaluation.folder import EvaluationFolder, Fault
from socratic_env.evaluation.statistics import Evaluation, Standing
from socratic_env.questions import QuestionList, QuestionSet
from socratic_env.records.episodes import attempts_of
from socratic_env.students import Student, StudentRequest, reply_of
from socratic_env.types import Question, StopReason

GIVE_UP = 100
"""Faults in a row, without an episode that ended between them, after which an evaluation stops."""
GENERATED = 200
"""Questions of a generated family, if no number is given."""
KNOWN = 1000
"""Questions of a generated family on which blind rules are scored."""


def evaluation_questions(
    found: QuestionSet, number: int | None, seed: int
) -> tuple[list[Question], list[Question]]:
    """(questions on which blind rules are scored, those that are asked), no question twice.

    number: of those that are asked, all that there are if it is more; None: all of a list, `GENERATED` of
    a generated family.
    """
    check_seed(seed)
    if not isinstance(found, QuestionList):
        number = number or GENERATED
        known = draw_questions(found, max(number, KNOWN), seed)
        return known, known[:number]
    known = [found[i] for i in range(len(found))]
    if number is None or number >= len(known):
        return known, known
    return known, draw_questions(found, number, seed)


def pending_episodes(
    questions: Sequence[Question], samples: int, interaction: GuidedInteraction, folder: EvaluationFolder
) -> list[Dialogue]:
    """The episodes that are not over, each where it stands: all first samples, then all second ones."""
    left = []
    for sample in range(samples):
        for question in questions:
            if folder.standings.get((question.id, sample), Standing()).open:
                record = folder.faulted.get((question.id, sample))
                left.append(_restored(interaction.open(question, sample), record, interaction))
    return left


def _restored(
    dialogue: Dialogue, record: Mapping[str, Any] | None, interaction: GuidedInteraction
) -> Dialogue:
    for made in attempts_of(record) if record is not None else ():
        dialogue = rules_of.judged(dialogue, made.text, made.verdict, interaction.rules, made.finished)
        if made.guidance is not None and dialogue.awaits_guidance:
            dialogue = rules_of.advise(dialogue, made.guidance, interaction.rules)
    return dialogue


async def run_episodes(
    dialogues: Sequence[Dialogue],
    interaction: GuidedInteraction,
    student: Student,
    concurrency: int,
    on_end: Callable[[Dialogue, Fault | None], None],
) -> None:
    """Play all dialogues to their ends, so many at once, none waiting for another.

    `on_end(dialogue, fault)` is told of each: the fault is None, or what stopped it before its end. Raises
    StudentError after `GIVE_UP` faults in a row, and at the first that every other episode would meet too.
    """
    waiting = iter(dialogues)
    faults = 0

    async def work() -> None:
        nonlocal faults
        for dialogue in waiting:
            reached, error = await play(dialogue, interaction, student)
            fault = None if error is None else Fault.of(error)
            on_end(reached, fault)
            if fault is not None and isinstance(error, StudentUnusable | TeacherUnusable | VerifierUnusable):
                raise StudentError(f"stopped, since every episode would meet this fault: {fault.text}")
            faults = 0 if fault is None else faults + 1
            if fault is not None and faults >= GIVE_UP:
                raise StudentError(f"{faults} episodes in a row met a fault, the last: {fault.text}")

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(dialogues))):
                group.create_task(work())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def play(
    dialogue: Dialogue, interaction: GuidedInteraction, student: Student
) -> tuple[Dialogue, SocraticError | None]:
    """(the dialogue at its end, None), or (the dialogue after its last verdict or guidance, the fault)."""
    while dialogue.stop is None:
        if dialogue.awaits_guidance:
            (advised,) = await interaction.advise([dialogue])
            if advised.stop is StopReason.TEACHER_FAILED:
                return dialogue, advised.attempts[-1].guidance.fault  # type: ignore[union-attr]
            dialogue = advised
            continue
        request = StudentRequest(dialogue.question, dialogue.rollout, rules_of.messages(dialogue))
        try:
            (said,) = await student.answer([request])
        except StudentContextError:
            dialogue = rules_of.cut(dialogue)
        except StudentError as error:
            return dialogue, error
        else:
            reply = reply_of(said)
            judged = await interaction.judge(dialogue, reply.text, reply.finished)
            if judged.fault is not None:
                return dialogue, judged.fault
            dialogue = judged
    return dialogue, None


def stored_evaluation(
    folder: EvaluationFolder, questions: Sequence[Question], samples: int, k: int
) -> Evaluation:
    """The episodes of a folder as arrays; those that are not over are open."""
    keys = [(question.id, sample) for question in questions for sample in range(samples)]
    return Evaluation.of([folder.standings.get(key, Standing()) for key in keys], samples, k)
