"""A language-model teacher behind any OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from socratic_env.errors import (
    EndpointContextError,
    EndpointReplyError,
    EndpointTimeout,
    EndpointUnusable,
    TeacherContextError,
    TeacherError,
    TeacherReplyError,
    TeacherTimeout,
    TeacherUnavailable,
    TeacherUnusable,
)
from socratic_env.models.completion import without_thinking
from socratic_env.models.endpoint import Endpoint, Reply
from socratic_env.models.fields import chat_template_field
from socratic_env.protocols import teacher_messages
from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import Guidance

_FAULTS: dict[type[Exception], type[TeacherError]] = {
    EndpointTimeout: TeacherTimeout,
    EndpointReplyError: TeacherReplyError,
    EndpointContextError: TeacherContextError,
    EndpointUnusable: TeacherUnusable,
}


class OpenAITeacher(Teacher):
    """Asks a chat-completions endpoint (vLLM's server, a commercial one) for guidance.

    Args:
        temperature, max_tokens: of the guidance (Table 5: 0.2 and 1024).
        prompt_price, completion_price: money for a million tokens, for `Usage.cost`.
        request: further fields of the request, such as {"top_k": 20}, or None for one
            that is to be left out: {"temperature": None}.
        rename: fields under another name: {"max_tokens": "max_completion_tokens"}.
        chat_template: further arguments of the server's chat template, such as {"enable_thinking": False},
            sent as chat_template_kwargs.
        others: as for `Endpoint`. No call of `guide` takes longer than `deadline_s`.
    """

    together = False

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float = 0.2,
        max_tokens: int = 1024,
        deadline_s: float = 300.0,
        connect_s: float = 10.0,
        retries: int = 4,
        concurrency: int = 64,
        max_reply_bytes: int = 8 * 2**20,
        prompt_price: float = 0.0,
        completion_price: float = 0.0,
        request: Mapping[str, Any] | None = None,
        rename: Mapping[str, str] | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        fields = {"temperature": temperature, "max_tokens": max_tokens}
        self._endpoint = Endpoint(
            "teacher 'openai'",
            base_url,
            model,
            api_key_env,
            fields | chat_template_field("teacher 'openai'", chat_template, request),
            request,
            rename,
            deadline_s,
            connect_s,
            retries,
            concurrency,
            max_reply_bytes,
            (prompt_price, completion_price),
        )

    def __repr__(self) -> str:
        return f"OpenAITeacher(base_url={self._endpoint.base_url!r}, model={self._endpoint.model!r})"

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """All requests at once, up to the cap; each fails or succeeds by itself."""
        return list(await asyncio.gather(*map(self._guide_one, requests)))

    async def close(self) -> None:
        """Close the connections of the running loop."""
        await self._endpoint.close()

    async def _guide_one(self, request: TeacherRequest) -> Guidance:
        reply = await self._endpoint.ask(teacher_messages(request.dialogue, request.protocol))
        fault = fault_of(reply, self._endpoint.base_url)
        if fault is not None:
            return Guidance(fault=fault, usage=replace(reply.usage, failures=1))
        return Guidance(
            without_thinking(reply.text), truncated=reply.finish_reason == "length", usage=reply.usage
        )


def fault_of(reply: Reply, base_url: str) -> TeacherError | None:
    """Why a teacher's reply cannot be used: the endpoint's fault, a refusal, no text; None: it can."""
    if reply.fault is not None:
        return _FAULTS.get(type(reply.fault), TeacherUnavailable)(str(reply.fault))
    if reply.refusal:
        return TeacherReplyError(f"{base_url} refused to guide: {reply.refusal}")
    if not without_thinking(reply.text):
        return TeacherReplyError(
            f"{base_url} answered with an empty message (finish_reason {reply.finish_reason!r:.40})"
        )
    return None
