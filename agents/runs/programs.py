"""The training commands: what each is called, its settings and presets, and the steps that it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import Console

from agents.config import TrainConfig
from agents.runs.presets import PRESETS
from socratic_env.plugins import attribute
from socratic_env.records.run_folder import CONFIG


@dataclass(frozen=True)
class Program:
    """A training command.

    presets: the first is the default one. steps: "module:function" of its steps, an `agents.job.Steps`.
    """

    name: str
    config: type[TrainConfig]
    presets: Mapping[str, TrainConfig]
    steps: str


def fail(console: Console, error: Exception, status: int) -> int:
    """Say what is wrong in one line; the exit status."""
    console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    return status


TRAIN = Program("python -m agents.train", TrainConfig, PRESETS, "agents.job:socratic_po")
_OTHERS = ("agents.socratic_rl.program:PROGRAM",)


def program_of(folder: Path) -> tuple[Program, TrainConfig]:
    """The command that made a run, told by its settings, and its configuration.

    Raises ConfigurationError if the folder's is none.
    """
    text = (folder / CONFIG).read_text(encoding="utf-8")
    for name in _OTHERS:
        program: Program = attribute("program", name)
        try:
            named = set(json.loads(text))
        except (ValueError, TypeError):
            break
        if named == {each.name for each in fields(program.config)}:
            return program, program.config.from_json(text)
    return TRAIN, TrainConfig.from_json(text)
