"""Guidance written down once and replayed byte for byte.

A recording is a file of JSON lines, one for each guidance: the key (question id, rollout, attempt), a
digest of the request, and the guidance or its fault. The digest covers the dialogue as the student
sees it and the protocol. Neither holds ground truth, and the file holds no prompt.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from socratic_env import errors
from socratic_env.dialogue import messages
from socratic_env.errors import ConfigurationError, RecordingError, TeacherError
from socratic_env.teachers.teacher import TeacherRequest
from socratic_env.types import Guidance, Usage

FAULTS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, TeacherError)
}
"""The faults that can be written down by their names."""


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


def key_of(request: TeacherRequest) -> Key:
    """The key of a request."""
    dialogue = request.dialogue
    return Key(dialogue.question.id, dialogue.rollout, len(dialogue.attempts))


def digest_of(request: TeacherRequest) -> str:
    """What tells a request from others of its key: the dialogue so far, and the protocol."""
    asked = [messages(request.dialogue), asdict(request.protocol)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def fault_entry(fault: TeacherError) -> list[str]:
    """A fault as written down; one of a kind that is not this package's as a TeacherError."""
    name = type(fault).__name__
    return [name if name in FAULTS else "TeacherError", str(fault)]


def line_of(key: Key, digest: str, guidance: Guidance) -> bytes:
    """An entry as a line of the file."""
    fault = guidance.fault
    entry = {
        **key._asdict(),
        "request": digest,
        "text": guidance.text,
        "mistake": guidance.mistake,
        "truncated": guidance.truncated,
        "fault": None if fault is None else fault_entry(fault),
        "usage": asdict(guidance.usage),
    }
    return json.dumps(entry).encode()


def _parse(line: bytes) -> tuple[Key, str, Guidance]:
    entry: dict[str, Any] = json.loads(line)
    fault = None
    if entry["fault"] is not None:
        kind, said = entry["fault"]
        fault = FAULTS[kind](said)
    text, mistake = entry["text"], entry["mistake"]
    if not isinstance(text, str):
        raise TypeError
    usage = Usage(**entry["usage"])
    guidance = Guidance(text, fault, mistake, truncated=bool(entry["truncated"]), usage=usage)
    return Key(entry["question"], entry["rollout"], entry["attempt"]), entry["request"], guidance


def entries_of(path: Path, lines: Sequence[bytes]) -> Recording:
    """The entries of a file's lines. Raises RecordingError with the number of a line that is none."""
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


def checked_path(kind: str, path: str | os.PathLike[str]) -> Path:
    """The path that a teacher is given. Raises ConfigurationError if it is none."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ConfigurationError(f"teacher {kind!r}: path is {path!r}; give the path of a recording")
    return Path(path)
