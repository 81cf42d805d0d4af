"""Verdicts of verifiers of both forms: those that return one, and those that are awaited.

What is awaited runs on a loop of its own, all of one moment together. A verdict that is there at once makes
no trip to any loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from inspect import isawaitable
from typing import TypeAlias, cast

from socratic_env.errors import VerifierError
from socratic_env.loops import VERIFIERS, await_on, run
from socratic_env.types import Question, Verdict
from socratic_env.verifiers import SyncVerifier, Verifier

Outcome: TypeAlias = "Verdict | VerifierError"
"""A verdict, or the fault that left none."""
Begun: TypeAlias = "Outcome | Awaitable[Verdict]"


def begin(verifier: Verifier, question: Question, text: str) -> Begun:
    """The verdict, the fault, or what is to be awaited."""
    try:
        return verifier(question, text)
    except VerifierError as fault:
        return fault


async def finish(begun: Begun) -> Outcome:
    """What has begun, awaited from any event loop."""
    if isinstance(begun, Verdict) or not isawaitable(begun):
        return begun
    return await await_on(VERIFIERS, _outcome(begun))


def finish_all(begun: Sequence[Begun]) -> list[Outcome]:
    """All that has begun, awaited together from synchronous code."""
    waiting = [each for each in begun if not isinstance(each, Verdict) and isawaitable(each)]
    if not waiting:
        return cast("list[Outcome]", list(begun))
    done = dict(zip(map(id, waiting), run(_together(waiting), VERIFIERS), strict=True))
    return [done.get(id(each)) or cast("Outcome", each) for each in begun]


def blocking(verifier: Verifier) -> SyncVerifier:
    """The verifier as a function that returns its verdict. It raises VerifierError for a fault."""

    def judge(question: Question, text: str) -> Verdict:
        judged = verifier(question, text)
        if isinstance(judged, Verdict) or not isawaitable(judged):
            return judged
        (outcome,) = finish_all([judged])
        if isinstance(outcome, VerifierError):
            raise outcome
        return outcome

    return judge


async def _together(waiting: Sequence[Awaitable[Verdict]]) -> list[Outcome]:
    return list(await asyncio.gather(*map(_outcome, waiting)))


async def _outcome(waiting: Awaitable[Verdict]) -> Outcome:
    try:
        return await waiting
    except VerifierError as fault:
        return fault
