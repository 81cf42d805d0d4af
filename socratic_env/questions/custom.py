"""A user's own questions, and other people's in the common layouts. docs/questions.md has the schema.

Every field is checked here, and all problems of a row are reported together. Fields that are not
in the schema are ignored, unless their name is close to one that is, or looks like a part of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from socratic_env.numbers import close_enough, read_number
from socratic_env.questions.layouts import (
    ANSWER_FIELDS,
    Layout,
    answer_fields,
    flat,
    letter_of,
    options_of,
    question_field,
    refuse_unread,
)
from socratic_env.questions.problems import Problems, Row, present
from socratic_env.questions.question_set import (
    CLOSING,
    RowError,
    choice_system,
    code_system,
    numeric_system,
    text_system,
)
from socratic_env.questions.unit_test_rows import tests_of
from socratic_env.types import AnswerKind, Mistake
from socratic_env.verifiers import KINDS

FIELDS = (
    "question", "answer", "id", "options", "domain", "subtask", "level", "unit", "abs_tol", "rel_tol",
    "solution", "system", "mistakes", "verifier", "tests", "function",
)  # fmt: skip
MISTAKE_FIELDS = ("answer", "name", "reasoning", "locate", "explain", "next_step")
_IDS = ("id", "question_id")


def from_custom(row: Row) -> dict[str, Any]:
    """The fields of a Question. Raises RowError with all problems of the row."""
    row, problems = present(flat(present(row))), Problems()
    asked, layout = question_field(row) or "question", options_of(row, problems)
    read = {*FIELDS, *_IDS, asked, *answer_fields(row), *(layout.fields if layout else ())}
    problems.misspelt(row, read)
    refuse_unread(row, read, problems)
    verifier = _verifier(row, problems)
    kind = AnswerKind.NUMERIC if layout is None else AnswerKind.CHOICE
    tests = tests_of(row, problems)
    if tests and not verifier:
        verifier = "code"
    if layout is None and verifier not in ("", kind.value):
        kind = AnswerKind.TEXT
    made: dict[str, Any] = {
        "id": row_id(row, problems),
        "kind": kind,
        "statement": problems.text(row, asked, needed=True),
        "options": layout.options if layout else (),
        "closing": CLOSING,
        "verifier": verifier if verifier not in ("", kind.value) else None,
        "domain": problems.text(row, "domain").lower(),
        "subtask": problems.text(row, "subtask"),
        "level": problems.text(row, "level"),
        "unit": problems.text(row, "unit"),
        "abs_tol": problems.tolerance(row, "abs_tol"),
        "rel_tol": problems.tolerance(row, "rel_tol"),
        "solution": problems.text(row, "solution") or None,
        "tests": tests,
    }
    if layout is not None:
        for field in ("unit", "abs_tol", "rel_tol"):
            if field in row:
                problems.add(field, row[field], "but the question has options", "leave it out")
    options = len(made["options"])
    default = choice_system(options) if options > 1 else numeric_system(made["unit"])
    default = text_system() if kind is AnswerKind.TEXT else default
    default = code_system() if tests else default
    made["system"] = problems.text(row, "system", default=default)
    made["answer"] = _answer(row, layout, made, problems)
    made["mistakes"] = _mistakes(row.get("mistakes"), layout, made, problems)
    if problems.found:
        raise RowError(*problems.found)
    return made


def _verifier(row: Row, problems: Problems) -> str:
    """The name of the verifier that a row asks for, "" for its kind's; never a module of anyone's."""
    named = problems.text(row, "verifier")
    if named and named not in _verifiers():
        problems.add("verifier", named, "which is none", f"use one of {', '.join(_verifiers())}")
        return ""
    return named


@cache
def _verifiers() -> tuple[str, ...]:
    return tuple(KINDS.names)


def row_id(row: Row, problems: Problems) -> str:
    """The id that a row gives itself, "" for none; a whole number is one too."""
    field = next((name for name in _IDS if name in row), "id")
    if isinstance(row.get(field), int) and not isinstance(row[field], bool):
        return str(row[field])
    return problems.text(row, field)


def _answer(row: Row, layout: Layout | None, made: Mapping[str, Any], problems: Problems) -> str:
    """The answer that all fields of a row for one agree on; empty texts beside another say nothing."""
    fields = [field for field in answer_fields(row) if row[field] != ""] or answer_fields(row)[:1]
    if not fields:
        problems.found.append(f"field 'answer' is missing; give one of {', '.join(ANSWER_FIELDS[:4])}")
        return ""
    answers = [_one_answer(row[field], field, layout, made, problems) for field in fields]
    for field, answer in zip(fields[1:], answers[1:], strict=True):
        if answers[0] and answer and not problems.found and not _same(answer, {**made, "answer": answers[0]}):
            problems.add(
                field, row[field], f"but field {fields[0]!r} is {row[fields[0]]!r:.40}",
                "keep the right one, or rename the other",
            )  # fmt: skip
    return answers[0]


def _one_answer(
    given: Any, field: str, layout: Layout | None, made: Mapping[str, Any], problems: Problems
) -> str:
    """A letter of the options, a number as text, or words."""
    if layout is not None:
        return letter_of(given, layout, field, problems)
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = repr(given)
    if made["kind"] is AnswerKind.TEXT:
        if not isinstance(given, str) or not given.split():
            problems.add(field, given, "which is no text or empty", "put it in quotes")
            return ""
        return given.strip()
    if not isinstance(given, str) or read_number(given, made["unit"]) is None:
        problems.add(
            field,
            given,
            "which is no number",
            "give a number, or 'options' for a choice",
        )
        return ""
    return given


def _mistakes(
    given: Any, layout: Layout | None, made: Mapping[str, Any], problems: Problems
) -> tuple[Mistake, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        problems.add("mistakes", given, "which is no list", "give a list of objects")
        return ()
    return tuple(_mistake(one, f"mistakes[{i}]", layout, made, problems) for i, one in enumerate(given))


def _mistake(
    row: Any, place: str, layout: Layout | None, made: Mapping[str, Any], problems: Problems
) -> Mistake:
    if not isinstance(row, Mapping):
        problems.add(place, row, "which is no object", f"give an object with {', '.join(MISTAKE_FIELDS)}")
        return Mistake(made["answer"], "-", "", 0, "-", "-", "-")
    place += "."
    problems.misspelt(row, MISTAKE_FIELDS, place)
    name = problems.text(row, "name", place, needed=True)
    reasoning = "\n".join(
        line.strip() for line in problems.text(row, "reasoning", place).split("\n") if line.strip()
    )
    answer = _one_answer(row.get("answer"), place + "answer", layout, made, problems)
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
    if made["kind"] is AnswerKind.TEXT:
        return answer.casefold().split() == str(made["answer"]).casefold().split()
    value, truth = (read_number(text, made["unit"]) for text in (answer, made["answer"]))
    return (
        value is not None
        and truth is not None
        and close_enough(value, truth, made["abs_tol"], made["rel_tol"])
    )
