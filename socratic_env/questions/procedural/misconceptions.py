"""The usual mistakes about the order of operations, each a rewriting of an expression.

Planting a mistake (a question's misconceptions, a worked solution with mistakes) and finding it in what a
student wrote use these rewritings, so that there is one meaning of each mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from socratic_env.questions.procedural.expressions import (
    TOKEN,
    Node,
    Operation,
    apply,
    brackets,
    count,
    next_operation,
    parse,
    places,
    put,
    ready,
    write,
)

Rewriting: TypeAlias = Callable[[Node], Iterator[tuple[str, Node]]]
"""A mistake: every place where it can be made, as the path of the operation that should have been done, with
what it makes of the expression. Questions have those at the operation that is next."""

_SWAPS = {"+": "-", "-": "+", "*": "+"}
_DOING = {"+": "adding", "-": "subtracting", "*": "multiplying"}
_DONE = {"+": "added", "-": "subtracted", "*": "multiplied"}
_SIGNS = {"+": "a plus", "-": "a minus", "*": "a times"}
_SKIPPED = {"+": "an addition", "-": "a subtraction", "*": "a multiplication"}


def keep_signs(node: Node) -> Iterator[tuple[str, Node]]:
    """a - (b + c) as a - b + c, and a - b * (c + d) as a - b * c + b * d."""
    for path, o in places(node):
        if o.op != "-" or not isinstance(o.right, Operation):
            continue
        bracket = f"{path}r"
        if o.right.op != "*":
            terms: tuple[str, Node, Node] = o.right.op, o.right.left, o.right.right
        elif isinstance(o.right.right, Operation) and o.right.right.op != "*":
            inner, factor = o.right.right, o.right.left
            terms = inner.op, Operation("*", factor, inner.left), Operation("*", factor, inner.right)
            bracket = f"{path}rr"
        else:
            continue
        yield bracket, put(node, path, Operation(terms[0], Operation("-", o.left, terms[1]), terms[2]))


def first_term_only(node: Node) -> Iterator[tuple[str, Node]]:
    """a * (b + c) as a * b + c, and (a + b) * c as a * c + b."""
    for path, o in places(node):
        if o.op != "*" or count(o) != 2:
            continue
        bracket, factor = (o.left, o.right) if isinstance(o.left, Operation) else (o.right, o.left)
        if isinstance(bracket, Operation) and bracket.op != "*":
            product = Operation(
                "*", *((factor, bracket.left) if bracket is o.right else (bracket.left, factor))
            )
            at = f"{path}r" if bracket is o.right else f"{path}l"
            yield at, put(node, path, Operation(bracket.op, product, bracket.right))


def term_by_term(node: Node) -> Iterator[tuple[str, Node]]:
    """(a + b) * (c - d) as a * c - b * d."""
    for path, o in places(node):
        if o.op == "*" and isinstance(o.left, Operation) and isinstance(o.right, Operation):
            firsts = Operation("*", o.left.left, o.right.left)
            seconds = Operation("*", o.left.right, o.right.right)
            yield f"{path}l", put(node, path, Operation(o.right.op, firsts, seconds))


def ignore_brackets(node: Node) -> Iterator[tuple[str, Node]]:
    """(a + b) * c as a + b * c: all brackets, then any one of several."""
    opened = list(brackets(node))
    if not opened:
        return
    tokens = TOKEN.findall(write(node))
    yield next_operation(node)[0], parse(" ".join(t for t in tokens if t not in "()"))
    if len(opened) > 1:
        for path, pair in zip(opened, _pairs(tokens), strict=True):
            yield path, parse(" ".join(t for i, t in enumerate(tokens) if i not in pair))


def _pairs(tokens: list[str]) -> list[tuple[int, int]]:
    """Where each bracket opens and closes, in the order of opening."""
    opened: list[int] = []
    pairs = {}
    for place, token in enumerate(tokens):
        if token == "(":
            opened.append(place)
            pairs[place] = place
        elif token == ")":
            pairs[opened.pop()] = place
    return list(pairs.items())


def left_to_right(node: Node) -> Iterator[tuple[str, Node]]:
    """a + b * c with the sum done first."""
    tokens = TOKEN.findall(write(node))
    if len(tokens) > 2 and "(" not in tokens:
        yield next_operation(node)[0], parse(" ".join(("(", *tokens[:3], ")", *tokens[3:])))


def _wrongly_done(result: Callable[[str, int, int], int | None]) -> Rewriting:
    """An operation with another result: the next one, then any other that can be done."""

    def rewrite(node: Node) -> Iterator[tuple[str, Node]]:
        first = next_operation(node)
        for path, o in (first, *(other for other in ready(node) if other != first)):
            assert isinstance(o.left, int)
            assert isinstance(o.right, int)
            wrong = result(o.op, o.left, o.right)
            if wrong is not None:
                yield path, put(node, path, wrong)

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


def told(name: str, op: str) -> tuple[str, str]:
    """(what was done, the rule that it breaks) of a mistake at an operation."""
    _, did, rule = MISTAKES[name]
    texts = {"doing": _DOING[op], "swapped": _DONE[_SWAPS[op]], "sign": _SIGNS[op], "skipped": _SKIPPED[op]}
    return did.format(**texts), rule.format(**texts)
