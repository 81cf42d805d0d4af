"""Scores of first attempts, each played once: the memory that utilities share, here or in a file."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from socratic_env.dialogue import messages, open_dialogue
from socratic_env.errors import (
    RecordingError,
    StudentContextError,
    StudentError,
    StudentUnusable,
    VerifierError,
)
from socratic_env.records.journal import Journal
from socratic_env.students import Student, StudentReply, StudentRequest, reply_of
from socratic_env.types import Question
from socratic_env.verifiers import Verifier
from socratic_env.verifiers.verdicts import begin, finish

BATCH = 64
"""Dialogues that a student is given at once."""


@dataclass(frozen=True, slots=True)
class Play:
    """One first attempt to be scored: what is asked (system text and all), and with which chance."""

    question: Question
    rollout: int


class Scores:
    """What the first attempts of students have scored: 1 for right, 0 for wrong.

    A score is found again by the student's version, everything that the student is shown, the ground truth
    and the rollout. Of a student without a version ("") nothing is kept, since it may be another one later.

    Args:
        path: a file that keeps them beyond this process and survives a kill; None: none.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._known: dict[str, float] = {}
        self._journal: Journal | None = None
        self.played = 0
        """First attempts that a student was asked for, those not found here."""
        if path is not None:
            self._journal = Journal(Path(path), "close the other run, or give another cache")
            for number, line in enumerate(self._journal.lines, 1):
                try:
                    key, score = json.loads(line)
                    self._known[str(key)] = float(score)
                except (ValueError, TypeError):
                    self.close()
                    raise RecordingError(
                        f"{path}, line {number}: no score; delete that line, or give the path of a cache"
                    ) from None

    async def of(
        self,
        student: Student,
        version: str,
        plays: Sequence[Play],
        verifier: Verifier,
        on_played: Callable[[int], None] = lambda _: None,
        batch: int = BATCH,
    ) -> dict[Play, float | None]:
        """The score of each play, None where there is no reply, or no verdict on it; `on_played` is told how
        many came.

        A dialogue that the student has no room for scores 0. Raises StudentError if a whole batch, asked
        again one by one, gives no reply, and StudentUnusable at once.
        """
        different = dict.fromkeys(plays)
        keys = {play: _key(version, play, verifier) for play in different} if version else {}
        found: dict[Play, float | None] = {
            play: self._known[key] for play, key in keys.items() if key in self._known
        }
        on_played(len(found))
        left = [play for play in different if play not in found]

        async def work(part: Sequence[Play]) -> None:
            for play, said in zip(part, await _replies(student, part), strict=True):
                if isinstance(said, StudentContextError):
                    found[play] = 0.0
                elif isinstance(said, StudentError):
                    found[play] = None
                else:
                    outcome = await finish(begin(verifier, play.question, said.text))
                    found[play] = None if isinstance(outcome, VerifierError) else float(outcome.correct)
                if play in keys and found[play] is not None:
                    self._keep(keys[play], found[play] or 0.0)
            self.played += len(part)
            on_played(len(part))

        try:
            async with asyncio.TaskGroup() as group:
                for start in range(0, len(left), batch):
                    group.create_task(work(left[start : start + batch]))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return found

    def close(self) -> None:
        """Let others write the file."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self, key: str, score: float) -> None:
        self._known[key] = score
        if self._journal is not None:
            self._journal.append(json.dumps([key, score]).encode())


def _key(version: str, play: Play, verifier: Verifier) -> str:
    question = play.question
    judged = getattr(verifier, "__qualname__", repr(verifier))
    truth = [question.answer, question.unit, question.abs_tol, question.rel_tol, question.tests, judged]
    content = [version, question.id, question.system, question.text, truth, play.rollout]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


async def _replies(student: Student, plays: Sequence[Play]) -> list[StudentReply | StudentError]:
    """A reply or the fault that left none for each; one fault does not cost the others their replies."""
    requests = [
        StudentRequest(play.question, play.rollout, messages(open_dialogue(play.question))) for play in plays
    ]
    try:
        return [reply_of(said) for said in await student.answer(requests)]
    except StudentUnusable:
        raise
    except StudentError as error:
        if len(requests) == 1:
            return [error]
    said = await asyncio.gather(*(_alone(student, request) for request in requests))
    faults = [each for each in said if isinstance(each, StudentError)]
    if len(faults) == len(said) and not all(isinstance(each, StudentContextError) for each in faults):
        raise StudentError(f"{len(said)} dialogues in a row got no reply, the last: {faults[-1]}")
    return list(said)


async def _alone(student: Student, request: StudentRequest) -> StudentReply | StudentError:
    try:
        (said,) = await student.answer([request])
    except StudentUnusable:
        raise
    except StudentError as error:
        return error
    return reply_of(said)
