"""A model in this process, run by vLLM on a local folder, as the student."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.errors import StudentContextError
from socratic_env.models.completion import ended
from socratic_env.models.local_model import LocalModel
from socratic_env.students.student import Student, StudentReply, StudentRequest


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

    async def answer(self, requests: Sequence[StudentRequest]) -> list[StudentReply]:
        """Replies, all under way together. Raises StudentContextError for a dialogue that is too long."""
        return list(await asyncio.gather(*map(self._one, requests)))

    async def _one(self, request: StudentRequest) -> StudentReply:
        ids = await self._model.encode(request.messages)
        if self._model.room(ids) <= 0:
            raise StudentContextError(
                f"a dialogue of {len(ids)} tokens does not fit into the {self._model.max_model_len} of the "
                f"student {self._model.folder}; raise 'max_model_len', or lower 'max_context_chars'"
            )
        said = await self._model.complete(ids, request.rollout)
        self.usage += said.usage
        return StudentReply(said.text, ended(said.finish_reason))

    async def close(self) -> None:
        """Shut the engine down."""
        await self._model.close()
