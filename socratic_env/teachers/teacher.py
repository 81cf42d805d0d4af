"""What a teacher is, and how one is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from socratic_env.dialogue import Dialogue
from socratic_env.errors import ConfigurationError, TeacherError
from socratic_env.protocols import TeachingProtocol
from socratic_env.types import Guidance, Question, Usage


@dataclass(frozen=True, slots=True)
class TeacherRequest:
    """One failed dialogue on which guidance is wanted, and how to teach."""

    dialogue: Dialogue
    protocol: TeachingProtocol


class Teacher(ABC):
    """Gives guidance, batch first: `guide` is the only method that a teacher must have.

    Environments call it on the teachers' own event loop (`socratic_env.engine.background`), also while an
    earlier call is under way. `together` says whether requests of one moment, from episodes that do not
    wait for each other, gain from being one call. It is False where each is a request of its own to a
    server or an engine anyway: then none waits for the slowest.
    """

    together: bool = True

    @abstractmethod
    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """One Guidance for each request, in order.

        A request that failed has its TeacherError in `Guidance.fault`; raising a TeacherError
        fails all of them. Any other exception is a defect of the teacher and propagates.
        """

    def check(self, question: Question) -> None:  # noqa: B027 - optional to override
        """Raise ConfigurationError if this teacher cannot teach such a question."""

    async def close(self) -> None:  # noqa: B027 - optional to override
        """Give back connections and other resources."""


async def ask(teacher: Teacher, requests: Sequence[TeacherRequest]) -> list[Guidance]:
    """One Guidance for each request; a TeacherError that is raised is the fault of all of them.

    Raises ConfigurationError if the teacher does not answer each request.
    """
    try:
        given = await teacher.guide(requests)
    except TeacherError as fault:
        given = [Guidance(fault=fault, usage=Usage(calls=1, failures=1)) for _ in requests]
    if len(given) != len(requests):
        raise ConfigurationError(
            f"{type(teacher).__name__}.guide returned {len(given)} guidances for "
            f"{len(requests)} requests; it must return one for each"
        )
    return given
