"""A teacher under examination: every call has an end, and every guidance is checked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from socratic_env.dialogue import Rules, advise, answer, open_dialogue
from socratic_env.errors import CheckError, SocraticError, TeacherError
from socratic_env.protocols import TeachingProtocol
from socratic_env.teachers import Teacher, TeacherRequest
from socratic_env.types import AnswerKind, Guidance, Question, Usage, reply

T = TypeVar("T")

CANARY, CANARY_NUMBER = "canary-6b1f93d2", "60.4918273"
"""Stand for the hidden solution of every question that the checks ask about, and for the hidden answer
of the numeric ones."""
_RULES = Rules(max_attempts=9)
_GRACE_S = 2.0
"""How much longer than a call's own deadline is waited before its loop counts as blocked."""


class OwnLoop:
    """An event loop in a daemon thread of its own, so that a teacher that blocks it stops nothing else."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait()

    def run(self, coroutine: Coroutine[Any, Any, T], longest_s: float) -> T:
        """Run a coroutine to its end. Raises TimeoutError if that takes longer."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(longest_s)

    def stop(self) -> None:
        """End the thread, as soon as nothing blocks it."""
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._ended.wait()


class TeacherProbe:
    """A teacher, a protocol, and calls that cannot hang."""

    def __init__(self, teacher: Teacher, protocol: TeachingProtocol, patience_s: float) -> None:
        self.teacher, self.protocol, self.patience_s = teacher, protocol, patience_s
        self._loop = OwnLoop()
        self._blocked = False

    def fail(self, what: str) -> NoReturn:
        """The CheckError that names the teacher."""
        raise CheckError(f"{type(self.teacher).__name__}: {what}")

    def run(self, coroutine: Coroutine[Any, Any, T], calls: int = 1, loop: OwnLoop | None = None) -> T:
        """Run a coroutine that makes so many calls, in the loop of this probe or another one."""
        try:
            return (loop or self._loop).run(coroutine, calls * self.patience_s + _GRACE_S)
        except TimeoutError:
            self._blocked = True
            self._fail_blocking()

    def end(self) -> None:
        """Close the teacher in the loop of this probe, and end that, unless it is blocked for good."""
        try:
            if not self._blocked:
                self.run(self.close_teacher())
        finally:
            self._loop.stop()

    async def close_teacher(self) -> None:
        """The teacher's connections belong to the running loop."""
        try:
            await self.teacher.close()
        except SocraticError:
            raise  # names its own remedy
        except Exception as error:  # noqa: BLE001 - whatever a user's teacher raises is named
            self.fail(f"close raised {type(error).__name__}: {error}; close what is open in the running loop")

    def _fail_blocking(self) -> NoReturn:
        self.fail(
            f"a call blocks the event loop, or cannot be cancelled: it went on past {self.patience_s:g} s; "
            "use async clients, or asyncio.to_thread for what blocks"
        )

    def request(self, question: Question, said: str | None = None, attempts: int = 1) -> TeacherRequest:
        """Wrong attempts on the question; then canaries take the place of the truth."""
        if said is None:
            mistake = next(iter(question.mistakes), None)
            said = reply(mistake.reasoning, mistake.answer) if mistake else "I do not know."
        dialogue = open_dialogue(question)
        for attempt in range(attempts):
            if attempt:
                dialogue = advise(dialogue, Guidance("Try again."), _RULES)
            dialogue = answer(dialogue, said, _RULES)
        letter = question.kind is AnswerKind.CHOICE
        marked = replace(question, solution=CANARY, answer=question.answer if letter else CANARY_NUMBER)
        return TeacherRequest(replace(dialogue, question=marked), self.protocol)

    async def ask(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """The guidances, checked one by one; a TeacherError that was raised counts as a fault."""
        start = time.monotonic()
        try:
            given = await asyncio.wait_for(self.teacher.guide(requests), self.patience_s)
        except TeacherError as fault:
            return [Guidance(fault=fault) for _ in requests]
        except TimeoutError:
            self.fail(
                f"guide did not return within {self.patience_s:g} s; give every call a total deadline and "
                "return Guidance(fault=TeacherTimeout(...)) when it has passed",
            )
        except SocraticError:
            raise  # names its own remedy
        except Exception as error:  # noqa: BLE001 - whatever a user's teacher raises is named
            remedy = (
                "make locks and clients in the running loop, since each call may come from another one"
                if isinstance(error, RuntimeError) and "event loop" in str(error)
                else "catch what a request may cause and return Guidance(fault=TeacherError(...)) for it, so "
                "that the other requests succeed"
            )
            self.fail(f"guide raised {type(error).__name__}: {error}; {remedy}")
        if time.monotonic() - start > self.patience_s:
            self._fail_blocking()
        self._check_shape(requests, given)
        return given

    def _check_shape(self, requests: Sequence[TeacherRequest], given: Any) -> None:
        if not isinstance(given, list) or len(given) != len(requests):
            got = f"{len(given)}" if isinstance(given, list) else f"a {type(given).__name__}"
            self.fail(
                f"guide returned {got} for {len(requests)} requests; return a list with one for each, in the "
                "order of the requests",
            )
        shown = {CANARY: self.protocol.reference_solution, CANARY_NUMBER: self.protocol.ground_truth}
        for one in given:
            if not isinstance(one, Guidance):
                self.fail(f"guide returned {one!r:.60} in its list; wrap it: Guidance(text)")
            if not isinstance(one.usage, Usage):
                self.fail(f"usage is {one.usage!r:.60}; give a socratic_env.types.Usage")
            if one.fault is not None and not isinstance(one.fault, TeacherError):
                self.fail(f"the fault is {one.fault!r:.60}; make it a TeacherError")
            if not isinstance(one.text, str) or (one.fault is None and not one.text.strip()):
                self.fail(
                    f"the text is {one.text!r:.60} without a fault; where there is no guidance, return "
                    "Guidance(fault=TeacherReplyError(...))",
                )
            if one.fault is not None and one.text:
                self.fail("a Guidance has both a text and a fault; leave the text empty")
            said = f"{one.text} {one.mistake} {one.fault}"
            if any(mark in said and not may_show for mark, may_show in shown.items()):
                self.fail(
                    f"the guidance holds a truth that protocol {self.protocol.name!r} hides; build prompts "
                    "with socratic_env.protocols.teacher_messages only",
                )
