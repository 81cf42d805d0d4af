"""Multiple choice: one of the question's letters."""

from __future__ import annotations

from socratic_env.numbers import BLANKS
from socratic_env.types import Question, Verdict
from socratic_env.verifiers.answer_block import LONGEST_ANSWER, answer_block, wrong


def choice(question: Question, text: str, strict: bool = False) -> Verdict:
    """Multiple choice: one answer block that holds one of the question's letters in ASCII.

    Blanks and newlines around the letter are allowed; `strict=True` wants the exact form
    "<answer>\\nX\\n</answer>". Everything else is wrong, with the reason.
    """
    inside = answer_block(text)
    if isinstance(inside, Verdict):
        return inside
    if len(inside) > LONGEST_ANSWER:
        return wrong("the answer block is too long for a letter")
    letter = inside.strip(BLANKS)
    if letter not in question.letters:
        return wrong(f"the answer is none of the letters {', '.join(question.letters)}")
    if strict and inside != f"\n{letter}\n":
        return wrong("the answer does not stand on a line of its own")
    right = letter == question.answer
    return Verdict(correct=right, answer=letter, reason="correct" if right else "wrong option")
