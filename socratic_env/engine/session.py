"""One dialogue after another, and what its attempts earn: the core of the faces with one student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from socratic_env.dialogue import Dialogue
from socratic_env.engine.interaction import Interaction
from socratic_env.errors import StepError, TrackerError, unknown
from socratic_env.questions import QuestionSet
from socratic_env.rewards import BatchStatistics, RollingStatistics

RESET_OPTIONS = ("question_id", "tracker")


class Session:
    """Draws questions and counts attempts, in the shared tracker or else in a rolling window.

    Args:
        interaction: the rules.
        questions: where questions are drawn from.
        tracker: statistics of a batch, or None.

    `dialogue` is the current dialogue. `reward_bounds` are (lo, hi) of the attempt just made,
    (0, 0) if wrong; lo is its reward.
    """

    def __init__(
        self, interaction: Interaction, questions: QuestionSet, tracker: BatchStatistics | None
    ) -> None:
        self.interaction, self.questions = interaction, questions
        self._tracker = None if tracker is None else self._fitting(tracker)
        self._rolling = RollingStatistics(interaction.rules.max_attempts)
        self._dialogue: Dialogue | None = None
        self.reward_bounds = (0.0, 0.0)

    @property
    def dialogue(self) -> Dialogue:
        """The current dialogue. Raises StepError before the first one."""
        if self._dialogue is None:
            raise StepError("no episode is open; call reset() first")
        return self._dialogue

    @property
    def statistics(self) -> BatchStatistics | RollingStatistics:
        """The counts that the attempts are recorded in."""
        return self._rolling if self._tracker is None else self._tracker

    def open(self, generator: np.random.Generator, seeded: bool, options: Mapping[str, Any] | None) -> None:
        """A new dialogue; an unfinished one is closed in the statistics.

        seeded: whether the window begins anew. options: `question_id` chooses the question,
        `tracker` changes to another batch.
        """
        options = dict(options or {})
        tracker = self._tracker if options.get("tracker") is None else self._fitting(options["tracker"])
        if tracker is not None:
            tracker.check_shared()
        question_id = options.get("question_id")
        named = None if question_id is None else self.questions.find(question_id)
        drawn = self.questions.draw(generator)  # in any case, so that those after it stay the same
        question = drawn if named is None else named
        self.abandon()  # nothing is refused from here on
        self._tracker = tracker
        if seeded:
            self._rolling = RollingStatistics(self.interaction.rules.max_attempts)
        self._dialogue, self.reward_bounds = self.interaction.open(question), (0.0, 0.0)

    def answer(self, text: str) -> None:
        """The student's reply: verified, recorded and priced."""
        dialogue = self.interaction.answer(self.dialogue, text)
        if dialogue.fault is not None:
            self._dialogue, self.reward_bounds = dialogue, (0.0, 0.0)
            self._end_if_over()
            return
        attempt, correct = len(dialogue.attempts), dialogue.attempts[-1].verdict.correct
        self.statistics.record(attempt, correct)
        self._dialogue = dialogue
        self.reward_bounds = self._bounds(attempt) if correct else (0.0, 0.0)
        self._end_if_over()

    def go_on(self, dialogue: Dialogue) -> None:
        """The dialogue after guidance."""
        self._dialogue = dialogue
        self._end_if_over()

    def abandon(self) -> None:
        """Close the dialogue; left before its end, it counts with the attempts it made."""
        if self._dialogue is not None and self._dialogue.stop is None and self._dialogue.attempts:
            self._end(self._dialogue)
        self._dialogue = None

    def _fitting(self, tracker: BatchStatistics) -> BatchStatistics:
        if not isinstance(tracker, BatchStatistics):
            raise TrackerError(f"tracker is {tracker!r:.80}; give a BatchStatistics or None")
        tracker.check_fits(self.interaction.rules.max_attempts)
        return tracker

    def _bounds(self, attempt: int) -> tuple[float, float]:
        if self._tracker is not None and self._tracker.batch_size is not None:
            low, high = self._tracker.bounds(attempt)
        else:
            low = high = self.statistics.mu(attempt - 1)
        pay = self.interaction.schedule
        return pay(attempt, low), pay(attempt, high)

    def _end_if_over(self) -> None:
        if self.dialogue.stop is not None:
            self._end(self.dialogue)

    def _end(self, dialogue: Dialogue) -> None:
        if self._tracker is None:
            self._rolling.end_episode()
        elif not dialogue.attempts or not dialogue.attempts[-1].verdict.correct:
            self._tracker.close(len(dialogue.attempts))


def check_options(options: Mapping[str, Any] | None) -> None:
    """Refuse an option of `reset` that is none."""
    for option in options or ():
        if option not in RESET_OPTIONS:
            raise unknown("reset option", option, RESET_OPTIONS)
