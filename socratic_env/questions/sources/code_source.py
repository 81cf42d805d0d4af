"""Small Python functions, made on demand."""

from __future__ import annotations

from socratic_env.errors import QuestionError
from socratic_env.questions.coding import CodeQuestions


def code(domain: str | None, split: str) -> CodeQuestions:
    """The family of `socratic_env.questions.coding`."""
    if domain is not None:
        raise QuestionError(f"questions 'code' has nothing of domain {domain!r}; leave domain out")
    return CodeQuestions(split)
