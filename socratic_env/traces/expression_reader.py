"""Expressions in what a student wrote: whole numbers with + - * and brackets, with any words around them.

What holds anything else (a fraction, a power, a decimal, a letter) is none, and never read in part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from socratic_env.questions.procedural.expressions import Node, Operation, count

LONGEST = 400
"""Characters of a line that are read."""
MOST_OPERATIONS = 8
"""A longer expression is not read: the ways to work it out are too many."""

_TAGS = re.compile(r"</?[A-Za-z_]+>")
_LATEX = re.compile(r"\\(?:left|right|quad|displaystyle|,|;|!)|\\[()\[\]]|[$`]|\*\*")
_MARK = re.compile(
    r"\s*(?:[-*•>]\s+|\(?\d{1,2}[.)]\s+(?![*+-]\s)|(?:step|line)\s*\d+\s*[:.)-]\s*)+", re.IGNORECASE
)
_TIMES = re.compile(r"\\(?:times|cdot)|[×·∙⋅]|(?<=[\d)\]])\s*[xX]\s*(?=[\d(\[])")
_MINUS = str.maketrans("−–﹣－＋（）", "----+()")
_TOKEN = re.compile(
    r"(?P<unfit>\d[\d,]*[./^%:]\d[\w.,/^%]*|\d+\s*[/^÷]\s*[\d(]+|\d+%|\d*[^\W\d_]\w*|\d+_\w*)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?![\d,])|\d+)"
    r"|(?P<equals>=>|->|[=→⇒])"
    r"|(?P<sign>[-+*()\[\]])"
    r"|(?P<other>\S)"
)
_DIVIDES = re.compile(r"\\(?:d?frac|sqrt|div)")
_BRACKETS = {"[": "(", "]": ")"}
_UNFIT_SIGNS = "/^÷<>≤≥≠%"


@dataclass(frozen=True, slots=True)
class Chain:
    """Expressions joined by equals signs: "= 4 + 18 = 22".

    nodes: in order, at least one. goes_on: it begins with an equals sign, so that the line before is its left
    side. named: something that is no expression stands before the first equals sign, such as "answer".
    """

    nodes: tuple[Node, ...]
    goes_on: bool = False
    named: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text. chains: those in it. prose: there are words as well."""

    text: str
    chains: tuple[Chain, ...] = ()
    prose: bool = False


def lines_of(text: str) -> list[Line]:
    """The lines of a text that are not blank; a tag such as <answer> ends a line."""
    return [read_line(line) for line in _TAGS.sub("\n", text).splitlines() if line.strip()]


def read_line(text: str) -> Line:
    """What stands in one line."""
    plain = _LATEX.sub(" ", text[:LONGEST].replace("\\boxed", " ").replace("{", "(").replace("}", ")"))
    plain = _TIMES.sub(" * ", _DIVIDES.sub(" ÷ ", plain.translate(_MINUS)))
    mark = _MARK.match(plain)
    plain = plain[mark.end() :] if mark else plain
    parts, prose = _parts(plain)
    return Line(text.strip(), tuple(_chains(parts)), prose)


def expression_in(text: str) -> Node | None:
    """The first expression with an operation in a text, such as a question's; None if there is none."""
    for line in lines_of(text):
        for chain in line.chains:
            for node in chain.nodes:
                if count(node):
                    return node
    return None


def _parts(text: str) -> tuple[list[Node | str | None], bool]:
    """The line as expressions, "=" for each equals sign, None for anything else; whether there are words."""
    parts: list[Node | str | None] = []
    run: list[str] = []
    prose = spoilt = False

    def close() -> None:
        nonlocal spoilt
        if run:
            parts.append(None if spoilt else _read(run))
            run.clear()
        spoilt = False

    for match in _TOKEN.finditer(text):
        token = match[0]
        if match["number"]:
            run.append(token.replace(",", ""))
        elif match["sign"]:
            run.append(_BRACKETS.get(token, token))
        elif match["equals"]:
            close()
            parts.append("=")
        elif match["unfit"] and not token[0].isdigit():
            close()
            parts.append(None)
            prose = True
        elif match["unfit"] or token in _UNFIT_SIGNS:
            run.append("?")
            spoilt = True
        else:
            close()
    close()
    return parts, prose


def _chains(parts: list[Node | str | None]) -> Iterator[Chain]:
    nodes: list[Node] = []
    goes_on = named = False
    for place, part in enumerate(parts):
        joined = place > 0 and parts[place - 1] == "="
        if part == "=":
            continue
        if nodes and not joined:
            yield Chain(tuple(nodes), goes_on, named)
            nodes = []
        if part is None:
            if nodes:
                yield Chain(tuple(nodes), goes_on, named)
                nodes = []
            continue
        if not nodes:
            goes_on = joined and place == 1
            named = joined and not goes_on
        nodes.append(part)
    if nodes:
        yield Chain(tuple(nodes), goes_on, named)


def _read(tokens: list[str]) -> Node | None:
    """The tree of these tokens, without brackets at the ends that close or open nothing; None: none."""
    tokens = list(tokens)
    while tokens:
        opened = tokens.count("(") - tokens.count(")")
        if opened < 0 and tokens[-1] == ")":
            tokens.pop()
        elif opened > 0 and tokens[0] == "(":
            tokens.pop(0)
        elif tokens[-1] == "(":
            tokens.pop()
        else:
            break
    if not tokens or len(tokens) > LONGEST // 2:
        return None
    reader = _Reader(tokens)
    try:
        node = reader.chain()
    except (IndexError, ValueError, RecursionError):
        return None
    return node if not reader.left and count(node) <= MOST_OPERATIONS else None


class _Reader:
    """Reads tokens by the usual rules of precedence; a bracket after a number is a product."""

    def __init__(self, tokens: list[str]) -> None:
        self.left = list(tokens)

    def chain(self) -> Node:
        node = self._term()
        while self.left and self.left[0] in "+-":
            op = self.left.pop(0)
            node = Operation(op, node, self._term())
        return node

    def _term(self) -> Node:
        node = self._operand()
        while self.left and self.left[0] in "*(":
            if self.left[0] == "*":
                self.left.pop(0)
            node = Operation("*", node, self._operand())
        return node

    def _operand(self) -> Node:
        token = self.left.pop(0)
        if token == "(":
            node = self.chain()
            if self.left.pop(0) != ")":
                raise ValueError
            return node
        if token == "-":
            node = self._operand()
            return -node if isinstance(node, int) else Operation("-", 0, node)
        return int(token)
