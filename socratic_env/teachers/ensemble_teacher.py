"""Several teachers asked together; a judge function picks one guidance for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from socratic_env.errors import ConfigurationError, TeacherError, unknown
from socratic_env.teachers import TeacherSpec, from_spec
from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import Guidance, Question, Usage

Judge: TypeAlias = Callable[[TeacherRequest, Sequence[Guidance]], Guidance]
"""(request, the guidances without fault, in the order of the teachers; at least one) -> one of them."""


def first(request: TeacherRequest, given: Sequence[Guidance]) -> Guidance:  # noqa: ARG001
    """The first teacher's that has no fault: the others stand in for it."""
    return given[0]


def shortest(request: TeacherRequest, given: Sequence[Guidance]) -> Guidance:  # noqa: ARG001
    """The shortest text; the earlier teacher's among equals."""
    return min(given, key=lambda guidance: len(guidance.text))


JUDGES: Mapping[str, Judge] = {"first": first, "shortest": shortest}


class EnsembleTeacher(Teacher):
    """Asks all teachers at once and waits for all of them, so the slowest sets the time.

    A request fails only if every teacher failed on it; the fault is then the first teacher's. The
    usage is that of all teachers together.

    Args:
        teachers: specs or objects, in the order of preference.
        judge: "first", "shortest", or a function (see `Judge`).
    """

    def __init__(self, teachers: Sequence[TeacherSpec], judge: str | Judge = "first") -> None:
        if isinstance(teachers, str | Mapping) or not isinstance(teachers, Sequence) or not teachers:
            raise ConfigurationError(
                f"teacher 'ensemble': teachers is {teachers!r:.80}; give a list of at least one teacher"
            )
        if isinstance(judge, str):
            if judge not in JUDGES:
                raise unknown("judge of teacher 'ensemble':", judge, JUDGES)
            judge = JUDGES[judge]
        if not callable(judge):
            raise ConfigurationError(f"teacher 'ensemble': judge is {judge!r}; give a name or a function")
        self._judge = judge
        self._teachers = [from_spec(spec) for spec in teachers]
        self.together = any(teacher.together for teacher in self._teachers)
        self._owned = [
            made for made, spec in zip(self._teachers, teachers, strict=True) if not isinstance(spec, Teacher)
        ]

    def __repr__(self) -> str:
        return f"EnsembleTeacher({self._teachers!r})"

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """The judge's pick for each request."""
        answers = await asyncio.gather(
            *(_ask(teacher, requests) for teacher in self._teachers), return_exceptions=True
        )
        given = []
        for answer in answers:
            if isinstance(answer, BaseException):  # raised once all have ended: none is left behind
                raise answer
            given.append(answer)
        return [self._pick(request, each) for request, *each in zip(requests, *given, strict=True)]

    def _pick(self, request: TeacherRequest, given: Sequence[Guidance]) -> Guidance:
        usable = [guidance for guidance in given if guidance.fault is None]
        picked = self._judge(request, usable) if usable else given[0]
        if usable and not any(picked is guidance for guidance in usable):
            raise ConfigurationError(
                f"the judge of teacher 'ensemble' returned {picked!r:.80}; it must return one of those "
                "that it was given"
            )
        return replace(picked, usage=sum((guidance.usage for guidance in given), Usage()))

    def check(self, question: Question) -> None:
        """Refuse what any of the teachers refuses."""
        for teacher in self._teachers:
            teacher.check(question)

    async def close(self) -> None:
        """Close the teachers that were made here."""
        for teacher in self._owned:
            await teacher.close()


async def _ask(teacher: Teacher, requests: Sequence[TeacherRequest]) -> list[Guidance]:
    """The teacher's guidances; one that fails as a whole has failed on each request."""
    try:
        given = await teacher.guide(requests)
    except TeacherError as fault:
        return [Guidance(fault=fault, usage=Usage(calls=1, failures=1)) for _ in requests]
    if len(given) != len(requests):
        raise ConfigurationError(
            f"{type(teacher).__name__}.guide returned {len(given)} guidances for {len(requests)} requests; "
            "it must return one for each"
        )
    return given
