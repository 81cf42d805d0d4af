"""Numbers, within the question's tolerance and in its unit."""

from __future__ import annotations

from socratic_env.errors import ConfigurationError
from socratic_env.numbers import BLANKS, close_enough, read_number
from socratic_env.types import Question, Verdict
from socratic_env.verifiers.answer_block import answer_block, wrong


def numeric(question: Question, text: str) -> Verdict:
    """A number within the question's absolute or relative tolerance of the truth."""
    inside = answer_block(text)
    if isinstance(inside, Verdict):
        return inside
    value = read_number(inside, question.unit)
    if value is None:
        unit = f" in {question.unit}" if question.unit else ""
        return wrong(f"the answer is not a number{unit}")
    truth = read_number(question.answer, question.unit)
    if truth is None:
        raise ConfigurationError(
            f"question {question.id!r} cannot be judged as a number: its own answer is none; "
            "use verifier=None or a verifier that fits its kind"
        )
    right = close_enough(value, truth, question.abs_tol, question.rel_tol)
    return Verdict(right, inside.strip(BLANKS), "correct" if right else "wrong value")
