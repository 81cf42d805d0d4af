"""The event loop on which synchronous code awaits teachers, students and samplers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Background:
    """An event loop in a daemon thread, so that synchronous faces can run teachers anywhere,
    also where a loop is running already (notebooks)."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="socratic-teachers", daemon=True).start()


_background: _Background | None = None
_lock = threading.Lock()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from synchronous code; an interrupt cancels it."""
    global _background
    with _lock:
        if _background is None or _background.process != os.getpid():
            _background = _Background()  # a forked child has the object, but not its thread
        loop = _background.loop
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
