"""SciKnowEval level-3 questions: the paper's parquet, the SDPO authors' JSON lines, and v2.

All three give the same statements and options for the rows that they share. What they hold is
documented where each form is read; anything else in a row is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from socratic_env.errors import QuestionError
from socratic_env.questions.base import QuestionList, choice_system
from socratic_env.types import DOMAINS, SPLITS, AnswerKind, Option, Question

CLOSING = "Please reason step by step."
HUB_NAME, HUB_CONFIG, HUB_SPLIT = "hicai-zju/SciKnowEval", "v2", "test"
SUFFIXES = (".parquet", ".jsonl", ".json")
_OPTION = re.compile(r"^([A-Z]): ?", re.MULTILINE)

Row = Mapping[str, Any]


class _RowError(Exception):
    """What is wrong with one row; its place is added by the reader of the file."""


def _split_text(text: str) -> tuple[str, tuple[Option, ...], str]:
    """(statement, options, closing line) of a user message, to the letter, so that a question's
    text is the message again. Options may span lines."""
    closing = CLOSING if text.endswith("\n" + CLOSING) else ""
    body = text.removesuffix("\n" + CLOSING)
    marks = list(_OPTION.finditer(body))
    starts = [i for i, mark in enumerate(marks) if mark[1] == "A"]
    if not starts:
        raise _RowError("it has no options (no line begins with 'A: ')")
    marks = marks[starts[-1] :]
    options = []
    for i, mark in enumerate(marks):
        if mark[1] != chr(ord("A") + i):
            raise _RowError(f"option {chr(ord('A') + i)} is missing before option {mark[1]}")
        end = marks[i + 1].start() - 1 if i + 1 < len(marks) else len(body)
        options.append(Option(mark[1], body[mark.end() : end]))
    before = body[: marks[0].start()]
    return before.removesuffix("\n\n" if before.endswith("\n\n") else "\n"), tuple(options), closing


def _from_paper(row: Row) -> dict[str, Any]:
    """`prompt` = [system, user] messages, `reward_model.ground_truth`, `data_source`.
    (`extra_info.question` is cut at the first blank line in some rows, so it is not read.)"""
    messages = row["prompt"]
    statement, options, closing = _split_text(messages[-1]["content"])
    return {
        "statement": statement,
        "options": options,
        "closing": closing,
        "system": messages[0]["content"] if len(messages) > 1 else choice_system(len(options)),
        "answer": row["reward_model"]["ground_truth"],
        "domain": str(row.get("data_source", "")).rpartition("/")[2],
        "subtask": "",
    }


def _from_sdpo(row: Row) -> dict[str, Any]:
    """`prompt` = the user's text, `system`, `answer`; the domain is the folder's name."""
    statement, options, closing = _split_text(row["prompt"])
    return {
        "statement": statement,
        "options": options,
        "closing": closing,
        "system": row.get("system") or choice_system(len(options)),
        "answer": row["answer"],
        "domain": "",
        "subtask": "",
    }


def _from_v2(row: Row) -> dict[str, Any] | None:
    """`question`, `choices{text, label}`, `answerKey`, `domain`, `details`. Rows of other levels
    and rows that are no multiple choice are left out (None)."""
    details = row.get("details") or {}
    if details.get("level", "L3") != "L3" or not str(row.get("type", "mcq")).startswith("mcq"):
        return None
    choices = row["choices"]
    # One published row has more texts than labels; the texts without a label are no options.
    pairs = zip(choices["label"], choices["text"], strict=False)
    options = tuple(Option(label, text) for label, text in pairs)
    if not options:
        raise _RowError("it has no options ('choices' is empty)")
    return {
        "statement": row["question"],
        "options": options,
        "closing": CLOSING,
        "system": choice_system(len(options)),
        "answer": row["answerKey"],
        "domain": str(row.get("domain", "")).lower(),
        "subtask": str(details.get("subtask") or ""),
    }


def _reader(row: Row) -> Callable[[Row], dict[str, Any] | None]:
    if "choices" in row and "answerKey" in row:
        return _from_v2
    if "reward_model" in row and "prompt" in row:
        return _from_paper
    if isinstance(row.get("prompt"), str) and "answer" in row:
        return _from_sdpo
    raise _RowError(
        "it is in none of the known forms: 'prompt' + 'reward_model' (paper), "
        "'prompt' + 'answer' (JSON lines), 'question' + 'choices' + 'answerKey' (v2); "
        f"its keys are {sorted(row)}"
    )


def _check_text(text: Any) -> None:
    if not isinstance(text, str):
        raise _RowError(f"a part of it is {type(text).__name__} {text!r:.40}, not text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _RowError(f"{text!a:.40} holds half of a surrogate pair, so it is no Unicode") from None


def _question(row: Row, number: int, folder: str, split: str) -> Question | None:
    if not isinstance(row, Mapping):
        raise _RowError(f"it is {type(row).__name__}, not an object")
    try:
        made = _reader(row)(row)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise _RowError(f"a field is missing or malformed: {type(error).__name__} {error}") from None
    if made is None:
        return None
    letters = [option.letter for option in made["options"]]
    if len(letters) < 2:
        raise _RowError(f"it has {len(letters)} option; at least 2 are needed")
    texts = [option.text for option in made["options"]]
    for text in (made["statement"], made["system"], *letters, *texts):
        _check_text(text)
    if len(set(letters)) < len(letters):
        raise _RowError(f"its labels {', '.join(letters)} are not distinct")
    if made["answer"] not in letters:
        raise _RowError(f"its answer {made['answer']!r} is none of its options {', '.join(letters)}")
    domain = made.pop("domain") or folder or "unknown"
    return Question(id=f"{domain}/{split}/{number}", domain=domain, kind=AnswerKind.CHOICE, **made)


# -- files -------------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """(place, row) of every row of a file; the place is for error messages."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            for i, row in enumerate(pyarrow.parquet.read_table(path).to_pylist()):
                yield f"{path}, row {i}", row
        elif _holds_list(path):
            for i, row in enumerate(_parse(path.read_text(encoding="utf-8"), str(path))):
                yield f"{path}, row {i}", row
        else:
            with path.open(encoding="utf-8") as lines:
                for i, line in enumerate(lines):
                    if line.strip():
                        yield f"{path}, line {i + 1}", _parse(line, f"{path}, line {i + 1}")
    except (OSError, ValueError, NotImplementedError) as error:
        if isinstance(error, QuestionError):
            raise
        raise QuestionError(f"{path} cannot be read: {error}; fetch or write the file again") from error


def _holds_list(path: Path) -> bool:
    """Whether a .json file holds one list of rows, rather than a row on each line."""
    if path.suffix != ".json":
        return False
    with path.open(encoding="utf-8") as lines:
        return next((line.lstrip() for line in lines if line.strip()), "").startswith("[")


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"{place} is no valid JSON: {error}; correct or remove it") from None


def _read_file(path: Path, split: str) -> list[Question]:
    folder = path.parent.name.lower()
    questions = []
    for number, (place, row) in enumerate(_rows(path)):
        try:
            question = _question(row, number, folder if folder in DOMAINS else "", split)
        except _RowError as error:
            raise QuestionError(f"{place}: {error}; correct or remove the row") from None
        if question is not None:
            questions.append(question)
    return questions


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


def load_path(path: str | Path, domain: str | None, split: str) -> QuestionList:
    """Questions of a file, or of a folder with <split> files, in any of the three forms.

    A single file serves as it is, whatever `split` says; ids then name the file's own split.
    """
    root = Path(path)
    if not root.exists():
        raise QuestionError(f"questions path {str(path)!r} does not exist; give a folder or a file")
    if root.is_dir():
        files = _files(root, domain, split)
    else:
        if root.suffix not in SUFFIXES:
            raise QuestionError(f"questions file {root} is no {', '.join(SUFFIXES)} file; convert it")
        files, split = [root], root.stem if root.stem in SPLITS else split
    questions = [question for file in files for question in _read_file(file, split)]
    kept = [q for q in questions if domain is None or q.domain == domain]
    return QuestionList(kept, f"{root} (domain {domain or 'any'}, split {split}, {len(questions)} rows read)")


def load_hub(domain: str | None, split: str) -> QuestionList:
    """The v2 rows of the hub; they have no training split there, so all serve as `split`."""
    local = "questions=PATH with local parquet or jsonl files works without a network"
    try:
        import datasets
    except ImportError:
        raise QuestionError(
            f"questions='sciknoweval' needs the package 'datasets': install socratic-env[hub]; {local}"
        ) from None
    try:
        rows = datasets.load_dataset(HUB_NAME, HUB_CONFIG, split=HUB_SPLIT)
    except Exception as error:  # whatever the hub's client raises, the remedy is the same
        raise QuestionError(
            f"questions='sciknoweval' could not be fetched from the hub ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no reason given'}); {local}"
        ) from error
    questions = []
    for number, row in enumerate(rows):
        try:
            question = _question(row, number, "", split)
        except _RowError as error:
            raise QuestionError(f"{HUB_NAME}, row {number}: {error}") from None
        if question is not None and domain in (None, question.domain):
            questions.append(question)
    return QuestionList(questions, f"{HUB_NAME} (domain {domain or 'any'})")
