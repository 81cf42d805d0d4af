"""A language model behind any OpenAI-compatible endpoint as the student."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.errors import (
    ConfigurationError,
    EndpointContextError,
    EndpointUnusable,
    StudentContextError,
    StudentError,
    StudentUnusable,
)
from socratic_env.models.completion import ended
from socratic_env.models.endpoint import Endpoint
from socratic_env.models.fields import chat_template_field
from socratic_env.students.student import Student, StudentReply, StudentRequest

_FAULTS: dict[type[Exception], type[StudentError]] = {
    EndpointContextError: StudentContextError,
    EndpointUnusable: StudentUnusable,
}


class OpenAIStudent(Student):
    """A model behind an OpenAI-compatible endpoint.

    Args:
        temperature, top_p, max_tokens, seed: of the replies; seed + rollout is sent along.
        request: further fields of the request, such as {"top_k": 20}, or None for one
            that is to be left out: {"seed": None}.
        rename: fields under another name: {"max_tokens": "max_completion_tokens"}.
        chat_template: further arguments of the server's chat template, such as {"enable_thinking": False},
            sent as chat_template_kwargs.
        others: as for `Endpoint`.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        seed: int = 0,
        deadline_s: float = 300.0,
        connect_s: float = 10.0,
        retries: int = 4,
        concurrency: int = 64,
        max_reply_bytes: int = 8 * 2**20,
        request: Mapping[str, Any] | None = None,
        rename: Mapping[str, str] | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(request, Mapping) and request.get("seed") is not None:
            raise ConfigurationError(
                f"student 'openai': request gives all samples the seed {request['seed']!r}, and so the same "
                "reply; use the student's own seed, or null to send none"
            )
        fields = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "seed": seed}
        fields |= chat_template_field("student 'openai'", chat_template, request)
        self._endpoint = Endpoint(
            "student 'openai'",
            base_url,
            model,
            api_key_env,
            fields,
            request,
            rename,
            deadline_s,
            connect_s,
            retries,
            concurrency,
            max_reply_bytes,
        )
        self._seed = seed

    async def answer(self, requests: Sequence[StudentRequest]) -> list[StudentReply]:
        """Replies, up to `concurrency` calls at once; an empty message or a refusal is a reply too.

        Raises StudentContextError for a dialogue that is too long for the server, StudentUnusable where no
        other call would fare better, and StudentError for other faults.
        """
        return list(await asyncio.gather(*map(self._one, requests)))

    async def _one(self, request: StudentRequest) -> StudentReply:
        reply = await self._endpoint.ask(request.messages, seed=self._seed + request.rollout)
        self.usage += reply.usage
        if reply.fault is not None:
            kind = _FAULTS.get(type(reply.fault), StudentError)
            raise kind(f"the student's endpoint failed: {reply.fault}")
        return StudentReply(reply.text or reply.refusal, ended(reply.finish_reason))

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()
