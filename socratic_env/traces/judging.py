"""One expression after another: does the second follow from the first, and if not, by which mistakes?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from socratic_env.questions.procedural.expressions import Node, Operation, count, in_words, places
from socratic_env.questions.procedural.misconceptions import MISTAKES, told
from socratic_env.traces.derivations import canonical, mistaken, worked_down, worth

SLIP = "slip"
"""What a slip of numbers is called among the classes of error."""
_SLIPPED, _CARE = "slipped in the numbers", "every result and every copied number is worth a second look"


class Status(StrEnum):
    """What a line is: it follows, it does not, a number in it is off, or there is nothing to judge."""

    RIGHT = "right"
    WRONG = "wrong"
    SLIP = "slip"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One way in which a line came about.

    mistake: the class of error, a name of `MISTAKES` or `SLIP`.
    place: what should have been worked out there, such as "the sum in the brackets".
    did: what the student did, as in "You <did>": "ignored the brackets".
    rule: what holds instead: "what stands in brackets comes first".
    """

    mistake: str
    place: str
    did: str
    rule: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in a line, or in one of the expressions of a line.

    text: the line as it was written. line: its number in the trace, from 0; blank ones do not count.
    status: see `Status`.
    explanations: every way in which one mistake, at one place, leads to just this line; of a wrong line that
        nothing explains none. Several where mistakes cannot be told apart by it.
    before, after: the expression that it was judged against, and the one that holds from there on.
    holds: whether what was written is worth as much as what stood before. A wrong line can hold by chance:
        "3 + 4 * 1" worked as "7 * 1".
    """

    text: str
    line: int
    status: Status
    explanations: tuple[Explanation, ...] = ()
    before: str = ""
    after: str = ""
    holds: bool = True

    @property
    def classes(self) -> frozenset[str]:
        """The classes of error that explain it."""
        return frozenset(one.mistake for one in self.explanations)

    @property
    def place(self) -> str:
        """Where it went wrong, by the first explanation ("": nowhere, or nobody knows)."""
        return self.explanations[0].place if self.explanations else ""


@dataclass(frozen=True, slots=True)
class Step:
    """How one expression follows from another.

    known: not merely of the same worth, nor merely of another, but derived: by right steps, or by mistakes.
    """

    status: Status
    explanations: tuple[Explanation, ...] = ()
    holds: bool = True
    known: bool = True


def names_of(node: Node) -> dict[str, str]:
    """Path -> what is worked out there, in words, of every operation."""
    return {path: words for path, words, _ in in_words(node)}


def follow(before: Node, after: Node, modulus: int | None, names: Mapping[str, str]) -> Step:
    """How `after` follows from `before`; both with reduced numbers. names: the words of `before`'s places.

    A line is right if right steps lead to it, in any order, as many as one likes. Else it is wrong if one
    mistake among right steps does (as few steps as possible), a slip if it is a right line but for one
    number, and right again if it is at least worth the same: another way, such as multiplying out.
    """
    left, done = count(after), count(before) - count(after)
    form, holds = canonical(after), worth(before, modulus) == worth(after, modulus)
    worked = worked_down(before, left, modulus) if done >= 0 else [before]
    if any(canonical(node) == form for node in worked):
        return Step(Status.RIGHT)
    explained = _explained(before, form, left, modulus, names)
    if not explained and done > 1:
        for node in worked[1:]:
            explained += _explained(node, form, left, modulus, names)
        explained = list(dict.fromkeys(explained))
    if explained:
        return Step(Status.WRONG, tuple(explained), holds)
    slipped = _slips(before, worked, after, names) if 0 <= done <= 1 else ()
    if slipped:
        return Step(Status.SLIP, slipped, holds)
    return Step(Status.RIGHT if holds else Status.WRONG, (), holds, known=False)


def explanation(mistake: str, path: str, before: Node, names: Mapping[str, str]) -> Explanation:
    """The explanation that a mistake at a place makes."""
    operations = dict(places(before))
    return Explanation(mistake, names.get(path, ""), *told(mistake, operations[path].op))


def _explained(
    before: Node, form: Any, left: int, modulus: int | None, names: Mapping[str, str]
) -> list[Explanation]:
    found = mistaken(before, left, modulus).get(form, ())
    order = {name: number for number, name in enumerate(MISTAKES)}
    found = tuple(sorted(found, key=lambda each: order[each[0]]))
    return list(dict.fromkeys(explanation(name, path, before, names) for name, path in found))


def _slips(
    before: Node, worked: list[Node], after: Node, names: Mapping[str, str]
) -> tuple[Explanation, ...]:
    """The right lines from which this one differs by one number, as what was slipped at."""
    found: dict[Explanation, None] = {}
    operations = dict(places(before))
    for node in worked:
        off = _differences(node, after)
        if off is not None and len(off) == 1:
            place = names.get(off[0], "") if off[0] in operations else ""
            found[Explanation(SLIP, place, _SLIPPED, _CARE)] = None
    return tuple(found)


def _differences(one: Node, other: Node, path: str = "") -> list[str] | None:
    """Where the numbers of two trees of one form differ; None if they have not one form."""
    if not isinstance(one, Operation) or not isinstance(other, Operation):
        if isinstance(one, Operation) or isinstance(other, Operation):
            return None
        return [path] if one != other else []
    if one.op != other.op:
        return None
    left = _differences(one.left, other.left, f"{path}l")
    right = _differences(one.right, other.right, f"{path}r")
    return None if left is None or right is None else left + right
