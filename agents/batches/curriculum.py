"""Which questions a step asks: in the order of the data, or by past success."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from socratic_env.errors import ConfigurationError
from socratic_env.questions import QuestionSet

_LARGE = 100_000
"""Question sets beyond this size are drawn from instead of gone through."""
_FORGET = 0.5
"""What a step's result counts when the question is played again: students change."""
_LEAST = 0.1
"""Weight of a question that is always or never solved, against 1 of one that is solved half the time."""


def batch_of_questions(questions: QuestionSet, step: int, count: int, seed: int) -> list[str]:
    """Ids of the questions of a step: the set is gone through in a new order each epoch, so that
    the position in the data is a function of the step."""
    size = len(questions)
    if size > _LARGE:
        indices = np.random.default_rng([seed, step]).integers(size, size=count).tolist()
    else:
        places = range(step * count, (step + 1) * count)
        orders = {p // size: np.random.default_rng([seed, p // size]).permutation(size) for p in places}
        indices = [int(orders[p // size][p % size]) for p in places]
    return [questions[i].id for i in indices]


def other_questions(
    questions: QuestionSet, asked: Collection[str], count: int, seed: Sequence[int]
) -> list[str]:
    """Ids of further questions, different ones that were not asked; none if so many are not left."""
    rng = np.random.default_rng(seed)
    known = set(asked)
    if len(questions) - len(known) < count:
        return []
    found: list[str] = []
    while len(found) < count:
        one = questions.draw(rng).id
        if one not in known:
            known.add(one)
            found.append(one)
    return found


@dataclass
class Curriculum:
    """Draws questions by how often they were solved at the first attempt: most often those that are solved
    about half the time, and those that were never asked.

    A question's share of success p is (right + 1) / (asked + 2), both counted with older steps halved each
    time; its weight is 4 p (1 - p), at least a tenth.
    """

    ids: Sequence[str]
    _counts: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, questions: QuestionSet, count: int) -> Curriculum:
        """Raises ConfigurationError for a set that it cannot go by."""
        if not count <= len(questions) <= _LARGE:
            raise ConfigurationError(
                f"curriculum goes by past success on {count} to {_LARGE} questions, and there are "
                f"{len(questions)}; leave it out"
            )
        return cls([questions[i].id for i in range(len(questions))])

    def saw(self, outcomes: Iterable[tuple[str, bool]]) -> None:
        """Take in a step: (question, whether its first attempt was right) of each episode."""
        found: dict[str, list[bool]] = {}
        for name, right in outcomes:
            found.setdefault(name, []).append(right)
        for name, results in found.items():
            solved, played = self._counts.get(name, (0.0, 0.0))
            self._counts[name] = _FORGET * solved + sum(results), _FORGET * played + len(results)

    def weights(self) -> np.ndarray:
        """One for each question, from a tenth to 1."""
        counts_Q2 = np.array([self._counts.get(name, (0.0, 0.0)) for name in self.ids])
        p_Q = (counts_Q2[:, 0] + 1) / (counts_Q2[:, 1] + 2)
        return np.maximum(_LEAST, 4 * p_Q * (1 - p_Q))

    def draw(self, count: int, seed: Sequence[int]) -> list[str]:
        """Ids of different questions, by their weights."""
        weights_Q = self.weights()
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(self.ids), size=count, replace=False, p=weights_Q / weights_Q.sum())
        return [self.ids[i] for i in chosen]
