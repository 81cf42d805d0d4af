"""A teacher that replays a recording byte for byte."""

from __future__ import annotations

import os
from collections.abc import Sequence

from socratic_env.errors import RecordingError
from socratic_env.records.journal import whole_lines
from socratic_env.teachers.recordings import Key, checked_path, digest_of, entries_of, key_of
from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import Guidance


class RecordedTeacher(Teacher):
    """Replays a recording: the same requests get the same guidance, in any order, and nothing else.

    The usage is that of the calls that were recorded.

    Args:
        path: a file that a RecordingTeacher wrote.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = checked_path("recorded", path)
        try:
            self._recording = entries_of(self._path, whole_lines(self._path))
        except OSError as error:
            raise RecordingError(
                f"{self._path}: cannot be read ({error.strerror}); record it first with "
                "{'kind': 'recording', 'path': ..., 'teacher': ...}"
            ) from None

    def __repr__(self) -> str:
        return f"RecordedTeacher({str(self._path)!r})"

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """What was recorded. Raises RecordingError if a request is not in the recording."""
        return [self._find(key_of(request), digest_of(request)) for request in requests]

    def _find(self, key: Key, digest: str) -> Guidance:
        remedy = (
            "replay with the questions, seeds, student and protocol of the recording, or record anew "
            "with {'kind': 'recording', ...}"
        )
        recorded = self._recording.get(key)
        if recorded is None:
            raise RecordingError(f"{self._path}: nothing is recorded for {key}; {remedy}")
        if digest not in recorded:
            raise RecordingError(
                f"{self._path}: for {key} another dialogue or another protocol was recorded; {remedy}"
            )
        return recorded[digest]
