"""Train a student: `python -m agents.train --preset tiny`; `--help` shows every setting.

Arguments are read before torch is imported, so that help and errors come at once.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import gymnasium
import tyro
from rich.console import Console

from agents.config import TrainConfig
from agents.runs.preflight import open_environments
from agents.runs.programs import TRAIN, Program
from socratic_env.errors import ConfigurationError, SocraticError, unknown
from socratic_env.plugins import attribute
from socratic_env.records.run_folder import CONFIG
from socratic_env.terminal import forgive_encodings


def parse(arguments: list[str], program: Program = TRAIN) -> tuple[TrainConfig, TrainConfig | None]:
    """(configuration, that of the run to resume) of a command line: `--preset` or `--resume` gives the
    defaults, further options change them."""
    chosen, rest = _take(arguments, {"--preset", "--resume"})
    usual = next(iter(program.presets))
    preset, resume = chosen.get("--preset", usual), chosen.get("--resume")
    if preset not in program.presets:
        raise unknown("preset", preset, program.presets)
    default, before = replace(program.presets[preset], preset=preset), None
    if resume is not None:
        folder = Path(resume)
        if not (folder / CONFIG).is_file():
            raise ConfigurationError(f"--resume {folder}: no {CONFIG} there; give the folder of a run")
        before = program.config.from_json((folder / CONFIG).read_text(encoding="utf-8"))
        before = default = replace(before, run_dir=folder)
        if "--preset" in chosen and preset != before.preset:
            raise ConfigurationError(
                f"--resume {folder}: the run's preset is {before.preset!r}, not {preset!r}, and that cannot "
                "change midway; leave it out, or start a new run"
            )
    elif default.run_dir is None:
        default = replace(default, run_dir=Path("runs") / f"{preset}-{datetime.now():%Y%m%d-%H%M%S}")
    description = (
        f"{program.config.__doc__}\n\nBefore all others: --preset {{{','.join(program.presets)}}} (default: "
        f"{usual}), or "
        "--resume DIR to go on with an interrupted run."
    )
    config = tyro.cli(program.config, args=rest, default=default, prog=program.name, description=description)
    if before is not None and config.run_dir != before.run_dir:
        raise ConfigurationError(
            f"--resume {before.run_dir} together with --run-dir {config.run_dir}: a run goes on in its own "
            "folder; leave --run-dir out"
        )
    return config, before


def _take(arguments: list[str], names: set[str]) -> tuple[dict[str, str], list[str]]:
    """(values of these options, all other arguments)."""
    taken, rest = {}, []
    remaining = iter(arguments)
    for argument in remaining:
        name, given, value = argument.partition("=")
        if name in names:
            taken[name] = value if given else next(remaining, "")
        else:
            rest.append(argument)
    return taken, rest


def main(arguments: list[str] | None = None, program: Program = TRAIN) -> int:
    """Run a training; 0: fine, 1: ran and failed, 2: unusable arguments."""
    forgive_encodings()
    console = Console(stderr=True)
    leads = int(os.environ.get("RANK", 0)) == 0  # of the processes of torchrun
    with ExitStack() as opened:
        try:
            config, before = parse(sys.argv[1:] if arguments is None else arguments, program)
            environments = open_environments(config, before, opened) if leads else None
        except (SocraticError, gymnasium.error.Error, OSError) as error:
            console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            return 2
        from agents.job import work  # torch, transformers and vLLM take seconds

        return work(config, before, environments, console, attribute("steps", program.steps))


if __name__ == "__main__":
    sys.exit(main())
