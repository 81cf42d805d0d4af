"""The event loops on which synchronous code awaits teachers, students, samplers and verifiers.

Teachers have a loop of their own, so that one that blocks holds up nobody else.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SAMPLERS, TEACHERS, VERIFIERS = "socratic-samplers", "socratic-teachers", "socratic-verifiers"
"""The names of the loops: that of students and samplers, that of teachers, and that of verifiers that
await."""


class _Background:
    """An event loop in a daemon thread, so that synchronous faces can run teachers anywhere,
    also where a loop is running already (notebooks)."""

    def __init__(self, name: str) -> None:
        self.process = os.getpid()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name=name, daemon=True).start()


_backgrounds: dict[str, _Background] = {}
_lock = threading.Lock()


def loop_of(name: str) -> asyncio.AbstractEventLoop:
    """The running loop of that name."""
    with _lock:
        found = _backgrounds.get(name)
        if found is None or found.process != os.getpid():
            found = _backgrounds[name] = _Background(name)  # a forked child has no thread of its parent's
        return found.loop


async def await_on(name: str, coroutine: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine that runs on the loop of that name, from any other loop."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop_of(name)))


def run(coroutine: Coroutine[Any, Any, T], on: str = SAMPLERS) -> T:
    """Run a coroutine to its end from synchronous code; an interrupt cancels it."""
    future = asyncio.run_coroutine_threadsafe(coroutine, loop_of(on))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
