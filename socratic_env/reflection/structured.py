"""Answers of a language model in a form: checked, and asked for once more where the form is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from socratic_env.errors import ConfigurationError, TeacherError, TeacherReplyError
from socratic_env.models.completion import without_thinking
from socratic_env.models.endpoint import Endpoint
from socratic_env.reflection.prompts import ReflectionPrompt
from socratic_env.reflection.reflector import reference
from socratic_env.teachers.openai_teacher import fault_of
from socratic_env.traces import InteractionTrace
from socratic_env.types import Message, Usage
from socratic_env.viewpoints import Viewpoint, applies

T = TypeVar("T")
_QUOTED = 4000
"""Characters of an unusable answer that its writer is shown again."""
_MOST_OBJECTS = 64
_FIELDS = {"kind", "trigger", "text"}


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


def viewpoints_in(
    text: str, prompt: ReflectionPrompt, trace: InteractionTrace, teacher: str
) -> tuple[Viewpoint, ...]:
    """The viewpoints of a model's answer to a prompt about a trace. Raises ValueError with what is wrong."""
    listed = json_object(text, "viewpoints")["viewpoints"]
    if not isinstance(listed, list):
        raise ValueError('"viewpoints" is no list')
    if len(listed) > prompt.most:
        raise ValueError(f"it gives {len(listed)} viewpoints; give at most {prompt.most}")
    return tuple(_viewpoint(each, prompt, trace, teacher) for each in listed)


def _viewpoint(given: object, prompt: ReflectionPrompt, trace: InteractionTrace, teacher: str) -> Viewpoint:
    if not isinstance(given, dict) or not set(given) >= {"kind", "text"} or not set(given) <= _FIELDS:
        raise ValueError(f'a viewpoint is {given!r:.80}; give an object of "kind", "trigger" and "text"')
    kind, text, trigger = given["kind"], given["text"], given.get("trigger", "")
    if kind not in prompt.kinds:
        raise ValueError(f'"kind" is {kind!r:.40}; give {" or ".join(prompt.kinds)}')
    if not isinstance(text, str) or len(text) > prompt.max_chars:
        raise ValueError(f'"text" must be a text of at most {prompt.max_chars} characters')
    try:
        viewpoint = Viewpoint(
            text.strip(), kind, trigger, reference(trace), teacher=teacher, teacher_version=prompt.version
        )
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    if not applies(viewpoint, trace.question):
        raise ValueError(f'"trigger" is {trigger!r:.60}; give one of the listed situations, or ""')
    return viewpoint
