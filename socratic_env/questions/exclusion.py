"""What the argument `exclude` names: ids of questions that are left out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError

Exclude: TypeAlias = "str | Path | Collection[str] | None"

_REMEDY = "give a list of question ids, or the path of a JSON file that `socratic audit --out` wrote"


def excluded_ids(exclude: Exclude) -> frozenset[str]:
    """The ids to leave out. Raises ConfigurationError with the remedy for anything else."""
    if exclude is None:
        return frozenset()
    if isinstance(exclude, str | Path):
        ids = _read(Path(exclude))
    elif isinstance(exclude, Collection) and not isinstance(exclude, bytes | Mapping):
        ids = list(exclude)
    else:
        raise ConfigurationError(f"exclude is {exclude!r:.80}; {_REMEDY}")
    for question_id in ids:
        if not isinstance(question_id, str):
            raise ConfigurationError(f"exclude holds {question_id!r:.80}, which is no id; {_REMEDY}")
    return frozenset(ids)


def ids_with(path: str | Path, kinds: Collection[str]) -> frozenset[str]:
    """Of the rows in a file that `socratic audit --out` wrote, those with problems of these kinds."""
    found = set()
    for row in _rows(Path(path)):
        if not isinstance(row, dict) or not {"id", "problem"} <= row.keys():
            raise ConfigurationError(f"exclude {path} holds {row!r:.80}, which names no problem; {_REMEDY}")
        problems = f"; {row['problem']}"
        if any(f"; {kind}: " in problems for kind in kinds):
            found.add(row["id"])
    return excluded_ids(found)


def _read(path: Path) -> list[Any]:
    return [row.get("id") if isinstance(row, dict) else row for row in _rows(path)]


def _rows(path: Path) -> list[Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"exclude {str(path)!r} cannot be read: {error}; {_REMEDY}") from None
    rows = held.get("rows") if isinstance(held, dict) else held
    if not isinstance(rows, list):
        raise ConfigurationError(f"exclude {path} holds no list of rows; {_REMEDY}")
    return rows
