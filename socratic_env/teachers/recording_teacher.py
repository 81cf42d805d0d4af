"""A teacher that writes down what another one says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.errors import RecordingError, TeacherError
from socratic_env.records.journal import Journal
from socratic_env.teachers import TeacherSpec, from_spec
from socratic_env.teachers.recordings import (
    Key,
    Recording,
    checked_path,
    digest_of,
    entries_of,
    key_of,
    line_of,
)
from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import Guidance, Question, Usage


class RecordingTeacher(Teacher):
    """Asks another teacher and writes down what it said, each request once.

    What the file holds already is not asked again, so that a run that was killed goes on where it
    stopped; only faults of earlier runs are, and the later line stands. Each entry is one write of a
    whole line; a last line torn by a crash is cut off when writing goes on.

    Args:
        path: the file to write or to continue. One teacher at a time writes to it.
        teacher: the teacher to record, as a spec or an object.
    """

    def __init__(self, path: str | os.PathLike[str], teacher: TeacherSpec) -> None:
        self._path = checked_path("recording", path)
        self._teacher, self._owned = from_spec(teacher), not isinstance(teacher, Teacher)
        self.together = self._teacher.together
        self._journal: Journal | None = None
        self._recording: Recording = {}

    def __repr__(self) -> str:
        return f"RecordingTeacher({str(self._path)!r}, {self._teacher!r})"

    def __getstate__(self) -> Mapping[str, Any]:
        return {**self.__dict__, "_journal": None, "_recording": {}}

    def __del__(self) -> None:
        self._release()

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """The other teacher's guidance, or what it said before to the same request."""
        journal = self._open()
        keys = [(key_of(request), digest_of(request)) for request in requests]
        new = {  # equal requests of one call are asked once
            key: request for key, request in zip(keys, requests, strict=True) if self._known(*key) is None
        }
        if new:
            try:
                given = await self._teacher.guide(list(new.values()))
            except TeacherError as fault:
                given = [Guidance(fault=fault, usage=Usage(calls=1, failures=1)) for _ in new]
            for (key, digest), guidance in zip(new, given, strict=True):
                if self._known(key, digest) is None:  # else another call was faster
                    journal.append(line_of(key, digest, guidance))
                    self._recording.setdefault(key, {})[digest] = guidance
        return [self._recording[key][digest] for key, digest in keys]

    def _known(self, key: Key, digest: str) -> Guidance | None:
        return self._recording.get(key, {}).get(digest)

    def _open(self) -> Journal:
        if self._journal is None:
            shared = "if another teacher records there, give each its own path or share one Teacher object"
            journal = Journal(self._path, shared)
            try:
                recording = entries_of(self._path, journal.lines)
            except RecordingError:
                journal.close()
                raise
            self._journal = journal
            self._recording = {
                key: {digest: guidance for digest, guidance in each.items() if guidance.fault is None}
                for key, each in recording.items()
            }
        return self._journal

    def _release(self) -> None:
        journal, self._journal = getattr(self, "_journal", None), None
        if journal is not None:
            journal.close()

    def check(self, question: Question) -> None:
        """What the other teacher refuses."""
        self._teacher.check(question)

    async def close(self) -> None:
        """Close the file, and the other teacher if it was made here."""
        self._release()
        if self._owned:
            await self._teacher.close()
