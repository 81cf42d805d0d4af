"""What is costly and the same for all tests is made once in a test session, whatever the workers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

WORKER = "PYTEST_XDIST_WORKER"
"""Set in each worker process of pytest-xdist."""


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` makes: in the first process that asks for it; the others wait for it."""
    root = factory.getbasetemp()
    if WORKER in os.environ:
        root = root.parent  # each worker has a folder of its own in that of the session
    folder = root / name
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = root / f"{name}.part"
            make(part)
            part.rename(folder)
    return folder
