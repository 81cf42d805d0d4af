"""Multiple choice in the exact form that the instructions ask for."""

from __future__ import annotations

from socratic_env.types import Question, Verdict
from socratic_env.verifiers.choice_verifier import choice


def choice_strict(question: Question, text: str) -> Verdict:
    """As `choice`, with the letter on a line of its own."""
    return choice(question, text, strict=True)
