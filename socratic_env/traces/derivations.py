"""What can come of an expression: by right steps, and by one mistake among them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from socratic_env.errors import ConfigurationError
from socratic_env.questions.procedural.expressions import (
    Node,
    Operation,
    apply,
    count,
    places,
    put,
    ready,
    reduced,
    value,
)
from socratic_env.questions.procedural.misconceptions import MISTAKES

_KEPT = 2**13
"""Expressions whose outcomes are remembered: the lines of a batch share many."""


def check_modulus(modulus: int | None) -> None:
    """Raise ConfigurationError for a modulus that is none."""
    if modulus is not None and (isinstance(modulus, bool) or not isinstance(modulus, int) or modulus < 2):
        raise ConfigurationError(f"modulus is {modulus!r}; give a whole number of at least 2, or None")


def worth(node: Node, modulus: int | None) -> int:
    """What an expression is worth."""
    return value(node) if modulus is None else value(node) % modulus


def canonical(node: Node) -> Any:
    """Equal for trees that differ only in the order of terms or factors, or in brackets of no effect."""
    if not isinstance(node, Operation):
        return node
    if node.op == "*":
        return ("*", *sorted(map(canonical, _factors(node)), key=repr))
    terms = ((sign * form, 1) if isinstance(form, int) else (form, sign) for form, sign in _terms(node, 1))
    return ("+", *sorted(terms, key=repr))


def _factors(node: Node) -> Iterator[Node]:
    if isinstance(node, Operation) and node.op == "*":
        yield from _factors(node.left)
        yield from _factors(node.right)
    else:
        yield node


def _terms(node: Node, sign: int) -> Iterator[tuple[Any, int]]:
    if isinstance(node, Operation) and node.op != "*":
        yield from _terms(node.left, sign)
        yield from _terms(node.right, -sign if node.op == "-" else sign)
    else:
        yield canonical(node), sign


@lru_cache(_KEPT)
def right_steps(node: Node, modulus: int | None) -> tuple[Node, ...]:
    """What one operation makes of an expression, for each that can be done."""
    found = []
    for path, o in ready(node):
        assert isinstance(o.left, int)
        assert isinstance(o.right, int)
        found.append(put(node, path, reduced(apply(o.op, o.left, o.right), modulus)))
    return tuple(dict.fromkeys(found))


def worked_down(node: Node, fewest: int, modulus: int | None) -> list[Node]:
    """The expression, and all that right steps make of it, down to that many operations."""
    found = layer = {node: None}
    for _ in range(count(node) - fewest):
        layer = dict.fromkeys(new for old in layer for new in right_steps(old, modulus))
        found = {**found, **layer}
    return list(found)


@lru_cache(_KEPT)
def rewritings(node: Node, modulus: int | None) -> tuple[tuple[str, str, Node], ...]:
    """(mistake, path, what it makes of the expression) of every mistake at every place, in their order."""
    if not count(node):
        return ()
    return tuple(
        (name, path, reduced(new, modulus))
        for name, (rewriting, _, _) in MISTAKES.items()
        for path, new in rewriting(node)
    )


@lru_cache(_KEPT)
def mistaken(node: Node, left: int, modulus: int | None) -> dict[Any, tuple[tuple[str, str], ...]]:
    """Canonical form of each expression with so many operations that one mistake, and right steps after it,
    make of this one -> the (mistake, path) that do."""
    found: dict[Any, dict[tuple[str, str], None]] = {}
    for name, path, new in rewritings(node, modulus):
        if count(new) < left:
            continue
        for end in worked_down(new, left, modulus):
            if count(end) == left:
                found.setdefault(canonical(end), {})[name, path] = None
    return {form: tuple(explained) for form, explained in found.items()}


def subexpressions(node: Node) -> Iterator[tuple[str, Operation]]:
    """Every operation below the root, with its path."""
    return ((path, o) for path, o in places(node) if path)
