"""Worked solutions with chosen mistakes, one line a step, by the rewritings that find them again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from socratic_env.errors import ConfigurationError, unknown
from socratic_env.questions.procedural.expressions import (
    Node,
    apply,
    count,
    done,
    next_operation,
    put,
    write,
)
from socratic_env.questions.procedural.misconceptions import MISTAKES
from socratic_env.traces.derivations import check_modulus, reduced, rewritings
from socratic_env.traces.expression_reader import expression_in
from socratic_env.traces.judging import SLIP

RIGHT = "right"
"""What a right step is called among the moves."""
_FARTHEST_SLIP = 9
_KEPT = 2**15

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
    check_modulus(modulus)
    return MappingProxyType(
        {name: write(node) for name, node in _moves(_tree(before, modulus), modulus).items()}
    )


def plant(
    expression: str, choose: Choose, modulus: int | None = None, rng: random.Random | None = None
) -> Planted:
    """A solution worked one operation a line, with the moves that are chosen.

    choose: see `Choose`; steps that a mapping leaves out are right. rng: of the numbers of slips.

    Raises ConfigurationError for a move that cannot be made there, a step that there is not, and a slip
    without `rng`.
    """
    check_modulus(modulus)
    node = _tree(expression, modulus)
    written: list[str] = []
    made: list[str] = []
    at: list[str] = []
    while count(node):
        step, possible = len(made), _moves(node, modulus)
        name = _chosen(choose, step, possible)
        path = next_operation(node)[0]
        if name == SLIP:
            node = _slipped(node, path, modulus, rng)
        elif name in possible:
            node = possible[name]
        else:
            raise unknown(f"move in step {step}, {write(node)}:", name, [*possible, SLIP])
        written.append(write(node))
        made.append(name)
        at.append(path)
    if isinstance(choose, Mapping) and not set(choose) <= set(range(len(made))):
        extra = next(step for step in choose if step not in range(len(made)))
        raise ConfigurationError(
            f"choose has a step {extra!r}; {expression} worked so has the steps 0 to {len(made) - 1}"
        )
    return Planted(write(_tree(expression, modulus)), tuple(written), tuple(made), tuple(at))


def _chosen(choose: Choose, step: int, possible: Mapping[str, Node]) -> str:
    if isinstance(choose, Mapping):
        return choose.get(step, RIGHT)
    return choose(step, MappingProxyType({name: write(node) for name, node in possible.items()}))


def _tree(text: str, modulus: int | None) -> Node:
    node = expression_in(text)
    if node is None:
        raise ConfigurationError(
            f"expression is {text!r:.80}; give whole numbers with + - * and brackets, such as '(4 + 6) * 3'"
        )
    return reduced(node, modulus)


@lru_cache(_KEPT)
def _moves(node: Node, modulus: int | None) -> dict[str, Node]:
    found = {RIGHT: reduced(done(node), modulus)}
    place = next_operation(node)[0]
    for name in MISTAKES:
        for mistake, path, new in rewritings(node, modulus):
            if mistake == name and path == place and name not in found:
                while count(new) >= count(node):
                    new = reduced(done(new), modulus)
                found[name] = new
    return found


def _slipped(node: Node, path: str, modulus: int | None, rng: random.Random | None) -> Node:
    """The next operation with a result that is off by a little, and that no mistake gives."""
    if rng is None:
        raise ConfigurationError("choose names a slip; give rng, which draws its number")
    operation = next_operation(node)[1]
    assert isinstance(operation.left, int)
    assert isinstance(operation.right, int)
    result = apply(operation.op, operation.left, operation.right)
    taken = set(_moves(node, modulus).values())
    off = [result + by for by in range(-_FARTHEST_SLIP, _FARTHEST_SLIP + 1) if by]
    wrong = list(dict.fromkeys(reduced(put(node, path, number), modulus) for number in off))
    return rng.choice([new for new in wrong if new not in taken] or wrong)
