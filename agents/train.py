"""Train a student: `python -m agents.train --preset tiny`; `--help` shows every setting.

Arguments are read before torch is imported, so that help and errors come at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from pathlib import Path

import gymnasium
import tyro
from rich.console import Console

from agents.config import TrainConfig
from agents.runs.preflight import open_environments
from agents.runs.programs import TRAIN, Program, fail
from agents.runs.resume import check_unchanged
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
        "--resume DIR to go on with an interrupted run, and --seeds S S ... for a run of each seed, in "
        "RUN_DIR/seed-S; the same command again goes on."
    )
    config = tyro.cli(program.config, args=rest, default=default, prog=program.name, description=description)
    if before is not None and config.run_dir != before.run_dir:
        raise ConfigurationError(
            f"--resume {before.run_dir} together with --run-dir {config.run_dir}: a run goes on in its own "
            "folder; leave --run-dir out"
        )
    return config, before


def runs_of(
    arguments: list[str], program: Program = TRAIN
) -> tuple[list[tuple[TrainConfig, TrainConfig | None]], str]:
    """(what `parse` gives for each run of a command line, the command that goes on with them): one run, or by
    `--seeds` one for each seed, in the folder seed-S below `--run-dir`; those that were begun go on."""
    seeds, rest = _seeds(arguments)
    if not seeds:
        config, before = parse(arguments, program)
        return [(config, before)], f"{program.name} --resume {shlex.quote(str(config.run_dir))}"
    for name, instead in (("--seed", "leave it out"), ("--resume", "give the same command as before again")):
        if any(argument.partition("=")[0] == name for argument in rest):
            raise ConfigurationError(f"--seeds {' '.join(seeds)} together with {name}; {instead}")
    if "RANK" in os.environ:
        raise ConfigurationError(
            "--seeds makes one run after another in one process; under torchrun use --seed"
        )
    every, _ = parse(rest, program)
    assert every.run_dir is not None
    if (every.run_dir / CONFIG).is_file():
        raise ConfigurationError(
            f"--run-dir {every.run_dir} holds one run; give a folder for those of all seeds"
        )
    found = []
    for seed in seeds:
        config = replace(every, seed=_seed(seed), run_dir=every.run_dir / f"seed-{seed}")
        before = _begun(config, program)
        if before is not None:
            check_unchanged(before, config)
        found.append((config, before))
    place = [] if "--run-dir" in _take(rest, {"--run-dir"})[0] else ["--run-dir", str(every.run_dir)]
    return found, f"{program.name} {shlex.join([*rest, '--seeds', *seeds, *place])}"


def _begun(config: TrainConfig, program: Program) -> TrainConfig | None:
    assert config.run_dir is not None
    path = config.run_dir / CONFIG
    if not path.is_file():
        return None
    return replace(program.config.from_json(path.read_text(encoding="utf-8")), run_dir=config.run_dir)


def _seeds(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(the words after `--seeds`, all other arguments)."""
    if "--seeds" not in arguments:
        return [], arguments
    start = arguments.index("--seeds")
    seeds = list(takewhile(lambda word: not word.startswith("--"), arguments[start + 1 :]))
    rest = arguments[:start] + arguments[start + 1 + len(seeds) :]
    if not seeds or "--seeds" in rest:
        raise ConfigurationError("--seeds takes the seeds of all runs, once, such as --seeds 0 1 2 3")
    if len({*map(_seed, seeds)}) < len(seeds):
        raise ConfigurationError(f"--seeds {' '.join(seeds)} names a seed twice; leave one out")
    return seeds, rest


def _seed(word: str) -> int:
    if not word.isdecimal():
        raise ConfigurationError(f"--seeds {word}: give whole numbers, such as --seeds 0 1 2 3")
    return int(word)


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
    """Train; 0: fine, 1: ran and failed, 2: unusable arguments, 130: interrupted."""
    forgive_encodings()
    console = Console(stderr=True)
    try:
        runs, again = runs_of(sys.argv[1:] if arguments is None else arguments, program)
    except (SocraticError, OSError) as error:
        return fail(console, error, 2)
    statuses = []
    for config, before in runs:
        if len(runs) > 1:
            console.rule(f"seed {config.seed}, {config.run_dir}")
        try:
            statuses.append(_run(config, before, program, console))
        except KeyboardInterrupt:
            console.print(_interrupted(config, again), markup=False, highlight=False, soft_wrap=True)
            return 130
        if statuses[-1] == 2:
            return 2
    if len(runs) > 1:
        folder, failed = runs[0][0].run_dir.parent, sum(map(bool, statuses))  # type: ignore[union-attr]
        told = f"{len(runs) - failed} of {len(runs)} seeds are finished in {folder}"
        then = (
            f"go on with: {again}" if failed else f"set them beside others: socratic compare OTHER {folder}"
        )
        console.print(f"{told}; {then}", markup=False, highlight=False, soft_wrap=True)
    return max(statuses)


def _run(config: TrainConfig, before: TrainConfig | None, program: Program, console: Console) -> int:
    """One run, with a status as of `main`."""
    leads = int(os.environ.get("RANK", 0)) == 0  # of the processes of torchrun
    with ExitStack() as opened:
        try:
            environments = open_environments(config, before, opened) if leads else None
        except (SocraticError, gymnasium.error.Error, OSError) as error:
            return fail(console, error, 2)
        from agents.job import release, work  # torch, transformers and vLLM take seconds

        status = work(config, before, environments, console, attribute("steps", program.steps))
        release()
        return status


def _interrupted(config: TrainConfig, again: str) -> str:
    """What of a run is saved, and how to go on."""
    assert config.run_dir is not None
    if not (config.run_dir / CONFIG).is_file():
        return "interrupted; nothing had been written yet"
    from agents.runs.checkpoint import latest_checkpoint  # torch: loaded by whoever wrote the settings
    from agents.runs.log import CHECKPOINTS

    place = latest_checkpoint(config.run_dir / CHECKPOINTS)
    saved = "nothing but its settings is saved" if place is None else f"{place} is saved"
    return f"interrupted; {saved}; go on with: {again}"


if __name__ == "__main__":
    sys.exit(main())
