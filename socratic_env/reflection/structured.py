"""Answers of a language model in a form: checked, and asked for once more where the form is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from socratic_env.errors import TeacherError, TeacherReplyError
from socratic_env.models.completion import without_thinking
from socratic_env.models.endpoint import Endpoint
from socratic_env.teachers.openai_teacher import fault_of
from socratic_env.types import Message, Usage

T = TypeVar("T")
_QUOTED = 4000
"""Characters of an unusable answer that its writer is shown again."""
_MOST_OBJECTS = 64


async def ask_checked(
    endpoint: Endpoint, chat: Sequence[Message], read: Callable[[str], T]
) -> tuple[T | None, TeacherError | None, Usage]:
    """(what `read` makes of the answer, None), or (None, the fault); and what it cost.

    read: raises ValueError with what is wrong for an answer that it cannot use. The model is told, and asked
    once more; a second one is the fault. Faults of the endpoint are not asked again here.
    """
    usage, why, chat = Usage(), "", list(chat)
    for _ in range(2):
        reply = await endpoint.ask(chat)
        fault = fault_of(reply, endpoint.base_url)
        usage += replace(reply.usage, failures=int(fault is not None))
        if fault is not None:
            return None, fault, usage
        text = without_thinking(reply.text)
        try:
            return read(text), None, usage
        except ValueError as error:
            cut = "; it was cut at its longest length" if reply.finish_reason == "length" else ""
            why = f"{error}{cut}"
        chat += [
            {"role": "assistant", "content": text[:_QUOTED]},
            {
                "role": "user",
                "content": f"That cannot be used: {why}. Answer once more, in the output format asked for.",
            },
        ]
    usage = replace(usage, failures=usage.failures + 1)
    return (
        None,
        TeacherReplyError(f"{endpoint.base_url} answered twice with what cannot be used: {why}"),
        usage,
    )


def json_object(text: str, key: str) -> dict[str, Any]:
    """The first JSON object with a key in a text, whatever stands around it. Raises ValueError."""
    decoder, why = json.JSONDecoder(), ""
    starts = [place for place, sign in enumerate(text) if sign == "{"][:_MOST_OBJECTS]
    for start in starts:
        try:
            found, _ = decoder.raw_decode(text, start)
        except RecursionError:
            why = why or "its JSON is nested too deeply"
        except ValueError as error:
            why = why or f"its JSON is broken ({error})"
        else:
            if key in found:
                return dict(found)
    raise ValueError(why or (f"its JSON object has no {key!r}" if starts else "it holds no JSON object"))
