"""The README's examples and commands work as written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from socratic_env.cli import commands

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
TRAINING = README + (ROOT / "docs" / "training.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_python_examples_run_in_order():
    namespace: dict[str, object] = {}
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), namespace)
    assert "rewards" in namespace


def test_make_targets_exist():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "lint", "bench"):
        assert f"  {target} " in shown
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"  {target} " in shown


def test_training_options_of_the_readme_exist(capsys):
    from agents import train

    with pytest.raises(SystemExit):
        train.main(["--help"])
    text = capsys.readouterr().out
    commands = [
        line for line in re.findall(r"```sh\n(.*?)```", TRAINING, re.DOTALL) if "agents.train" in line
    ]
    options = {o for c in commands for o in re.findall(r"(--[a-z][\w.-]+)", c.partition("agents.train")[2])}
    for option in options - {"--preset"}:
        assert option in text, option


def test_commands_of_the_readme_exist():
    named = set(re.findall(r"socratic ([a-z-]+)", README))
    assert named >= {"envs", "audit", "play", "view", "bench-teachers", "eval"}
    assert named <= commands().keys()


@pytest.mark.slow
def test_the_wheel_installs_and_imports_alone(tmp_path):
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("needs uv beside Python, as `make setup` puts it")

    def call(*command):
        done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call(uv, "build", "--wheel", "--out-dir", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = call(sys.executable, "-m", "zipfile", "-l", wheel)
    assert "socratic_env/py.typed" in names
    assert "envs_registry/variants/paper.md" in names
    assert "agents/" not in names
    assert "tests/" not in names
    call(uv, "venv", "--python", sys.executable, tmp_path / "empty")
    python = tmp_path / "empty" / "bin" / "python"
    call(uv, "pip", "install", "--python", python, wheel)
    code = (
        "import gymnasium as gym, socratic_env, sys; env = gym.make('SocraticSciKnow-v0'); env.reset(seed=0);"
        "assert 'torch' not in sys.modules and 'vllm' not in sys.modules; print(env.step('no')[1])"
    )
    assert call(python, "-c", code).strip() == "0.0"
    assert "SocraticSciKnow-v0" in call(tmp_path / "empty" / "bin" / "socratic", "envs")
