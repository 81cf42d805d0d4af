"""Files of questions: the one reader for every form of row and every kind of file.

A row is in the form that its keys show: SciKnowEval's three (`sciknoweval.py`) or a user's own
(`custom.py`). A file is read as a whole: all rows that cannot be used are reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from socratic_env.errors import QuestionError
from socratic_env.questions import custom, sciknoweval, subtasks
from socratic_env.questions.layouts import LETTERS, answer_fields, flat, question_field
from socratic_env.questions.problems import Problems, Row, present
from socratic_env.questions.question_set import QuestionList, RowError
from socratic_env.questions.row_files import SUFFIXES, rows_of
from socratic_env.types import DOMAINS, SPLITS, AnswerKind, Question, reply
from socratic_env.verifiers import by_kind
from socratic_env.verifiers.verdicts import blocking

REPORTED = 20
"""Errors of a file that are shown; the rest are counted."""

_WITH_REMEDY = ("field ", "is no valid JSON")
"""How problems begin that name a remedy of their own."""

Form = Callable[[Row], "dict[str, Any] | None"]


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be used: its id, its place in words, and what is wrong with it."""

    id: str
    place: str
    problems: tuple[str, ...]


@dataclass(slots=True)
class Contents:
    """What files hold: usable questions, and the rows that are refused."""

    questions: list[Question] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def _form(row: Row) -> Form:
    if _is_v2(row):
        return sciknoweval.from_v2
    if "reward_model" in row and "prompt" in row:
        return sciknoweval.from_paper
    if question_field(row) and answer_fields(flat(row)):
        return custom.from_custom
    if isinstance(row.get("prompt"), str) and "answer" in row:
        return sciknoweval.from_sdpo
    raise RowError(
        "it is in none of the known forms: 'question' + 'answer' (your own), "
        "'prompt' + 'reward_model' (paper), 'prompt' + 'answer' (JSON lines), "
        f"'question' + 'choices' + 'answerKey' (v2); its keys are {sorted(map(str, row))}"
    )


def _is_v2(row: Row) -> bool:
    """Whether a row is one of SciKnowEval v2, which tells its level or its type."""
    marked = isinstance(row.get("details"), Mapping) or isinstance(row.get("type"), str)
    return marked and "choices" in row and "answerKey" in row


def _question(row: Any, row_id: str, folder: str) -> Question | None:
    """The question of a row. Raises RowError."""
    if not isinstance(row, Mapping):
        raise RowError(f"it is {type(row).__name__}, not an object")
    row = present(row)
    form = _form(row)
    try:
        made = form(row)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise RowError(f"a field is missing or malformed: {type(error).__name__} {error}") from None
    if made is None:
        return None
    made["id"] = made.get("id") or row_id
    made["domain"] = made["domain"] or folder or "unknown"
    made.setdefault("kind", AnswerKind.CHOICE)
    if made["kind"] is AnswerKind.CHOICE:
        _check_options(made)
    if form is not custom.from_custom:
        made["subtask"] = made["subtask"] or subtasks.infer(made["statement"], made["domain"])
    question = Question(**made)
    if not blocking(by_kind)(question, reply("", question.answer)).correct:
        raise RowError(f"its answer {question.answer!r:.80} does not pass its own verifier")
    return question


def _check_options(made: Mapping[str, Any]) -> None:
    letters = [option.letter for option in made["options"]]
    if len(letters) < 2:
        raise RowError(f"it has {len(letters)} option; at least 2 are needed")
    texts = [option.text for option in made["options"]]
    for text in (made["statement"], made["system"], *letters, *texts):
        _check_text(text)
    if len(set(letters)) < len(letters):
        raise RowError(f"its labels {', '.join(letters)} are not distinct")
    if letters != list(LETTERS[: len(letters)]):
        raise RowError(f"its labels {', '.join(letters)} are not A, B, C, .. in order")
    if made["answer"] not in letters:
        raise RowError(f"its answer {made['answer']!r:.80} is none of its options {', '.join(letters)}")


def _check_text(text: Any) -> None:
    if not isinstance(text, str):
        raise RowError(f"a part of it is {type(text).__name__} {text!r:.40}, not text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError(f"{text!a:.40} holds half of a surrogate pair, so it is no Unicode") from None


def _row_id(row: Any, number: int, folder: str, split: str) -> str:
    """<domain>/<split>/<row>, or the id that a user's own row gives; also of a damaged row."""
    if isinstance(row, Mapping):
        row = present(row)
        own = question_field(row) is not None and not _is_v2(row) and "reward_model" not in row
        given = custom.row_id(row, Problems()) if own else ""
        return given or f"{sciknoweval.domain_of(row) or folder or 'unknown'}/{split}/{number}"
    return f"{folder or 'unknown'}/{split}/{number}"


def collect(
    rows: Iterable[tuple[str, Any]], folder: str, split: str, skip: Collection[str], contents: Contents
) -> None:
    """Add the rows of one source to the contents, but not those whose id is to be skipped."""
    places: dict[str, str] = {}
    for number, (place, row) in enumerate(rows):
        row_id = _row_id(row, number, folder, split)
        if row_id in skip:
            continue
        try:
            if isinstance(row, RowError):
                raise row
            question = _question(row, row_id, folder)
            if question is not None and question.id in places:
                raise RowError(
                    f"field 'id' is {question.id!r:.80}, as in {places[question.id]}; give each row its own"
                )
        except RowError as error:
            contents.refused.append(Refused(row_id, place, error.problems))
            continue
        if question is not None:
            places[question.id] = place
            contents.questions.append(question)


def check(source: str, contents: Contents) -> None:
    """Raise one QuestionError for all rows that were refused, if any."""
    told = []
    for refused in contents.refused:
        for problem in refused.problems:
            joint = " " if problem.startswith("is no valid JSON") else ": "
            remedy = "" if problem.startswith(_WITH_REMEDY) else "; correct or remove the row"
            told.append(f"{source}, {refused.place}{joint}{problem}{remedy}")
    if len(told) > REPORTED:
        told[REPORTED:] = [f"and {len(told) - REPORTED} more errors"]
    if told:
        raise QuestionError("\n".join(told))


def _files(root: Path, domain: str | None, split: str) -> list[Path]:
    """The files of a folder: <split>.* in it or in its domain folders."""
    folders = [root] + [root / name for name in DOMAINS if domain in (None, name)]
    found = [folder / (split + suffix) for folder in folders for suffix in SUFFIXES]
    files = [file for file in found if file.is_file()]
    if not files:
        raise QuestionError(
            f"questions folder {root} has no file {split}.parquet, {split}.jsonl or {split}.json, neither "
            f"in it nor in {' or '.join(f.name for f in folders[1:])}/; check the path and the split"
        )
    return files


def _resolve(path: str | Path, domain: str | None, split: str) -> tuple[Path, list[Path], str]:
    """(root, files, split) of a path. A single file serves as it is, and ids name its own split."""
    root = Path(path)
    if not root.exists():
        raise QuestionError(f"questions path {str(path)!r} does not exist; give a folder or a file")
    if root.is_dir():
        return root, _files(root, domain, split), split
    if root.suffix not in SUFFIXES:
        raise QuestionError(f"questions file {root} is no {', '.join(SUFFIXES)} file; convert it")
    return root, [root], root.stem if root.stem in SPLITS else split


def _read(file: Path, split: str, skip: Collection[str], contents: Contents) -> None:
    folder = file.parent.name.lower()
    collect(rows_of(file), folder if folder in DOMAINS else "", split, skip, contents)


def load_path(
    path: str | Path, domain: str | None, split: str, skip: Collection[str] = frozenset()
) -> QuestionList:
    """Questions of a file, or of a folder with <split> files, in any form; rows whose id is in
    `skip` are left out unread. Raises QuestionError with all errors of a file together."""
    root, files, split = _resolve(path, domain, split)
    contents = Contents()
    for file in files:
        _read(file, split, skip, contents)
        check(str(file), contents)
    kept = [q for q in contents.questions if domain is None or q.domain == domain]
    source = f"{root} (domain {domain or 'any'}, split {split}, {len(contents.questions)} rows read)"
    return QuestionList(kept, source)


def scan_path(path: str | Path) -> Contents:
    """All rows of a file, or of all splits of a folder, damaged ones included."""
    contents = Contents()
    failures: list[QuestionError] = []
    for split in SPLITS if Path(path).is_dir() else SPLITS[:1]:
        try:
            _, files, own = _resolve(path, None, split)
        except QuestionError as error:
            failures.append(error)
            continue
        for file in files:
            _read(file, own, frozenset(), contents)
    if failures and not contents.questions and not contents.refused:
        raise failures[0]
    return contents
