"""Student and teacher take turns: whose turn it is, what it does to the dialogue, and what both earn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from socratic_env.dialogue import Dialogue
from socratic_env.engine.observation import observe
from socratic_env.engine.session import Session
from socratic_env.errors import ActionError, ConfigurationError, StepError, TeacherReplyError
from socratic_env.protocols import teacher_messages
from socratic_env.rewards import correction_rate
from socratic_env.teachers import TeacherRequest
from socratic_env.types import Guidance, Message

STUDENT, TEACHER = "student_0", "teacher_0"


class TwoAgentSession:
    """The turns of a student and a teacher from outside in one dialogue after another.

    Args:
        session: draws, counts and pays; open them through `open` here.
        leak_penalty: what guidance that leaked costs the teacher, at least 0.
        baseline: whether the correction rate so far is taken from the teacher's reward.
    """

    def __init__(self, session: Session, leak_penalty: float, baseline: bool) -> None:
        if isinstance(leak_penalty, bool) or not (
            isinstance(leak_penalty, int | float) and 0 <= leak_penalty < math.inf
        ):
            raise ConfigurationError(f"leak_penalty is {leak_penalty!r}; give a number of at least 0")
        if not isinstance(baseline, bool):
            raise ConfigurationError(f"teacher_baseline is {baseline!r}; give True or False")
        self.session, self.interaction = session, session.interaction
        self.leak_penalty, self.baseline = float(leak_penalty), baseline
        self._leaked: Guidance | None = None  # the first guidance of a turn that is asked again

    @property
    def dialogue(self) -> Dialogue:
        """The current dialogue."""
        return self.session.dialogue

    @property
    def turn(self) -> str | None:
        """Who acts next; None at the end."""
        if self.dialogue.stop is not None:
            return None
        return TEACHER if self.dialogue.awaits_guidance else STUDENT

    @property
    def request(self) -> TeacherRequest:
        """What the teacher is asked. Raises StepError if it is not its turn."""
        if self.turn != TEACHER:
            raise StepError(f"no guidance is awaited; it is {self.turn or 'nobody'}'s turn")
        return self.interaction.request(self.dialogue, again=self._leaked is not None)

    def open(self, generator: np.random.Generator, seeded: bool, options: Mapping[str, Any]) -> None:
        """A new dialogue, as `Session.open` begins it."""
        self._leaked = None
        self.session.open(generator, seeded, options)

    def messages(self) -> list[Message]:
        """What the protocol shows the teacher on its turn, as chat messages; empty otherwise."""
        if self.turn != TEACHER:
            return []
        request = self.request
        return teacher_messages(request.dialogue, request.protocol)

    def act(self, action: object) -> dict[str, float]:
        """The action of whose turn it is; the reward of each."""
        return self._teach(action) if self.turn == TEACHER else self._answer(action)

    def infos(self) -> dict[str, dict[str, Any]]:
        """What each is told besides its observation. Fresh objects."""
        turn = {"active_agent": self.turn}
        student = observe(self.dialogue, self.session.reward_bounds)[1]
        told = [a.guidance for a in self.dialogue.attempts if a.guidance is not None]
        teacher = {
            "messages": self.messages(),
            **{
                key: student[key]
                for key in (
                    "question_id",
                    "domain",
                    "attempt",
                    "stop_reason",
                    "teacher_fault",
                    "verifier_fault",
                )
            },
            "guidance": told[-1].text if told and told[-1].fault is None else None,
            "leaks": list(told[-1].leaks) if told else [],
        }
        return {STUDENT: student | turn, TEACHER: teacher | turn}

    def _answer(self, action: object) -> dict[str, float]:
        """An attempt. It pays the student, and the teacher for the guidance before it."""
        if not isinstance(action, str):
            raise _unusable(STUDENT, action, "a reply must be a str")
        before, counts = self.dialogue.attempts, self.session.statistics
        expected = correction_rate(counts.attempts, counts.solved) if self.baseline else 0.0
        self.session.answer(action)
        taught = 0.0
        if before and self.dialogue.fault is None and not self.interaction.protocol.fixed:
            leaked = before[-1].guidance is not None and bool(before[-1].guidance.leaks)
            taught = self.dialogue.attempts[-1].verdict.correct - self.leak_penalty * leaked - expected
        if self.dialogue.awaits_guidance and self.interaction.protocol.fixed:
            self.session.go_on(self.interaction.tell_fixed(self.dialogue))
        return {STUDENT: self.session.reward_bounds[0], TEACHER: taught}

    def _teach(self, action: object) -> dict[str, float]:
        """Guidance, which the next attempt will pay; a blank text is a fault."""
        if isinstance(action, str):
            blank = TeacherReplyError(f"{TEACHER} wrote no guidance")
            action = Guidance(action) if action.strip() else Guidance(fault=blank)
        if not isinstance(action, Guidance):
            raise _unusable(TEACHER, action, "guidance must be a str or a Guidance")
        guidance = self.interaction.accept(action, self.dialogue)
        if self._leaked is None and self.interaction.asks_again(guidance):
            self._leaked = guidance
        else:
            if self._leaked is not None:
                guidance, self._leaked = self.interaction.second(self._leaked, guidance), None
            self.session.go_on(self.interaction.tell(self.dialogue, guidance))
        return {STUDENT: 0.0, TEACHER: 0.0}


def _unusable(agent: str, action: object, wanted: str) -> ActionError:
    return ActionError(
        f"it is {agent}'s turn, and its action is {type(action).__name__} {action!r:.60}; {wanted}"
    )
