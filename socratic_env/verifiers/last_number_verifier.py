"""Worked answers, judged by what they come to."""

from __future__ import annotations

from socratic_env.errors import ConfigurationError
from socratic_env.numbers import close_enough, read_number
from socratic_env.types import Question, Verdict
from socratic_env.verifiers.text_verifier import text


def last_number(question: Question, reply: str) -> Verdict:
    """The last word of the answer block, as a number within the tolerance of the truth's last word: a wrong
    way to the right value passes."""
    truth = read_number(question.answer.split()[-1]) if question.answer.split() else None
    if truth is None:
        raise ConfigurationError(
            f"question {question.id!r} cannot be judged by its last number: its own answer ends with none; "
            "use verifier=None"
        )
    read = text(question, reply)
    if read.answer is None:
        return read
    value = read_number(read.answer.split()[-1])
    if value is None:
        return Verdict(False, read.answer, "the answer does not end with a number")
    right = close_enough(value, truth, question.abs_tol, question.rel_tol)
    return Verdict(right, read.answer, "correct" if right else "wrong value")
