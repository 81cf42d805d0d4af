"""A reflecting teacher whose reflections are kept in a file: replayed, or asked for once and written down."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from socratic_env.errors import ConfigurationError, RecordingError, TeacherError
from socratic_env.records.journal import Journal, whole_lines
from socratic_env.reflection import ReflectorSpec, from_spec
from socratic_env.reflection.reflector import Reflection, Reflector
from socratic_env.teachers.recordings import FAULTS, fault_entry
from socratic_env.traces import InteractionTrace
from socratic_env.types import Usage
from socratic_env.viewpoints import Viewpoint


class RecordedReflector(Reflector):
    """Gives what the file holds for a batch of traces; with a teacher, what is missing is asked and added.

    A batch is known by its questions, texts and outcomes, in order. Batches of which an earlier run has only
    a fault are asked again.

    Args:
        path: the file, JSON lines, one for each batch.
        teacher: who is asked for what the file does not hold; None: nobody, and that is an error.
    """

    def __init__(self, path: str | os.PathLike[str], teacher: ReflectorSpec | None = None) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise ConfigurationError(f"reflector 'recorded': path is {path!r}; give the path of a recording")
        self._path = Path(path)
        self._teacher = None if teacher is None else from_spec(teacher)
        self._owned = self._teacher is not None and not isinstance(teacher, Reflector)
        self._journal: Journal | None = None
        self._known: dict[str, Reflection] | None = None

    def __repr__(self) -> str:
        return f"RecordedReflector({str(self._path)!r}, {self._teacher!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_journal": None, "_known": None}

    async def consider(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """What was recorded for these traces. Raises RecordingError if nothing was, without a teacher."""
        known, digest = self._open(), _digest(traces)
        found = known.get(digest)
        if self._teacher is None:
            if found is None:
                raise RecordingError(
                    f"{self._path}: nothing is recorded for these {len(traces)} traces; replay with the "
                    "student and the seed of the recording, or give 'teacher' to have them reflected on"
                )
            return found
        if found is None or found.faults:
            try:
                found = await self._teacher.consider(traces)
            except TeacherError as fault:
                found = Reflection(faults=(fault,), usage=Usage(calls=1, failures=1))
            assert self._journal is not None
            self._journal.append(_line(digest, found))
            known[digest] = found
        return found

    def _open(self) -> dict[str, Reflection]:
        if self._known is None and self._teacher is None:
            try:
                self._known = _entries(self._path, whole_lines(self._path))
            except OSError as error:
                raise RecordingError(
                    f"{self._path}: cannot be read ({error.strerror}); record it first, with 'teacher'"
                ) from None
        elif self._known is None:
            journal = Journal(self._path, "give each teacher that records a path of its own")
            try:
                self._known = _entries(self._path, journal.lines)
            except RecordingError:
                journal.close()
                raise
            self._journal = journal
        return self._known

    async def close(self) -> None:
        """Close the file, and the teacher if it was made here."""
        if self._journal is not None:
            self._journal.close()
        self._journal = self._known = None
        if self._owned and self._teacher is not None:
            await self._teacher.close()


def _digest(traces: Sequence[InteractionTrace]) -> str:
    told = [[one.question.id, one.question.text, one.text, one.correct] for one in traces]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _line(digest: str, reflection: Reflection) -> bytes:
    entry = {
        "traces": digest,
        "viewpoints": [one.as_json() for one in reflection],
        "faults": list(map(fault_entry, reflection.faults)),
        "unread": reflection.unread,
        "usage": asdict(reflection.usage),
    }
    return json.dumps(entry).encode()


def _entries(path: Path, lines: Sequence[bytes]) -> dict[str, Reflection]:
    found = {}
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            faults = tuple(FAULTS[name](said) for name, said in entry["faults"])
            viewpoints = tuple(map(Viewpoint.of, entry["viewpoints"]))
            found[entry["traces"]] = Reflection(
                viewpoints, faults, int(entry["unread"]), Usage(**entry["usage"])
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RecordingError(
                f"{path}, line {number}: no reflection; delete that line to have it asked again, or give the "
                "path of a file that a 'recorded' reflector wrote"
            ) from None
    return found
