"""An interaction with a teacher in it: what all faces but the one with two agents carry."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from socratic_env.dialogue import Dialogue
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import run
from socratic_env.engine.interaction import Interaction
from socratic_env.teachers import from_spec
from socratic_env.teachers.teacher import Teacher, ask
from socratic_env.types import Question


class GuidedInteraction(Interaction):
    """An interaction with a teacher; opens dialogues and carries them on."""

    def __init__(self, arguments: EnvArguments) -> None:
        super().__init__(arguments)
        self.teacher: Teacher = from_spec(arguments.teacher)
        self._owns_teacher = not isinstance(arguments.teacher, Teacher)

    def open(self, question: Question, rollout: int = 0) -> Dialogue:
        """A new dialogue on a question that this teacher can teach."""
        self.teacher.check(question)
        return super().open(question, rollout)

    async def advise(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        """One teacher call for all these dialogues, each of which awaits guidance."""
        if self.protocol.fixed or not dialogues:
            return [self.tell_fixed(dialogue) for dialogue in dialogues]
        given = await ask(self.teacher, [self.request(dialogue) for dialogue in dialogues])
        accepted = [self.accept(*pair) for pair in zip(given, dialogues, strict=True)]
        leaking = [row for row, guidance in enumerate(accepted) if self.asks_again(guidance)]
        if leaking:
            again = await ask(self.teacher, [self.request(dialogues[row], again=True) for row in leaking])
            for row, guidance in zip(leaking, again, strict=True):
                accepted[row] = self.second(accepted[row], self.accept(guidance, dialogues[row]))
        return [self.tell(*pair) for pair in zip(dialogues, accepted, strict=True)]

    def close(self) -> None:
        """Close the teacher, if it was made here from a spec."""
        # While the interpreter ends, the thread of `run` is gone, and waiting for it would never end.
        if self._owns_teacher and not sys.is_finalizing():
            run(self.teacher.close())
