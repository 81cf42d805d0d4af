"""What a student is shown of a dialogue, in every face."""

from __future__ import annotations

from typing import Any

from socratic_env import dialogue as rules_of
from socratic_env.dialogue import Dialogue
from socratic_env.errors import SocraticError
from socratic_env.leakage import detect
from socratic_env.types import Question


def told_fault(question: Question, fault: SocraticError | None) -> str | None:
    """A teacher's or verifier's fault as `info` tells it, None for none: in full, or only its kind where a
    server's own words in it might give the answer away."""
    if fault is None:
        return None
    kind, text = type(fault).__name__, str(fault)
    solution = (line.strip() for line in (question.solution or "").splitlines())
    if detect(question, text) or any(len(line) > 12 and line in text for line in solution):
        return f"{kind} (its text may give the answer away)"
    return f"{kind}: {text}"


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
        "teacher_fault": told_fault(dialogue.question, guidance.fault or guidance.stands_for)
        if guidance is not None
        else None,
        "verifier_fault": told_fault(dialogue.question, dialogue.fault),
        "stop_reason": dialogue.stop.value if dialogue.stop is not None else None,
        "reward_bounds": reward_bounds,
    }
