"""A user's own questions: one JSON object a line. The schema is written out in docs/questions.md.

Every field is checked here, and all problems of a row are reported together. Fields that are not
in the schema are ignored, unless their name is close to one that is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from socratic_env.numbers import close_enough, parse_number
from socratic_env.questions.question_set import CLOSING, RowError, choice_system, numeric_system
from socratic_env.types import AnswerKind, Mistake, Option

FIELDS = (
    "question", "answer", "id", "options", "domain", "subtask", "level", "unit", "abs_tol", "rel_tol",
    "solution", "system", "mistakes",
)  # fmt: skip
MISTAKE_FIELDS = ("answer", "name", "reasoning", "locate", "explain", "next_step")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Row = Mapping[str, Any]


class _Problems:
    """Collects what is wrong, each with field, value and remedy."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, field: str, value: Any, why: str, remedy: str) -> None:
        self.found.append(f"field {field!r} is {value!r:.80}, {why}; {remedy}")

    def text(self, row: Row, field: str, place: str = "", needed: bool = False, default: str = "") -> str:
        """The text of a field; a missing one is the default, unless it is needed."""
        value, name = row.get(field), place + field
        if value is None:
            if needed:
                self.found.append(f"field {name!r} is missing; give a text")
            return default
        if not isinstance(value, str):
            self.add(name, value, f"which is {type(value).__name__}, not text", "put it in quotes")
            return default
        try:
            value.encode()
        except UnicodeEncodeError:
            self.add(name, value, "which holds half of a surrogate pair", "write it as Unicode")
            return default
        if needed and not value.strip():
            self.add(name, value, "which is empty", "give a text")
        return value

    def tolerance(self, row: Row, field: str) -> float:
        value = row.get(field, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            self.add(field, value, "which is no finite number of at least 0", "give one, such as 0.01")
            return 0.0
        return float(value)

    def misspelt(self, row: Row, known: Iterable[str], place: str = "") -> None:
        known = tuple(known)
        for field in row:
            close = get_close_matches(field, known, n=1, cutoff=0.8) if field not in known else []
            if close:
                self.add(
                    place + field, row[field], "but the schema has no such field", f"is it {close[0]!r}?"
                )


def from_custom(row: Row) -> dict[str, Any]:
    """The fields of a Question. Raises RowError with all problems of the row."""
    problems = _Problems()
    problems.misspelt(row, FIELDS)
    options = _options(row, problems)
    kind = AnswerKind.CHOICE if options or row.get("options") is not None else AnswerKind.NUMERIC
    made: dict[str, Any] = {
        "id": problems.text(row, "id"),
        "kind": kind,
        "statement": problems.text(row, "question", needed=True),
        "options": options,
        "closing": CLOSING,
        "domain": problems.text(row, "domain").lower(),
        "subtask": problems.text(row, "subtask"),
        "level": problems.text(row, "level"),
        "unit": problems.text(row, "unit"),
        "abs_tol": problems.tolerance(row, "abs_tol"),
        "rel_tol": problems.tolerance(row, "rel_tol"),
        "solution": problems.text(row, "solution") or None,
    }
    if kind is AnswerKind.CHOICE:
        for field in ("unit", "abs_tol", "rel_tol"):
            if field in row:
                problems.add(field, row[field], "but the question has options", "leave it out")
    default = choice_system(len(options)) if len(options) > 1 else numeric_system(made["unit"])
    made["system"] = problems.text(row, "system", default=default)
    made["answer"] = _answer(row.get("answer"), "answer", made, problems)
    made["mistakes"] = _mistakes(row.get("mistakes"), made, problems)
    if problems.found:
        raise RowError(*problems.found)
    return made


def _options(row: Row, problems: _Problems) -> tuple[Option, ...]:
    given = row.get("options")
    if given is None:
        return ()
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, list):
        pairs = list(zip(LETTERS, given, strict=False))
    else:
        problems.add("options", given, "which is no list and no object", "give texts, or {letter: text}")
        return ()
    if not 2 <= len(given) <= len(LETTERS):
        problems.add("options", given, f"which are {len(given)}", f"give 2 to {len(LETTERS)}")
    before = len(problems.found)
    for i, (letter, text) in enumerate(pairs):
        if letter != LETTERS[i % len(LETTERS)]:
            problems.add("options", letter, f"where the letter {LETTERS[i % 26]} belongs", "use A, B, C, ..")
        if not isinstance(text, str) or not text.strip():
            problems.add(f"options.{letter}", text, "which is no text or empty", "put it in quotes")
        else:
            problems.text({letter: text}, letter, "options.")
    if len(problems.found) > before:
        return ()
    texts = [text.strip() for _, text in pairs]
    for i, text in enumerate(texts):
        if text in texts[:i]:
            problems.add(f"options.{LETTERS[i]}", text, "as an earlier option", "make the options differ")
    return tuple(Option(letter, text) for letter, text in pairs)


def _answer(given: Any, field: str, made: Mapping[str, Any], problems: _Problems) -> str:
    """A letter of the options, or a number as text."""
    if made["kind"] is AnswerKind.CHOICE:
        letters = [option.letter for option in made["options"]]
        if letters and given not in letters:
            problems.add(field, given, "which is none of the options", f"name one of {', '.join(letters)}")
        return str(given)
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = repr(given)
    if not isinstance(given, str) or parse_number(given, made["unit"]) is None:
        problems.add(field, given, "which is no number", "give a number, or 'options' for a choice")
        return ""
    return given


def _mistakes(given: Any, made: Mapping[str, Any], problems: _Problems) -> tuple[Mistake, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        problems.add("mistakes", given, "which is no list", "give a list of objects")
        return ()
    return tuple(_mistake(one, f"mistakes[{i}]", made, problems) for i, one in enumerate(given))


def _mistake(row: Any, place: str, made: Mapping[str, Any], problems: _Problems) -> Mistake:
    if not isinstance(row, Mapping):
        problems.add(place, row, "which is no object", f"give an object with {', '.join(MISTAKE_FIELDS)}")
        return Mistake(made["answer"], "-", "", 0, "-", "-", "-")
    place += "."
    problems.misspelt(row, MISTAKE_FIELDS, place)
    name = problems.text(row, "name", place, needed=True)
    reasoning = "\n".join(
        line.strip() for line in problems.text(row, "reasoning", place).split("\n") if line.strip()
    )
    answer = _answer(row.get("answer"), place + "answer", made, problems)
    if made["answer"] and answer and _same(answer, made):
        problems.add(place + "answer", answer, "which is the right answer", "give the wrong one it leads to")
    return Mistake(
        answer=answer,
        name=name,
        reasoning=reasoning,
        wrong_line=max(0, reasoning.count("\n")),
        locate=problems.text(row, "locate", place, default=f"Your answer shows a mistake: {name}."),
        explain=problems.text(row, "explain", place, needed=True),
        next_step=problems.text(
            row, "next_step", place, default="Work through the question again with this in mind."
        ),
    )


def _same(answer: str, made: Mapping[str, Any]) -> bool:
    """Whether an answer would be judged right."""
    if made["kind"] is AnswerKind.CHOICE:
        return answer == made["answer"]
    value, truth = (parse_number(text, made["unit"]) for text in (answer, made["answer"]))
    return (
        value is not None
        and truth is not None
        and close_enough(value, truth, made["abs_tol"], made["rel_tol"])
    )
