"""Help and errors of arguments come before anything heavy is imported."""

import json
import subprocess
import sys

import pytest

from socratic_env.cli import commands

HEAVY = (
    "torch",
    "transformers",
    "vllm",
    "pyarrow",
    "datasets",
    "openai",
    "matplotlib",
    "pandas",
    "tensorboard",
)
SOCRATIC = "from socratic_env.cli import main"
COMMANDS = {
    "train": ("from agents.train import main", ["--help"]),
    "kl": ("from agents.kl import main", ["--help"]),
    "reports": ("from agents.reports.report import main", ["--help"]),
    "warm_start": ("from agents.warm_start.__main__ import main", ["--help"]),
    "socratic": (SOCRATIC, ["--help"]),
    "the version": (SOCRATIC, ["--version"]),
    **{name: (SOCRATIC, [name, "--help"]) for name in commands()},
    "a typing error": ("from agents.train import main", ["--stepz", "3"]),
    "a range": ("from agents.train import main", ["--lr", "-1"]),
    "no such preset": ("from agents.train import main", ["--preset", "huge"]),
    "no such questions": ("from agents.train import main", ["--questions", "nonsense"]),
    "no such protocol": ("from agents.train import main", ["--protocol", "nowhere.md"]),
    "no such teacher": ("from agents.train import main", ["--teacher", "nobody"]),
    "no such student": ("from agents.train import main", ["--student", "nobody"]),
    "no such run": ("from agents.train import main", ["--resume", "nowhere"]),
    "no such command": (SOCRATIC, ["pley"]),
    "no such id": (SOCRATIC, ["play", "SocraticNothing-v0"]),
    "no such student of eval": (SOCRATIC, ["eval", "--student", "nobody"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_heavy_is_not_imported(name, tmp_path):
    """Seconds depend on the machine, modules do not: without these, each command takes about one."""
    front, arguments = COMMANDS[name]
    code = (
        f"import json, sys\n{front}\n"
        f"try:\n    status = main({arguments!r})\nexcept SystemExit as left:\n    status = left.code\n"
        f"print(json.dumps([status or 0, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=None)
    status, heavy = json.loads(done.stdout.splitlines()[-1])
    assert heavy == []
    assert status == (0 if arguments[-1] in ("--help", "--version") else 2), done.stderr
