"""Adapters whose frameworks need an environment of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parent / "frameworks" / "run.py"


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["openenv", "openrlhf", "verl"])
def test_an_adapter_works_with_its_framework(framework: str) -> None:
    done = subprocess.run([sys.executable, RUNNER, framework], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
