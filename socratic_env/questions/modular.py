"""Arithmetic modulo a small number, worked line by line: a small world for viewpoints.

"( 3 + 4 ) * 2" is worked as "0 * 2 = 0" when numbers count modulo 7. Shapes, the order of operations and the
mistakes are those of the arithmetic family (`socratic_env.questions.procedural.arithmetic`); every line
of a working is judged, so that no right result comes of a wrong way.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from socratic_env.errors import QuestionError
from socratic_env.questions.procedural import arithmetic
from socratic_env.questions.procedural.arithmetic import FUNCTIONS
from socratic_env.questions.procedural.expressions import (
    bracketed,
    count,
    next_operation,
    parse,
    reduced,
    write,
)
from socratic_env.questions.procedural.misconceptions import told as mistake_told
from socratic_env.questions.question_set import QuestionSet
from socratic_env.questions.splits import held_out
from socratic_env.types import AnswerKind, Mistake, Question

MODULUS = 7
"""Small enough that a number is one digit."""
MOST_OPERATIONS = 3
SHAPES = {name: shape for name, shape in arithmetic.SHAPES.items() if count(parse(shape)) <= MOST_OPERATIONS}
"""The shapes of the family with at most three operations."""
_ID = re.compile(r"modular/(?P<split>train|test)/(?P<shape>[a-z_]+)/(?P<numbers>[0-9]+)")


def spaced(expression: str) -> str:
    """An expression with a blank between all tokens: one token is one word."""
    return expression.replace("(", "( ").replace(")", " )")


def packed(words: str) -> str:
    """The same without blanks inside brackets."""
    return " ".join(words.split()).replace("( ", "(").replace(" )", ")")


@dataclass(frozen=True)
class Misconception:
    """A mistake of the arithmetic family, held about one place only.

    mistake: its name there. place: the place in two words. operation, bracketed: of the operation that is to
    be done next, where the mistake is held about such ones only.
    """

    mistake: str
    place: str
    operation: str | None = None
    bracketed: bool | None = None


MISCONCEPTIONS: Mapping[str, Misconception] = {
    "keep_signs": Misconception("keep_signs", "minus bracket"),
    "first_term_only": Misconception("first_term_only", "factor bracket"),
    "term_by_term": Misconception("term_by_term", "bracket bracket"),
    "left_to_right": Misconception("left_to_right", "sum product"),
    "skip_sum": Misconception("skip", "bracket sum", "+", True),
    "swap_difference": Misconception("swap", "bracket minus", "-", True),
    "reverse_difference": Misconception("reverse", "minus last", "-", False),
}


@lru_cache(maxsize=2**17)
def moves(expression: str) -> Mapping[str, str]:
    """What the next line of an expression can be: "" -> the right one, and the name of a misconception -> the
    line that it leads to, for each that has its place there and shows. Without blanks in brackets."""
    path, operation = next_operation(tree := parse(expression))
    inside = bracketed(tree, path)
    right = _line(arithmetic.step(expression))
    found = {"": right}
    for name, one in MISCONCEPTIONS.items():
        if one.operation not in (None, operation.op) or one.bracketed not in (None, inside):
            continue
        try:
            line = _line(FUNCTIONS[one.mistake](expression))
        except ValueError:  # it cannot be made there
            continue
        if line != right:
            found[name] = line
    return found


def _line(value: int | str) -> str:
    return write(reduced(parse(str(value)), MODULUS))


def worked(expression: str) -> list[str]:
    """The right lines of a working, after the expression itself."""
    lines = []
    while not expression.isdecimal():
        expression = moves(expression)[""]
        lines.append(expression)
    return lines


def told(lines: list[str]) -> str:
    """A working as one answer: its lines with "=" between them."""
    return " = ".join(map(spaced, lines))


class ModularQuestions(QuestionSet):
    """Every shape with all numbers from 1 to below the modulus; a tenth of the questions is held out."""

    def __init__(self, split: str = "train") -> None:
        self._split = split
        numbers = [
            (shape, "".join(map(str, chosen)))
            for shape, expression in SHAPES.items()
            for chosen in product(range(1, MODULUS), repeat=len(re.findall("[a-e]", expression)))
        ]
        out = held_out(np.arange(len(numbers)))
        self._items = [item for item, test in zip(numbers, out, strict=True) if test == (split == "test")]
        self._by_shape = {shape: [item for item in self._items if item[0] == shape] for shape in SHAPES}
        self._places = {item: place for place, item in enumerate(self._items)}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Question:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} is none of 0..{len(self) - 1}")
        return question(self._split, *self._items[index])

    def find(self, question_id: str) -> Question:
        """The question of an id such as "modular/train/sum_times/352"."""
        match = _ID.fullmatch(question_id) if isinstance(question_id, str) else None
        if (
            match is None
            or match["split"] != self._split
            or (match["shape"], match["numbers"]) not in self._places
        ):
            raise QuestionError(f"no question {question_id!r}; ids look like {self[0].id}")
        return question(self._split, match["shape"], match["numbers"])

    def expression(self, rng: random.Random) -> str:
        """The expression of a random question, every shape as likely as another."""
        return expression_of(*rng.choice(self._by_shape[rng.choice(list(SHAPES))]))


def expression_of(shape: str, numbers: str) -> str:
    """The expression of a shape with these numbers."""
    digits = iter(numbers)
    return re.sub("[a-e]", lambda _: next(digits), SHAPES[shape])


@lru_cache(maxsize=2**14)
def question(split: str, shape: str, numbers: str) -> Question:
    """One question, its mistakes those that can be made on the right way."""
    expression = expression_of(shape, numbers)
    lines = worked(expression)
    return Question(
        id=f"modular/{split}/{shape}/{numbers}",
        domain="modular",
        kind=AnswerKind.TEXT,
        statement=spaced(expression),
        answer=told(lines),
        subtask=shape,
        solution=_lines(lines),
        mistakes=tuple(_mistakes(expression, lines)),
    )


def _lines(lines: list[str]) -> str:
    return "\n= ".join(map(spaced, lines))


def _mistakes(expression: str, lines: list[str]) -> Iterator[Mistake]:
    """Each mistake at each line where it can be made, the working then going on rightly from there."""
    before = [expression, *lines]
    for place in reversed(range(len(lines))):
        operation = next_operation(parse(before[place]))[1].op
        for name, line in moves(before[place]).items():
            if not name:
                continue
            did, rule = mistake_told(MISCONCEPTIONS[name].mistake, operation)
            whole = [*lines[:place], line, *worked(line)]
            yield Mistake(
                answer=told(whole),
                name=name,
                reasoning=_lines(whole),
                wrong_line=place,
                locate=f"line {place + 1}",
                explain=did,
                next_step=rule,
            )
