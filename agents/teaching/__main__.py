"""`python -m agents.teaching viewpoints`, or `guidance`: a teacher model learns."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import tyro
from rich.console import Console

from agents.runs.preflight import check_free, claim
from agents.runs.programs import fail
from agents.teaching.teach_config import GuideConfig, TeachConfig, Teaching
from socratic_env.errors import SocraticError
from socratic_env.plugins import attribute
from socratic_env.terminal import forgive_encodings

TASKS = {
    "viewpoints": (TeachConfig, "agents.teaching.classroom:teach"),
    "guidance": (GuideConfig, "agents.teaching.guiding:teach"),
}
"""What can be taught: its settings, and where it is done."""


def parse(arguments: list[str]) -> tuple[str, Teaching]:
    """(task, configuration) of a command line."""
    kinds: dict[str, Callable[..., Teaching]] = {name: kind for name, (kind, _) in TASKS.items()}
    config = tyro.extras.subcommand_cli_from_dict(kinds, args=arguments, prog="python -m agents.teaching")
    return next(name for name, kind in kinds.items() if type(config) is kind), config


def main(arguments: list[str] | None = None) -> int:
    """Run a training of a teacher; 0: fine, 1: ran and failed, 2: unusable arguments, 130: interrupted."""
    forgive_encodings()
    console = Console(stderr=True)
    try:
        task, config = parse(sys.argv[1:] if arguments is None else arguments)
        folder = config.run_dir or Path("runs") / f"teaching-{datetime.now():%Y%m%d-%H%M%S}"
        config = replace(config, run_dir=folder)
        check_free(folder)
        claim(folder)
    except (SocraticError, OSError) as error:
        return fail(console, error, 2)
    import transformers  # takes seconds, as torch does

    from agents.job import progress_bar
    from agents.teaching.teaching_run import TEACHER, TeachingRun

    transformers.utils.logging.disable_progress_bar()
    try:
        with progress_bar(console) as progress:
            found = attribute("task", TASKS[task][1])(config, TeachingRun(config, progress))
    except (SocraticError, OSError) as error:
        return fail(console, error, 1)
    except KeyboardInterrupt:
        console.print(
            f"interrupted; {folder} has the metrics, no teacher: run it again with a new --run-dir",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        return 130
    for what, one in found.items():
        low, high = one["gain_interval"] or (float("nan"), float("nan"))
        print(
            f"held-out {what:<18} {one['before']:+.3f} -> {one['after']:+.3f}  gain {one['gain']:+.3f} "
            f"[{low:+.3f}, {high:+.3f}]"
        )
    print(f"teacher: {folder / TEACHER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
