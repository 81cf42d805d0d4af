"""Processes that do for a verifier what could hang, fill the memory or crash."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from socratic_env.errors import VerifierError

_KEPT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
)
"""The environment of a worker: no keys."""
_OWN_END = {signal.SIGXCPU: "time", signal.SIGSEGV: "crash", signal.SIGABRT: "crash", signal.SIGBUS: "crash"}
"""What a task has done to its worker; every other end came from outside."""


class Workers:
    """Up to so many processes of one script, each with one task at a time, for any thread and event loop.

    Args:
        script: answers each JSON line with one, after a first line when it is ready.
        arguments: of the script.
        count: processes at most; they start as they are needed, and end with this process.
        patience_s: seconds of the clock for one task, a backstop: the script limits its own processor time.
    """

    def __init__(self, script: Path, arguments: tuple[str, ...], count: int, patience_s: float) -> None:
        self._command = [sys.executable, "-P", str(script), *arguments]
        self._patience_s, self._process = patience_s, os.getpid()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=script.stem)
        self._mine = threading.local()

    @property
    def here(self) -> bool:
        """Whether these are of this process, and not of the one that it was forked from."""
        return self._process == os.getpid()

    async def ask(self, task: Any) -> Any:
        """The script's answer; "time" where it ran out of processor time, "crash" where the task ended it.

        Raises VerifierError if two workers are lost from outside, do not start, or give no answer in time.
        """
        return await asyncio.wrap_future(self._threads.submit(self._do, task))

    def _do(self, task: Any) -> Any:
        line = json.dumps(task).encode() + b"\n"
        for _ in range(2):
            worker = self._worker()
            said = _exchange(worker, line, self._patience_s)
            if said:
                return json.loads(said)
            ended = _end(worker)
            if -ended in _OWN_END:
                return _OWN_END[signal.Signals(-ended)]
        raise VerifierError(f"the worker process was lost twice, the last time with status {ended}")

    def _worker(self) -> subprocess.Popen[bytes]:
        """This thread's, started anew if it has ended."""
        worker: subprocess.Popen[bytes] | None = getattr(self._mine, "worker", None)
        if worker is not None and worker.poll() is None:
            return worker
        if worker is not None:
            _end(worker)
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        worker = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,  # an interrupt from the keyboard is not for it
        )
        self._mine.worker = worker
        weakref.finalize(self, _end, worker)
        if not _exchange(worker, b"", self._patience_s):
            raise VerifierError(f"a worker process did not start: it ended with status {_end(worker)}")
        return worker


def _exchange(worker: subprocess.Popen[bytes], line: bytes, patience_s: float) -> bytes:
    """The worker's next line; b"" if it has ended. Raises VerifierError if none comes in time."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(line)
        worker.stdin.flush()
    except OSError:
        return b""
    with selectors.DefaultSelector() as selector:
        selector.register(worker.stdout, selectors.EVENT_READ)
        if not selector.select(patience_s):
            _end(worker)
            raise VerifierError(f"a worker process gave no answer within {patience_s:g} s and was ended")
    return worker.stdout.readline()


def _end(worker: subprocess.Popen[bytes]) -> int:
    """The status of a worker that has ended, or is ended now."""
    if worker.stdout is not None and worker.stdin is not None and not worker.stdout.closed:
        with contextlib.suppress(OSError):  # it has gone with something unread
            worker.stdin.close()
        try:
            status = worker.wait(1.0)  # one that has closed its output is ending by itself
        except subprocess.TimeoutExpired:
            worker.kill()
            status = worker.wait()
        worker.stdout.close()
        return status
    return worker.wait()
