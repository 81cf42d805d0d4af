"""Rules that answer without reading the question, and how often they are right.

A rule gives each option a share of one guess; ties share it. Its accuracy is the mean share on the
right option, so a rule that cannot decide has the accuracy of chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from socratic_env.numbers import first_number
from socratic_env.types import Question


@dataclass(frozen=True, slots=True)
class Score:
    """A rule's accuracy over the rows to which it applies, beside chance."""

    rule: str
    accuracy: float
    chance: float
    rows: int

    @property
    def standard_errors(self) -> float:
        """How far above chance, in standard errors of a guesser."""
        return (self.accuracy - self.chance) / math.sqrt(self.chance * (1 - self.chance) / self.rows)


def number_of(text: str) -> float | None:
    """The first number of an option, with its power of ten; None without one."""
    value = first_number(text)
    return None if value is None else float(value)


def _shares(marks: Sequence[float]) -> list[float]:
    """One guess, shared by the options with the highest mark."""
    best = max(marks)
    tops = [mark == best for mark in marks]
    return [top / sum(tops) for top in tops]


def _lengths(question: Question) -> list[float]:
    return [float(len(option.text.strip())) for option in question.options]


def _numbers(question: Question) -> list[float] | None:
    values = [number_of(option.text) for option in question.options]
    found = [value for value in values if value is not None]
    return found if len(found) == len(values) else None


def _bigrams(text: str) -> set[str]:
    text = text.strip()
    return {text[i : i + 2] for i in range(max(1, len(text) - 1))}


def _consensus(question: Question) -> list[float]:
    """Mean overlap of the pairs of neighbouring characters with those of the other options."""
    pairs = [_bigrams(option.text) for option in question.options]
    return _shares(
        [
            round(sum(len(one & other) / len(one | other) for j, other in enumerate(pairs) if j != i), 9)
            for i, one in enumerate(pairs)
        ]
    )


def _nearest_mean(question: Question) -> list[float] | None:
    values = _numbers(question)
    if values is None:
        return None
    mean = sum(values) / len(values)
    return _shares([-abs(value - mean) for value in values])


def _rank(place: int) -> Callable[[Question], list[float] | None]:
    def rule(question: Question) -> list[float] | None:
        values = _numbers(question)
        if values is None or place >= len(values):
            return None
        wanted = sorted(values, reverse=True)[place]
        return _shares([float(value == wanted) for value in values])

    return rule


def _letter(letter: str) -> Callable[[Question], list[float] | None]:
    def rule(question: Question) -> list[float] | None:
        marks = [float(option.letter == letter) for option in question.options]
        return marks if any(marks) else None

    return rule


RULES: dict[str, Callable[[Question], list[float] | None]] = {
    "longest option": lambda question: _shares(_lengths(question)),
    "shortest option": lambda question: _shares([-length for length in _lengths(question)]),
    "most like the others": _consensus,
    "nearest to the mean": _nearest_mean,
    "largest number": _rank(0),
    "2nd largest number": _rank(1),
    "3rd largest number": _rank(2),
    "4th largest number": _rank(3),
    **{f"always {letter}": _letter(letter) for letter in "ABCDE"},
}
"""Name -> the shares of the options, or None where the rule does not apply."""


def scores(questions: Sequence[Question]) -> list[Score]:
    """Every rule on these choice questions, best first. Where a rule does not apply it guesses, so
    that all are measured on the same rows."""
    chosen = [question for question in questions if question.options]
    if not chosen:
        return []
    chance = sum(1 / len(question.options) for question in chosen) / len(chosen)
    found = []
    for name, rule in RULES.items():
        won, applied = 0.0, False
        for question in chosen:
            shares = rule(question)
            applied = applied or shares is not None
            place = question.letters.index(question.answer)
            won += 1 / len(question.options) if shares is None else shares[place]
        if applied:
            found.append(Score(name, won / len(chosen), chance, len(chosen)))
    return sorted(found, key=lambda score: -score.accuracy)
