"""Controls for chains: hints in the right form that do not know the question.

A fixed retry prompt cannot tell whether a hint helps by what it says or by being varied, since any varied
hint makes the next attempt a different one. These hints vary, and say nothing true on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from socratic_env.errors import ConfigurationError, unknown
from socratic_env.questions.procedural.concepts import OPERATIONS
from socratic_env.teachers.rule_teacher import RuleTeacher
from socratic_env.teachers.teacher import TeacherRequest
from socratic_env.types import Guidance, Question

SAYS = ("random", "never_right", "other_question")


class ChainControlTeacher(RuleTeacher):
    """The rule-based teacher with the operation in its hints replaced.

    Args:
        says: "random": any operation; "never_right": any but the right one; "other_question": the hint that
            another question of the same call gets (a random operation where there is no other).
        right_share: how many of the hints are the rule-based teacher's own after all.
        seed: of what is said; the same dialogue is told the same.
    """

    def __init__(self, says: str = "random", right_share: float = 0.0, seed: int = 0) -> None:
        if says not in SAYS:
            raise unknown("says of teacher 'chain_control':", says, SAYS)
        if not 0 <= right_share <= 1:
            raise ConfigurationError(f"right_share is {right_share!r}; give a share from 0 to 1")
        self._says, self._right_share, self._seed = says, right_share, seed

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """The hints, each with its operation replaced."""
        given = await super().guide(requests)
        return [self._replaced(i, requests, given) for i in range(len(given))]

    def check(self, question: Question) -> None:
        """Refuse questions that are no chains."""
        if question.domain != "chains":
            raise ConfigurationError(
                f"teacher 'chain_control' speaks of chains only, and question {question.id!r} is none; use "
                'questions={"kind": "chains"}'
            )

    def _replaced(self, i: int, requests: Sequence[TeacherRequest], given: Sequence[Guidance]) -> Guidance:
        dialogue = requests[i].dialogue
        attempts = dialogue.attempts
        key = f"{self._seed}/{dialogue.question.id}/{dialogue.rollout}/{len(attempts)}/{attempts[-1].text}"
        rng = random.Random(key)
        words = given[i].text.split()
        if rng.random() < self._right_share or words[-1] not in OPERATIONS:
            return given[i]
        if self._says == "other_question":
            asked = dialogue.question.id
            others = [j for j, other in enumerate(requests) if other.dialogue.question.id != asked]
            if others:
                return given[rng.choice(others)]
        allowed = [o for o in OPERATIONS if self._says != "never_right" or o != words[-1]]
        return Guidance(" ".join([*words[:-1], rng.choice(allowed)]))
