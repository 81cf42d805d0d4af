"""What a reflecting teacher reads: an attempt at a question, and how it came out."""

from __future__ import annotations

from dataclasses import dataclass

from socratic_env.types import Episode, Question


@dataclass(frozen=True, slots=True)
class InteractionTrace:
    """One attempt of a student: the paper's trace tau, with its outcome.

    text: what the student wrote. correct: the verdict. reward: what it earned (None: not known).
    source, step, rollout, attempt: where its episode is found again, as of `viewpoints.Trace`.
    """

    question: Question
    text: str
    correct: bool
    reward: float | None = None
    source: str = ""
    step: int | None = None
    rollout: int = 0
    attempt: int = 1


def traces_of(
    episode: Episode, source: str = "", step: int | None = None, rollout: int = 0
) -> list[InteractionTrace]:
    """Every attempt of a finished episode, in order."""
    return [
        InteractionTrace(
            episode.question, attempt.text, attempt.verdict.correct, reward, source, step, rollout, number
        )
        for number, (attempt, reward) in enumerate(zip(episode.attempts, episode.rewards, strict=True), 1)
    ]
