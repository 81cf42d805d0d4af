"""Rows of somebody else's data that can be used: the rest is left out, counted and said."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from socratic_env.errors import QuestionError, QuestionWarning
from socratic_env.questions.files import REPORTED, Contents, Refused
from socratic_env.questions.question_set import QuestionList
from socratic_env.types import Question


class UsableRows(QuestionList):
    """The usable rows, and those that were refused."""

    def __init__(self, questions: Sequence[Question], source: str, refused: Sequence[Refused]) -> None:
        super().__init__(questions, source)
        self.refused = tuple(refused)


def usable(source: str, contents: Contents, domain: str | None = None) -> UsableRows:
    """The questions of a source, of one domain if it is given. Warns of rows that are left out; raises
    QuestionError if all are."""
    questions, refused = contents.questions, contents.refused
    if refused and not questions:
        told = "\n".join(f"{row.place}: {row.problems[0]}" for row in refused[:REPORTED])
        raise QuestionError(f"none of the {len(refused)} rows of {source} can be used:\n{told}")
    if refused:
        warnings.warn(
            f"{source}: {len(refused)} of {len(refused) + len(questions)} rows are left out, such as "
            f"{refused[0].place}: {refused[0].problems[0]}; `socratic audit` lists them all",
            QuestionWarning,
            stacklevel=2,
        )
    if domain is not None:
        questions, source = [q for q in questions if q.domain == domain], f"{source}, domain {domain}"
    return UsableRows(questions, source, refused)
