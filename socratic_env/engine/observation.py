"""What a student is shown of a dialogue, in every face."""

from __future__ import annotations

from typing import Any

from socratic_env import dialogue as rules_of
from socratic_env.dialogue import Dialogue


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
