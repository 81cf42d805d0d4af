"""Requests of one moment are one call of the teacher, which works on a loop of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from support.scripted import request_on, wrong

from socratic_env import Guidance, SocraticBatch, Teacher, TeacherRequest
from socratic_env.engine.background import TEACHERS, run
from socratic_env.engine.desk import Desk
from socratic_env.errors import ConfigurationError, TeacherTimeout
from socratic_env.questions import load_questions
from socratic_env.teachers.ensemble_teacher import EnsembleTeacher
from socratic_env.types import StopReason

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore::socratic_env.errors.TeacherFaultWarning"),
]

SCIENCE = load_questions("procedural", None, "train")
QUESTIONS = [SCIENCE[i] for i in range(64)]
Work = Callable[[Sequence[TeacherRequest]], Awaitable[None]]


class Counting(Teacher):
    """Says each question's id, after some work; notes the sizes of its calls and their threads."""

    def __init__(self, work: Work | None = None) -> None:
        self.work = work
        self.calls: list[int] = []
        self.threads: set[str] = set()
        self.cancelled = 0

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        self.calls.append(len(requests))
        self.threads.add(threading.current_thread().name)
        try:
            if self.work is not None:
                await self.work(requests)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return [Guidance(f"On {request.dialogue.question.id}.") for request in requests]


async def blocks(requests: Sequence[TeacherRequest]) -> None:
    """As a model that computes in the event loop's own thread."""
    time.sleep(0.05)


async def never(requests: Sequence[TeacherRequest]) -> None:
    await asyncio.Event().wait()


def request(row: int) -> TeacherRequest:
    return request_on(QUESTIONS[row])


def guided_rows(batch: SocraticBatch) -> list[str]:
    return [batch.dialogue(row).attempts[0].guidance.text for row in range(len(batch))]  # type: ignore[union-attr]


@pytest.mark.parametrize("teacher", ["alone", "in an ensemble"])
def test_where_each_request_is_a_call_anyway_none_waits_for_the_slowest(teacher: str) -> None:
    counting = Counting()
    counting.together = False
    asked = counting if teacher == "alone" else EnsembleTeacher([counting])
    batch = SocraticBatch(QUESTIONS[:8], teacher=asked)

    async def play() -> None:
        await asyncio.gather(*(batch.step(row, "I do not know.") for row in range(8)))

    run(play())
    assert counting.calls == [1] * 8
    batch = SocraticBatch(QUESTIONS[:8], teacher=EnsembleTeacher([counting, "retry"]))
    run(play())
    assert counting.calls[8:] == [8]


@pytest.mark.parametrize("on", [asyncio.run, run])
def test_rows_of_one_moment_are_one_call(on: Callable[[Any], Any]) -> None:
    first, second = Counting(), Counting()
    batch = SocraticBatch(QUESTIONS, teacher=EnsembleTeacher([first, second]), max_attempts=3)

    async def play() -> None:
        for _ in range(2):
            await asyncio.gather(*(batch.step(row, wrong(q)) for row, q in enumerate(QUESTIONS)))

    on(play())
    assert first.calls == second.calls == [64, 64]
    assert first.threads == {TEACHERS}
    assert guided_rows(batch) == [f"On {q.id}." for q in QUESTIONS]


def test_a_teacher_that_blocks_stalls_no_loop_and_is_asked_for_what_came_meanwhile() -> None:
    teacher = Counting(blocks)
    batch = SocraticBatch(QUESTIONS, teacher=teacher)
    pauses: list[float] = []

    async def sampler(done: asyncio.Event) -> None:
        while not done.is_set():
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            pauses.append(time.perf_counter() - start)

    async def row(number: int) -> None:
        await asyncio.sleep(0.004 * number)
        await batch.step(number, wrong(QUESTIONS[number]))

    async def play() -> None:
        done = asyncio.Event()
        ticking = asyncio.ensure_future(sampler(done))
        await asyncio.gather(*map(row, range(64)))
        done.set()
        await ticking

    asyncio.run(play())
    assert sum(teacher.calls) == 64
    assert len(teacher.calls) < 20, "what waits goes together"
    assert sorted(pauses)[len(pauses) * 9 // 10] < 0.025, "the sampler's loop waits for the teacher"
    assert guided_rows(batch) == [f"On {q.id}." for q in QUESTIONS]


def test_no_request_waits_for_an_earlier_call() -> None:
    first = QUESTIONS[0].id

    async def slow_first(requests: Sequence[TeacherRequest]) -> None:
        await asyncio.sleep(0.5 if requests[0].dialogue.question.id == first else 0.0)

    async def play() -> float:
        desk = Desk(Counting(slow_first))
        slow = asyncio.ensure_future(desk.ask([request(0)]))
        await asyncio.sleep(0.05)
        start = time.perf_counter()
        await desk.ask([request(1)])
        waited = time.perf_counter() - start
        await slow
        return waited

    assert asyncio.run(play()) < 0.3


def test_who_gives_up_leaves_the_others_their_guidance() -> None:
    gate = threading.Event()

    async def gated(requests: Sequence[TeacherRequest]) -> None:
        await asyncio.to_thread(gate.wait)

    teacher = Counting(gated)

    async def play() -> list[Any]:
        desk = Desk(teacher)
        asked = [asyncio.ensure_future(desk.ask([request(row)])) for row in range(4)]
        while not teacher.calls:
            await asyncio.sleep(0.001)
        asked[1].cancel()
        await asyncio.sleep(0.01)
        gate.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    given = asyncio.run(asyncio.wait_for(play(), 10))
    assert teacher.calls == [4]
    assert isinstance(given.pop(1), asyncio.CancelledError)
    assert [guidance.text for (guidance,) in given] == [f"On {QUESTIONS[row].id}." for row in (0, 2, 3)]


def test_a_call_that_nobody_waits_for_is_cancelled_and_the_next_works() -> None:
    teacher = Counting(never)
    desk = Desk(teacher)

    async def play() -> list[Guidance]:
        asked = [asyncio.ensure_future(desk.ask([request(row)])) for row in range(3)]
        early = asyncio.ensure_future(desk.ask([request(3)]))
        await asyncio.sleep(0)
        early.cancel()  # while it is on its way
        while not teacher.calls:
            await asyncio.sleep(0.001)
        for task in asked:
            task.cancel()
        while not teacher.cancelled:
            await asyncio.sleep(0.001)
        teacher.work = None
        return await desk.ask([request(4)])

    (guidance,) = asyncio.run(asyncio.wait_for(play(), 10))
    assert guidance.text == f"On {QUESTIONS[4].id}."
    assert teacher.calls in ([3, 1], [4, 1])


def test_faults_reach_all_that_waited() -> None:
    raised: list[Exception] = [TeacherTimeout("too late"), ZeroDivisionError("a defect")]

    async def fails(requests: Sequence[TeacherRequest]) -> None:
        raise raised[0]

    async def ask_two() -> list[Any]:
        desk = Desk(Counting(fails))
        return await asyncio.gather(
            *(desk.ask([request(row), request(row + 1)]) for row in (0, 2)), return_exceptions=True
        )

    for given in asyncio.run(ask_two()):
        assert [guidance.fault for guidance in given] == [raised[0]] * 2
    raised.pop(0)
    assert asyncio.run(ask_two()) == [raised[0]] * 2

    class Short(Counting):
        async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
            return []

    batch = SocraticBatch(QUESTIONS[:2], teacher=Short())
    with pytest.raises(ConfigurationError, match="0 guidances for 1 requests"):
        run(batch.step(0, wrong(QUESTIONS[0])))
    assert batch.dialogue(0).stop is None


def test_faces_in_several_threads_share_a_teacher() -> None:
    teacher = Counting()
    stops = []

    def play(first: int) -> None:
        batch = SocraticBatch(QUESTIONS[first : first + 8], teacher=teacher, max_attempts=2)
        for _ in range(2):
            asyncio.run(together(batch))
        stops.extend(batch.dialogue(row).stop for row in range(8))

    async def together(batch: SocraticBatch) -> None:
        rows = [batch.step(row, "I do not know.") for row in range(8)]
        await asyncio.gather(*rows)

    threads = [threading.Thread(target=play, args=(8 * i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert stops == [StopReason.OUT_OF_ATTEMPTS] * 48
    assert teacher.calls == [8] * 6
