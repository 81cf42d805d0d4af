"""An interaction with a teacher in it: what all faces but the one with two agents carry."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from socratic_env.dialogue import Dialogue
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import TEACHERS, run
from socratic_env.engine.desk import Desk
from socratic_env.engine.interaction import Interaction
from socratic_env.errors import TeacherFaultWarning
from socratic_env.teachers import from_spec
from socratic_env.teachers.teacher import Teacher
from socratic_env.types import Guidance, Question


class GuidedInteraction(Interaction):
    """An interaction with a teacher; opens dialogues and carries them on."""

    def __init__(self, arguments: EnvArguments) -> None:
        super().__init__(arguments)
        self.teacher: Teacher = from_spec(arguments.teacher)
        self._owns_teacher = not isinstance(arguments.teacher, Teacher)
        self._desk = Desk(self.teacher)
        self._warned = False

    def open(self, question: Question, rollout: int = 0) -> Dialogue:
        """A new dialogue on a question that this teacher can teach."""
        self.teacher.check(question)
        return super().open(question, rollout)

    async def advise(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        """One teacher call for all these dialogues, each of which awaits guidance, and for those that
        others ask for at the same moment."""
        if self.protocol.fixed or not dialogues:
            return [self.tell_fixed(dialogue) for dialogue in dialogues]
        given = await self._desk.ask([self.request(dialogue) for dialogue in dialogues])
        self._warn_of_fault(given)
        accepted = [self.accept(*pair) for pair in zip(given, dialogues, strict=True)]
        leaking = [row for row, guidance in enumerate(accepted) if self.asks_again(guidance)]
        if leaking:
            again = await self._desk.ask([self.request(dialogues[row], again=True) for row in leaking])
            for row, guidance in zip(leaking, again, strict=True):
                accepted[row] = self.second(accepted[row], self.accept(guidance, dialogues[row]))
        return [self.tell(*pair) for pair in zip(dialogues, accepted, strict=True)]

    def _warn_of_fault(self, given: Sequence[Guidance]) -> None:
        """Say the first fault aloud: under most policies nothing else would stand out."""
        fault = next((guidance.fault for guidance in given if guidance.fault is not None), None)
        if fault is None or self._warned or self.on_teacher_failure == "raise":
            return
        self._warned = True
        goes_on = {"truncate": "its episode ends", "retry_prompt": "its episode goes on with a fixed text"}
        warnings.warn(
            f"the teacher gave no guidance: {fault}; {goes_on[self.on_teacher_failure]}. Later faults get "
            "no warning; environments tell each in info['teacher_fault']",
            TeacherFaultWarning,
            stacklevel=1,
        )

    def close(self) -> None:
        """Close the teacher, if it was made here from a spec."""
        # While the interpreter ends, the thread of `run` is gone, and waiting for it would never end.
        if self._owns_teacher and not sys.is_finalizing():
            run(self.teacher.close(), TEACHERS)
