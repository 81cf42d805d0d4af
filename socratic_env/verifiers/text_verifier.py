"""Answers in words."""

from __future__ import annotations

from socratic_env.types import Question, Verdict
from socratic_env.verifiers.answer_block import LONGEST_ANSWER, answer_block, wrong


def text(question: Question, reply: str) -> Verdict:
    """One answer block with the words of the truth, in order; blanks and upper case do not count."""
    inside = answer_block(reply)
    if isinstance(inside, Verdict):
        return inside
    longest = max(LONGEST_ANSWER, 2 * len(question.answer))
    if len(inside) > longest:
        return wrong(f"the answer block is longer than {longest} characters")
    words = inside.split()
    if not words:
        return wrong("the answer block is empty")
    right = [word.casefold() for word in words] == question.answer.casefold().split()
    return Verdict(right, " ".join(words), "correct" if right else "wrong words")
