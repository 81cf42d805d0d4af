"""The folder of an evaluation: every episode written down as soon as it is over.

It holds `config.json` (what decides its episodes), `episodes.jsonl` (those that are over, a line for
each) and `faults.jsonl` (what a fault left of an episode; a later line on it stands). An episode is known
by its question and its sample.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from socratic_env.dialogue import Dialogue
from socratic_env.errors import ConfigurationError, RecordingError, SocraticError, TeacherError
from socratic_env.evaluation.statistics import Standing
from socratic_env.records.episodes import attempts_of, episode_record
from socratic_env.records.journal import Journal
from socratic_env.types import StopReason

CONFIG, EPISODES, FAULTS = "config.json", "episodes.jsonl", "faults.jsonl"
_FRESH = "config.part"
_KIND = {"kind": "evaluation"}

Key = tuple[str, int]
"""(question id, sample)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What left an episode open: the kind of error, and its text."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: SocraticError) -> Fault:
        """Of an error of the student or of the teacher."""
        who = "teacher: " if isinstance(error, TeacherError) else ""
        return cls(type(error).__name__, f"{who}{error}")


class EvaluationFolder:
    """The folder of an evaluation, held against other writers until `close`.

    Args:
        folder: a new or empty one, or that of an evaluation with the same configuration.
        config: plain data for JSON.

    standings: how far every episode has come that was begun.
    faulted: the records of those that a fault has stopped.

    Raises ConfigurationError for the folder of another evaluation, RecordingError if it cannot be used.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._config = folder / CONFIG
        held = self._held(folder)
        self.standings: dict[Key, Standing] = {}
        self.faulted: dict[Key, dict[str, Any]] = {}
        self._journals: list[Journal] = []
        try:
            self._faults = self._journal(folder / FAULTS)
            self._episodes = self._journal(folder / EPISODES)
            self._take_over(held, json.loads(json.dumps({**_KIND, **config})))
        except BaseException:
            self.close()
            raise

    def write(self, dialogue: Dialogue, fault: Fault | None) -> None:
        """Keep an episode that is over, or what a fault has left of it."""
        rewards = [float(attempt.verdict.correct) for attempt in dialogue.attempts]
        record = {
            "step": 0,  # as in the episodes of a training run, so that `socratic view` shows them
            "sample": dialogue.rollout,
            **episode_record(dialogue.question, dialogue.attempts, rewards, dialogue.stop),
        }
        key = (dialogue.question.id, dialogue.rollout)
        if fault is None:
            self._episodes.append(_line(record))
            self.faulted.pop(key, None)
        else:
            record |= {"fault": fault.text, "fault_kind": fault.kind}
            self._faults.append(_line(record))
            self.faulted[key] = record
        self.standings[key] = Standing.of(dialogue.attempts, dialogue.stop)

    def close(self) -> None:
        """Let others write."""
        for journal in self._journals:
            journal.close()

    def _journal(self, path: Path) -> Journal:
        journal = Journal(path, "another evaluation may be writing there; wait for it or give another folder")
        self._journals.append(journal)
        for number, line in enumerate(journal.lines, 1):
            try:
                record = json.loads(line)
                key = record["question_id"], record["sample"]
                self.standings[key] = _standing(record)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                raise RecordingError(
                    f"{path}, line {number}: no episode of an evaluation; delete that line to have it played "
                    "again, or give another folder"
                ) from None
            if record["stop"] is None:
                self.faulted[key] = record
            else:
                self.faulted.pop(key, None)
        return journal

    def _held(self, folder: Path) -> dict[str, Any]:
        """The configuration that the folder has; empty before there is one."""
        in_use = ConfigurationError(f"out {folder} is in use, but not by an evaluation; give another folder")
        if folder.exists() and not folder.is_dir():
            raise in_use
        if not self._config.is_file():
            if folder.exists() and {path.name for path in folder.iterdir()} - {EPISODES, FAULTS, _FRESH}:
                raise in_use
            return {}
        try:
            held: Any = json.loads(self._config.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            raise in_use from None
        if not isinstance(held, dict) or held.get("kind") != _KIND["kind"]:
            raise in_use
        return held

    def _take_over(self, held: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        if self.standings:
            changed = [name for name in {**held, **config} if held.get(name) != config.get(name)]
            if changed:
                told = ", ".join(
                    f"{name}: {held.get(name)!r:.80} -> {config.get(name)!r:.80}" for name in changed
                )
                raise ConfigurationError(
                    f"{self._config.parent} holds an evaluation with other settings ({told}); give those "
                    "again, or another folder"
                )
        fresh = self._config.with_name(_FRESH)
        try:
            fresh.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
            os.replace(fresh, self._config)
        except OSError as error:
            raise RecordingError(
                f"{self._config} cannot be written: {error}; make room and start again"
            ) from None


def _standing(record: Mapping[str, Any]) -> Standing:
    stop = None if record["stop"] is None else StopReason(record["stop"])
    return Standing.of(attempts_of(record), stop)


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
