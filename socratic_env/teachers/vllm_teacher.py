"""A language-model teacher in this process: vLLM on a local model folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from socratic_env.errors import TeacherContextError, TeacherReplyError
from socratic_env.models.completion import without_thinking
from socratic_env.models.local_model import LocalModel
from socratic_env.protocols import teacher_messages
from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import Guidance, Usage


class VLLMTeacher(Teacher):
    """Runs a model by vLLM; all requests under way share its forward passes.

    Args:
        model: the folder.
        max_tokens, temperature: of the guidance (Table 5: 1024 and 0.2).
        others: as for `LocalModel`.
    """

    together = False

    def __init__(
        self,
        model: str | os.PathLike[str],
        max_tokens: int = 1024,
        temperature: float = 0.2,
        seed: int = 0,
        max_model_len: int | None = None,
        dtype: str = "auto",
        engine: Mapping[str, Any] | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = LocalModel(
            "teacher 'vllm'",
            model,
            max_tokens,
            temperature,
            1.0,
            seed,
            max_model_len,
            dtype,
            engine,
            chat_template,
        )

    def __repr__(self) -> str:
        return f"VLLMTeacher({self._model.folder!r})"

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """All requests together; a prompt that is too long fails by itself."""
        return list(await asyncio.gather(*map(self._guide_one, requests)))

    async def close(self) -> None:
        """Shut the engine down; the next request would start it again."""
        await self._model.close()

    async def _guide_one(self, request: TeacherRequest) -> Guidance:
        ids = await self._model.encode(teacher_messages(request.dialogue, request.protocol))
        if self._model.room(ids) <= 0:
            full = TeacherContextError(
                f"the prompt of {len(ids)} tokens does not fit into the {self._model.max_model_len} of "
                f"{self._model.folder}"
            )
            return Guidance(fault=full, usage=Usage(1, 1))
        said = await self._model.complete(ids)
        text = without_thinking(said.text)
        if not text:
            fault = TeacherReplyError(f"the model wrote no guidance (finish_reason {said.finish_reason!r})")
            return Guidance(fault=fault, usage=replace(said.usage, failures=1))
        return Guidance(text, truncated=said.finish_reason == "length", usage=said.usage)
