"""What a student is: it answers dialogues."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from socratic_env.types import Message, Question, Usage


@dataclass(frozen=True, slots=True)
class StudentRequest:
    """One dialogue to answer: the question, its rollout, and what the student sees of it."""

    question: Question
    rollout: int
    messages: Sequence[Message]


class Student(ABC):
    """Answers dialogues, batch first. `usage` is what its calls have cost so far."""

    usage: Usage = Usage()

    @abstractmethod
    async def answer(self, requests: Sequence[StudentRequest]) -> list[str]:
        """One reply for each request, in order. Raises StudentError if a call fails for good."""

    async def close(self) -> None:  # noqa: B027 - optional to override
        """Give back connections and other resources."""
