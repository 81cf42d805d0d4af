"""A teacher whose model is in this process, whatever runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from socratic_env.errors import TeacherContextError, TeacherReplyError
from socratic_env.models.completion import without_thinking
from socratic_env.models.local_model import LocalModel
from socratic_env.protocols import teacher_messages
from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import Guidance, Usage


class ModelTeacher(Teacher):
    """Asks a model of this process; all requests under way share its forward passes."""

    together = False

    def __init__(self, model: LocalModel) -> None:
        self._model = model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model.folder!r})"

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """All requests together; a prompt that is too long fails by itself."""
        return list(await asyncio.gather(*map(self._guide_one, requests)))

    async def close(self) -> None:
        """Give the model back; the next request would load it again."""
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
