"""What all faces share: a room with a teacher in it, and what they show of a dialogue."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from socratic_env import dialogue as rules_of
from socratic_env.dialogue import Dialogue
from socratic_env.errors import unknown
from socratic_env.room import Room
from socratic_env.spaces import UnicodeText
from socratic_env.teachers import TeacherSpec, from_spec
from socratic_env.teachers.base import Teacher, ask, run
from socratic_env.types import Question

LONGEST_OBSERVATION = 2**31 - 1


class Classroom(Room):
    """A room with a teacher; opens dialogues and carries them on.

    Args:
        teacher: as for `gym.make`.
        others: as for Room.
    """

    def __init__(self, *, teacher: TeacherSpec = "rule", **room: Any) -> None:
        known = inspect.signature(Room).parameters
        for name in room:
            if name not in known:
                raise unknown("argument", name, ("teacher", *known))
        super().__init__(**room)
        self.teacher: Teacher = from_spec(teacher)
        self._owns_teacher = not isinstance(teacher, Teacher)

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


def observe(dialogue: Dialogue, reward_bounds: tuple[float, float]) -> tuple[str, dict[str, Any]]:
    """(observation, info) of a dialogue. Fresh objects, no ground truth, no timings."""
    last = dialogue.attempts[-1] if dialogue.attempts else None
    guidance = last.guidance if last is not None else None
    return rules_of.text(dialogue), {
        "messages": rules_of.messages(dialogue),
        "question_id": dialogue.question.id,
        "domain": dialogue.question.domain,
        "attempt": len(dialogue.attempts),
        "correct": last.verdict.correct if last is not None else False,
        "answer": last.verdict.answer if last is not None else None,
        "verdict": last.verdict.reason if last is not None else None,
        "guidance": guidance.text if guidance is not None and guidance.fault is None else None,
        "stop_reason": dialogue.stop.value if dialogue.stop is not None else None,
        "reward_bounds": reward_bounds,
    }


def text_space() -> UnicodeText:
    """The space of observations and actions."""
    return UnicodeText(LONGEST_OBSERVATION)
