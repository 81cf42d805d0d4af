"""The one process of reasoning-gym that a process has, started at the first request.

A request that takes too long ends it, and the next one starts another: no answer can hang or end a run.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from socratic_env.errors import QuestionError

_CHILD = Path(__file__).with_name("scorer_child.py")
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
"""Variables that the process is given: no key of a teacher is among them."""
START_SECONDS = 300.0
"""How long the package may take to be imported."""


class WorkerStopped(Exception):
    """The process ended, or was ended, during a request; the message says how."""


class Worker:
    """A process that answers one request at a time. Safe for threads; a forked child gets its own."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew: a forked child has no process of its own, and its parent's lock may be held."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._held = b""

    def ask(self, request: dict[str, Any], seconds: float, score_seconds: float = 0.0) -> dict[str, Any]:
        """The reply, of a score within its own seconds once its item is there.

        Raises WorkerStopped if none came in time, QuestionError without the package.
        """
        line = json.dumps(request).encode() + b"\n"
        with self._lock:
            process = self._running()
            try:
                assert process.stdin is not None
                process.stdin.write(line)
                process.stdin.flush()
                reply: dict[str, Any] = json.loads(self._line(process, seconds))
                if request["do"] == "score" and not reply:
                    reply = json.loads(self._line(process, score_seconds))
            except (OSError, ValueError) as error:
                self._end()
                raise WorkerStopped(f"it broke off ({type(error).__name__})") from None
            except BaseException:  # an interrupt leaves a reply that belongs to nobody
                self._end()
                raise
            return reply

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            if find_spec("reasoning_gym") is None:
                raise QuestionError(
                    "questions='reasoning-gym' needs the package reasoning-gym: install "
                    "socratic-env[reasoning-gym]"
                )
            self._held = b""
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt is for the run, which ends this process in order
                env={
                    **{name: os.environ[name] for name in _KEPT if name in os.environ},
                    "OPENBLAS_NUM_THREADS": "1",
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
            )
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(b'{"do": "names"}\n')
                self._process.stdin.flush()
                started = json.loads(self._line(self._process, START_SECONDS))
            except (OSError, ValueError, WorkerStopped) as error:
                self._end()
                raise QuestionError(
                    f"reasoning-gym did not start: {error}; try `import reasoning_gym`"
                ) from None
            if "refused" in started:
                self._end()
                raise QuestionError(f"reasoning-gym cannot be imported: {started['refused']}")
        return self._process

    def _line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        assert process.stdout is not None
        end, poll = time.monotonic() + seconds, select.poll()  # `select` knows no numbers above 1023
        poll.register(process.stdout, select.POLLIN)
        while b"\n" not in self._held:
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                self._end()
                raise WorkerStopped(f"it took longer than {seconds:g} s")
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                raise OSError("its output ended")
            self._held += part
        line, _, self._held = self._held.partition(b"\n")
        return line

    def _end(self) -> None:
        process, self._process, self._held = self._process, None, b""
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what it never read is lost with it


WORKER = Worker()
atexit.register(WORKER.close)
os.register_at_fork(after_in_child=WORKER.renew)
