"""Guidance written down once and replayed byte for byte.

A recording is a file of JSON lines, one for each guidance: the key (question id, rollout, attempt), a
digest of the request, and the guidance or its fault. The digest covers the dialogue as the student
sees it and the teaching variant. Neither holds ground truth, and the file holds no prompt.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from socratic_env import errors
from socratic_env.dialogue import messages
from socratic_env.errors import ConfigurationError, RecordingError, TeacherError
from socratic_env.journal import Journal, whole_lines
from socratic_env.teachers import TeacherSpec, from_spec
from socratic_env.teachers.base import Teacher, TeacherRequest
from socratic_env.types import Guidance, Question, Usage

_FAULTS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, TeacherError)
}


class Key(NamedTuple):
    """What tells requests apart: siblings on one question may say the same, but have own rollouts."""

    question: str
    rollout: int
    attempt: int

    def __str__(self) -> str:
        return f"question {self.question!r}, rollout {self.rollout}, attempt {self.attempt}"


Recording = dict[Key, dict[str, Guidance]]
"""Key -> digest of the request -> guidance. A key has several digests where later batches of a run
meet the question again."""


def _key(request: TeacherRequest) -> Key:
    dialogue = request.dialogue
    return Key(dialogue.question.id, dialogue.rollout, len(dialogue.attempts))


def _digest(request: TeacherRequest) -> str:
    asked = [messages(request.dialogue), asdict(request.protocol)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _line(key: Key, digest: str, guidance: Guidance) -> bytes:
    fault = guidance.fault
    known = next((name for name in _FAULTS if name == type(fault).__name__), "TeacherError")
    entry = {
        **key._asdict(),
        "request": digest,
        "text": guidance.text,
        "mistake": guidance.mistake,
        "truncated": guidance.truncated,
        "fault": None if fault is None else [known, str(fault)],
        "usage": asdict(guidance.usage),
    }
    return json.dumps(entry).encode()


def _parse(line: bytes) -> tuple[Key, str, Guidance]:
    entry: dict[str, Any] = json.loads(line)
    fault = None
    if entry["fault"] is not None:
        kind, said = entry["fault"]
        fault = _FAULTS[kind](said)
    text, mistake = entry["text"], entry["mistake"]
    if not isinstance(text, str):
        raise TypeError
    usage = Usage(**entry["usage"])
    guidance = Guidance(text, fault, mistake, truncated=bool(entry["truncated"]), usage=usage)
    return Key(entry["question"], entry["rollout"], entry["attempt"]), entry["request"], guidance


def _entries(path: Path, lines: Sequence[bytes]) -> Recording:
    recording: Recording = {}
    for number, line in enumerate(lines, 1):
        try:
            key, digest, guidance = _parse(line)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RecordingError(
                f"{path}, line {number}: no entry of a recording; delete that line to have it asked again, "
                "or give the path of a file that a 'recording' teacher wrote"
            ) from None
        recording.setdefault(key, {})[digest] = guidance
    return recording


def _path(kind: str, path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ConfigurationError(f"teacher {kind!r}: path is {path!r}; give the path of a recording")
    return Path(path)


class RecordedTeacher(Teacher):
    """Replays a recording: the same requests get the same guidance, in any order, and nothing else.

    The usage is that of the calls that were recorded.

    Args:
        path: a file that a RecordingTeacher wrote.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = _path("recorded", path)
        try:
            self._recording = _entries(self._path, whole_lines(self._path))
        except OSError as error:
            raise RecordingError(
                f"{self._path}: cannot be read ({error.strerror}); record it first with "
                "{'kind': 'recording', 'path': ..., 'teacher': ...}"
            ) from None

    def __repr__(self) -> str:
        return f"RecordedTeacher({str(self._path)!r})"

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """What was recorded. Raises RecordingError if a request is not in the recording."""
        return [self._find(_key(request), _digest(request)) for request in requests]

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
        self._path = _path("recording", path)
        self._teacher, self._owned = from_spec(teacher), not isinstance(teacher, Teacher)
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
        keys = [(_key(request), _digest(request)) for request in requests]
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
                    journal.append(_line(key, digest, guidance))
                    self._recording.setdefault(key, {})[digest] = guidance
        return [self._recording[key][digest] for key, digest in keys]

    def _known(self, key: Key, digest: str) -> Guidance | None:
        return self._recording.get(key, {}).get(digest)

    def _open(self) -> Journal:
        if self._journal is None:
            shared = "if another teacher records there, give each its own path or share one Teacher object"
            journal = Journal(self._path, shared)
            try:
                recording = _entries(self._path, journal.lines)
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
