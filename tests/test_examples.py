"""Every example runs as its docstring says, and shows what it claims."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RISES = r"by learning \+\S+ \[\+0\.(?!00)\d\d, .*\n"  # the whole interval lies above 0
SLOW = ("tianshou_ppo", "sb3_ppo", "torchrl_ppo", "trl_grpo", "minimal_agent")  # half a minute each
CLAIMS = {
    "minimal_agent": (r"held out, before: unassisted 0\.\d", r"step   1: .*loss", r"held out, after: "),
    "self_play": (
        rf"leak_penalty 1\n.*{RISES}.*leak 0\.0\d\n",
        rf"leak_penalty 0\n.*{RISES}.*leak 0\.[89]\d\n",
    ),
    **dict.fromkeys(SLOW[:3], (r"before 0\.[0-4]\d, after (0\.9\d|1\.00), best achievable 1\.00",)),
}
# TRL warns when it is imported beside a vLLM that is newer than itself, used or not.
WARNINGS = ["-W", "error::UserWarning", "-W", "ignore:TRL currently supports vLLM:UserWarning"]


def example(path: Path, folder: Path, *options: str, typed: str = "") -> str:
    """What an example prints, with these options and this text as its standard input."""
    place = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *WARNINGS, str(path), *options],
        cwd=folder,
        input=typed,
        env={**os.environ, "PYTHONPATH": place},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
        for path in sorted((ROOT / "examples").glob("*.py"))
    ],
)
def test_an_example_runs(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert "Run: python examples/" in path.read_text(encoding="utf-8")
    options = ()
    if path.stem == "minimal_agent":  # without them it makes its student first, and learns for minutes
        options = ("--student", str(request.getfixturevalue("tiny_student")[2]), "--steps", "1")
    told = example(path, tmp_path, *options)
    assert told.strip()
    for claim in CLAIMS.get(path.stem, ()):
        assert re.search(claim, told), f"{claim!r} is not in {told!r}"


def test_answers_are_piped_into_play(tmp_path: Path) -> None:
    path = ROOT / "examples" / "play.py"
    told = example(path, tmp_path, typed="nonsense\n")
    assert "the answer is none of the letters" in told
    assert "left before the end" in told
    told = example(path, tmp_path)  # all letters in turn: one of them is right
    assert "correct, reward" in told
    assert "left before the end" not in told


def test_what_is_broken_is_told_the_remedy(tmp_path: Path) -> None:
    told = example(ROOT / "examples" / "own_questions.py", tmp_path)
    assert "check_questions: fine" in told
    assert "its solution never comes to its answer 19.62" in told
    assert "Multiply g t^2 by one half." in told
    told = example(ROOT / "examples" / "own_verifier.py", tmp_path)
    assert "check_verifier: fine" in told
    assert "check_verifier: last_letter: it " in told
    assert "I guess. -> no working is shown" in told


def test_prompts_are_compared(tmp_path: Path) -> None:
    told = example(ROOT / "examples" / "compare_prompts.py", tmp_path)
    solved = [float(line.split()[1]) for line in told.splitlines()[1:]]
    assert len(solved) == 3
    assert solved == sorted(solved), "hints help the scripted student"
