"""Where dialogues wait for their teacher: all that wait at one moment are one call of `guide`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from socratic_env.engine.background import TEACHERS, loop_of
from socratic_env.teachers.teacher import Teacher, TeacherRequest, ask
from socratic_env.types import Guidance


@dataclass(eq=False)
class _Visit:
    """Requests that somebody waits for. The future belongs to no loop: it joins theirs and the teacher's."""

    requests: Sequence[TeacherRequest]
    given: Future[list[Guidance]] = field(default_factory=Future)


class Desk:
    """Asks one teacher for many that do not wait for each other, on whatever event loops they run.

    Requests of the same moment (the same turn of a loop) are one call, if the teacher gains from it. Calls
    overlap, so that none waits for an earlier one. The teacher works on the teachers' own loop: one that
    blocks it holds up no sampler, and what comes in meanwhile is its next call.
    """

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._waiting: deque[_Visit] = deque()  # its ends are safe to use from several threads

    async def ask(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """One Guidance for each request. Cancelling gives the requests up; the call that they are part of
        goes on only for others."""
        visit = _Visit(requests)
        self._waiting.append(visit)
        try:
            await asyncio.sleep(0)  # whoever else is ready comes in the same call
            loop = loop_of(TEACHERS)
            if loop is asyncio.get_running_loop():
                self._serve()
            else:
                loop.call_soon_threadsafe(self._serve)
            return await asyncio.wrap_future(visit.given)
        except asyncio.CancelledError:
            visit.given.cancel()
            raise

    def _serve(self) -> None:
        """On the teachers' loop: a call for those that wait."""
        visits = []
        while self._waiting:
            visit = self._waiting.popleft()
            if not visit.given.cancelled():
                visits.append(visit)
        # There are none left where all came with an earlier one.
        calls = [visits] if self._teacher.together and visits else [[visit] for visit in visits]
        for call in calls:
            self._start(call)

    def _start(self, visits: Sequence[_Visit]) -> None:
        call = asyncio.ensure_future(self._call(visits))

        def give_up(_: Future[list[Guidance]]) -> None:
            if all(visit.given.cancelled() for visit in visits):
                call.get_loop().call_soon_threadsafe(call.cancel)

        for visit in visits:
            visit.given.add_done_callback(give_up)

    async def _call(self, visits: Sequence[_Visit]) -> None:
        requests = [request for visit in visits for request in visit.requests]
        try:
            given = iter(await ask(self._teacher, requests))
        except asyncio.CancelledError:
            for visit in visits:
                visit.given.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 - a defect of the teacher is raised where it was asked
            for visit in visits:
                if visit.given.set_running_or_notify_cancel():
                    visit.given.set_exception(error)
            return
        for visit in visits:
            guidances = [next(given) for _ in visit.requests]
            if visit.given.set_running_or_notify_cancel():
                visit.given.set_result(guidances)
