"""Exact and near duplicates of choice questions, within a split and between splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from socratic_env.types import Question

_FEW = 3
"""Data words in more rows of a sub-task than this, and in more than a tenth of them, tell nothing."""
_LONG = 12
"""A data word of so many letters (a sequence, a SMILES) names its object by itself."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row and the row that it repeats; `same_answer`: the right options have the same text."""

    id: str
    of: str
    exact: bool
    between_splits: bool
    same_answer: bool


def split_of(question: Question) -> str:
    """The split that a row's id names ("" if none)."""
    parts = question.id.split("/")
    return parts[-2] if len(parts) > 2 else ""


def find(questions: Sequence[Question]) -> list[Duplicate]:
    """Every row that repeats another one, once.

    Exact: the same statement and the same options in any order, but for blanks and case. Near: the
    same sub-task and the same data words in the same order (words with digits, inner capitals or
    bonds), with a long one among them or else half of the other words in common; where the data
    words of the statement tell nothing, the options must be the same too. Of a pair in both splits
    the one in the training split is named, so that the test split stays whole.
    """
    ordered = sorted(questions, key=lambda q: split_of(q) != "test")  # the test split is the original
    found: list[Duplicate] = []
    taken: set[str] = set()
    groups: list[tuple[bool, dict[Hashable, list[Question]]]] = [
        (True, _grouped(ordered, _exact_key)),
        (False, _by_data(ordered)),
    ]
    for exact, grouped in groups:
        for rows in grouped.values():
            for i, later in enumerate(rows[1:], 1):
                for first in rows[:i]:
                    if later.id not in taken and (exact or _alike(first, later)):
                        taken.add(later.id)
                        between = split_of(first) != split_of(later)
                        same = _answer(first) == _answer(later)
                        found.append(Duplicate(later.id, first.id, exact, between, same))
    return found


def _grouped(
    questions: Sequence[Question], key: Callable[[Question], Hashable]
) -> dict[Hashable, list[Question]]:
    groups: dict[Hashable, list[Question]] = defaultdict(list)
    for question in questions:
        groups[key(question)].append(question)
    return groups


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _answer(question: Question) -> str:
    texts = [option.text for option in question.options if option.letter == question.answer]
    return _plain(texts[0] if texts else question.answer)


def _exact_key(question: Question) -> Hashable:
    return _plain(question.statement), tuple(sorted(_plain(option.text) for option in question.options))


def _words(text: str) -> list[str]:
    return [word for word in (part.strip("\"'.,;:?!") for part in text.split()) if word]


def _is_data(word: str) -> bool:
    return any(c.isdigit() or c in "()=#[]@" for c in word) or any(c.isupper() for c in word[1:])


def _by_data(questions: Sequence[Question]) -> dict[Hashable, list[Question]]:
    """Groups of rows with the same telling data words."""
    data = {q.id: tuple(word for word in _words(q.statement) if _is_data(word)) for q in questions}
    rows: Counter[str] = Counter(q.subtask for q in questions)
    seen: Counter[tuple[str, str]] = Counter((q.subtask, word) for q in questions for word in set(data[q.id]))
    groups: dict[Hashable, list[Question]] = defaultdict(list)
    for q in questions:
        most = max(_FEW, rows[q.subtask] // 10)
        telling = {word for word in data[q.id] if seen[q.subtask, word] <= most}
        if telling:
            groups[q.subtask, data[q.id]].append(q)
        else:
            options = frozenset(_plain(option.text) for option in q.options)
            groups[q.subtask, data[q.id], options].append(q)
    return groups


def _alike(one: Question, other: Question) -> bool:
    words, others = set(_words(one.statement)), set(_words(other.statement))
    data = {word for word in words if _is_data(word)}
    if any(len(word) >= _LONG for word in data):
        return True
    plain, other_plain = words - data, others - data
    return 2 * len(plain & other_plain) >= len(plain | other_plain)
