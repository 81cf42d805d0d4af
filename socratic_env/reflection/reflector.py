"""What a reflecting teacher is: it reads traces, and proposes viewpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

from socratic_env.engine.background import TEACHERS, run
from socratic_env.errors import TeacherError
from socratic_env.traces import InteractionTrace
from socratic_env.types import Usage
from socratic_env.viewpoints import Trace, Viewpoint


@dataclass(frozen=True, slots=True)
class Reflection(Sequence[Viewpoint]):
    """What came of reflecting on some traces: a sequence of viewpoints, and what else there is to know.

    viewpoints: as proposed; those of several traces may be duplicates, which a knowledge base merges.
    faults: of the requests that gave nothing usable. Nothing is made up in their place.
    unread: traces that this teacher cannot read.
    usage: what the calls have cost; takes no part in comparisons, since times vary.
    """

    viewpoints: tuple[Viewpoint, ...] = ()
    faults: tuple[TeacherError, ...] = ()
    unread: int = 0
    usage: Usage = field(default=Usage(), compare=False)

    @overload
    def __getitem__(self, index: int) -> Viewpoint: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Viewpoint]: ...
    def __getitem__(self, index: int | slice) -> Viewpoint | Sequence[Viewpoint]:
        return self.viewpoints[index]

    def __len__(self) -> int:
        return len(self.viewpoints)

    def __add__(self, other: Reflection) -> Reflection:
        return Reflection(
            self.viewpoints + other.viewpoints,
            self.faults + other.faults,
            self.unread + other.unread,
            self.usage + other.usage,
        )


class Reflector(ABC):
    """A teacher that reflects: `consider` is the only method that one must have."""

    @abstractmethod
    async def consider(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """What these traces of one batch teach, failures and successes.

        A request that failed has its TeacherError in `faults`; any other exception is a defect.
        """

    def reflect(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """`consider`, from synchronous code."""
        return run(self.consider(traces), TEACHERS)

    async def close(self) -> None:  # noqa: B027 - optional to override
        """Give back connections and other resources."""


def reference(trace: InteractionTrace) -> Trace:
    """A trace as a viewpoint keeps it."""
    return Trace(trace.question.id, trace.source, trace.step, trace.rollout, trace.attempt, trace.text)
