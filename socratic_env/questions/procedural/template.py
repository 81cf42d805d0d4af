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
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from socratic_env.errors import QuestionError, unknown
from socratic_env.questions.base import QuestionSet, choice_system
from socratic_env.types import AnswerKind, Mistake, Option, Question

_LETTERS = "ABCD"
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt,
    "sin": lambda degrees: math.sin(math.radians(degrees)),
    "cos": lambda degrees: math.cos(math.radians(degrees)),
    "asin": lambda x: math.degrees(math.asin(x)),
    "ln": math.log,
    "lg": math.log10,
    "exp": math.exp,
}
_ID = re.compile(r"(?P<domain>[^/]+)/(?P<name>[^/]+)/(?P<split>[^/]+)/(?P<number>0|[1-9][0-9]{0,5})")
_MOST_DRAWS = 10_000
_LARGEST_PLAIN = 1e9
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
    draw: parameters from a random generator. Numbers may stand in formulas.
    steps: the worked solution; the last step is the answer.
    slips: the mistakes.
    kind: multiple choice, or a plain number.
    digits: significant digits of shown values.
    rel_tol: tolerance of numeric answers.
    functions: functions for its formulas, beside sqrt, sin, cos (degrees), ln, lg, exp ...
    line, locate, explain, next_step: texts with the fields symbol, words, formula, numbers,
        value, unit, head (outermost function), wrong_head, name and what.
    """

    name: str
    domain: str
    phrasings: tuple[str, ...]
    draw: Callable[[random.Random], dict[str, Any]]
    steps: tuple[Step, ...]
    slips: tuple[Slip, ...]
    kind: AnswerKind = AnswerKind.CHOICE
    family: str = "procedural"
    digits: int = 4
    rel_tol: float = 0.0
    system: str = choice_system(4)
    functions: Mapping[str, Callable[..., float]] = field(default_factory=dict)
    line: str = "{words}: {symbol} = {formula} = {numbers} = {value}{unit}"
    locate: str = "Look again at {words}."
    explain: str = "You {name}: {what}."
    next_step: str = "Work out {words} once more as {symbol} = {formula}, then redo what follows."
    _compiled: dict[str, CodeType] = field(init=False, repr=False, compare=False)
    _names: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        symbols = [step.symbol for step in self.steps]
        for slip in self.slips:
            if slip.step not in symbols:
                what = f"step in slip {slip.name!r} of {self.name}:"
                raise unknown(what, slip.step, symbols, QuestionError)
        formulas = [step.formula for step in self.steps] + [slip.formula for slip in self.slips]
        compiled = {text: compile(text, f"<{self.name}>", "eval") for text in formulas}
        object.__setattr__(self, "_compiled", compiled)
        object.__setattr__(self, "_names", {**_FUNCTIONS, **self.functions, "pi": math.pi})

    # -- deriving ------------------------------------------------------------------------

    def shown(self, value: float) -> str:
        """A value as items and solutions show it."""
        if isinstance(value, int) or (value == int(value) and abs(value) < 10**self.digits):
            return str(int(value))
        text = f"{value:.{self.digits}g}"
        # A power of ten among plain numbers would tell an option apart.
        return f"{float(text):.0f}" if "e+" in text and abs(value) < _LARGEST_PLAIN else text

    def _evaluate(self, formula: str, values: Mapping[str, Any]) -> float:
        # Formulas are source code of this package, never data.
        result: float = eval(self._compiled[formula], {"__builtins__": {}}, {**self._names, **values})
        return result

    def _fields(self, step: Step, formula: str, values: Mapping[str, Any]) -> dict[str, str]:
        def number(match: re.Match[str]) -> str:
            value = values.get(match[0])
            return match[0] if not isinstance(value, int | float) else self.shown(value)

        return {
            "symbol": step.symbol,
            "words": step.words,
            "formula": formula,
            "numbers": _IDENTIFIER.sub(number, formula),
            "unit": f" {step.unit}" if step.unit else "",
            "head": formula.partition("(")[0],
        }

    def work(self, parameters: Mapping[str, Any], slip: Slip | None = None) -> tuple[float, list[str]]:
        """(final value, one line for each step), correct or with one slip.

        Raises ArithmeticError or ValueError where the slip leads to no number.
        """
        values: dict[str, Any] = dict(parameters)
        lines = []
        for step in self.steps:
            formula = slip.formula if slip is not None and slip.step == step.symbol else step.formula
            value = self._evaluate(formula, values)
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
        for _ in range(_MOST_DRAWS):
            parameters = self.draw(rng)
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
                    rel_tol=self.rel_tol,
                    unit=self.steps[-1].unit if self.kind is AnswerKind.NUMERIC else "",
                    **made,
                )
        raise QuestionError(
            f"template {self.name!r} found no item {number} of split {split!r} in {_MOST_DRAWS} draws; "
            "widen its parameters"
        )

    def _worked_slips(self, parameters: dict[str, Any]) -> list[tuple[Slip, float, list[str]]]:
        worked = []
        for slip in self.slips:
            try:
                value, lines = self.work(parameters, slip)
            except (ArithmeticError, ValueError):
                continue  # this slip leads nowhere with these parameters
            if math.isfinite(value):
                worked.append((slip, value, lines))
        return worked

    def _number(self, parameters: dict[str, Any]) -> dict[str, Any] | None:
        value, lines = self.work(parameters)
        answer = self.shown(value)
        mistakes = [
            self.mistake(slip, wrong_lines, self.shown(wrong))
            for slip, wrong, wrong_lines in self._worked_slips(parameters)
            if abs(wrong - value) > self.rel_tol * abs(value)
        ]
        if len(mistakes) < _FEWEST_MISTAKES:
            return None
        return {"answer": answer, "solution": "\n".join(lines), "mistakes": tuple(mistakes)}

    def _choice(self, rng: random.Random, parameters: dict[str, Any]) -> dict[str, Any] | None:
        value, lines = self.work(parameters)
        chosen = self._distractors(rng, value, self._worked_slips(parameters))
        if chosen is None:
            return None
        entries: list[tuple[Slip | None, float, list[str]]] = [(None, value, lines), *chosen]
        rng.shuffle(entries)
        unit = f" {self.steps[-1].unit}" if self.steps[-1].unit else ""
        options, mistakes = [], []
        answer = solution = ""
        for letter, (slip, number, work) in zip(_LETTERS, entries, strict=True):
            options.append(Option(letter, f"{self.shown(number)}{unit}"))
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

    def _distractors(
        self, rng: random.Random, truth: float, worked: list[tuple[Slip, float, list[str]]]
    ) -> list[tuple[Slip, float, list[str]]] | None:
        """Three mistakes with distinct values of the truth's sign, so chosen that its rank is even."""
        rng.shuffle(worked)
        distinct: list[tuple[Slip, float, list[str]]] = []
        for entry in worked:
            others = [truth, *(value for _, value, _ in distinct)]
            if entry[1] * truth > 0 and not any(_alike(entry[1], other) for other in others):
                distinct.append(entry)
        below = [entry for entry in distinct if entry[1] < truth]
        above = [entry for entry in distinct if entry[1] > truth]
        ranks = [rank for rank in range(4) if rank <= len(below) and 3 - rank <= len(above)]
        if not ranks:
            return None
        rank = rng.choice(ranks)
        return below[:rank] + above[: 3 - rank]


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= 0.02 * max(abs(one), abs(other))


def _split_of(name: str, parameters: Mapping[str, Any]) -> str:
    key = repr((name, sorted(parameters.items()))).encode()
    return "test" if hashlib.blake2b(key, digest_size=4).digest()[0] % _TEST_SHARE == 0 else "train"


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

    def __init__(self, family: str, domain: str | None, split: str) -> None:
        templates = TEMPLATES[family].values()
        self._templates = [t for t in templates if domain is None or t.domain == domain]
        self._split = split
        if not self._templates:
            raise QuestionError(
                f"questions {family!r} has nothing of domain {domain!r}; its domains are: "
                + ", ".join(sorted({t.domain for t in templates}))
            )

    def __len__(self) -> int:
        return len(self._templates) * _ITEMS_PER_TEMPLATE

    def __getitem__(self, index: int) -> Question:
        number, template = divmod(index, len(self._templates))
        if not 0 <= number < _ITEMS_PER_TEMPLATE:
            raise IndexError(f"item {index} is none of 0..{len(self) - 1}")
        return self._templates[template].item(self._split, number)

    def find(self, question_id: str) -> Question:
        """The item of an id such as "physics/horizontal_throw/train/12"."""
        match = _ID.fullmatch(question_id) if isinstance(question_id, str) else None
        if match is not None and match["split"] == self._split:
            for template in self._templates:
                if (template.domain, template.name) == (match["domain"], match["name"]):
                    return template.item(self._split, int(match["number"]))
        raise QuestionError(f"no question {question_id!r}; ids look like {self[0].id}")
