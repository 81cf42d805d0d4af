"""What a set of questions is: random access by index, look-up by id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import numpy as np

from socratic_env.errors import QuestionError
from socratic_env.types import Question

CLOSING = "Please reason step by step."
"""The last line of a user's message, as in the published sets."""

_COUNTS = {2: "two", 3: "three", 4: "four", 5: "five"}


class RowError(Exception):
    """What is wrong with one row, a sentence for each problem; the reader of the file adds the place."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def choice_system(options: int) -> str:
    """The instruction before a multiple-choice question with so many options."""
    letters = [chr(ord("A") + i) for i in range(options)]
    listed = f"{', '.join(letters[:-1])} or {letters[-1]}"
    return (
        f"Given a question and {_COUNTS.get(options, options)} options, select the right answer. "
        "Respond in the following format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>\n\n"
        f"For the answer, only output the letter of the correct option ({listed})."
    )


def numeric_system(unit: str) -> str:
    """The instruction before a question that is answered with a number."""
    return (
        f"Answer the question with one number{f' in {unit}' if unit else ''}. "
        "Respond in the following format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>\n\n"
        "For the answer, only output the number."
    )


def text_system() -> str:
    """The instruction before a question that is answered in words, or in a form that it asks for itself."""
    return (
        "Answer the question. Respond in the following "
        "format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n"
        "</answer>\n\nFor the answer, only output what the question asks for."
    )


def code_system() -> str:
    """The instruction before a question that is answered with a Python function."""
    return (
        "Write the Python function that the question asks for. Respond in the following "
        "format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>\n\n"
        "For the answer, only output the code of the function, with the imports that it needs."
    )


class QuestionSet(ABC):
    """Questions by index 0..len-1. Deterministic: the same index is the same question."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Question: ...

    @abstractmethod
    def find(self, question_id: str) -> Question:
        """The question of that id. Raises QuestionError if the set has none."""

    def draw(self, rng: np.random.Generator) -> Question:
        """A question drawn uniformly."""
        return self[int(rng.integers(len(self)))]


class QuestionList(QuestionSet):
    """Questions held in memory, such as the rows of a file."""

    def __init__(self, questions: Sequence[Question], source: str = "questions") -> None:
        if not questions:
            raise QuestionError(f"{source}: no questions left; check the domain, the split and exclude")
        self._questions = list(questions)
        self._by_id = {question.id: question for question in self._questions}
        self._source = source
        if len(self._by_id) != len(self._questions):
            seen: set[str] = set()
            twice = next(q.id for q in self._questions if q.id in seen or seen.add(q.id))  # type: ignore[func-returns-value]
            raise QuestionError(f"{source}: the id {twice!r} stands twice; ids must be unique")

    def __len__(self) -> int:
        return len(self._questions)

    def __getitem__(self, index: int) -> Question:
        return self._questions[index]

    def without(self, ids: Collection[str]) -> QuestionList:
        """The same questions, but those of these ids."""
        return QuestionList([q for q in self._questions if q.id not in ids], self._source)

    def find(self, question_id: str) -> Question:
        """The question of that id."""
        try:
            return self._by_id[question_id]
        except KeyError:
            known = ", ".join(question.id for question in self._questions[:3])
            raise QuestionError(
                f"{self._source}: no question {question_id!r}; ids look like {known}"
            ) from None
