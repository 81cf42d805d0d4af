"""Worked solutions with chosen mistakes, one line a step, by the rewritings that find them again."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from socratic_env.errors import ConfigurationError, unknown
from socratic_env.questions.procedural.expressions import (
    apply,
    count,
    done,
    next_operation,
    parse,
    put,
    reduced,
    write,
)
from socratic_env.traces.derivations import check_modulus, rewritings
from socratic_env.traces.expression_reader import expression_in
from socratic_env.traces.judging import SLIP

RIGHT = "right"
"""What a right step is called among the moves."""
_FARTHEST_SLIP = 9
_KEPT = 2**15
_NUMBER = re.compile(r"-?\d+")

Choose: TypeAlias = "Callable[[int, Mapping[str, str]], str] | Mapping[int, str]"
"""(number of the step, from 0; the moves there: name -> line) -> a name, or `SLIP`; or step -> name."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A worked solution. lines: one a step, the last a number. moves: what was done in each line, `RIGHT`,
    a name of `MISTAKES` or `SLIP`. places: the path of the operation that it was done to."""

    expression: str
    lines: tuple[str, ...]
    moves: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def text(self) -> str:
        """The solution as the reasoning of a question's misconception shows it."""
        return "\n".join(f"= {line}" for line in self.lines)


def moves(before: str, modulus: int | None = None) -> Mapping[str, str]:
    """What can be done in an expression: `RIGHT` and each mistake that can be made at the operation that is
    next -> the next line, with one operation less. A mistake's line may be the right one.

    Raises ConfigurationError if there is nothing to do in it.
    """
    return _moves(_written(before, modulus), modulus)


def plant(
    expression: str, choose: Choose, modulus: int | None = None, rng: random.Random | None = None
) -> Planted:
    """A solution worked one operation a line, with the moves that are chosen.

    choose: see `Choose`; steps that a mapping leaves out are right. rng: of the numbers of slips.

    Raises ConfigurationError for a move that cannot be made there, a step that there is not, and a slip
    without `rng`.
    """
    now = start = _written(expression, modulus)
    written: list[str] = []
    made: list[str] = []
    while not _NUMBER.fullmatch(now):
        step, possible = len(made), _moves(now, modulus)
        name = choose.get(step, RIGHT) if isinstance(choose, Mapping) else choose(step, possible)
        if name == SLIP:
            line = _slipped(now, modulus, rng)
        elif name in possible:
            line = possible[name]
        else:
            raise unknown(f"move in step {step}, {now}:", name, [*possible, SLIP])
        written.append(line)
        made.append(name)
        now = line
    if isinstance(choose, Mapping) and not set(choose) <= set(range(len(made))):
        extra = next(step for step in choose if step not in range(len(made)))
        raise ConfigurationError(
            f"choose has a step {extra!r}; {expression} worked so has the steps 0 to {len(made) - 1}"
        )
    return Planted(start, tuple(written), tuple(made), tuple(map(_place, (start, *written[:-1]))))


@lru_cache(_KEPT)
def _written(text: str, modulus: int | None) -> str:
    """The expression in a text, as `write` has it and with reduced numbers."""
    check_modulus(modulus)
    node = expression_in(text)
    if node is None:
        raise ConfigurationError(
            f"expression is {text!r:.80}; give whole numbers with + - * and brackets, such as '(4 + 6) * 3'"
        )
    return write(reduced(node, modulus))


@lru_cache(_KEPT)
def _place(text: str) -> str:
    return next_operation(parse(text))[0]


@lru_cache(_KEPT)
def _moves(text: str, modulus: int | None) -> Mapping[str, str]:
    node = parse(text)
    found = {RIGHT: write(reduced(done(node), modulus))}
    place = next_operation(node)[0]
    for name, path, new in rewritings(node, modulus):
        if path == place and name not in found:
            while count(new) >= count(node):
                new = reduced(done(new), modulus)
            found[name] = write(new)
    return MappingProxyType(found)


def _slipped(text: str, modulus: int | None, rng: random.Random | None) -> str:
    """The next line with a result that is off by a little, and that no mistake gives."""
    if rng is None:
        raise ConfigurationError("choose names a slip; give rng, which draws its number")
    node = parse(text)
    path, operation = next_operation(node)
    assert isinstance(operation.left, int)
    assert isinstance(operation.right, int)
    result = apply(operation.op, operation.left, operation.right)
    taken = set(_moves(text, modulus).values())
    off = [result + by for by in range(-_FARTHEST_SLIP, _FARTHEST_SLIP + 1) if by]
    wrong = list(dict.fromkeys(write(reduced(put(node, path, number), modulus)) for number in off))
    return rng.choice([line for line in wrong if line not in taken] or wrong)
