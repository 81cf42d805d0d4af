"""Does a teacher keep its contract?"""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from socratic_env.checks.parts import asked_about, wrong_answers
from socratic_env.checks.teaching import OwnLoop, TeacherProbe
from socratic_env.errors import CheckError, SocraticError
from socratic_env.leakage import detect
from socratic_env.protocols import TeachingProtocol
from socratic_env.protocols import protocol as protocol_of
from socratic_env.teachers import Teacher, TeacherRequest, TeacherSpec, from_spec
from socratic_env.types import Guidance, Question

_ROUNDS = 3
"""How often guidance must follow the truth: a teacher that guesses letters does so now and then."""
_ODD_REPLIES = ("", "\x00 \u200b \U0001f600", "{reference_solution} {0} %s {{x.__class__}}", "<|im_end|>" * 9)


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

    One Guidance for each request, for none, one and many requests, at the first and at a later attempt,
    from calls under way together and from another event loop, also after `close`, and none that blocks
    its loop for longer than `patience_s`; faults as data; no hidden truth in the guidance. The order of
    the list is checked where the teacher says the same to equal requests: guidance that is drawn anew
    each time does not show to which request it belongs. The teacher is closed at the end.

    Args:
        teacher: a Teacher object or a spec; a spec must also survive JSON.
        questions: what to ask about; None for some procedural ones.
        protocol: what the teacher sees; what it hides must not show.
        deterministic: the teacher claims that equal requests get equal guidance, in any company.
        picklable: the teacher claims that it can be copied to another process.
        patience_s: the longest time for one call. A call that never comes back is left behind in a
            daemon thread.

    Raises:
        CheckError: what is wrong, and the remedy.
    """
    asked = asked_about(questions)
    made = _from_spec(teacher)
    probe = TeacherProbe(made, protocol_of(protocol), patience_s)
    try:
        requests = [probe.request(question) for question in asked[:6]]
        for question in asked[:6]:
            _check_accepts(made, question)
        together = _check_batches(probe, requests)
        _check_odd_replies(probe, asked[0])
        _check_order(probe, together, _check_overlap(probe, requests))
        _check_letters(probe, asked[:6])
        if deterministic:
            _check_deterministic(probe, requests)
        if picklable:
            _check_picklable(made)
    finally:
        probe.end()


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


def _check_accepts(teacher: Teacher, question: Question) -> None:
    try:
        teacher.check(question)
    except SocraticError as error:
        _fail(teacher, f"it refuses question {question.id!r} ({error}); pass questions that it can teach")


def _check_batches(probe: TeacherProbe, requests: Sequence[TeacherRequest]) -> list[Guidance]:
    """None, one and many requests; the guidances of all of them in one call."""
    for count in (0, 1):
        probe.run(probe.ask(requests[:count]))
    together = probe.run(probe.ask(requests))
    question = requests[0].dialogue.question
    probe.run(probe.ask([*requests, probe.request(question, attempts=3)]))
    return together


def _check_odd_replies(probe: TeacherProbe, question: Question) -> None:
    probe.run(probe.ask([probe.request(question, said) for said in _ODD_REPLIES]))


def _check_overlap(probe: TeacherProbe, requests: Sequence[TeacherRequest]) -> list[list[Guidance]]:
    """Calls under way together, and then from a second event loop, as users of asyncio have; the
    guidances of both times."""

    async def together() -> list[Guidance]:
        return [given[0] for given in await asyncio.gather(*(probe.ask([request]) for request in requests))]

    async def elsewhere() -> list[Guidance]:
        given = await together()
        await probe.close_teacher()
        return given

    first, other = probe.run(together(), len(requests)), OwnLoop()
    try:
        return [first, probe.run(elsewhere(), len(requests), other)]
    finally:
        other.stop()


def _check_order(probe: TeacherProbe, together: list[Guidance], alone: list[list[Guidance]]) -> None:
    """Of a teacher that says the same each time: one call for many gives it in the order of the list."""
    listed, first, again = ([(one.text, one.mistake) for one in given] for given in (together, *alone))
    if first == again != listed and Counter(first) == Counter(listed):
        came, alone_said = next(pair for pair in zip(listed, first, strict=True) if pair[0] != pair[1])
        probe.fail(
            f"it answers a list in another order: {came[0]!r:.60} came where {alone_said[0]!r:.60} is "
            "what it says to that request alone; return one Guidance for each request, in their order"
        )


def _check_letters(probe: TeacherProbe, questions: Sequence[Question]) -> None:
    """A letter can be no canary: with another truth, and all else equal, guidance must not name that one."""
    if probe.protocol.ground_truth:
        return
    pairs = [_two_truths(probe, question) for question in questions if len(question.letters) > 1]
    for _ in range(_ROUNDS):
        if not pairs:
            return
        given = iter(probe.run(probe.ask([request for pair in pairs for request in pair])))
        pairs = [pair for pair in pairs if _follow(pair, (next(given), next(given)))]
    if pairs:
        probe.fail(
            f"its guidance on question {pairs[0][0].dialogue.question.id!r} follows the right letter, which "
            f"protocol {probe.protocol.name!r} hides; build prompts with "
            "socratic_env.protocols.teacher_messages only"
        )


def _two_truths(probe: TeacherProbe, question: Question) -> tuple[TeacherRequest, TeacherRequest]:
    """The same wrong attempt, once with another letter as the truth."""
    said = question.mistakes[0].answer if question.mistakes else None
    wrong = wrong_answers(question)
    others = [letter for letter in wrong if letter != said]
    reply = None if others else "I do not know."  # of two options, the wrong one would tell the right one
    moved = replace(question, answer=(others or wrong)[-1])
    return probe.request(question, reply), probe.request(moved, reply)


def _follow(pair: tuple[TeacherRequest, TeacherRequest], given: tuple[Guidance, Guidance]) -> bool:
    """Whether each guidance names the truth of its own request, and not that of the other."""
    mine, moved = (request.dialogue.question for request in pair)
    first, second = (f"{one.text}\n{one.mistake}\n{one.fault}" for one in given)
    crossed = detect(mine, second) or detect(moved, first)
    return bool(detect(mine, first) and detect(moved, second) and not crossed)


def _check_deterministic(probe: TeacherProbe, requests: Sequence[TeacherRequest]) -> None:
    together = probe.run(probe.ask(requests))
    alone = [probe.run(probe.ask([request]))[0] for request in requests]
    backwards = probe.run(probe.ask(requests[::-1]))[::-1]
    for others in (alone, backwards):
        for request, one, other in zip(requests, together, others, strict=True):
            if (one.text, one.mistake) != (other.text, other.mistake):
                probe.fail(
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
