"""SciKnowEval level-3 questions: the paper's rows, the SDPO authors' lines, and v2 of the hub.

All three give the same statements and options for the rows that they share. What they hold is
documented where each form is read; anything else in a row is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from socratic_env.questions.layouts import LETTERS, letter_of, options_of
from socratic_env.questions.problems import Problems, Row, line_ends
from socratic_env.questions.question_set import CLOSING, RowError, choice_system
from socratic_env.types import Option

__all__ = ["CLOSING", "from_paper", "from_sdpo", "from_v2", "split_text"]

_OPTION = re.compile(r"^([A-Z]): ?", re.MULTILINE)


def split_text(text: str) -> tuple[str, tuple[Option, ...], str]:
    """(statement, options, closing line) of a user message, to the letter, so that a question's
    text is the message again. Options may span lines. Raises RowError without options."""
    closing = CLOSING if text.endswith("\n" + CLOSING) else ""
    body = text.removesuffix("\n" + CLOSING)
    marks = list(_OPTION.finditer(body))
    starts = [i for i, mark in enumerate(marks) if mark[1] == "A"]
    if not starts:
        raise RowError("it has no options (no line begins with 'A: ')")
    marks = marks[starts[-1] :]
    options = []
    for i, mark in enumerate(marks):
        if mark[1] != chr(ord("A") + i):
            raise RowError(f"option {chr(ord('A') + i)} is missing before option {mark[1]}")
        end = marks[i + 1].start() - 1 if i + 1 < len(marks) else len(body)
        options.append(Option(mark[1], body[mark.end() : end]))
    before = body[: marks[0].start()]
    return before.removesuffix("\n\n" if before.endswith("\n\n") else "\n"), tuple(options), closing


def from_paper(row: Row) -> dict[str, Any]:
    """`prompt` = [system, user] messages, `reward_model.ground_truth`, `data_source`.
    (`extra_info.question` is cut at the first blank line in some rows, so it is not read.)"""
    messages = row["prompt"]
    statement, options, closing = split_text(line_ends(messages[-1]["content"]))
    return {
        "statement": statement,
        "options": options,
        "closing": closing,
        "system": messages[0]["content"] if len(messages) > 1 else choice_system(len(options)),
        "answer": row["reward_model"]["ground_truth"],
        "domain": domain_of(row),
        "subtask": "",
    }


def from_sdpo(row: Row) -> dict[str, Any]:
    """`prompt` = the user's text, `system`, `answer`; the domain is mostly the folder's name."""
    statement, options, closing = split_text(line_ends(row["prompt"]))
    return {
        "statement": statement,
        "options": options,
        "closing": closing,
        "system": row.get("system") or choice_system(len(options)),
        "answer": row["answer"],
        "domain": domain_of(row),
        "subtask": "",
    }


def from_v2(row: Row) -> dict[str, Any] | None:
    """`question`, `choices{text, label}`, `answerKey`, `domain`, `details`. Rows of other levels
    and rows that are no multiple choice are left out (None)."""
    details = row.get("details") or {}
    if details.get("level", "L3") != "L3" or not str(row.get("type", "mcq")).startswith("mcq"):
        return None
    choices = row["choices"]
    # One published row has more texts than labels; the texts without a label are no options.
    pairs = list(zip(choices["label"], choices["text"], strict=False))
    options = tuple(Option(label, _lines(text)) for label, text in pairs)
    answer = row["answerKey"]
    if not options:
        raise RowError("it has no options ('choices' is empty)")
    if not all(isinstance(label, str) and label in LETTERS for label, _ in pairs):
        options, answer = _relettered(pairs, answer)
    return {
        "statement": _lines(row.get("question")),
        "options": options,
        "closing": CLOSING,
        "system": choice_system(len(options)),
        "answer": answer,
        "domain": domain_of(row),
        "subtask": str(details.get("subtask") or ""),
    }


def _lines(text: Any) -> Any:
    """A text with its lines ended in one way; what is no text is refused later."""
    return line_ends(text) if isinstance(text, str) else text


def _relettered(pairs: Sequence[tuple[Any, Any]], answer: Any) -> tuple[tuple[Option, ...], str]:
    """Options whose labels are no letters, lettered in order, and the letter that the key names."""
    problems = Problems()
    given = {"label": [label for label, _ in pairs], "text": [text for _, text in pairs]}
    layout = options_of({"choices": given}, problems)
    letter = letter_of(answer, layout, "answerKey", problems) if layout else ""
    if layout is None or problems.found:
        raise RowError(*problems.found)
    return layout.options, letter


def domain_of(row: Row) -> str:
    """The domain that a row names, or ""."""
    named = row.get("domain") or str(row.get("data_source") or "").rpartition("/")[2]
    return str(named).lower()
