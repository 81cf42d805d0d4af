"""Arithmetic: several operations with brackets, and the usual mistakes about their order.

A shape is declared once, as an expression over letters. Its steps (one operation each, in the
right order) and its mistakes follow from it: each mistake rewrites what is left of the expression
in a wrong way, and the remaining steps go on from there. The reasoning shows every rewriting:
"(4 + 6) * 3", worked as "= 4 + 18" and "= 22" by someone who ignored the brackets.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from socratic_env.questions.procedural.expressions import (
    Node,
    count,
    done,
    in_words,
    next_operation,
    parse,
    write,
)
from socratic_env.questions.procedural.misconceptions import MISTAKES, Rewriting, told
from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, register
from socratic_env.types import AnswerKind

SHAPES = {
    "sum_times": "(a + b) * c",
    "difference_times": "(a - b) * c",
    "times_sum": "a * (b + c)",
    "plus_product": "a + b * c",
    "minus_product": "a - b * c",
    "minus_sum": "a - (b + c)",
    "minus_difference": "a - (b - c)",
    "minus_times_sum": "a - b * (c + d)",
    "plus_times_difference": "a + b * (c - d)",
    "sum_times_sum": "(a + b) * (c + d)",
    "difference_times_minus": "(a - b) * c - d",
    "products_apart": "a * b - c * d",
    "minus_sum_plus_product": "a - (b + c) + d * e",
    "sum_times_difference_minus": "(a + b) * (c - d) - e",
    "minus_times_difference_plus": "a - b * (c - d) + e",
    "product_minus_times_sum": "a * b - c * (d + e)",
}
"""The expression of each shape: numbers are letters, operations are + - *."""

INSTRUCTION = (
    "Work out the value of the expression. Respond in the following format:\n<reasoning>\n...\n"
    "</reasoning>\n<answer>\n...\n</answer>\n\nFor the answer, only output the number."
)
LEVELS = {"easy": (1, 9), "medium": (2, 25), "hard": (11, 99)}
"""Smallest and largest number of an expression."""
_KEPT = 64  # expressions remembered: the mistakes of an item share most of theirs


def _shown(node: Node) -> int | str:
    return node if isinstance(node, int) else write(node)


@lru_cache(maxsize=_KEPT)
def step(text: str) -> int | str:
    """An expression after its next operation: a number once none is left."""
    return _shown(done(parse(text)))


def _mistaken(rewriting: Rewriting) -> Callable[[str], int | str]:
    def rewritten(text: str) -> int | str:
        """An expression after the mistake at its next operation, with one operation less."""
        node = parse(text)
        place = next_operation(node)[0]
        new = next((tree for path, tree in rewriting(node) if path == place), None)
        if new is None:
            raise ValueError(f"the mistake cannot be made in {text!r}")
        while count(new) >= count(node):
            new = done(new)
        return _shown(new)

    return rewritten


FUNCTIONS: dict[str, Callable[[str], int | str]] = {
    "step": step,
    **{name: _mistaken(rewriting) for name, (rewriting, _, _) in MISTAKES.items()},
}


def _draw(shape: str, low: int, high: int) -> Draw:
    def draw(rng: random.Random) -> dict[str, Any]:
        numbers = {letter: str(rng.randint(low, high)) for letter in "abcde"}
        return {"s0": re.sub("[a-e]", lambda match: numbers[match[0]], shape)}

    return draw


def _slips(shape: str, operations: list[str]) -> Iterator[Slip]:
    """Every mistake at every step where it can be made and leads to a result of its own."""
    samples = [str(_draw(shape, 11, 99)(random.Random(seed))["s0"]) for seed in range(3)]

    def finish(states: list[int | str]) -> tuple[int | str, ...]:
        while any(isinstance(state, str) for state in states):
            states = [step(state) if isinstance(state, str) else state for state in states]
        return tuple(states)

    seen = {finish(list(samples))}
    states: list[int | str] = list(samples)
    for number, op in enumerate(operations):
        for name in MISTAKES:
            try:
                results = finish([FUNCTIONS[name](str(state)) for state in states])
            except ValueError:
                continue
            if results not in seen:
                seen.add(results)
                yield Slip(f"s{number + 1}", f"{name}(s{number})", *told(name, op))
        states = [step(str(state)) for state in states]


def _arithmetic(name: str, shape: str) -> Template:
    words = [(text, op) for _, text, op in in_words(parse(shape))]
    return Template(
        name=name,
        domain="arithmetic",
        family="arithmetic",
        kind=AnswerKind.NUMERIC,
        phrasings=("Work out {s0}.", "What is {s0}?", "Calculate {s0}.", "{s0} = ?"),
        draws={level: _draw(shape, low, high) for level, (low, high) in LEVELS.items()},
        steps=tuple(Step(f"s{i + 1}", f"step(s{i})", text) for i, (text, _) in enumerate(words)),
        slips=tuple(_slips(shape, [op for _, op in words])),
        system=INSTRUCTION,
        functions=FUNCTIONS,
        line="= {value}",
        next_step="Work out {words} once more, then redo what follows.",
    )


for _name, _shape in SHAPES.items():
    register(_arithmetic(_name, _shape))
