"""A student whose model is in this process, whatever runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from socratic_env.errors import StudentContextError
from socratic_env.models.completion import ended
from socratic_env.models.local_model import LocalModel
from socratic_env.students.student import Student, StudentReply, StudentRequest


class ModelStudent(Student):
    """Asks a model of this process."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model

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
        """Give the model back."""
        await self._model.close()
