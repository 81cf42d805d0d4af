"""The event log of a run: what each phase of Algorithm 1 did, one JSON line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agents.learning.samples import RolloutBatch
from agents.runs.log import RunLog
from socratic_env.records.run_folder import METRICS, read_lines
from socratic_env.types import Episode

EVENTS, VIEWPOINTS = "events.jsonl", "viewpoints.jsonl"
"""Files of a run's folder: the event log, and the knowledge base."""


class Events:
    """A run's log, and beside it the event log.

    step: the last one that is kept of a run that goes on.
    """

    def __init__(self, log: RunLog, step: int) -> None:
        self._log, self._path = log, log.folder / EVENTS
        kept = [event for event in read_lines(self._path) if event["step"] <= step] if step else []
        self._path.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")

    def event(self, step: int, phase: str, what: Mapping[str, Any]) -> None:
        """One entry."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "phase": phase, **what}) + "\n")

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """As of RunLog."""
        self._log.metrics(kind, step, values)

    def episodes(self, step: int, episodes: Iterable[Episode]) -> None:
        """As of RunLog."""
        self._log.episodes(step, episodes)

    def failed_batch(self, step: int, batch: RolloutBatch) -> Path:
        """As of RunLog."""
        return self._log.failed_batch(step, batch)


def cut_base(folder: Path, step: int) -> Path:
    """The knowledge base of a run as it was after a step, since later steps are made again; its file."""
    path = folder / VIEWPOINTS
    if path.exists():
        trained = [record for record in read_lines(folder / METRICS) if record["kind"] == "train"]
        events = next((int(record["viewpoint_events"]) for record in trained if record["step"] == step), 0)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[:events]), encoding="utf-8")
    return path
