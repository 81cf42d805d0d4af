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


@dataclass(frozen=True, slots=True)
class StudentReply:
    """One reply. finished: it ended by itself; False: it was cut at its longest length, or broken off
    otherwise; None: the model does not say."""

    text: str
    finished: bool | None = None


def reply_of(said: str | StudentReply) -> StudentReply:
    """A reply of `Student.answer`; of a bare text nobody has said how it ended."""
    return said if isinstance(said, StudentReply) else StudentReply(said)


class Student(ABC):
    """Answers dialogues, batch first. `usage` is what its calls have cost so far."""

    usage: Usage = Usage()

    @abstractmethod
    async def answer(self, requests: Sequence[StudentRequest]) -> Sequence[str | StudentReply]:
        """One reply for each request, in order: a text, or with it how it ended.

        Raises StudentError if a call fails for good."""

    async def close(self) -> None:  # noqa: B027 - optional to override
        """Give back connections and other resources."""
