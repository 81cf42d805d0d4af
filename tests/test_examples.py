"""Every example runs as its docstring says, and shows what it claims."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RISES = r"by learning \+\S+ \[\+0\.(?!00)\d\d, .*\n"  # the whole interval lies above 0
CLAIMS = {
    "self_play": (
        rf"leak_penalty 1\n.*{RISES}.*leak 0\.0\d\n",
        rf"leak_penalty 0\n.*{RISES}.*leak 0\.[89]\d\n",
    ),
}
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
    for claim in CLAIMS.get(path.stem, ()):
        assert re.search(claim, done.stdout), f"{claim!r} is not in {done.stdout!r}"
