"""The asynchronous face: rows of one batch advance independently, rewards settle at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from socratic_env.dialogue import Dialogue, cut
from socratic_env.engine.arguments import ABOUT_QUESTIONS, EnvArguments
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.engine.observation import observe
from socratic_env.errors import ConfigurationError, StepError
from socratic_env.rewards import BatchStatistics
from socratic_env.types import Episode, Question, Usage


class SocraticBatch:
    """One batch of episodes, a row for each question given.

    Args:
        questions: one question for each row (repeat it for several rollouts of one).
        arguments: thoseuments of `gym.make` of the same names: teacher, protocol, verifier,
            max_attempts, reward, on_teacher_failure, max_context_chars, viewpoints.

    `await step(row, text)` makes one attempt; rows may be awaited together and in any order.
    Its reward is the lower bound that is certain by then; `settle()` gives the exact rewards,
    equal to the lockstep ones in any order of arrival.
    """

    def __init__(self, questions: Sequence[Question], **arguments: Any) -> None:
        self._start(questions, GuidedInteraction(EnvArguments.of(arguments, without=ABOUT_QUESTIONS)))

    @classmethod
    def within(cls, questions: Sequence[Question], interaction: GuidedInteraction) -> SocraticBatch:
        """A batch with a teacher that goes on living after it."""
        batch = cls.__new__(cls)
        batch._start(questions, interaction)
        return batch

    def _start(self, questions: Sequence[Question], interaction: GuidedInteraction) -> None:
        if not questions:
            raise ConfigurationError("a batch needs at least one question")
        self.interaction = interaction
        self.tracker = BatchStatistics(interaction.rules.max_attempts, len(questions))
        rollouts: Counter[str] = Counter()
        self._rows: list[Dialogue] = []
        for question in questions:
            self._rows.append(interaction.open(question, rollouts[question.id]))
            rollouts[question.id] += 1

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def usage(self) -> dict[str, Usage]:
        """What calls have cost so far, by role."""
        return dict(self.interaction.usage)

    @property
    def done(self) -> bool:
        """Whether every row has ended."""
        return all(row.stop is not None for row in self._rows)

    def dialogue(self, row: int) -> Dialogue:
        """The dialogue of a row so far."""
        if not 0 <= row < len(self._rows):
            raise ConfigurationError(f"row {row!r} is none of the rows 0..{len(self._rows) - 1}")
        return self._rows[row]

    def answer(self, row: int, text: str, finished: bool | None = None) -> None:
        """The first half of a step: the reply of a row, verified and counted; `finished` as of Attempt."""
        self._count(row, self.interaction.answer(self.dialogue(row), text, finished))

    def answer_all(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        """`answer` for several rows, all verified together."""
        answered = self.interaction.answer_all([self.dialogue(row) for row in rows], texts)
        for row, dialogue in zip(rows, answered, strict=True):
            self._count(row, dialogue)

    async def judge(self, row: int, text: str, finished: bool | None = None) -> None:
        """`answer` on an event loop, which it does not block."""
        before = self.dialogue(row)
        judged = await self.interaction.judge(before, text, finished)
        if self._rows[row] is not before:
            raise StepError(f"row {row} was answered twice at once; await the first answer before the next")
        self._count(row, judged)

    def _count(self, row: int, dialogue: Dialogue) -> None:
        self._rows[row] = dialogue
        if dialogue.fault is None:
            self.tracker.record(len(dialogue.attempts), dialogue.attempts[-1].verdict.correct)
        self._close_if_cut(dialogue)

    async def advise(self, rows: Sequence[int]) -> None:
        """The second half: guidance for those of the rows that wait for it, in one call."""
        waiting = [row for row in rows if self._rows[row].awaits_guidance]
        advised = await self.interaction.advise([self._rows[row] for row in waiting])
        for row, dialogue in zip(waiting, advised, strict=True):
            self._rows[row] = dialogue
            self._close_if_cut(dialogue)

    def cut(self, row: int) -> None:
        """End a row whose next prompt no longer fits the student; it is closed, truncated."""
        self._rows[row] = cut(self.dialogue(row))
        self._close_if_cut(self._rows[row])

    def observe(self, row: int) -> tuple[str, dict[str, Any]]:
        """(observation, info) of a row."""
        dialogue = self.dialogue(row)
        return observe(dialogue, self._bounds(dialogue))

    async def step(self, row: int, text: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """One attempt of a row: (observation, provisional reward, terminated, truncated, info)."""
        await self.judge(row, text)
        await self.advise([row])
        stop = self._rows[row].stop
        observation, info = self.observe(row)
        truncated = stop is not None and stop.truncated
        return observation, info["reward_bounds"][0], stop is not None and not truncated, truncated, info

    def settle(self) -> list[list[float]]:
        """The exact rewards, `rewards[row][attempt - 1]` (eqs 17-19), once all rows have ended."""
        if not self.done:
            rows = [i for i, row in enumerate(self._rows) if row.stop is None]
            raise StepError(f"{len(rows)} rows have not ended yet (the first is row {rows[0]})")
        means, pay = self.tracker.means(), self.interaction.schedule
        return [
            [
                pay(k + 1, means[k]) if attempt.verdict.correct else 0.0
                for k, attempt in enumerate(dialogue.attempts)
            ]
            for dialogue in self._rows
        ]

    def episodes(self) -> list[Episode]:
        """All rows as finished episodes with their exact rewards."""
        return [
            Episode(dialogue.question, dialogue.attempts, tuple(rewards), dialogue.stop, dialogue.fault)
            for dialogue, rewards in zip(self._rows, self.settle(), strict=True)
            if dialogue.stop is not None
        ]

    def close(self) -> None:
        """Close a teacher that was made from a spec."""
        self.interaction.close()

    def _bounds(self, dialogue: Dialogue) -> tuple[float, float]:
        if not dialogue.attempts or not dialogue.attempts[-1].verdict.correct:
            return 0.0, 0.0
        attempt, pay = len(dialogue.attempts), self.interaction.schedule
        low, high = self.tracker.bounds(attempt)
        return pay(attempt, low), pay(attempt, high)

    def _close_if_cut(self, dialogue: Dialogue) -> None:
        if dialogue.stop is not None and dialogue.stop.truncated:
            self.tracker.close(len(dialogue.attempts))
