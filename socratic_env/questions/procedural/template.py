"""The frame of procedural questions: a template declares, everything else is derived.

A template names its parameters, the steps of the worked solution, and mistakes. A mistake is
declared once (the step it happens in, the wrong formula, what went wrong); its value, its worked
reasoning and its hints follow. One template is one file that registers itself.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from operator import eq
from types import CodeType
from typing import Any, TypeAlias

from socratic_env.errors import QuestionError, unknown
from socratic_env.questions.base import QuestionSet, choice_system
from socratic_env.types import AnswerKind, Mistake, Option, Question

_LETTERS = "ABCD"
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_DIGITS = re.compile(r"\d+(?:\.\d+)?")
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt,
    "sin": lambda degrees: math.sin(math.radians(degrees)),
    "cos": lambda degrees: math.cos(math.radians(degrees)),
    "asin": lambda x: math.degrees(math.asin(x)),
    "ln": math.log,
    "lg": math.log10,
    "exp": math.exp,
}
Value: TypeAlias = "float | str"
"""What a step works out: a number, or a text such as a sequence."""
Draw: TypeAlias = Callable[[random.Random], dict[str, Any]]
"""Parameters of an item from a random generator."""

LEVELS = ("easy", "medium", "hard")
_ID = re.compile(r"(?P<domain>[^/]+)/(?P<name>[^/]+)/(?P<split>[^/]+)/(?P<number>0|[1-9][0-9]{0,5})")
_MOST_DRAWS = 10_000
_LARGEST_PLAIN = 1e9
_LIKENESS = 0.02  # options closer than this share of their size would look like rounding
_MOST_TEXTS = 7  # mistakes among which the text options of an item are picked
_ROUNDING = 9  # digits after the point at which whole steps are told from others
_FEWEST_MISTAKES = 3  # an item on which hardly any mistake shows teaches nothing
_ITEMS_PER_TEMPLATE = 1_000_000
_TEST_SHARE = 10  # one parameter set in so many belongs to the test split


@dataclass(frozen=True)
class Step:
    """One step of the worked solution: `symbol` = `formula`, called `words`."""

    symbol: str
    formula: str
    words: str
    unit: str = ""


@dataclass(frozen=True)
class Slip:
    """A mistake, declared once.

    step: the symbol of the step in which it happens.
    formula: what is worked out there instead.
    name: what the learner did, as in "You <name>": "forgot the square root".
    what: what went wrong, one clause.
    """

    step: str
    formula: str
    name: str
    what: str


@dataclass(frozen=True)
class Template:
    """A family of items.

    name: unique in its family; also the `subtask` of its questions.
    domain: one of the four, or the family's own name.
    phrasings: statements with parameters in braces; one is drawn for each item.
    draws: how to draw parameters at each difficulty, by a name of `LEVELS`. Numbers and texts may
        stand in formulas; parameters that only the statement needs are fine too.
    steps: the worked solution; the last step is the answer, a number or (for choices) a text.
    slips: the mistakes.
    kind: multiple choice, or a plain number.
    digits: significant digits of shown values.
    rel_tol: tolerance of numeric answers.
    within: if given, what every step must lie in; items and slips that leave it are left out.
    functions: functions for its formulas, beside sqrt, sin, cos (degrees), ln, lg, exp ...
    line, locate, explain, next_step: texts with the fields symbol, words, formula, numbers,
        value, unit, head (outermost function), wrong_head, name and what.
    """

    name: str
    domain: str
    phrasings: tuple[str, ...]
    draws: Mapping[str, Draw]
    steps: tuple[Step, ...]
    slips: tuple[Slip, ...]
    kind: AnswerKind = AnswerKind.CHOICE
    family: str = "procedural"
    digits: int = 4
    rel_tol: float = 0.0
    within: range | None = None
    system: str = choice_system(4)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    line: str = "{words}: {symbol} = {formula} = {numbers} = {value}{unit}"
    locate: str = "Look again at {words}."
    explain: str = "You {name}: {what}."
    next_step: str = "Work out {words} once more as {symbol} = {formula}, then redo what follows."
    _compiled: dict[str, CodeType] = field(init=False, repr=False, compare=False)
    _names: dict[str, Any] = field(init=False, repr=False, compare=False)
    _told: dict[Slip, tuple[str, set[float]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        symbols = [step.symbol for step in self.steps]
        for slip in self.slips:
            if slip.step not in symbols:
                what = f"step in slip {slip.name!r} of {self.name}:"
                raise unknown(what, slip.step, symbols, QuestionError)
        for level in self.draws:
            if level not in LEVELS:
                raise unknown(f"level of {self.name}:", level, LEVELS, QuestionError)
        formulas = [step.formula for step in self.steps] + [slip.formula for slip in self.slips]
        compiled = {text: compile(text, f"<{self.name}>", "eval") for text in formulas}
        object.__setattr__(self, "_compiled", compiled)
        object.__setattr__(self, "_names", {**_FUNCTIONS, **self.functions, "pi": math.pi})
        told = {}
        for slip in self.slips:
            mistake = self.mistake(slip, [], "")
            hints = f"{mistake.locate} {mistake.explain} {mistake.next_step}"
            told[slip] = hints, {float(number) for number in _DIGITS.findall(hints)}
        object.__setattr__(self, "_told", told)

    # -- deriving ------------------------------------------------------------------------

    def shown(self, value: Value) -> str:
        """A value as items and solutions show it."""
        if isinstance(value, str):
            return value
        if isinstance(value, int) or (value == int(value) and abs(value) < 10**self.digits):
            return str(int(value))
        text = f"{value:.{self.digits}g}"
        # A power of ten among plain numbers would tell an option apart.
        return f"{float(text):.0f}" if "e+" in text and abs(value) < _LARGEST_PLAIN else text

    def _evaluate(self, formula: str, values: Mapping[str, Any]) -> Value:
        # Formulas are source code of this package, never data.
        result: Value = eval(self._compiled[formula], {"__builtins__": {}}, {**self._names, **values})
        return result

    def _fields(self, step: Step, formula: str, values: Mapping[str, Any]) -> dict[str, str]:
        def number(match: re.Match[str]) -> str:
            value = values.get(match[0])
            return match[0] if not isinstance(value, int | float | str) else self.shown(value)

        return {
            "symbol": step.symbol,
            "words": step.words,
            "formula": formula,
            "numbers": _IDENTIFIER.sub(number, formula),
            "unit": f" {step.unit}" if step.unit else "",
            "head": formula.partition("(")[0],
        }

    def work(self, parameters: Mapping[str, Any], slip: Slip | None = None) -> tuple[Value, list[str]]:
        """(final value, one line for each step), correct or with one slip.

        Raises ArithmeticError or ValueError where the slip leads to no number.
        """
        values: dict[str, Any] = dict(parameters)
        lines = []
        for step in self.steps:
            formula = slip.formula if slip is not None and slip.step == step.symbol else step.formula
            value = self._evaluate(formula, values)
            if self.within is not None:
                value = value if isinstance(value, str) else round(value, _ROUNDING)
                if value not in self.within:
                    raise ArithmeticError(f"{step.symbol} = {value} is outside {self.within}")
            fields = self._fields(step, formula, values)
            lines.append(self.line.format(value=self.shown(value), **fields))
            values[step.symbol] = value
        return values[self.steps[-1].symbol], lines

    def mistake(self, slip: Slip, lines: list[str], answer: str, conclusion: str = "") -> Mistake:
        """The record of a slip: its reasoning and its hints in three strengths."""
        index = next(i for i, step in enumerate(self.steps) if step.symbol == slip.step)
        step = self.steps[index]
        fields = self._fields(step, step.formula, {})
        fields |= {"name": slip.name, "what": slip.what, "wrong_head": slip.formula.partition("(")[0]}
        return Mistake(
            answer=answer,
            name=slip.name,
            reasoning="\n".join(lines) + conclusion,
            wrong_line=index,
            locate=self.locate.format(**fields),
            explain=self.explain.format(**fields),
            next_step=self.next_step.format(**fields),
        )

    # -- items ---------------------------------------------------------------------------

    def item(self, split: str, number: int) -> Question:
        """Item `number` of a split: the same on every machine; splits share no parameters."""
        rng = random.Random(f"{self.family}/{self.name}/{split}/{number}")
        level = tuple(self.draws)[number % len(self.draws)]
        for _ in range(_MOST_DRAWS):
            parameters = self.draws[level](rng)
            if _split_of(self.name, parameters) != split:
                continue
            is_choice = self.kind is AnswerKind.CHOICE
            made = self._choice(rng, parameters) if is_choice else self._number(parameters)
            if made is not None:
                return Question(
                    id=f"{self.domain}/{self.name}/{split}/{number}",
                    domain=self.domain,
                    kind=self.kind,
                    statement=rng.choice(self.phrasings).format(**parameters),
                    system=self.system,
                    subtask=self.name,
                    level=level,
                    rel_tol=self.rel_tol,
                    unit=self.steps[-1].unit if self.kind is AnswerKind.NUMERIC else "",
                    **made,
                )
        raise QuestionError(
            f"template {self.name!r} found no item {number} of split {split!r} in {_MOST_DRAWS} draws; "
            "widen its parameters"
        )

    def _tells(self, slip: Slip, truth: Value) -> bool:
        """Whether the hints on a slip happen to hold the answer, such as the 2 of "2 * h"."""
        hints, numbers = self._told[slip]
        return truth in hints if isinstance(truth, str) else float(self.shown(truth)) in numbers

    def _worked_slips(self, parameters: dict[str, Any], truth: Value) -> list[Worked]:
        worked = []
        for slip in self.slips:
            if self._tells(slip, truth):
                continue
            try:
                value, lines = self.work(parameters, slip)
            except (ArithmeticError, ValueError):
                continue  # this slip leads nowhere with these parameters
            if isinstance(value, str) or math.isfinite(value):
                worked.append((slip, value, lines))
        return worked

    def _number(self, parameters: dict[str, Any]) -> dict[str, Any] | None:
        try:
            truth, lines = self.work(parameters)
        except ArithmeticError:
            return None
        mistakes = [
            self.mistake(slip, wrong_lines, self.shown(wrong))
            for slip, wrong, wrong_lines in self._worked_slips(parameters, truth)
            if _apart(wrong, truth, self.rel_tol)
        ]
        if len(mistakes) < _FEWEST_MISTAKES:
            return None
        return {"answer": self.shown(truth), "solution": "\n".join(lines), "mistakes": tuple(mistakes)}

    def _choice(self, rng: random.Random, parameters: dict[str, Any]) -> dict[str, Any] | None:
        value, lines = self.work(parameters)
        chosen = _distractors(rng, value, self._worked_slips(parameters, value))
        if chosen is None:
            return None
        entries: list[tuple[Slip | None, Value, list[str]]] = [(None, value, lines), *chosen]
        rng.shuffle(entries)
        unit = f" {self.steps[-1].unit}" if self.steps[-1].unit else ""
        options, mistakes = [], []
        answer = solution = ""
        for letter, (slip, result, work) in zip(_LETTERS, entries, strict=True):
            options.append(Option(letter, f"{self.shown(result)}{unit}"))
            conclusion = f"\nThat is option {letter}."
            if slip is None:
                answer, solution = letter, "\n".join(work) + conclusion
            else:
                mistakes.append(self.mistake(slip, work, letter, conclusion))
        return {
            "answer": answer,
            "options": tuple(options),
            "solution": solution,
            "mistakes": tuple(mistakes),
        }


Worked: TypeAlias = tuple[Slip, Value, list[str]]
"""A slip, what it leads to, and its lines of reasoning."""


def _distractors(rng: random.Random, truth: Value, worked: list[Worked]) -> list[Worked] | None:
    """Three mistakes that differ from the truth and from each other, numbers so chosen that the
    truth's rank by size is even and its sign tells nothing."""
    rng.shuffle(worked)
    distinct: list[Worked] = []
    for entry in worked:
        others = [truth, *(value for _, value, _ in distinct)]
        if all(_apart(entry[1], other, _LIKENESS) for other in others):
            distinct.append(entry)
    if isinstance(truth, str):
        return _texts(rng, truth, distinct)
    numbers = [(entry, entry[1]) for entry in distinct if not isinstance(entry[1], str)]
    below = [entry for entry, value in numbers if value < truth and value * truth > 0]
    above = [entry for entry, value in numbers if value > truth and value * truth > 0]
    ranks = [rank for rank in range(4) if rank <= len(below) and 3 - rank <= len(above)]
    if not ranks:
        return None
    rank = rng.choice(ranks)
    return below[:rank] + above[: 3 - rank]


def _likeness(one: str, other: str) -> int:
    ends = sum(map(eq, one, other)) + sum(map(eq, reversed(one), reversed(other)))
    return ends + sum(min(one.count(letter), other.count(letter)) for letter in set(one))


def _rank(truth: float, others: list[float]) -> float:
    return sum((other > truth) + (other == truth) / 2 for other in others)


def _texts(rng: random.Random, truth: str, distinct: list[Worked]) -> list[Worked] | None:
    """Three mistakes so chosen that the truth's ranks by length and by likeness to the others,
    of which it is the common origin, are even."""
    texts = [truth, *(str(value) for _, value, _ in distinct[:_MOST_TEXTS])]
    alike = [[float(_likeness(one, other)) for other in texts] for one in texts]
    wanted, wanted_length = rng.randrange(4), rng.randrange(4)
    chosen, least = None, math.inf
    for three in combinations(range(1, len(texts)), 3):
        four = (0, *three)
        sums = [sum(alike[i][j] for j in four if j != i) for i in four]
        rank = _rank(sums[0], sums[1:])
        length = _rank(len(truth), [len(texts[i]) for i in three])
        miss = abs(rank - wanted) + abs(length - wanted_length)
        if miss < least:
            chosen, least = [distinct[i - 1] for i in three], miss
    return chosen


def _apart(one: Value, other: Value, likeness: float) -> bool:
    """Whether two values differ: as texts, or by more than a share of the larger one."""
    if isinstance(one, str) or isinstance(other, str):
        return one != other
    return abs(one - other) > likeness * max(abs(one), abs(other))


def _split_of(name: str, parameters: Mapping[str, Any]) -> str:
    key = repr((name, sorted(parameters.items()))).encode()
    return "test" if hashlib.blake2b(key, digest_size=4).digest()[0] % _TEST_SHARE == 0 else "train"


def drill(template: Template, phrasing: str, draw: Draw, **changes: Any) -> Template:
    """The template as a drill: a short numeric form with small numbers, the same mistakes.

    The results of all steps are whole numbers below 100; parameters and slips that lead elsewhere
    are left out. Reasoning is one line "symbol value" for each step, and hints are as short, so
    that a model of 10^5 to 10^6 parameters can learn it. `changes` are further fields of the
    template.
    """
    short: dict[str, Any] = {
        "family": "drills",
        "kind": AnswerKind.NUMERIC,
        "phrasings": (phrasing,),
        "draws": {"easy": draw},
        "system": "",
        "within": range(100),
        "line": "{symbol} {value}",
        "locate": "check {symbol}",
        "explain": "you {name}",
        "next_step": "{symbol} = {formula}",
    }
    return replace(template, **(short | changes))


# -- registry ----------------------------------------------------------------------------

TEMPLATES: dict[str, dict[str, Template]] = {}
"""Family -> name -> template."""


def register(template: Template) -> Template:
    """Add a template to its family. A name may be taken once."""
    family = TEMPLATES.setdefault(template.family, {})
    if template.name in family:
        raise QuestionError(f"template {template.name!r} is registered twice in {template.family!r}")
    family[template.name] = template
    return template


class ProceduralSet(QuestionSet):
    """The items of a family, interleaved by template; a million for each."""

    def __init__(self, family: str, domain: str | None, split: str, level: str | None = None) -> None:
        templates = TEMPLATES[family].values()
        self._templates = [t for t in templates if domain is None or t.domain == domain]
        self._split = split
        if not self._templates:
            raise QuestionError(
                f"questions {family!r} has nothing of domain {domain!r}; its domains are: "
                + ", ".join(sorted({t.domain for t in templates}))
            )
        if level is not None:
            levels = {name for template in self._templates for name in template.draws}
            if level not in levels:
                raise unknown(f"level of questions {family!r}:", level, levels, QuestionError)
            self._templates = [t for t in self._templates if level in t.draws]
        self._level = level

    def __len__(self) -> int:
        return len(self._templates) * _ITEMS_PER_TEMPLATE

    def __getitem__(self, index: int) -> Question:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} is none of 0..{len(self) - 1}")
        number, place = divmod(index, len(self._templates))
        template = self._templates[place]
        if self._level is not None:  # the items of one level lie this far apart
            levels = tuple(template.draws)
            number = (number * len(levels) + levels.index(self._level)) % _ITEMS_PER_TEMPLATE
        return template.item(self._split, number)

    def find(self, question_id: str) -> Question:
        """The item of an id such as "physics/horizontal_throw/train/12"."""
        match = _ID.fullmatch(question_id) if isinstance(question_id, str) else None
        if match is not None and match["split"] == self._split:
            for template in self._templates:
                if (template.domain, template.name) == (match["domain"], match["name"]):
                    return template.item(self._split, int(match["number"]))
        raise QuestionError(f"no question {question_id!r}; ids look like {self[0].id}")
