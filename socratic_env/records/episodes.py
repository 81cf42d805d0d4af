"""Episodes as plain data for JSON lines, without their ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.types import Attempt, Guidance, Question, StopReason, Verdict


def episode_record(
    question: Question, attempts: Sequence[Attempt], rewards: Sequence[float], stop: StopReason | None
) -> dict[str, Any]:
    """What was said, judged and paid. `stop` is None for an episode that is not over."""
    return {
        "question_id": question.id,
        "domain": question.domain,
        "question": question.text,
        "attempts": [
            {
                "text": attempt.text,
                "correct": attempt.verdict.correct,
                "answer": attempt.verdict.answer,
                "verdict": attempt.verdict.reason,
                "reward": reward,
                "finished": attempt.finished,
                **_guidance_record(attempt.guidance or Guidance()),
            }
            for attempt, reward in zip(attempts, rewards, strict=True)
        ],
        "stop": stop.value if stop is not None else None,
    }


def _guidance_record(guidance: Guidance) -> dict[str, Any]:
    fault = guidance.fault or guidance.stands_for
    return {
        "guidance": guidance.text or None,
        "mistake": guidance.mistake,
        "leaks": list(guidance.leaks),
        "blocked": guidance.blocked,
        "fault": repr(fault) if fault is not None else None,
    }


def attempts_of(record: Mapping[str, Any]) -> list[Attempt]:
    """The attempts of an episode's record. Raises KeyError or TypeError for another form."""
    return [
        Attempt(a["text"], Verdict(a["correct"], a["answer"], a["verdict"]), guidance_of(a), a["finished"])
        for a in record["attempts"]
    ]


def guidance_of(attempt: Mapping[str, Any]) -> Guidance | None:
    """The guidance of an attempt's record; None if it has none."""
    if attempt["guidance"] is None:
        return None
    leaks = tuple(attempt["leaks"])
    return Guidance(attempt["guidance"], mistake=attempt["mistake"], leaks=leaks, blocked=attempt["blocked"])
