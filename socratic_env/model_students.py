"""Language models as students: behind an endpoint, or in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.endpoint import Endpoint
from socratic_env.errors import StudentContextError, StudentError
from socratic_env.local_model import LocalModel
from socratic_env.students import Student, StudentRequest


class EndpointStudent(Student):
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


class VLLMStudent(Student):
    """A model in this process: vLLM on a local folder.

    Args:
        model: the folder.
        temperature, top_p, max_tokens, seed: of the replies.
        others: as for `LocalModel`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        seed: int = 0,
        max_model_len: int | None = None,
        dtype: str = "auto",
        engine: Mapping[str, Any] | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = LocalModel(
            "student 'vllm'",
            model,
            max_tokens,
            temperature,
            top_p,
            seed,
            max_model_len,
            dtype,
            engine,
            chat_template,
        )

    async def answer(self, requests: Sequence[StudentRequest]) -> list[str]:
        """Replies, all under way together. Raises StudentContextError for a dialogue that is too long."""
        return list(await asyncio.gather(*map(self._one, requests)))

    async def _one(self, request: StudentRequest) -> str:
        ids = await self._model.encode(request.messages)
        if self._model.room(ids) <= 0:
            raise StudentContextError(
                f"a dialogue of {len(ids)} tokens does not fit into the {self._model.max_model_len} of the "
                f"student {self._model.folder}; raise 'max_model_len', or lower 'max_context_chars'"
            )
        said = await self._model.complete(ids, request.rollout)
        self.usage += said.usage
        return said.text

    async def close(self) -> None:
        """Shut the engine down."""
        await self._model.close()
