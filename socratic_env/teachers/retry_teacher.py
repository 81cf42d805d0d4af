"""The fixed retry prompt: the ablation without teacher guidance (paper section 5.3)."""

from __future__ import annotations

from collections.abc import Sequence

from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import Guidance

RETRY_PROMPT = "Your answer is incorrect. Try again."


class RetryTeacher(Teacher):
    """Says the same after every mistake."""

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """The retry prompt for each request."""
        return [Guidance(RETRY_PROMPT) for _ in requests]
