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
from agents.runs.presets import PRESETS
from socratic_env.errors import ConfigurationError, SocraticError, unknown
from socratic_env.records.run_folder import CONFIG
from socratic_env.terminal import forgive_encodings


def parse(arguments: list[str]) -> tuple[TrainConfig, TrainConfig | None]:
    """(configuration, that of the run to resume) of a command line: `--preset` or `--resume` gives the
    defaults, further options change them."""
    chosen, rest = _take(arguments, {"--preset", "--resume"})
    preset, resume = chosen.get("--preset", "tiny"), chosen.get("--resume")
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    default, before = replace(PRESETS[preset], preset=preset), None
    if resume is not None:
        folder = Path(resume)
        if not (folder / CONFIG).is_file():
            raise ConfigurationError(f"--resume {folder}: no {CONFIG} there; give the folder of a run")
        before = TrainConfig.from_json((folder / CONFIG).read_text(encoding="utf-8"))
        before = default = replace(before, run_dir=folder)
        if "--preset" in chosen and preset != before.preset:
            raise ConfigurationError(
                f"--resume {folder}: the run's preset is {before.preset!r}, not {preset!r}, and that cannot "
                "change midway; leave it out, or start a new run"
            )
    elif default.run_dir is None:
        default = replace(default, run_dir=Path("runs") / f"{preset}-{datetime.now():%Y%m%d-%H%M%S}")
    description = (
        f"{TrainConfig.__doc__}\n\nBefore all others: --preset {{{','.join(PRESETS)}}} (default: tiny), or "
        "--resume DIR to go on with an interrupted run."
    )
    config = tyro.cli(
        TrainConfig, args=rest, default=default, prog="python -m agents.train", description=description
    )
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


def main(arguments: list[str] | None = None) -> int:
    """Run a training; 0: fine, 1: ran and failed, 2: unusable arguments."""
    forgive_encodings()
    console = Console(stderr=True)
    leads = int(os.environ.get("RANK", 0)) == 0  # of the processes of torchrun
    with ExitStack() as opened:
        try:
            config, before = parse(sys.argv[1:] if arguments is None else arguments)
            environments = open_environments(config, before, opened) if leads else None
        except (SocraticError, gymnasium.error.Error, OSError) as error:
            console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            return 2
        from agents.job import work  # torch, transformers and vLLM take seconds

        return work(config, before, environments, console)


if __name__ == "__main__":
    sys.exit(main())
