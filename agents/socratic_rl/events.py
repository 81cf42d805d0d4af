"""The event log of a run: what each phase of Algorithm 1 did, one JSON line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.learning.samples import RolloutBatch
from agents.runs.log import RunLog
from agents.trainer import Details
from socratic_env.records.run_folder import METRICS, read_lines
from socratic_env.types import Episode

EVENTS, VIEWPOINTS, INSTRUCTIONS = "events.jsonl", "viewpoints.jsonl", "instructions.jsonl"
"""Files of a run's folder: the event log, the knowledge base, and the rows for instruction tuning."""


class Events:
    """A run's log, and beside it the event log.

    step: the last one that is kept of a run that goes on.
    """

    def __init__(self, log: RunLog, step: int) -> None:
        self._log, self._path, self._rows = log, log.folder / EVENTS, log.folder / INSTRUCTIONS
        for path in (self._path, self._rows):
            kept = [line for line in read_lines(path) if line["step"] <= step] if step else []
            path.write_text("".join(map(_line, kept)), encoding="utf-8")

    def event(self, step: int, phase: str, what: Mapping[str, Any]) -> None:
        """One entry."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": step, "phase": phase, **what}))

    def instructions(self, step: int, rows: Sequence[Mapping[str, str]]) -> None:
        """The rows of a step."""
        with self._rows.open("a", encoding="utf-8") as file:
            file.writelines(_line({**row, "step": step}) for row in rows)

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """As of RunLog."""
        self._log.metrics(kind, step, values)

    def episodes(self, step: int, episodes: Iterable[Episode], details: Details | None = None) -> None:
        """As of RunLog."""
        self._log.episodes(step, episodes, details)

    def failed_batch(self, step: int, batch: RolloutBatch) -> Path:
        """As of RunLog."""
        return self._log.failed_batch(step, batch)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def cut_base(folder: Path, step: int) -> Path:
    """The knowledge base of a run as it was after a step, since later steps are made again; its file."""
    path = folder / VIEWPOINTS
    if path.exists():
        trained = [record for record in read_lines(folder / METRICS) if record["kind"] == "train"]
        events = next((int(record["viewpoint_events"]) for record in trained if record["step"] == step), 0)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[:events]), encoding="utf-8")
    return path
