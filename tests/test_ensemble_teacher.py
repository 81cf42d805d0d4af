"""Teachers made of teachers: the ensemble, and the guard that stops a run."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import pytest
from support.misbehaving_server import GUIDANCE, MisbehavingServer
from support.scripted import choice_question, wrong

from socratic_env import Guidance, SocraticBatch, StopReason, Teacher, TeacherRequest
from socratic_env.dialogue import Rules, answer, open_dialogue
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, TeacherDown, TeacherTimeout, TeacherUnavailable
from socratic_env.protocols import protocol
from socratic_env.teachers import from_spec
from socratic_env.teachers.ensemble_teacher import EnsembleTeacher
from socratic_env.teachers.guarded_teacher import GuardedTeacher
from socratic_env.teachers.retry_teacher import RETRY_PROMPT
from socratic_env.types import Question, Usage

pytestmark = pytest.mark.timeout(120)

QUESTIONS = [choice_question(f"q{i}") for i in range(8)]


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    one = MisbehavingServer()
    yield one
    one.stop()


def requests(count: int = 3) -> list[TeacherRequest]:
    return [
        TeacherRequest(answer(open_dialogue(q), wrong(q), Rules()), protocol("paper"))
        for q in QUESTIONS[:count]
    ]


class Says(Teacher):
    """Says its line, and is at fault on the listed questions; `raises` fails a whole call."""

    def __init__(self, line: str, faults: Sequence[str] = (), raises: Exception | None = None) -> None:
        self.line, self.faults, self.raises = line, faults, raises
        self.closed = 0

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        await asyncio.sleep(0)
        if self.raises is not None:
            raise self.raises
        cost = Usage(1, 0, 10, 5, 0.5, 0.25)
        fault = TeacherUnavailable(f"{self.line} is gone")
        return [
            Guidance(fault=fault, usage=Usage(1, 1))
            if request.dialogue.question.id in self.faults
            else Guidance(self.line, usage=cost)
            for request in requests
        ]

    async def close(self) -> None:
        self.closed += 1


# -- the ensemble ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judge", "lines"),
    [
        ("first", ["long line", "short", "long line"]),
        ("shortest", ["short"] * 3),
        (lambda request, given: given[-1], ["short"] * 3),
        (lambda request, given: max(given, key=lambda g: len(g.text)), ["long line", "short", "long line"]),
    ],
)
def test_the_judge_picks_among_those_without_fault(judge: Any, lines: list[str]) -> None:
    teacher = EnsembleTeacher([Says("long line", faults=["q1"]), Says("short")], judge)
    given = run(teacher.guide(requests()))
    assert [guidance.text for guidance in given] == lines
    assert all(guidance.fault is None for guidance in given)
    assert [guidance.usage.cost for guidance in given] == [0.5, 0.25, 0.5]
    assert [(guidance.usage.calls, guidance.usage.failures) for guidance in given] == [(2, 0), (2, 1), (2, 0)]


def test_a_request_fails_only_if_all_teachers_do() -> None:
    gone = TeacherTimeout("too late")
    teacher = EnsembleTeacher([Says("a", raises=gone), Says("b", faults=["q0"])])
    given = run(teacher.guide(requests(2)))
    assert given[0].fault is gone
    assert (given[1].text, given[1].fault) == ("b", None)


def test_the_judge_sees_the_request_and_must_pick_what_it_was_given() -> None:
    seen = []
    teacher = EnsembleTeacher([Says("a")], lambda request, given: seen.append(request) or given[0])
    asked = requests(2)
    run(teacher.guide(asked))
    assert seen == asked
    with pytest.raises(ConfigurationError, match="must return one of those that it was given"):
        run(EnsembleTeacher([Says("a")], lambda *_: Guidance("mine")).guide(requests()))


def test_a_defect_of_one_teacher_is_not_hidden_and_waits_for_the_others() -> None:
    ended = []

    class Slow(Says):
        async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
            await asyncio.sleep(0.05)
            ended.append(True)
            return await super().guide(requests)

    with pytest.raises(ZeroDivisionError):
        run(EnsembleTeacher([Says("a", raises=ZeroDivisionError("a bug")), Slow("b")]).guide(requests()))
    assert ended == [True]


def test_real_servers_stand_in_for_each_other(server: MisbehavingServer) -> None:
    endpoint = {"kind": "openai", "base_url": server.url, "retries": 0, "deadline_s": 20}
    spec = {
        "kind": "ensemble",
        "teachers": [{**endpoint, "model": "status:500"}, {**endpoint, "model": "good"}, "retry"],
        "judge": "first",
    }
    env = gym.make("SocraticSciKnow-v0", teacher=json.loads(json.dumps(spec)))
    env.reset(seed=0)
    *_, info = env.step("I do not know.")
    assert info["guidance"] == GUIDANCE
    used = env.unwrapped.usage["teacher"]
    assert (used.calls, used.failures) == (2, 1)
    env.close()


def test_none_for_none_and_only_what_was_made_here_is_closed() -> None:
    mine = Says("a")
    teacher = EnsembleTeacher([mine, "retry"])
    assert run(teacher.guide([])) == []
    run(teacher.close())
    assert mine.closed == 0
    assert type(pickle.loads(pickle.dumps(teacher))) is EnsembleTeacher


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"teachers": []}, "give a list of at least one teacher"),
        ({"teachers": "rule"}, "give a list of at least one teacher"),
        ({"teachers": ["oracle"]}, "unknown teacher 'oracle'"),
        ({"teachers": ["rule"], "judge": "best"}, "unknown judge of teacher 'ensemble': 'best'"),
        ({"teachers": ["rule"], "judge": 3}, "give a name or a function"),
        ({}, "missing.*teachers"),
    ],
)
def test_a_wrong_ensemble_gets_a_clear_error(spec: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        from_spec({"kind": "ensemble", **spec})


# -- the guard: stop the run past a share of failures ---------------------------------------


def test_faults_up_to_the_share_are_data_and_one_more_stops_the_run() -> None:
    teacher = GuardedTeacher(Says("a", faults=["q0"]), max_failure_share=0.25, window=8)
    for _ in range(2):
        assert run(teacher.guide(requests(1)))[0].fault is not None
    with pytest.raises(TeacherDown, match=r"3 of the last 3 requests .* more than the 2 allowed.*resume"):
        run(teacher.guide(requests(1)))


def test_old_faults_leave_the_window() -> None:
    inner = Says("a", faults=["q0"])
    teacher = GuardedTeacher(inner, max_failure_share=0.5, window=4)
    for _ in range(20):
        run(teacher.guide(requests(2)))  # every second one fails


def test_a_call_that_fails_as_a_whole_counts_for_each_request() -> None:
    gone = TeacherUnavailable("gone")
    teacher = GuardedTeacher(Says("a", raises=gone), max_failure_share=0.5, window=10)
    with pytest.raises(TeacherUnavailable):
        run(teacher.guide(requests(5)))
    with pytest.raises(TeacherDown, match="last fault: gone"):
        run(teacher.guide(requests(1)))


@pytest.mark.parametrize("policy", ["truncate", "retry_prompt"])
def test_a_run_stops_when_its_server_stays_down(server: MisbehavingServer, policy: str) -> None:
    """No reward is paid and no attempt made up for what failed, and the run ends with a named error."""
    spec = {
        "kind": "guarded",
        "teacher": {"kind": "openai", "base_url": server.url, "model": "good", "retries": 0},
        "max_failure_share": 0.5,
        "window": 4,
    }
    batch = SocraticBatch(QUESTIONS, teacher=spec, max_attempts=2, on_teacher_failure=policy)
    run(batch.step(0, wrong(QUESTIONS[0])))
    server.down = True
    for row in (1, 2):
        run(batch.step(row, wrong(QUESTIONS[row])))
    with pytest.raises(TeacherDown):
        run(batch.step(3, wrong(QUESTIONS[3])))
    stops = [batch.dialogue(row).stop for row in range(4)]
    failed = StopReason.TEACHER_FAILED if policy == "truncate" else None
    assert stops == [None, failed, failed, None]
    assert batch.tracker.attempts == [4, 0]
    assert batch.usage["teacher"].failures == 2
    batch.close()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"teacher": "rule", "max_failure_share": 1}, "max_failure_share is 1"),
        ({"teacher": "rule", "max_failure_share": -0.1}, "max_failure_share is -0.1"),
        ({"teacher": "rule", "window": 0}, "window is 0"),
        ({"teacher": "oracle"}, "unknown teacher"),
        ({}, "missing.*teacher"),
    ],
)
def test_a_wrong_guard_gets_a_clear_error(spec: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        from_spec({"kind": "guarded", **spec})


def test_the_guard_passes_checks_on_and_closes_what_it_made() -> None:
    with pytest.raises(ConfigurationError, match="misconception table"):
        gym.make("SocraticSciKnow-v0", questions=[_bare()], teacher={"kind": "guarded", "teacher": "rule"})
    mine = Says("a")
    run(GuardedTeacher(mine).close())
    assert mine.closed == 0
    assert run(GuardedTeacher("retry").guide(requests(1)))[0].text == RETRY_PROMPT


def _bare() -> Question:
    return replace(QUESTIONS[0], mistakes=())
