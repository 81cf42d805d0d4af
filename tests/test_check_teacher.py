"""The conformance checks pass every teacher of the package, and name what a broken one must mend."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.misbehaving_server import MisbehavingServer
from support.scripted import choice_question, numeric_question

from socratic_env import Guidance, Teacher, TeacherRequest
from socratic_env.checks import CANARY, CANARY_NUMBER, check_teacher
from socratic_env.engine.background import run
from socratic_env.errors import CheckError, ConfigurationError, TeacherError
from socratic_env.protocols import protocols
from socratic_env.teachers import KINDS
from socratic_env.teachers.openai_teacher import OpenAITeacher
from socratic_env.teachers.rule_teacher import RuleTeacher

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    one = MisbehavingServer()
    yield one
    one.stop()


# -- every kind passes -------------------------------------------------------------------

SPECS: dict[str, Callable[[str, Path], Any]] = {
    "rule": lambda url, folder: "rule",
    "retry": lambda url, folder: {"kind": "retry"},
    "openai": lambda url, folder: {"kind": "openai", "base_url": url, "model": "good"},
    "ensemble": lambda url, folder: {"kind": "ensemble", "teachers": ["rule", "retry"], "judge": "shortest"},
    "guarded": lambda url, folder: {"kind": "guarded", "teacher": "rule"},
    "recording": lambda url, folder: {"kind": "recording", "path": str(folder / "r"), "teacher": "rule"},
}


@pytest.mark.parametrize("kind", SPECS)
def test_every_kind_passes(server: MisbehavingServer, tmp_path: Path, kind: str) -> None:
    spec = SPECS[kind](server.url, tmp_path)
    check_teacher(spec, deterministic=True, picklable=True)
    if kind == "recording":
        check_teacher({"kind": "recorded", "path": str(tmp_path / "r")}, deterministic=True, picklable=True)
    # test_vllm_teacher.py, test_local_model.py, test_chains.py
    elsewhere = {"recorded", "vllm", "transformers", "chain_control"}
    assert set(SPECS) | elsewhere == set(KINDS.names)


def test_a_teacher_that_always_fails_as_data_passes(server: MisbehavingServer) -> None:
    check_teacher({"kind": "openai", "base_url": server.url, "model": "status:401"}, deterministic=True)


@pytest.mark.parametrize("name", sorted(protocols()))
def test_no_prompt_holds_what_its_protocol_hides(server: MisbehavingServer, name: str) -> None:
    """Against a server that gives the whole prompt back as guidance."""
    teacher = OpenAITeacher(server.url, "echo")
    check_teacher(teacher, protocol=name)
    assert len(server.requests) > 20
    run(teacher.close())


def test_it_works_where_a_loop_runs_already() -> None:
    async def notebook() -> None:
        check_teacher("rule", [choice_question(), numeric_question()], deterministic=True)

    asyncio.run(notebook())


# -- broken ones are told the remedy -------------------------------------------------------


class Scripted(Teacher):
    """Answers with whatever a function of the requests returns."""

    def __init__(self, give: Callable[[Sequence[TeacherRequest]], Any]) -> None:
        self.give, self.calls = give, 0

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        self.calls += 1
        return self.give(requests)


def each(make: Callable[[TeacherRequest], Any]) -> Scripted:
    return Scripted(lambda requests: [make(request) for request in requests])


def raising(error: Exception) -> Scripted:
    def give(requests: Sequence[TeacherRequest]) -> Any:
        raise error

    return Scripted(give)


BROKEN: dict[str, tuple[Scripted, str]] = {
    "too few": (Scripted(lambda r: [Guidance("a")]), r"returned 1 for 0 requests; return a list with one"),
    "too many": (Scripted(lambda r: [Guidance("a")] * (len(r) + 1)), "returned 1 for 0 requests"),
    "a tuple": (Scripted(lambda r: tuple(Guidance("a") for _ in r)), "returned a tuple for 0 requests"),
    "nothing": (Scripted(lambda r: None), "returned a NoneType"),
    "texts": (each(lambda r: "Look."), "wrap it: Guidance"),
    "an empty text": (each(lambda r: Guidance(" \n")), r"without a fault; .*TeacherReplyError"),
    "None as text": (each(lambda r: Guidance(None)), "the text is None without a fault"),  # type: ignore[arg-type]
    "a foreign fault": (each(lambda r: Guidance(fault=OSError("x"))), "make it a TeacherError"),  # type: ignore[arg-type]
    "text and fault": (each(lambda r: Guidance("a", fault=TeacherError("b"))), "leave the text empty"),
    "a wrong usage": (each(lambda r: Guidance("a", usage={"calls": 1})), "give a socratic_env.types.Usage"),  # type: ignore[arg-type]
    "raises": (raising(KeyError("x")), r"raised KeyError: 'x'; .* return Guidance\(fault="),
    "tells the solution": (each(lambda r: Guidance(f"{r.dialogue.question.solution}")), "holds a truth"),
    "tells the answer": (each(lambda r: Guidance(f"It is {r.dialogue.question.answer}.")), "holds a truth"),
    "fails on odd replies": (
        each(lambda r: Guidance(r.dialogue.attempts[-1].text.split("<answer>")[1])),
        "raised IndexError",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_teacher_is_told_the_remedy(name: str) -> None:
    teacher, says = BROKEN[name]
    with pytest.raises(CheckError, match=f"^Scripted: .*{says}"):
        check_teacher(teacher)


def test_a_truth_that_the_protocol_shows_may_be_told() -> None:
    shows = next(p for p in protocols().values() if p.name == "paper")
    telling = type(shows)("shows", "Help.", ground_truth=True, reference_solution=True)
    seen = []
    teacher = each(lambda r: seen.append(r.dialogue.question) or Guidance(f"{r.dialogue.question.solution}"))
    check_teacher(teacher, protocol=telling)
    assert {question.solution for question in seen} == {CANARY}
    assert CANARY_NUMBER in {question.answer for question in seen}


def test_a_hanging_teacher_is_told_the_remedy() -> None:
    class Hangs(Teacher):
        async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(CheckError, match=r"did not return within 0.1 s; give every call a total deadline"):
        check_teacher(Hangs(), patience_s=0.1)


class Blocks(Teacher):
    """Sleeps in the event loop, for good without a time."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds, self.free = seconds, threading.Event()

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        self.free.wait(self.seconds)
        return [Guidance("a") for _ in requests]


def test_a_lock_of_one_loop_is_told_the_remedy() -> None:
    class Locks(Teacher):
        def __init__(self) -> None:
            self.lock = asyncio.Lock()

        async def one(self) -> Guidance:
            async with self.lock:
                await asyncio.sleep(0)
                return Guidance("Read again what is asked.")

        async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
            return await asyncio.gather(*(self.one() for _ in requests))

    with pytest.raises(CheckError, match="different event loop; make locks and clients in the running loop"):
        check_teacher(Locks())


@pytest.mark.parametrize("seconds", [0.4, None])
def test_a_teacher_that_blocks_its_loop_is_told_the_remedy(seconds: float | None) -> None:
    teacher = Blocks(seconds)
    with pytest.raises(
        CheckError, match=r"^Blocks: a call blocks the event loop.*0.2 s; use async clients, or"
    ):
        check_teacher(teacher, patience_s=0.2)
    teacher.free.set()
    assert run(RuleTeacher().guide([])) == []  # the loop that environments use is free


def test_a_list_in_another_order_is_named() -> None:
    class Backwards(RuleTeacher):
        async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
            return (await super().guide(requests))[::-1]

    with pytest.raises(
        CheckError, match=r"^Backwards: it answers a list in another order: .* in their order"
    ):
        check_teacher(Backwards())

    class Sorted(Teacher):
        async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
            return [Guidance(f"on {name}") for name in sorted(r.dialogue.question.id for r in requests)]

    with pytest.raises(CheckError, match=r"order: 'on (.*)' came where 'on (?!\1')"):
        check_teacher(Sorted())


@pytest.mark.parametrize("letters", ["ABCD", "AB"])
def test_guidance_that_follows_the_right_letter_is_named(letters: str) -> None:
    questions = [choice_question(letters=letters)]
    teller = each(lambda r: Guidance(f"The answer is {r.dialogue.question.answer}."))
    with pytest.raises(
        CheckError, match="on question 'q' follows the right letter, which protocol 'paper' hides"
    ):
        check_teacher(teller, questions)
    shows = replace(protocols()["paper"], name="shows", ground_truth=True)
    check_teacher(teller, questions, protocol=shows)
    guesser = each(lambda r: Guidance("The answer is B."))  # by itself: the request did not tell it
    check_teacher(guesser, questions)


def test_a_close_that_fails_is_named() -> None:
    class Shuts(RuleTeacher):
        async def close(self) -> None:
            raise OSError("closed already")

    with pytest.raises(CheckError, match="close raised OSError: closed already; close what is open"):
        check_teacher(Shuts())


def test_claims_are_checked() -> None:
    numbered = Scripted(lambda r: [Guidance(f"{i} {numbered.calls}") for i, _ in enumerate(r)])
    check_teacher(numbered)
    with pytest.raises(CheckError, match="claims to be deterministic, but said"):
        check_teacher(numbered, deterministic=True)
    by_place = Scripted(lambda r: [Guidance(f"{i}") for i, _ in enumerate(r)])
    with pytest.raises(CheckError, match="check the order of the list"):
        check_teacher(by_place, deterministic=True)
    locked = each(lambda r: Guidance("a"))
    locked.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(CheckError, match=r"claims to be picklable.*__getstate__"):
        check_teacher(locked, picklable=True)


def test_what_is_no_teacher_is_told_so() -> None:
    class Synchronous(Teacher):
        def guide(self, requests: Any) -> Any:
            return []

    with pytest.raises(CheckError, match="async def guide"):
        check_teacher(Synchronous())
    with pytest.raises(CheckError, match=r"derive its class from socratic_env\.Teacher"):
        check_teacher(object())  # type: ignore[arg-type]
    with pytest.raises(CheckError, match=r"the spec is no JSON.*pass the Teacher object itself"):
        check_teacher({"kind": "ensemble", "teachers": [RuleTeacher()]})
    with pytest.raises(CheckError, match="questions is empty"):
        check_teacher("rule", [])
    with pytest.raises(ConfigurationError, match="unknown teacher"):
        check_teacher("oracle")


def test_questions_that_it_refuses_are_named() -> None:
    with pytest.raises(CheckError, match=r"it refuses question 'q'.*pass questions that it can teach"):
        check_teacher("rule", [replace(choice_question(), mistakes=())])
