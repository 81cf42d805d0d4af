"""Every example runs as its docstring says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# TRL warns when it is imported beside a vLLM that is newer than itself, used or not.
WARNINGS = ["-W", "error::UserWarning", "-W", "ignore:TRL currently supports vLLM:UserWarning"]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    place = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *WARNINGS, str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": place},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
