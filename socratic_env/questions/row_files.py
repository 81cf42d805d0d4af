"""The rows of a file, whatever wrote it: parquet, JSON lines, one JSON list, or a list within one object.

Text is UTF-8, or UTF-16 and UTF-32 where their mark or their zero bytes show it; a mark in front is passed
over.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from socratic_env.errors import QuestionError
from socratic_env.questions.problems import is_null
from socratic_env.questions.question_set import RowError

SUFFIXES = (".parquet", ".jsonl", ".json")
PAPER_COLUMNS = ("data_source", "prompt", "reward_model")
"""Columns of the paper's files that are read; the others are large."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ROW_FIELDS = frozenset(("question", "prompt", "answer", "answerKey", "problem", "question_stem"))


def rows_of(path: Path) -> Iterator[tuple[str, Any]]:
    """(place, row) of every row of a file; the row is a RowError where a line is no JSON.
    Raises QuestionError for a file that cannot be read."""
    try:
        yield from _table(path) if path.suffix == ".parquet" else _json(path)
    except QuestionError:
        raise
    except (OSError, ValueError, NotImplementedError, RecursionError) as error:
        raise QuestionError(f"{path} cannot be read: {error}; fetch or write the file again") from error


def _table(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow.parquet

    # Not read_table: it imports the whole dataset layer, which takes longer than all rows.
    file = pyarrow.parquet.ParquetFile(path)
    known = set(PAPER_COLUMNS) <= set(file.schema_arrow.names)
    table = file.read(columns=list(PAPER_COLUMNS) if known else None)
    for i, row in enumerate(table.to_pylist()):
        yield f"row {i}", row


def _json(path: Path) -> Iterator[tuple[str, Any]]:
    text = _text(path)
    lines = text.split("\n")
    written = [(i, line.strip("\ufeff \t\r")) for i, line in enumerate(lines) if line.strip("\ufeff \t\r")]
    if written and (len(written) == 1 or not isinstance(_parse(written[0][1]), Mapping)):
        whole = _parse(text.strip("\ufeff"))
        if not isinstance(whole, RowError):
            yield from _listed(whole, path)
            return
    for i, line in written:
        yield f"line {i + 1}", _parse(line)


def _text(path: Path) -> str:
    raw = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None) or _by_zeros(raw[:4])
    try:
        return raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        raise QuestionError(
            f"{path} is not {name}: byte {raw[error.start]:#04x} at {error.start} is none of it; "
            "save the file as UTF-8"
        ) from None


def _by_zeros(start: bytes) -> str:
    """The encoding that the zero bytes of the first signs show, which in JSON are ASCII."""
    zeros = "".join("0" if byte == 0 else "x" for byte in start)
    found = {"x0x0": "utf-16-le", "0x0x": "utf-16-be", "x000": "utf-32-le", "000x": "utf-32-be"}
    return found.get(zeros, "utf-8")


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return RowError(f"is no valid JSON: {error}; correct or remove it")


def _listed(whole: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """The rows of a file that is one JSON value: a list, a row, or an object with the rows under a key."""
    if isinstance(whole, list):
        yield from ((f"row {i}", row) for i, row in enumerate(whole))
    elif not isinstance(whole, Mapping):
        yield "line 1", whole
    elif _ROW_FIELDS & whole.keys():
        asked = whole.get("question", whole.get("problem"))
        if isinstance(asked, list) or (isinstance(asked, Mapping) and "stem" not in asked):
            raise QuestionError(
                f"{path} holds one object of columns ({', '.join(map(str, whole))[:80]}), not rows; write "
                "one object for each row, with pandas by to_json(orient='records', lines=True)"
            )
        yield "line 1", whole
    else:
        yield from _under_a_key(whole, path)


def _under_a_key(whole: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Any]]:
    lists = dict(_lists("", whole, depth=3))
    if len(lists) == 1:
        key, rows = next(iter(lists.items()))
        yield from ((f"{key}[{i}]", row) for i, row in enumerate(rows))
    elif lists:
        raise QuestionError(
            f"{path} holds rows under several keys ({', '.join(lists)[:80]}); write each list into a file of "
            "its own"
        )
    elif whole and all(isinstance(row, Mapping) and _ROW_FIELDS & row.keys() for row in whole.values()):
        for key, row in whole.items():
            yield f"key {key!r:.40}", row if not is_null(row.get("id")) else {**row, "id": key}
    elif whole:
        yield "line 1", whole  # the reader of rows says which forms there are


def _lists(place: str, value: Mapping[str, Any], depth: int) -> Iterator[tuple[str, list[Any]]]:
    """(key, rows) of every list of objects within an object."""
    for key, inner in value.items():
        name = f"{place}.{key}" if place else str(key)
        if isinstance(inner, list) and inner and all(isinstance(row, Mapping) for row in inner):
            yield name, inner
        elif isinstance(inner, Mapping) and depth > 1:
            yield from _lists(name, inner, depth - 1)
