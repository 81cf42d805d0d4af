"""Options and answers in the layouts that other people's rows have. docs/questions.md lists them.

What looks like options, an answer or a label is read or refused by name: nothing of that kind is passed over,
and no value is taken for an option where it could also mean another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from socratic_env.questions.problems import Problems, Row, is_null, line_ends
from socratic_env.types import Option

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
QUESTION_FIELDS = ("question", "question_stem", "stem", "problem", "query")
OPTION_FIELDS = ("options", "choices", "endings", "candidates", "alternatives")
ANSWER_FIELDS = (
    "answer", "answerKey", "answer_key", "label", "answer_index", "answer_idx", "answer_letter", "correct",
    "correct_answer", "correct_option", "correct_index", "gold", "target", "ground_truth",
)  # fmt: skip
_TEXT_KEYS, _LABEL_KEYS = ("text", "content", "value"), ("label", "key", "letter", "id")

_COLUMN = re.compile(
    r"(?P<letter>[A-Za-z])"
    r"|(?P<kind>(?i:options?|choices?|opt|op|endings?|answer|alternative|candidate|sol))[ _.-]?"
    r"(?P<label>[A-Za-z]|[0-9]{1,2})"
)
_TELLING = re.compile(
    r"option|choice|alternative|candidate|distractor|answer|label|correct|(?:^|_)gold|target|truth|^key$|^cop$",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"(?:^(?:num|n|has|is)_)|[_ ](?:type|types|format|count|source|explanation|rationale|unit|text_length)$",
    re.IGNORECASE,
)
_DRESSED = re.compile(r"[(\[]?(?P<label>[A-Za-z]|[0-9]{1,2})(?:[)\]:]|\.(?![0-9]))\s*(?P<text>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Layout:
    """The options of a row: the fields that hold them, and the label and the text of each."""

    fields: tuple[str, ...]
    labels: tuple[str, ...]
    options: tuple[Option, ...]
    numbered: bool = False
    """The options are columns numbered from 1, so that a number may be one of these or an index from 0."""


def question_field(row: Row) -> str | None:
    """The field that holds what is asked."""
    return next((field for field in QUESTION_FIELDS if field in row), None)


def answer_fields(row: Row) -> list[str]:
    """The fields of a row that hold its answer."""
    return [field for field in ANSWER_FIELDS if field in row]


def flat(row: Row) -> Row:
    """A row whose question is an object of its own (`{"stem": .., "choices": ..}`), made flat."""
    asked = row.get("question")
    if isinstance(asked, Mapping) and isinstance(asked.get("stem"), str):
        return {
            **row,
            **{name: value for name, value in asked.items() if name != "stem"},
            "question": asked["stem"],
        }
    return row


def options_of(row: Row, problems: Problems) -> Layout | None:
    """The options of a row, lettered A, B, C, .. in order; None for a row without any."""
    fields = [field for field in OPTION_FIELDS if field in row]
    columns = _columns(row)
    if not fields and not columns:
        return None
    if len(fields) + bool(columns) > 1:
        named = [*fields, *columns[:1]]
        problems.add(named[1], row[named[1]], f"but field {named[0]!r} holds options too", "keep one of them")
    if not fields:
        texts = [row[column] for column in columns]
        labels = [_column_label(column) for column in columns]
        numbered = labels[0] == "1"
        return replace(_lettered(tuple(columns), columns, labels, texts, problems), numbered=numbered)
    field = fields[0]
    pairs = _pairs(field, row[field], problems)
    if pairs is None:
        return Layout((field,), (), ())
    labels, texts = [label for label, _ in pairs], [text for _, text in pairs]
    names = [f"{field}.{label or LETTERS[i % len(LETTERS)]}" for i, label in enumerate(labels)]
    return _lettered((field,), names, labels, texts, problems)


def _column_label(field: Any) -> str:
    """The label of a field that could be one option: a letter or a number; "" for any other field."""
    match = _COLUMN.fullmatch(field) if isinstance(field, str) else None
    if match is None:
        return ""
    return (match["label"] if match["kind"] else match["letter"]).upper()


def _columns(row: Row) -> list[str]:
    """Fields that are one option each: A, B, ..; option_a, ..; choice1, ..: two or more from the first on."""
    families: dict[str, dict[str, str]] = {}
    for field in row:
        label = _column_label(field)
        if label:
            match = _COLUMN.fullmatch(field)
            kind = f"{match['kind']}{label.isdigit()}".lower() if match and match["kind"] else ""
            if not kind and field.islower():
                kind = "small"
                if not isinstance(row[field], str):  # a quantity of the question, such as its b
                    continue
            families.setdefault(kind, {})[label] = field
    for found in families.values():
        for first in ("A", "0", "1"):
            run: list[str] = []
            while (
                label := chr(ord(first) + len(run)) if first == "A" else str(int(first) + len(run))
            ) in found:
                run.append(found[label])
            if len(run) > 1 and len(run) == len(found):
                return run
    return []


def _pairs(field: str, given: Any, problems: Problems) -> list[tuple[str, Any]] | None:
    """(label, text) of each option; the label is "" where the row gives none."""
    if isinstance(given, Mapping):
        texts = next((given[key] for key in _TEXT_KEYS if isinstance(given.get(key), list)), None)
        if texts is None:
            return [(str(label), text) for label, text in given.items() if not is_null(text)]
        labels = next(
            (given[key] for key in _LABEL_KEYS if isinstance(given.get(key), list)), [""] * len(texts)
        )
        if len(labels) != len(texts):
            problems.add(
                field, given, f"which has {len(texts)} texts and {len(labels)} labels", "give as many"
            )
            return None
        return [(str(label), text) for label, text in zip(labels, texts, strict=True)]
    if not isinstance(given, list | tuple):
        problems.add(field, given, "which is no list and no object", "give texts, or {letter: text}")
        return None
    kept = list(given)
    while len(kept) > 2 and is_null(kept[-1]):
        kept.pop()
    return [_pair(one) for one in kept]


def _pair(one: Any) -> tuple[str, Any]:
    """(label, text) of an option of a list: its text, or an object with both."""
    if not isinstance(one, Mapping):
        return "", one
    text = next((one[key] for key in _TEXT_KEYS if key in one), one)
    label = next((one[key] for key in _LABEL_KEYS if not is_null(one.get(key))), "")
    return str(label), text


def _lettered(
    fields: tuple[str, ...],
    names: Sequence[str],
    labels: Sequence[str],
    texts: Sequence[Any],
    problems: Problems,
) -> Layout:
    """The options by letter. Labels that are letters must be A, B, C, .. in order; others only name them."""
    before = len(problems.found)
    if not 2 <= len(texts) <= len(LETTERS):
        problems.add(fields[0], list(texts), f"which are {len(texts)}", f"give 2 to {len(LETTERS)}")
    bare = [_bare(label) for label in labels]
    letters = any(bare) and all(len(label) == 1 and label in LETTERS for label in bare)
    for i, label in enumerate(bare):
        if letters and label != LETTERS[i % len(LETTERS)]:
            where = f"where the letter {LETTERS[i % len(LETTERS)]} belongs"
            problems.add(fields[0], label, where, "use A, B, C, ..")
        elif label and label in bare[:i]:
            problems.add(
                fields[0], label, "which is the label of an earlier option", "make the labels differ"
            )
    shown = [_text(name, text, problems) for name, text in zip(names, texts, strict=True)]
    shown = _undressed(shown)
    for i, text in enumerate(shown):
        if text and text.strip() in (other.strip() for other in shown[:i]):
            problems.add(names[i], text.strip(), "as an earlier option", "make the options differ")
    if len(problems.found) > before:
        return Layout(fields, (), ())
    options = tuple(Option(letter, text) for letter, text in zip(LETTERS, shown, strict=False))
    return Layout(fields, tuple(bare), options)


def _bare(label: str) -> str:
    """A label without brackets and points; a letter is made a capital."""
    stripped = label.strip().strip("()[].:").strip()
    return stripped.upper() if len(stripped) == 1 else stripped


def _text(name: str, text: Any, problems: Problems) -> str:
    if isinstance(text, int | float) and not isinstance(text, bool) and not is_null(text):
        return repr(text)
    if not isinstance(text, str) or not text.strip():
        problems.add(name, text, "which is no text or empty", "put it in quotes")
        return ""
    field = name.rpartition(".")[2]
    return problems.text({field: text}, field, name[: len(name) - len(field)])


def _undressed(texts: list[str]) -> list[str]:
    """Options that all begin with their own letter ("A) 21"), without it."""
    found = [_DRESSED.fullmatch(text) for text in texts]
    own = [
        match is not None and match["label"] == LETTERS[i] and match["text"] for i, match in enumerate(found)
    ]
    return [match["text"] for match in found if match] if all(own) else texts


def letter_of(given: Any, layout: Layout, field: str, problems: Problems) -> str:
    """The letter of the option that a value names: by its letter, its label, its index from 0, or its text.
    A value that could mean two options is a problem."""
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    if isinstance(given, float) and given.is_integer():
        given = int(given)  # tables turn whole numbers beside null into floats
    letters = [option.letter for option in layout.options]
    if not letters:
        return str(given)
    meant = _meanings(given, layout)
    named = sorted(set(meant.values()))
    if len(named) == 1:
        return letters[named[0]]
    if named:
        told = " and ".join(f"{how} {letters[place]}" for how, place in meant.items())
        problems.add(field, given, f"which means {told}", "give the letter, or make the texts differ from it")
    else:
        remedy = f"name one of {', '.join(letters)}"
        if isinstance(given, int) and not isinstance(given, bool):
            remedy += f", or an index from 0 to {len(letters) - 1}"
        problems.add(field, given, "which is none of the options", remedy)
    return str(given)


def _meanings(given: Any, layout: Layout) -> dict[str, int]:
    """How a value can be understood -> the place of the option that it then names."""
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return {}
    said = line_ends(str(given)).strip()
    meant: dict[str, int] = {}
    texts = [" ".join(option.text.split()) for option in layout.options]
    words = " ".join(said.split())
    if words not in texts and len(words) > 1:  # upper case counts only where it tells options apart
        texts, words = [text.casefold() for text in texts], words.casefold()
    if texts.count(words) == 1:
        meant["by its text"] = texts.index(words)
    bare = _bare(said) if len(said) <= 5 else said
    labelled = [label for label in layout.labels if label]
    if labelled and bare in layout.labels:
        meant["by its label"] = layout.labels.index(bare)
    elif len(bare) == 1 and bare in LETTERS[: len(texts)] and all(label in LETTERS for label in labelled):
        meant["by its letter"] = LETTERS.index(bare)
    numbers = layout.numbered or not any(label.isdigit() for label in labelled)
    if numbers and re.fullmatch("[0-9]{1,2}", said) and int(said) < len(texts):
        meant["by its index from 0"] = int(said)
    dressed = _DRESSED.fullmatch(said)
    if not meant and dressed is not None:
        place = _place(_bare(dressed["label"]), layout)
        named = " ".join(dressed["text"].split()).casefold()
        if place is not None and named == texts[place].casefold():
            meant["by its letter and text"] = place
    return meant


def _place(label: str, layout: Layout) -> int | None:
    if label in layout.labels:
        return layout.labels.index(label)
    return LETTERS.index(label) if label in LETTERS[: len(layout.options)] else None


def refuse_unread(row: Row, read: Collection[str], problems: Problems) -> None:
    """Refuse the fields that look like options, an answer or a label and are not read."""
    unread = [field for field in row if field not in read and isinstance(field, str)]
    lone = [field for field in unread if field in tuple("ABCDEFGH")]
    for field in unread:
        value = row[field]
        told = any(problem.startswith(f"field {field!r} ") for problem in problems.found)
        if told or _HARMLESS.search(field):
            continue
        if (
            (field in lone and len(lone) > 1)
            or _TELLING.search(field)
            or (len(field) > 1 and _column_label(field))
        ):
            problems.add(
                field, value, "which looks like options, an answer or a label but is not read",
                "bring it into a layout of docs/questions.md, or rename or remove the field",
            )  # fmt: skip
