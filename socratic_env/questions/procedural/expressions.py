"""Expressions of whole numbers with + - * and brackets, as trees, and the order in which they are worked out.

A place in a tree is a path from its root: "l" and "r" for each turn, "" for the root.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias


@dataclass(frozen=True)
class Operation:
    """left op right; operands are numbers, names, or operations in turn."""

    op: str
    left: Node
    right: Node


Node: TypeAlias = "int | str | Operation"

TOKEN = re.compile(r"\(-\d+\)|-?\d+|[a-z]|[()*+-]")
_WORDS = {"+": "sum", "-": "difference", "*": "product"}
_KEPT = 64  # expressions remembered: the mistakes of an item share most of theirs
_ORDINALS = ("first", "second", "third", "fourth")


@lru_cache(maxsize=_KEPT)
def parse(text: str) -> Node:
    """The tree of an expression as `write` writes it."""
    tokens = TOKEN.findall(text)

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
    if _left_in_brackets(node):
        left = f"({write(node.left)})"
    if _right_in_brackets(node):
        right = f"({write(node.right)})"
    return f"{left} {node.op} {right}"


def _left_in_brackets(node: Operation) -> bool:
    return node.op == "*" and isinstance(node.left, Operation) and node.left.op != "*"


def _right_in_brackets(node: Operation) -> bool:
    return isinstance(node.right, Operation) and (node.op == "*" or node.right.op != "*")


def count(node: Node) -> int:
    """The number of operations."""
    return 1 + count(node.left) + count(node.right) if isinstance(node, Operation) else 0


def apply(op: str, left: int, right: int) -> int:
    """One operation."""
    return left + right if op == "+" else left - right if op == "-" else left * right


def value(node: Node) -> int:
    """What an expression of numbers is worth."""
    if isinstance(node, Operation):
        return apply(node.op, value(node.left), value(node.right))
    assert isinstance(node, int)
    return node


def places(node: Node, path: str = "") -> Iterator[tuple[str, Operation]]:
    """Every operation with its path, operands before it."""
    if isinstance(node, Operation):
        yield from places(node.left, f"{path}l")
        yield from places(node.right, f"{path}r")
        yield path, node


def put(node: Node, path: str, new: Node) -> Node:
    """The tree with something else at a path."""
    if not path:
        return new
    assert isinstance(node, Operation)
    if path[0] == "l":
        return Operation(node.op, put(node.left, path[1:], new), node.right)
    return Operation(node.op, node.left, put(node.right, path[1:], new))


def brackets(node: Node, path: str = "") -> Iterator[str]:
    """The path of everything that `write` puts into brackets, in the order in which these open."""
    if isinstance(node, Operation):
        if _left_in_brackets(node):
            yield f"{path}l"
        yield from brackets(node.left, f"{path}l")
        if _right_in_brackets(node):
            yield f"{path}r"
        yield from brackets(node.right, f"{path}r")


def bracketed(tree: Node, path: str) -> bool:
    """Whether the operation at a path stands in brackets."""
    node = tree
    for turn in path:
        assert isinstance(node, Operation)
        inner = node.left if turn == "l" else node.right
        if isinstance(inner, Operation) and (node.op == "*" or turn == "r") and inner.op != "*":
            return True
        node = inner
    return False


def ready(node: Node) -> list[tuple[str, Operation]]:
    """The operations that can be done: those without operations in their operands."""
    return [(path, o) for path, o in places(node) if not count(o.left) and not count(o.right)]


def next_operation(node: Node) -> tuple[str, Operation]:
    """The operation to do next: in brackets first, products before sums, from the left."""
    return min(ready(node), key=lambda entry: (not bracketed(node, entry[0]), entry[1].op != "*"))


def done(node: Node) -> Node:
    """One operation done, rightly. Names are kept, for looking at shapes."""
    path, operation = next_operation(node)
    if isinstance(operation.left, int) and isinstance(operation.right, int):
        return put(node, path, apply(operation.op, operation.left, operation.right))
    return put(node, path, "x")


def in_words(node: Node) -> list[tuple[str, str, str]]:
    """(path, what is worked out there, such as "the product", its operation) of each step, in order."""
    found = []
    while isinstance(node, Operation):
        path, operation = next_operation(node)
        place = " in the brackets" if bracketed(node, path) else ""
        found.append((path, _WORDS[operation.op] + place, operation.op))
        node = done(node)
    texts = [text for _, text, _ in found]
    ordinals = [
        _ordinal(texts[:i].count(text)) if texts.count(text) > 1 else "" for i, text in enumerate(texts)
    ]
    return [
        (path, f"the {ordinal}{text}", op) for ordinal, (path, text, op) in zip(ordinals, found, strict=True)
    ]


def _ordinal(number: int) -> str:
    return f"{_ORDINALS[number]} " if number < len(_ORDINALS) else f"{number + 1}th "


def reduced(node: Node, modulus: int | None) -> Node:
    """The tree with every number from 0 to modulus - 1; as it is without a modulus."""
    if modulus is None:
        return node
    if isinstance(node, Operation):
        return Operation(node.op, reduced(node.left, modulus), reduced(node.right, modulus))
    assert isinstance(node, int)
    return node % modulus
