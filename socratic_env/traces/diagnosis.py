"""A student's working read line by line: every line against the one before it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from socratic_env.errors import ConfigurationError
from socratic_env.questions.procedural.expressions import (
    Node,
    Operation,
    count,
    done,
    next_operation,
    places,
    put,
    write,
)
from socratic_env.traces.derivations import (
    canonical,
    check_modulus,
    mistaken,
    reduced,
    rewritings,
    subexpressions,
)
from socratic_env.traces.expression_reader import Chain, Line, expression_in, lines_of, read_line
from socratic_env.traces.judging import Explanation, Reading, Status, Step, explanation, follow, names_of

_TELLING = (Status.WRONG, Status.SLIP, Status.RIGHT, Status.TEXT)
MOST_LINES = 400
"""Lines of a trace that are read; a student that repeats itself writes thousands."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A trace, read.

    expression: what was to be worked out.
    readings: of every line in order; a line with several expressions has one for each.
    """

    expression: str
    readings: tuple[Reading, ...]

    @property
    def errors(self) -> tuple[Reading, ...]:
        """The lines that do not follow, slips apart."""
        return tuple(one for one in self.readings if one.status is Status.WRONG)

    @property
    def slips(self) -> tuple[Reading, ...]:
        """The lines in which a number is off."""
        return tuple(one for one in self.readings if one.status is Status.SLIP)

    @property
    def classes(self) -> frozenset[str]:
        """Every class of error that explains one of its lines."""
        return frozenset().union(*(one.classes for one in self.readings))

    @property
    def clean(self) -> bool:
        """Whether nothing in it is wrong."""
        return not self.errors and not self.slips


def judge_line(before: str, line: str, modulus: int | None = None) -> Reading:
    """What one line is, after the expression that stood before it: "= 4 + 18" after "(4 + 6) * 3".

    Of a line with several expressions the reading is of the first that is wrong, else of the first slip, else
    of the last. modulus: of a world in which numbers are reduced (7: from 0 to 6).

    Raises ConfigurationError if `before` holds no expression.
    """
    reader = _Reader(_start(before, "before"), modulus)
    readings = reader.read(read_line(line), 0)
    worst = min((one.status for one in readings), key=_TELLING.index)
    found = [one for one in readings if one.status is worst]
    return found[-1] if worst in (Status.RIGHT, Status.TEXT) else found[0]


def diagnose(trace: str | Sequence[str], expression: str = "", modulus: int | None = None) -> Diagnosis:
    """Every line of a working of an expression: status, place and the classes of error that explain it.

    After a wrong line the next one is judged against what the student wrote, so that each error counts once.
    Words around the expressions, side calculations ("4 + 6 = 10"), several steps in a line, the question
    said again and a mistake that the student corrects are read as such.

    trace: a text, or its lines. expression: what was to be worked out; "": the trace begins with it.
    modulus: as in `judge_line`.

    Raises ConfigurationError if there is no expression to begin with.
    """
    text = trace if isinstance(trace, str) else "\n".join(trace)
    reader = _Reader(_start(expression or text, "expression" if expression else "trace"), modulus)
    readings = [
        reading
        for number, line in enumerate(lines_of(text)[:MOST_LINES])
        for reading in reader.read(line, number)
    ]
    return Diagnosis(write(reader.origin), tuple(readings))


def avoided(reading: Reading, modulus: int | None = None) -> list[Explanation]:
    """The mistakes that could have been made in place of a right line at the operation that was next, and
    that would have shown in it."""
    before = expression_in(reading.before)
    if reading.status is not Status.RIGHT or before is None or reading.before == reading.after:
        return []
    before, path = reduced(before, modulus), next_operation(before)[0]
    right, names = canonical(reduced(done(before), modulus)), names_of(before)
    left = count(before) - 1
    found = [
        name
        for form, ways in mistaken(before, left, modulus).items()
        for name, place in ways
        if place == path and form != right
    ]
    return [explanation(name, path, before, names) for name in dict.fromkeys(found)]


def _start(text: str, what: str) -> Node:
    node = expression_in(text)
    if node is None:
        line = read_line(text) if isinstance(text, str) else None
        single = [chain for chain in line.chains if len(chain.nodes) == 1] if line else []
        if what == "before" and line and not line.prose and len(single) == 1:
            return single[0].nodes[0]  # a number: there is nothing left to do
        raise ConfigurationError(
            f"{what} is {text!r:.80}, which holds no expression of whole numbers with + - * and brackets; "
            "give what is to be worked out, such as '(4 + 6) * 3'"
        )
    return node


@dataclass
class _Reader:
    """Reads lines in order. origin: what was to be worked out; now: what holds after the lines so far."""

    origin: Node
    modulus: int | None = None
    now: Node = field(init=False)

    def __post_init__(self) -> None:
        check_modulus(self.modulus)
        self.origin = self.now = reduced(self.origin, self.modulus)
        self._named_by, self._names = self.origin, names_of(self.origin)

    def read(self, line: Line, number: int) -> list[Reading]:
        """The readings of one line, at least one; `now` goes on."""
        readings: list[Reading] = []
        for chain in line.chains:
            nodes = tuple(reduced(node, self.modulus) for node in chain.nodes)
            steps = self._chain(Chain(nodes, chain.goes_on, chain.named), line.prose)
            readings += [
                Reading(line.text, number, step.status, step.explanations, write(old), write(new), step.holds)
                for step, old, new in steps
            ]
        said = write(self.now)
        return readings or [Reading(line.text, number, Status.TEXT, before=said, after=said)]

    # -- what a chain is ------------------------------------------------------------------

    def _chain(self, chain: Chain, prose: bool) -> list[tuple[Step, Node, Node]]:
        """(step, from, to) for what a chain says; `now` goes on."""
        first, *rest = chain.nodes
        form = canonical(first)
        if chain.goes_on:
            return self._follow_all(chain.nodes)
        if form == canonical(self.now):
            return self._follow_all(rest) if rest else self._follow_all([first])
        if not rest:
            return self._alone(first, prose, chain.named)
        if form == canonical(self.origin):
            return self._again(rest)
        for path, part in subexpressions(self.now):
            if canonical(part) == form:
                return self._aside(self.now, path, rest)
        step = follow(self.now, first, self.modulus, self._words())
        if step.known and step.status is Status.RIGHT:
            return self._follow_all(chain.nodes)
        betrayed = self._betrayed(form, step)
        if betrayed is not None:
            wrong, rewritten, path = betrayed
            old, self.now = self.now, rewritten
            return [(wrong, old, rewritten), *self._aside(rewritten, path, rest)]
        if step.known or step.holds:
            return self._follow_all(chain.nodes)
        return self._apart(chain.nodes)

    def _follow_all(self, nodes: Sequence[Node]) -> list[tuple[Step, Node, Node]]:
        """Each of the expressions as the next line."""
        found = []
        for node in nodes:
            found.append((follow(self.now, node, self.modulus, self._words()), self.now, node))
            self.now = node
        return found

    def _alone(self, node: Node, prose: bool, named: bool) -> list[tuple[Step, Node, Node]]:
        """An expression by itself: the next line, or, among words, perhaps only what is spoken of."""
        step = follow(self.now, node, self.modulus, self._words())
        if prose and (not step.known or (not count(node) and not named)):
            return []
        form = canonical(node)
        spoken_of = any(canonical(part) == form for _, part in subexpressions(self.now))
        if prose and step.status is not Status.RIGHT and (spoken_of or node in numbers_in(self.now)):
            return []  # "take 4 + 6", "let a = 4"
        old, self.now = self.now, node
        return [(step, old, node)]

    def _again(self, rest: Sequence[Node]) -> list[tuple[Step, Node, Node]]:
        """The question said once more: what follows goes on from the last line, or begins anew."""
        onward = follow(self.now, rest[0], self.modulus, self._words())
        if onward.status is not Status.RIGHT:
            anew = follow(self.origin, rest[0], self.modulus, names_of(self.origin))
            if anew.known or not onward.known:
                self.now = self.origin
        return self._follow_all(rest)

    def _aside(self, whole: Node, path: str, rest: Sequence[Node]) -> list[tuple[Step, Node, Node]]:
        """A part of the expression worked out by itself: what comes of it takes its place."""
        part = dict(places(whole))[path]
        names = {
            place.removeprefix(path): words
            for place, words in self._words().items()
            if place.startswith(path)
        }
        inner: Node = part
        found = []
        for node in rest:
            step = follow(inner, node, self.modulus, names)
            old, self.now = self.now, put(whole, path, node)
            inner = node
            found.append((step, old, self.now))
        return found

    def _betrayed(self, form: object, whole: Step) -> tuple[Step, Node, str] | None:
        """The mistakes after which this would be a part of the expression: "6 * 3 = 18" in (4 + 6) * 3; and
        the way in which it would be the whole of it, where that is a mistake too."""
        found: list[tuple[str, str, Node, str]] = []
        for name, place, new in rewritings(self.now, self.modulus):
            parts = [path for path, part in subexpressions(new) if canonical(part) == form]
            if parts:
                found.append((name, place, new, parts[0]))
        if not found:
            return None
        explained = [explanation(name, place, self.now, self._words()) for name, place, _, _ in found]
        if whole.status is Status.WRONG:
            explained += whole.explanations
        _, _, rewritten, path = found[0]
        return Step(Status.WRONG, tuple(dict.fromkeys(explained)), holds=False), rewritten, path

    def _apart(self, nodes: Sequence[Node]) -> list[tuple[Step, Node, Node]]:
        """An equation of its own, such as a check: said if it is wrong, and nothing goes on from it."""
        found = []
        for old, new in itertools.pairwise(nodes):
            step = follow(old, new, self.modulus, names_of(old))
            if step.status is not Status.RIGHT:
                found.append((step, old, new))
        return found

    def _words(self) -> dict[str, str]:
        """What the places of `now` are called: as in the question, as long as it is the question's form."""
        if self._named_by != self.now and not _worked_from(self._named_by, self.now):
            self._named_by, self._names = self.now, names_of(self.now)
        return self._names


def numbers_in(node: Node) -> set[Node]:
    """The numbers of an expression."""
    return numbers_in(node.left) | numbers_in(node.right) if isinstance(node, Operation) else {node}


def _worked_from(whole: Node, rest: Node) -> bool:
    """Whether numbers in the place of some operations make the one of the other."""
    if not isinstance(rest, Operation):
        return True
    return (
        isinstance(whole, Operation)
        and whole.op == rest.op
        and _worked_from(whole.left, rest.left)
        and _worked_from(whole.right, rest.right)
    )
