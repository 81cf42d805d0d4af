"""A teacher that stops the run when too many of its requests fail."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from socratic_env.errors import ConfigurationError, TeacherDown, TeacherError
from socratic_env.teachers import TeacherSpec, from_spec
from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import Guidance, Question


class GuardedTeacher(Teacher):
    """Passes everything on to another teacher, and counts its faults.

    A single fault stays data on its episode, as the failure policy of the environment says. But when
    more than `max_failure_share * window` of the last `window` requests failed, `guide` raises
    TeacherDown, which is no TeacherError: no face keeps it as data, `step` raises it, the run stops.

    Args:
        teacher: the teacher to watch, as a spec or an object.
        max_failure_share: from 0 (the first fault stops the run) to below 1.
        window: how many of the latest requests are looked at. Until there were so many, the others
            count as good, so that a short outage at the start stops nothing.
    """

    def __init__(self, teacher: TeacherSpec, max_failure_share: float = 0.5, window: int = 200) -> None:
        if not 0 <= max_failure_share < 1:
            raise ConfigurationError(
                f"teacher 'guarded': max_failure_share is {max_failure_share!r}; give a share in 0 <= s < 1"
            )
        if not (isinstance(window, int) and window > 0):
            raise ConfigurationError(
                f"teacher 'guarded': window is {window!r}; give a number of requests above 0"
            )
        self._teacher, self._owned = from_spec(teacher), not isinstance(teacher, Teacher)
        self.together = self._teacher.together
        self._most, self._failed = max_failure_share * window, deque[bool](maxlen=window)

    def __repr__(self) -> str:
        return f"GuardedTeacher({self._teacher!r})"

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """The other teacher's guidance. Raises TeacherDown past the allowed share of faults."""
        try:
            given = await self._teacher.guide(requests)
        except TeacherError as fault:
            self._count([fault] * len(requests))
            raise
        self._count([guidance.fault for guidance in given])
        return given

    def _count(self, faults: Sequence[TeacherError | None]) -> None:
        self._failed.extend(fault is not None for fault in faults)
        if sum(self._failed) > self._most:
            last = next((fault for fault in reversed(faults) if fault is not None), None)
            raise TeacherDown(
                f"{sum(self._failed)} of the last {len(self._failed)} requests to {self._teacher!r} failed, "
                f"more than the {self._most:g} allowed; see to the teacher and resume the run, or raise "
                f"'max_failure_share' or 'window' (last fault: {last})"
            )

    def check(self, question: Question) -> None:
        """What the other teacher refuses."""
        self._teacher.check(question)

    async def close(self) -> None:
        """Close the other teacher if it was made here."""
        if self._owned:
            await self._teacher.close()
