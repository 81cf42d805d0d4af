"""Data sets through the package `datasets`: of the hub by name, or a local folder in the hub's layout.

A mapping says which column is what; a row mapped so passes the checks of a user's own question file. What
cannot be used is left out, counted and said, since rows of other people cannot be mended here.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from socratic_env.errors import ConfigurationError, QuestionError, unknown
from socratic_env.questions.files import Contents, Refused, collect
from socratic_env.questions.layouts import LETTERS
from socratic_env.questions.problems import is_null
from socratic_env.questions.question_set import RowError
from socratic_env.questions.usable import UsableRows, usable
from socratic_env.types import Question, Verdict, reply
from socratic_env.verifiers import by_kind, verifier_from_spec

PARTS = (
    "question",
    "options",
    "answer",
    "id",
    "domain",
    "subtask",
    "level",
    "solution",
    "context",
    "without",
)
"""What a mapping may name a column for."""
CONSTANTS = ("unit", "abs_tol", "rel_tol")
"""What a mapping gives for all rows at once."""
_READINGS = ("index", "label", "text")
_OWN_KINDS = ("choice", "numeric", "text")


@dataclass(frozen=True)
class Mapped:
    """Which column of a data set is what.

    columns: part of `PARTS` -> a column ("a.b": within an object); {"column", "after"} or {"column",
        "before"}: what stands there after, before a mark; of the answer {"column", "
        ""as"}: it is the "index" (from 0), the
        "label" or the "
        ""text" of an option; of the options also a list of columns, shuffled in a way that the row
        determines.
    constants: part of `CONSTANTS` -> its value.
    verifier: what judges, by name; None: choice where there are options, else numeric.
    """

    columns: Mapping[str, Any]
    constants: Mapping[str, Any]
    verifier: str | None = None


_REMEDY = "give the name of a data set and its config and split, or a local folder in the hub's layout"


def fetch(
    asked: str, path: str, config: str | None, split: str, revision: str | None = None, remedy: str = _REMEDY
) -> Any:
    """The rows of one split, images and sounds undecoded. Raises QuestionError, which says what was asked."""
    try:
        import datasets
    except ImportError:
        raise QuestionError(
            f"questions={asked!r} needs the package 'datasets': install socratic-env[hub]; {remedy}"
        ) from None
    try:
        place = (
            _cache_of(Path(path), Path(datasets.config.HF_DATASETS_CACHE)) if os.path.isdir(path) else None
        )
        rows = datasets.load_dataset(path, config, split=split, revision=revision, cache_dir=place)
        for name, feature in rows.features.items():
            if isinstance(feature, datasets.Image | datasets.Audio | datasets.Video):
                rows = rows.cast_column(name, type(feature)(decode=False))
    except Exception as error:  # whatever the hub's client raises, the remedy is the same
        said = str(error).splitlines()[0] if str(error) else "no reason given"
        raise QuestionError(
            f"questions={asked!r} could not be fetched from the hub ({type(error).__name__}: {said:.300}); "
            f"{remedy}"
        ) from error
    return rows


def _cache_of(folder: Path, cache: Path) -> str:
    """Where the rows of a local folder are kept: apart by its files, since `datasets` 5.2 gives those of
    another folder of that name, or of files that have changed since, where the folder's README names the
    files."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    seen = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return str(cache / "local" / hashlib.sha256(repr(seen).encode()).hexdigest()[:16])


def load_hub(
    path: str,
    config: str | None,
    of: str,
    revision: str | None,
    mapped: Mapped,
    split: str,
    exclude: Collection[str],
    domain: str | None,
) -> UsableRows:
    """The questions of split `of` of a data set, for our `split`. Warns of rows that are left out; raises
    QuestionError if all are."""
    if mapped.verifier is not None:
        verifier_from_spec(mapped.verifier)  # an unknown one is refused before all rows are read
    rows = fetch(f"{path}, split {of}", path, config, of, revision)
    _check_columns(path, mapped, list(rows.features))
    name = path.rstrip("/").rpartition("/")[2].lower()
    contents = Contents()
    collect(_mapped_rows(rows, mapped, f"{name}/{split}"), name, split, exclude, contents)
    questions, refused = contents.questions, contents.refused
    if mapped.verifier not in (None, *_OWN_KINDS):
        questions = [replace(question, verifier=mapped.verifier) for question in questions]
        sound = [_passes(question) for question in questions]
        refused = refused + [
            Refused(
                q.id, q.id, (f"its answer {q.answer!r:.80} does not pass the verifier {mapped.verifier!r}",)
            )
            for q, passes in zip(questions, sound, strict=True)
            if not passes
        ]
        questions = [question for question, passes in zip(questions, sound, strict=True) if passes]
    return usable(f"{path} (split {of})", Contents(questions, refused), domain)


def _passes(question: Question) -> bool:
    verdict = by_kind(question, reply("", question.answer))
    if isinstance(verdict, Verdict):
        return verdict.correct
    if inspect.iscoroutine(verdict):  # a verifier that asks elsewhere is not asked about every row
        verdict.close()
    return True


def _check_columns(path: str, mapped: Mapped, columns: Sequence[str]) -> None:
    """Refuse columns that the data set does not have."""
    for part, given in mapped.columns.items():
        several = isinstance(given, list | tuple) and part == "options"
        for one in given if several else [given]:
            column, _, reading = _column(part, one)
            if column.partition(".")[0] not in columns and column not in columns:
                raise unknown(f"column of {path} for {part!r}:", column, sorted(columns))
            if part != "answer" and reading:
                raise ConfigurationError(f"{part} is {given!r}; only the answer is read 'as' something")
    if mapped.columns and not {"question", "answer"} <= mapped.columns.keys():
        raise ConfigurationError(
            f"a mapping of {path} needs a column for question and for answer; its columns are "
            f"{', '.join(sorted(columns))}"
        )


def _column(part: str, given: Any) -> tuple[str, tuple[str, str] | None, str]:
    """(column, (side, mark) or None, how to read it) that a mapping gives for a part."""
    if isinstance(given, str):
        return given, None, ""
    cuts = [side for side in ("after", "before") if isinstance(given, Mapping) and side in given]
    known = isinstance(given, Mapping) and set(given) <= {"column", "after", "before", "as"} and len(cuts) < 2
    if not known or not isinstance(given.get("column"), str) or given.get("as", "text") not in _READINGS:
        raise ConfigurationError(
            f"{part} is {given!r:.80}; give a column, {{'column': .., 'after': mark}}, {{'column': "
            f".., 'before': mark}} "
            f"or, for the answer, {{'column': .., 'as': {' or '.join(map(repr, _READINGS))}}}"
        )
    return given["column"], (cuts[0], str(given[cuts[0]])) if cuts else None, given.get("as", "")


def _mapped_rows(rows: Any, mapped: Mapped, prefix: str) -> Iterator[tuple[str, Any]]:
    """(place, row in the schema of a user's own questions) of every row that the mapping does not leave
    out."""
    for number, row in enumerate(rows):
        place = f"row {number}"
        if not mapped.columns:
            yield place, {**row, **mapped.constants, **_judged_as(mapped)}
            continue
        if "without" in mapped.columns and not is_null(_value(row, "without", mapped.columns["without"])):
            continue
        try:
            made = _mapped_row(row, mapped)
        except RowError as error:
            yield place, error
            continue
        yield place, {**made, "id": f"{prefix}/{made.get('id', number)}", **_judged_as(mapped)}


def _judged_as(mapped: Mapped) -> dict[str, str]:
    """The row's own verifier; one that is not of a kind's judges words, and takes the place of `text`
    later."""
    if mapped.verifier is None:
        return {}
    return {"verifier": mapped.verifier if mapped.verifier in _OWN_KINDS else "text"}


def _mapped_row(row: Mapping[str, Any], mapped: Mapped) -> dict[str, Any]:
    made: dict[str, Any] = dict(mapped.constants)
    for part in ("question", "answer", "id", "domain", "subtask", "level", "solution"):
        if part in mapped.columns:
            value = _value(row, part, mapped.columns[part])
            plain = isinstance(value, int | float) and not isinstance(value, bool) and not is_null(value)
            made[part] = str(value) if plain and part != "answer" else value
    if "context" in mapped.columns:
        context = _value(row, "context", mapped.columns["context"])
        if isinstance(context, str) and context.strip() and isinstance(made["question"], str):
            made["question"] = f"{context.strip()}\n\n{made['question']}"
    if "options" in mapped.columns:
        made |= _options(row, mapped, made)
    return {name: value for name, value in made.items() if not is_null(value)}


def _options(row: Mapping[str, Any], mapped: Mapped, made: Mapping[str, Any]) -> dict[str, Any]:
    """The options, and the answer's letter where the mapping says how the answer names its option."""
    given, reading = mapped.columns["options"], _column("answer", mapped.columns["answer"])[2]
    if isinstance(given, list | tuple):
        options: Any = [_value(row, "options", column) for column in given]
        random.Random(str(made.get("question"))).shuffle(options)  # the right one has a column of its own
    else:
        options = _value(row, "options", given)
    if not reading:
        return {"options": options}
    labels = options.get("label") if isinstance(options, Mapping) else None
    texts = options.get("text") if isinstance(options, Mapping) else options
    if not isinstance(texts, list | tuple):
        return {"options": options}  # refused by the reader of rows, with its words
    answer = made.get("answer")
    if reading == "index":
        place = answer if isinstance(answer, int) and not isinstance(answer, bool) else -1
    else:
        among = [str(one).strip() for one in (texts if reading == "text" or labels is None else labels)]
        named = str(answer).strip()
        place = among.index(named) if among.count(named) == 1 else -1
    if not 0 <= place < min(len(texts), len(LETTERS)):
        raise RowError(
            f"field 'answer' is {answer!r:.80}, which is the {reading} of none of the options, or of two"
        )
    return {"options": list(texts), "answer": LETTERS[place]}


def _value(row: Mapping[str, Any], part: str, given: Any) -> Any:
    """What a row holds for a part; None where it holds nothing."""
    column, cut, _ = _column(part, given)
    value: Any = row
    for key in [column] if column in row else column.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if cut is None or not isinstance(value, str):
        return value
    side, mark = cut
    head, found, tail = value.rpartition(mark)
    if not found:
        raise RowError(
            f"field {part!r} is {value!r:.80}, which holds no {mark!r}; correct the mapping or the row"
        )
    return (tail if side == "after" else head).strip()
