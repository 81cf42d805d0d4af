"""Arithmetic modulo 7, worked line by line, made on demand."""

from __future__ import annotations

from socratic_env.errors import QuestionError
from socratic_env.questions.modular import ModularQuestions


def modular(domain: str | None, split: str) -> ModularQuestions:
    """The world of `socratic_env.questions.modular`."""
    if domain is not None:
        raise QuestionError(f"questions 'modular' has nothing of domain {domain!r}; leave domain out")
    return ModularQuestions(split)
