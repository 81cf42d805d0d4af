"""Files of lines that survive a kill at any moment: one writer, whole lines only."""

from __future__ import annotations

import os
from pathlib import Path

from socratic_env.errors import RecordingError


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file, without a last one that was torn."""
    return path.read_bytes().split(b"\n")[:-1]


class Journal:
    """Opens a file for appending, makes it if need be, and holds it against other writers.

    Each line is one write; a last line that a crash has torn is cut off by the next one.

    Args:
        path: the file. Its folder is made too.
        shared: the remedy if another writer holds it, for the message.

    Raises RecordingError if the file cannot be written.
    """

    def __init__(self, path: Path, shared: str) -> None:
        import fcntl  # not on every system, and reading goes without

        self.path = path
        self._descriptor: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise RecordingError(f"{path}: cannot be written ({error.strerror}); {shared}") from None
        self.lines = whole_lines(path)
        """The lines that the file held when it was opened."""
        self._size = sum(len(line) + 1 for line in self.lines)

    def append(self, line: bytes) -> None:
        """Write one line (without its end). All of it or nothing is in the file afterwards."""
        assert self._descriptor is not None, "the journal is closed"
        line += b"\n"
        try:
            os.truncate(self._descriptor, self._size)
            if os.write(self._descriptor, line) != len(line):
                raise OSError("the disk took only a part of it")
        except OSError as error:
            os.truncate(self._descriptor, self._size)
            raise RecordingError(f"{self.path}: cannot be written ({error}); make room and resume") from None
        self._size += len(line)

    def close(self) -> None:
        """Let others write."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
