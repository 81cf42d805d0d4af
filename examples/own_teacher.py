"""A teacher of your own: write one class, check it, and use it in an environment.

Run: python examples/own_teacher.py
"""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym

from socratic_env import Guidance, Teacher, TeacherRequest
from socratic_env.checks import check_teacher


class UnitsTeacher(Teacher):
    """Reminds the student of its own words; `guide` is all that a teacher must have."""

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """One Guidance for each request, in order."""
        return [Guidance(self._say(request)) for request in requests]

    def _say(self, request: TeacherRequest) -> str:
        last = request.dialogue.attempts[-1]
        if last.verdict.answer is None:
            return f"I could not read an answer ({last.verdict.reason})."
        return f"{last.verdict.answer} is not right. Write down the unit of every quantity."


def main() -> None:
    """Check the teacher, then let it guide one episode."""
    check_teacher(UnitsTeacher(), deterministic=True, picklable=True)
    print("check_teacher: fine")
    env = gym.make("SocraticPhysics-v0", teacher=UnitsTeacher())
    env.reset(seed=0)
    _, reward, *_, info = env.step("<reasoning>\nI guess.\n</reasoning>\n<answer>\nA\n</answer>")
    print(f"correct: {info['correct']}, reward: {reward}, guidance: {info['guidance']}")
    env.close()


if __name__ == "__main__":
    main()
