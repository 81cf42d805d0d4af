"""Several reflecting teachers: what enough of them see is proposed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from socratic_env.errors import ConfigurationError, TeacherError, check_count
from socratic_env.reflection import ReflectorSpec, from_spec
from socratic_env.reflection.reflector import Reflection, Reflector
from socratic_env.traces import InteractionTrace
from socratic_env.types import Usage
from socratic_env.viewpoints import Viewpoint
from socratic_env.viewpoints.viewpoint import normalised_trigger


class EnsembleReflector(Reflector):
    """Asks all teachers at once; a viewpoint is kept where so many of them speak of its situation.

    Teachers word things differently, so what they agree on is the trigger; viewpoints without one must be the
    same. All wordings of an agreed situation are proposed, each by its own teacher, for their utility to be
    compared. A teacher that fails as a whole is a fault, and the others go on.

    Args:
        teachers: specs or objects.
        votes: how many of them must speak of a situation.
    """

    def __init__(self, teachers: Sequence[ReflectorSpec], votes: int = 1) -> None:
        if isinstance(teachers, str | Mapping) or not isinstance(teachers, Sequence) or not teachers:
            raise ConfigurationError(
                f"reflector 'ensemble': teachers is {teachers!r:.80}; give a list of at least one"
            )
        check_count("reflector 'ensemble': votes", votes)
        if votes > len(teachers):
            raise ConfigurationError(
                f"reflector 'ensemble': votes is {votes}, of {len(teachers)} teachers; give at most as many"
            )
        self._votes = int(votes)
        self._teachers = [from_spec(spec) for spec in teachers]
        self._owned = [
            made
            for made, spec in zip(self._teachers, teachers, strict=True)
            if not isinstance(spec, Reflector)
        ]

    def __repr__(self) -> str:
        return f"EnsembleReflector({self._teachers!r}, votes={self._votes})"

    async def consider(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """What enough teachers speak of, in their order. `unread`: traces that none of them can read."""
        given = await asyncio.gather(*(_ask(teacher, traces) for teacher in self._teachers))
        whole = sum(given, Reflection())
        speak: dict[str, set[int]] = {}
        for number, each in enumerate(given):
            for one in each:
                speak.setdefault(_situation(one), set()).add(number)
        kept = tuple(one for one in whole if len(speak[_situation(one)]) >= self._votes)
        return Reflection(kept, whole.faults, min(each.unread for each in given), whole.usage)

    async def close(self) -> None:
        """Close the teachers that were made here."""
        for teacher in self._owned:
            await teacher.close()


def _situation(viewpoint: Viewpoint) -> str:
    return normalised_trigger(viewpoint.trigger) or viewpoint.id


async def _ask(teacher: Reflector, traces: Sequence[InteractionTrace]) -> Reflection:
    try:
        return await teacher.consider(traces)
    except TeacherError as fault:
        return Reflection(faults=(fault,), usage=Usage(calls=1, failures=1))
