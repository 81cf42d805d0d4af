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
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

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

# -- expressions -------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """left op right; operands are numbers, names, or operations in turn."""

    op: str
    left: Node
    right: Node


Node: TypeAlias = "int | str | Operation"
Rewriting: TypeAlias = Callable[[Node], "Node | None"]
"""A mistake: what it makes of an expression, None where it cannot be made."""

_TOKEN = re.compile(r"\(-\d+\)|-?\d+|[a-z]|[()*+-]")
_WORDS = {"+": "sum", "-": "difference", "*": "product"}
_SWAPS = {"+": "-", "-": "+", "*": "+"}
_DOING = {"+": "adding", "-": "subtracting", "*": "multiplying"}
_DONE = {"+": "added", "-": "subtracted", "*": "multiplied"}
_SIGNS = {"+": "a plus", "-": "a minus", "*": "a times"}
_SKIPPED = {"+": "an addition", "-": "a subtraction", "*": "a multiplication"}
_KEPT = 64  # expressions remembered: the mistakes of an item share most of theirs
_ORDINALS = ("first", "second", "third", "fourth")


@lru_cache(maxsize=_KEPT)
def parse(text: str) -> Node:
    """The tree of an expression."""
    tokens = _TOKEN.findall(text)

    def operand() -> Node:
        token = tokens.pop(0)
        if token == "(":
            inside = chain()
            tokens.pop(0)
            return inside
        return token if token.isalpha() else int(token.strip("()"))

    def term() -> Node:
        left = operand()
        while tokens and tokens[0] == "*":
            left = Operation(tokens.pop(0), left, operand())
        return left

    def chain() -> Node:
        left = term()
        while tokens and tokens[0] in "+-":
            left = Operation(tokens.pop(0), left, term())
        return left

    return chain()


def write(node: Node, first: bool = True) -> str:
    """The expression of a tree, with brackets where they are needed."""
    if not isinstance(node, Operation):
        return f"({node})" if isinstance(node, int) and node < 0 and not first else str(node)
    left = write(node.left, first)
    right = write(node.right, False)
    if node.op == "*" and isinstance(node.left, Operation) and node.left.op != "*":
        left = f"({write(node.left)})"
    if isinstance(node.right, Operation) and (node.op == "*" or node.right.op != "*"):
        right = f"({write(node.right)})"
    return f"{left} {node.op} {right}"


def count(node: Node) -> int:
    """The number of operations."""
    return 1 + count(node.left) + count(node.right) if isinstance(node, Operation) else 0


def apply(op: str, left: int, right: int) -> int:
    """One operation."""
    return left + right if op == "+" else left - right if op == "-" else left * right


def _places(node: Node, path: str = "") -> Iterator[tuple[str, Operation]]:
    """Every operation with its path from the root ("l" and "r"), operands before it."""
    if isinstance(node, Operation):
        yield from _places(node.left, f"{path}l")
        yield from _places(node.right, f"{path}r")
        yield path, node


def _put(node: Node, path: str, new: Node) -> Node:
    if not path:
        return new
    assert isinstance(node, Operation)
    if path[0] == "l":
        return Operation(node.op, _put(node.left, path[1:], new), node.right)
    return Operation(node.op, node.left, _put(node.right, path[1:], new))


def _bracketed(tree: Node, path: str) -> bool:
    """Whether the operation at a path stands in brackets."""
    node = tree
    for turn in path:
        assert isinstance(node, Operation)
        inner = node.left if turn == "l" else node.right
        if isinstance(inner, Operation) and (node.op == "*" or turn == "r") and inner.op != "*":
            return True
        node = inner
    return False


def next_operation(node: Node) -> tuple[str, Operation]:
    """The operation to do next: in brackets first, products before sums, from the left."""
    ready = [(path, o) for path, o in _places(node) if not count(o.left) and not count(o.right)]
    return min(ready, key=lambda entry: (not _bracketed(node, entry[0]), entry[1].op != "*"))


def _done(node: Node) -> Node:
    """One operation done, rightly. Names are kept, for looking at shapes."""
    path, operation = next_operation(node)
    if isinstance(operation.left, int) and isinstance(operation.right, int):
        return _put(node, path, apply(operation.op, operation.left, operation.right))
    return _put(node, path, "x")


# -- mistakes ----------------------------------------------------------------------------


def keep_signs(node: Node) -> Node | None:
    """a - (b + c) as a - b + c, and a - b * (c + d) as a - b * c + b * d."""
    for path, o in _places(node):
        if o.op != "-" or not isinstance(o.right, Operation):
            continue
        if o.right.op != "*":
            terms: tuple[str, Node, Node] = o.right.op, o.right.left, o.right.right
        elif isinstance(o.right.right, Operation) and o.right.right.op != "*":
            bracket = o.right.right
            factor = o.right.left
            terms = bracket.op, Operation("*", factor, bracket.left), Operation("*", factor, bracket.right)
        else:
            continue
        return _put(node, path, Operation(terms[0], Operation("-", o.left, terms[1]), terms[2]))
    return None


def first_term_only(node: Node) -> Node | None:
    """a * (b + c) as a * b + c, and (a + b) * c as a * c + b."""
    for path, o in _places(node):
        if o.op != "*" or count(o) != 2:
            continue
        bracket, factor = (o.left, o.right) if isinstance(o.left, Operation) else (o.right, o.left)
        if isinstance(bracket, Operation) and bracket.op != "*":
            product = Operation(
                "*", *((factor, bracket.left) if bracket is o.right else (bracket.left, factor))
            )
            return _put(node, path, Operation(bracket.op, product, bracket.right))
    return None


def term_by_term(node: Node) -> Node | None:
    """(a + b) * (c - d) as a * c - b * d."""
    for path, o in _places(node):
        if o.op == "*" and isinstance(o.left, Operation) and isinstance(o.right, Operation):
            firsts = Operation("*", o.left.left, o.right.left)
            return _put(
                node, path, Operation(o.right.op, firsts, Operation("*", o.left.right, o.right.right))
            )
    return None


def ignore_brackets(node: Node) -> Node | None:
    """(a + b) * c as a + b * c."""
    tokens = _TOKEN.findall(write(node))
    return parse(" ".join(t for t in tokens if t not in "()")) if "(" in tokens else None


def left_to_right(node: Node) -> Node | None:
    """a + b * c with the sum done first."""
    tokens = _TOKEN.findall(write(node))
    if "(" in tokens:
        return None
    return parse(" ".join(("(", *tokens[:3], ")", *tokens[3:])))


def _wrongly_done(result: Callable[[str, int, int], int | None]) -> Rewriting:
    """The next operation with another result."""

    def rewrite(node: Node) -> Node | None:
        path, o = next_operation(node)
        assert isinstance(o.left, int)
        assert isinstance(o.right, int)
        wrong = result(o.op, o.left, o.right)
        return None if wrong is None else _put(node, path, wrong)

    return rewrite


swap = _wrongly_done(lambda op, left, right: apply(_SWAPS[op], left, right))
skip = _wrongly_done(lambda _op, left, _right: left)
reverse = _wrongly_done(lambda op, left, right: right - left if op == "-" else None)

MISTAKES: dict[str, tuple[Rewriting, str, str]] = {  # in the order in which like ones are named
    "keep_signs": (keep_signs, "kept the signs in a bracket after a minus",
                   "a minus before a bracket turns every sign in it"),
    "first_term_only": (first_term_only, "gave the factor to the first term only",
                        "a factor multiplies every term of the bracket"),
    "term_by_term": (term_by_term, "multiplied the brackets term by term",
                     "every term of one bracket meets every term of the other"),
    "ignore_brackets": (ignore_brackets, "ignored the brackets", "what stands in brackets comes first"),
    "left_to_right": (left_to_right, "worked from left to right",
                      "products come before sums and differences"),
    "swap": (swap, "{swapped} instead of {doing}", "the sign there is {sign}"),
    "skip": (skip, "skipped {skipped}", "every operation of the expression has to be done"),
    "reverse": (reverse, "subtracted the other way round",
                "the second number is taken away from the first"),
}  # fmt: skip


# -- templates ---------------------------------------------------------------------------


def _shown(node: Node) -> int | str:
    return node if isinstance(node, int) else write(node)


@lru_cache(maxsize=_KEPT)
def step(text: str) -> int | str:
    """An expression after its next operation: a number once none is left."""
    return _shown(_done(parse(text)))


def _mistaken(rewriting: Rewriting) -> Callable[[str], int | str]:
    def rewritten(text: str) -> int | str:
        """An expression after the mistake, with one operation less."""
        node = parse(text)
        new = rewriting(node)
        if new is None:
            raise ValueError(f"the mistake cannot be made in {text!r}")
        while count(new) >= count(node):
            new = _done(new)
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


def _words(shape: str) -> list[tuple[str, str]]:
    """For each step what it works out, such as "the product", and its operation."""
    node, found = parse(shape), []
    while isinstance(node, Operation):
        path, operation = next_operation(node)
        place = " in the brackets" if _bracketed(node, path) else ""
        found.append((_WORDS[operation.op] + place, operation.op))
        node = _done(node)
    texts = [text for text, _ in found]
    ordinals = [_ORDINALS[texts[:i].count(text)] + " " if texts.count(text) > 1 else "" for i, text in
                enumerate(texts)]  # fmt: skip
    return [(f"the {ordinal}{text}", op) for ordinal, (text, op) in zip(ordinals, found, strict=True)]


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
        for name, (_, did, what) in MISTAKES.items():
            try:
                results = finish([FUNCTIONS[name](str(state)) for state in states])
            except ValueError:
                continue
            if results not in seen:
                seen.add(results)
                texts = {"doing": _DOING[op], "swapped": _DONE[_SWAPS[op]], "sign": _SIGNS[op],
                         "skipped": _SKIPPED[op]}  # fmt: skip
                yield Slip(f"s{number + 1}", f"{name}(s{number})", did.format(**texts), what.format(**texts))
        states = [step(str(state)) for state in states]


def _arithmetic(name: str, shape: str) -> Template:
    words = _words(shape)
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
