"""Does a teacher keep its contract?"""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NoReturn

from socratic_env.checks.parts import some_questions
from socratic_env.dialogue import Rules, advise, answer, open_dialogue
from socratic_env.errors import CheckError, SocraticError, TeacherError
from socratic_env.protocols import TeachingProtocol
from socratic_env.protocols import protocol as protocol_of
from socratic_env.teachers import Teacher, TeacherRequest, TeacherSpec, from_spec
from socratic_env.teachers.base import run
from socratic_env.types import AnswerKind, Guidance, Question, Usage, reply

CANARY, CANARY_NUMBER = "canary-6b1f93d2", "60.4918273"
"""Stand for the hidden solution of every question that the checks ask about, and for the hidden answer
of the numeric ones."""
_ODD_REPLIES = ("", "\x00 \u200b \U0001f600", "{reference_solution} {0} %s {{x.__class__}}", "<|im_end|>" * 9)
_RULES = Rules(max_attempts=9)


def check_teacher(
    teacher: TeacherSpec,
    questions: Sequence[Question] | None = None,
    *,
    protocol: str | TeachingProtocol = "paper",
    deterministic: bool = False,
    picklable: bool = False,
    patience_s: float = 60.0,
) -> None:
    """Check that a teacher keeps its contract; it is asked about 40 times.

    One Guidance for each request, in order, for none, one and many requests, at the first and at a
    later attempt, from calls under way together and from another event loop, also after `close`;
    faults as data; no hidden truth in the guidance. A teacher made here from a spec is closed.

    Args:
        teacher: a Teacher object or a spec; a spec must also survive JSON.
        questions: what to ask about; None for some procedural ones.
        protocol: the teaching variant; what it hides must not show.
        deterministic: the teacher claims that equal requests get equal guidance, in any company.
        picklable: the teacher claims that it can be copied to another process.
        patience_s: the longest time for one call.

    Raises:
        CheckError: what is wrong, and the remedy.
    """
    made = _from_spec(teacher)
    asked = questions if questions is not None else some_questions()
    if not asked:
        raise CheckError("questions is empty; give at least one, or None for procedural ones")
    exam = _Exam(made, protocol_of(protocol), patience_s)
    try:
        requests = [exam.request(question) for question in asked[:6]]
        for question in asked[:6]:
            _check_accepts(made, question)
        _check_batches(exam, requests)
        _check_odd_replies(exam, asked[0])
        _check_overlap(exam, requests)
        if deterministic:
            _check_deterministic(exam, requests)
        if picklable:
            _check_picklable(made)
    finally:
        if not isinstance(teacher, Teacher):
            run(made.close())


def _fail(teacher: Teacher, what: str) -> NoReturn:
    raise CheckError(f"{type(teacher).__name__}: {what}")


def _from_spec(spec: TeacherSpec) -> Teacher:
    if isinstance(spec, Teacher):
        if not inspect.iscoroutinefunction(spec.guide):
            _fail(spec, "guide is no coroutine function; define it with 'async def guide(self, requests)'")
        return spec
    if not isinstance(spec, str | Mapping):
        raise CheckError(
            f"{spec!r:.80} is neither a Teacher nor a spec; derive its class from socratic_env.Teacher"
        )
    try:
        copy = json.loads(json.dumps(spec if isinstance(spec, str) else dict(spec)))
    except (TypeError, ValueError) as error:
        raise CheckError(
            f"the spec is no JSON ({error}); use texts, numbers, lists and mappings only, or pass the "
            "Teacher object itself"
        ) from None
    return from_spec(copy)


class _Exam:
    """A teacher, a protocol, and calls that cannot hang."""

    def __init__(self, teacher: Teacher, protocol: TeachingProtocol, patience_s: float) -> None:
        self.teacher, self.protocol, self.patience_s = teacher, protocol, patience_s

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
        numeric = question.kind is AnswerKind.NUMERIC
        marked = replace(question, solution=CANARY, answer=CANARY_NUMBER if numeric else question.answer)
        return TeacherRequest(replace(dialogue, question=marked), self.protocol)

    async def ask(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """The guidances, checked one by one; a TeacherError that was raised counts as a fault."""
        try:
            given = await asyncio.wait_for(self.teacher.guide(requests), self.patience_s)
        except TeacherError as fault:
            return [Guidance(fault=fault) for _ in requests]
        except TimeoutError:
            _fail(
                self.teacher,
                f"guide did not return within {self.patience_s:g} s; give every call a total deadline and "
                "return Guidance(fault=TeacherTimeout(...)) when it has passed",
            )
        except SocraticError:
            raise  # names its own remedy
        except Exception as error:  # noqa: BLE001 - whatever a user's teacher raises is named
            _fail(
                self.teacher,
                f"guide raised {type(error).__name__}: {error}; catch what a request may cause and return "
                "Guidance(fault=TeacherError(...)) for it, so that the other requests succeed",
            )
        self._check_shape(requests, given)
        return given

    def _check_shape(self, requests: Sequence[TeacherRequest], given: Any) -> None:
        if not isinstance(given, list) or len(given) != len(requests):
            got = f"{len(given)}" if isinstance(given, list) else f"a {type(given).__name__}"
            _fail(
                self.teacher,
                f"guide returned {got} for {len(requests)} requests; return a list with one for each, in the "
                "order of the requests",
            )
        shown = {CANARY: self.protocol.reference_solution, CANARY_NUMBER: self.protocol.ground_truth}
        for one in given:
            if not isinstance(one, Guidance):
                _fail(self.teacher, f"guide returned {one!r:.60} in its list; wrap it: Guidance(text)")
            if not isinstance(one.usage, Usage):
                _fail(self.teacher, f"usage is {one.usage!r:.60}; give a socratic_env.types.Usage")
            if one.fault is not None and not isinstance(one.fault, TeacherError):
                _fail(self.teacher, f"the fault is {one.fault!r:.60}; make it a TeacherError")
            if not isinstance(one.text, str) or (one.fault is None and not one.text.strip()):
                _fail(
                    self.teacher,
                    f"the text is {one.text!r:.60} without a fault; where there is no guidance, return "
                    "Guidance(fault=TeacherReplyError(...))",
                )
            if one.fault is not None and one.text:
                _fail(self.teacher, "a Guidance has both a text and a fault; leave the text empty")
            said = f"{one.text} {one.mistake} {one.fault}"
            if any(mark in said and not may_show for mark, may_show in shown.items()):
                _fail(
                    self.teacher,
                    f"the guidance holds a truth that protocol {self.protocol.name!r} hides; build prompts "
                    "with socratic_env.protocols.teacher_messages only",
                )


def _check_accepts(teacher: Teacher, question: Question) -> None:
    try:
        teacher.check(question)
    except SocraticError as error:
        _fail(teacher, f"it refuses question {question.id!r} ({error}); pass questions that it can teach")


def _check_batches(exam: _Exam, requests: Sequence[TeacherRequest]) -> None:
    for count in (0, 1, len(requests)):
        run(exam.ask(requests[:count]))
    question = requests[0].dialogue.question
    run(exam.ask([*requests, exam.request(question, attempts=3)]))


def _check_odd_replies(exam: _Exam, question: Question) -> None:
    run(exam.ask([exam.request(question, said) for said in _ODD_REPLIES]))


def _check_overlap(exam: _Exam, requests: Sequence[TeacherRequest]) -> None:
    """Calls under way together, and then from a second event loop, as users of asyncio have."""

    async def together() -> None:
        await asyncio.gather(*(exam.ask([request]) for request in requests))

    async def elsewhere() -> None:
        await together()
        await exam.teacher.close()

    run(together())
    _in_own_loop(elsewhere())


def _in_own_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    with ThreadPoolExecutor(1) as pool:  # the caller's thread may run a loop already
        pool.submit(asyncio.run, coroutine).result()


def _check_deterministic(exam: _Exam, requests: Sequence[TeacherRequest]) -> None:
    together = run(exam.ask(requests))
    alone = [run(exam.ask([request]))[0] for request in requests]
    backwards = run(exam.ask(requests[::-1]))[::-1]
    for others in (alone, backwards):
        for request, one, other in zip(requests, together, others, strict=True):
            if (one.text, one.mistake) != (other.text, other.mistake):
                _fail(
                    exam.teacher,
                    f"it claims to be deterministic, but said {one.text!r:.60} and then {other.text!r:.60} "
                    f"on question {request.dialogue.question.id!r}; check the order of the list, seed each "
                    "request by its content, or leave out deterministic=True",
                )


def _check_picklable(teacher: Teacher) -> None:
    try:
        copy = pickle.loads(pickle.dumps(teacher))
    except Exception as error:  # noqa: BLE001 - anything may go wrong in a user's class
        _fail(
            teacher,
            f"it claims to be picklable, but {type(error).__name__}: {error}; leave clients and open files "
            "out in __getstate__, and make them when they are first used",
        )
    if type(copy) is not type(teacher):
        _fail(teacher, f"its copy is a {type(copy).__name__}; return the same class from __reduce__")
