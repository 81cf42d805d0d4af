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
    return json.dumps(entry).encode() + b"\n"


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


def _read(path: Path) -> tuple[Recording, int]:
    """(what is recorded, the length of its whole lines). A torn last line is none."""
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    recording: Recording = {}
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        try:
            key, digest, guidance = _parse(line)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RecordingError(
                f"{path}, line {number}: no entry of a recording; delete that line to have it asked again, "
                "or give the path of a file that a 'recording' teacher wrote"
            ) from None
        recording.setdefault(key, {})[digest] = guidance
    return recording, len(whole)


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
            self._recording, _ = _read(self._path)
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
        self._descriptor: int | None = None
        self._recording: Recording = {}

    def __repr__(self) -> str:
        return f"RecordingTeacher({str(self._path)!r}, {self._teacher!r})"

    def __getstate__(self) -> Mapping[str, Any]:
        return {**self.__dict__, "_descriptor": None, "_recording": {}}

    def __del__(self) -> None:
        self._release()

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """The other teacher's guidance, or what it said before to the same request."""
        self._open()
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
                    self._write(_line(key, digest, guidance))
                    self._recording.setdefault(key, {})[digest] = guidance
        return [self._recording[key][digest] for key, digest in keys]

    def _known(self, key: Key, digest: str) -> Guidance | None:
        return self._recording.get(key, {}).get(digest)

    def _open(self) -> None:
        if self._descriptor is not None:
            return
        import fcntl  # not on every system, and replaying goes without

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._release()
            raise RecordingError(
                f"{self._path}: cannot be written ({error.strerror}); if another teacher records there, give "
                "each its own path or share one Teacher object"
            ) from None
        recording, length = _read(self._path)
        os.truncate(self._descriptor, length)
        self._recording = {
            key: {digest: guidance for digest, guidance in each.items() if guidance.fault is None}
            for key, each in recording.items()
        }

    def _write(self, line: bytes) -> None:
        assert self._descriptor is not None
        end = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError("the disk took only a part of it")
        except OSError as error:
            os.truncate(self._descriptor, end)
            raise RecordingError(f"{self._path}: cannot be written ({error}); make room and resume") from None

    def _release(self) -> None:
        descriptor, self._descriptor = getattr(self, "_descriptor", None), None
        if descriptor is not None:
            os.close(descriptor)

    def check(self, question: Question) -> None:
        """What the other teacher refuses."""
        self._teacher.check(question)

    async def close(self) -> None:
        """Close the file, and the other teacher if it was made here."""
        self._release()
        if self._owned:
            await self._teacher.close()
