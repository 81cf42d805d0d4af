"""The folder of a training run, as its readers see it; episodes are found without reading the whole file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from socratic_env.errors import ConfigurationError

CONFIG, EPISODES, REPORT = "config.json", "episodes.jsonl", "report.html"
METRICS, EVALUATIONS = "metrics.jsonl", "evaluations.jsonl"

_BLOCK = 1 << 16


def check_run(folder: Path) -> None:
    """Raise ConfigurationError if the folder is not that of a training run."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder; give the folder of a run")
    if not (folder / CONFIG).is_file():
        raise ConfigurationError(f"{folder} is not the folder of a run: it has no {CONFIG}")


def record_of(line: str | bytes, path: Path) -> dict[str, Any]:
    """The record of a line of a run's JSON lines file. Raises ConfigurationError if it is none."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise ConfigurationError(
            f"{path} has a line that no run wrote: {line!r:.60}; take it out, or put the file back"
        )
    return record


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON lines file; a last line that was cut off is left out."""
    records = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                records.append(record_of(line, path))
    return records


def last_step(episodes: Path) -> int | None:
    """Step of the last whole record of an episodes file; None if it has none."""
    with episodes.open("rb") as file:
        end, size = file.seek(0, 2), _BLOCK
        while True:
            file.seek(max(0, end - size))
            lines = file.read().splitlines(keepends=True)
            whole = [line for line in lines[size < end :] if line.endswith(b"\n")]  # the first may be cut
            if whole or size >= end:
                return int(record_of(whole[-1], episodes)["step"]) if whole else None
            size *= 2


def episodes_of(episodes: Path, step: int) -> Iterator[dict[str, Any]]:
    """The episodes of a step, one at a time. Records stand in the order of their steps, so that the
    first one is found by bisection; a last line that was cut off is left out."""
    with episodes.open("rb") as file:
        low, high = 0, file.seek(0, 2)
        while low < high:  # the records before `low` are of earlier steps, those from `high` on are not
            middle = (low + high) // 2
            record = _record_from(file, middle, episodes)
            if record is not None and record["step"] < step:
                low = file.tell()
            else:
                high = middle
        file.seek(low)
        records = (record_of(line, episodes) for line in file if line.endswith(b"\n"))
        yield from takewhile(lambda record: record["step"] == step, records)


def _record_from(file: BinaryIO, offset: int, path: Path) -> dict[str, Any] | None:
    """The first whole record that begins at an offset or after it."""
    file.seek(max(0, offset - 1))
    if offset:
        file.readline()
    line = file.readline()
    return record_of(line, path) if line.endswith(b"\n") else None
