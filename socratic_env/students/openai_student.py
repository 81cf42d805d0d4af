"""A language model behind any OpenAI-compatible endpoint as the student."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.errors import StudentError
from socratic_env.models.endpoint import Endpoint
from socratic_env.students.student import Student, StudentRequest


class OpenAIStudent(Student):
    """A model behind an OpenAI-compatible endpoint.

    Args:
        temperature, top_p, max_tokens, seed: of the replies; seed + rollout is sent along.
        extra_body: further fields of the request, such as {"chat_template_kwargs": {...}}.
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
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        sampling = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
        self._endpoint = Endpoint(
            "student 'openai'",
            base_url,
            model,
            api_key_env,
            {**sampling, **(extra_body or {})},
            deadline_s,
            connect_s,
            retries,
            concurrency,
            max_reply_bytes,
        )
        self._seed = seed

    async def answer(self, requests: Sequence[StudentRequest]) -> list[str]:
        """Replies, up to `concurrency` calls at once; an empty message or a refusal is a reply too."""
        return list(await asyncio.gather(*map(self._one, requests)))

    async def _one(self, request: StudentRequest) -> str:
        reply = await self._endpoint.ask(request.messages, seed=self._seed + request.rollout)
        self.usage += reply.usage
        if reply.fault is not None:
            raise StudentError(f"the student's endpoint failed: {reply.fault}")
        return reply.text or reply.refusal

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()
