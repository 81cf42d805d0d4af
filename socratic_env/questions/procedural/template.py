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
from types import CodeType
from typing import Any, TypeAlias

from socratic_env.errors import QuestionError, unknown
from socratic_env.questions.procedural.distractors import Value, Worked, apart, distractors
from socratic_env.questions.question_set import choice_system
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
Draw: TypeAlias = Callable[[random.Random], dict[str, Any]]
"""Parameters of an item from a random generator."""

LEVELS = ("easy", "medium", "hard")
NEXT = "next"
"""The part of a family that holds its templates of no edition too."""
_MOST_DRAWS = 10_000
_LARGEST_PLAIN = 1e9
_ROUNDING = 9  # digits after the point at which whole steps are told from others
_FEWEST_MISTAKES = 3  # an item on which hardly any mistake shows teaches nothing
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

    def _worked_slips(self, parameters: dict[str, Any], truth: Value) -> list[Worked[Slip]]:
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
            if apart(wrong, truth, self.rel_tol)
        ]
        if len(mistakes) < _FEWEST_MISTAKES:
            return None
        return {"answer": self.shown(truth), "solution": "\n".join(lines), "mistakes": tuple(mistakes)}

    def _choice(self, rng: random.Random, parameters: dict[str, Any]) -> dict[str, Any] | None:
        value, lines = self.work(parameters)
        chosen = distractors(rng, value, self._worked_slips(parameters, value))
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
    """Add a template to its family. A name may be taken once, and not be that of another part of it.

    It is asked by its name and under "next"; what seeds give stays (`editions.py`).
    """
    family = TEMPLATES.setdefault(template.family, {})
    if template.name in (*LEVELS, NEXT) or not template.name.isidentifier():
        raise QuestionError(
            f"a template is called {template.name!r}, which names no template of {template.family!r}; give a "
            f"name of letters, digits and underscores that is none of {', '.join((*LEVELS, NEXT))}"
        )
    if template.name in family:
        raise QuestionError(f"template {template.name!r} is registered twice in {template.family!r}")
    family[template.name] = template
    return template
