"""`python -m agents.teaching`: a teacher model learns to write viewpoints; `--help` shows every setting."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import tyro
from rich.console import Console

from agents.runs.preflight import check_free, claim
from agents.runs.programs import fail
from agents.teaching.teach_config import TeachConfig
from socratic_env.errors import SocraticError
from socratic_env.terminal import forgive_encodings


def main(arguments: list[str] | None = None) -> int:
    """Run a training of a teacher; 0: fine, 1: ran and failed, 2: unusable arguments."""
    forgive_encodings()
    console = Console(stderr=True)
    folder = Path("runs") / f"teaching-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        config = tyro.cli(TeachConfig, args=arguments, prog="python -m agents.teaching")
        config = replace(config, run_dir=config.run_dir or folder)
        assert config.run_dir is not None
        check_free(config.run_dir)
        claim(config.run_dir)
    except (SocraticError, OSError) as error:
        return fail(console, error, 2)
    from agents.job import progress_bar  # torch and transformers take seconds
    from agents.teaching.classroom import TEACHER, work

    try:
        with progress_bar(console) as progress:
            found = work(config, progress)
    except (SocraticError, OSError) as error:
        return fail(console, error, 1)
    for name, what in (("generic_T", "utility"), ("targeted_T", "on targeted probes")):
        one = found[name]
        print(f"held-out {what:<19} {one['before']:+.3f} -> {one['after']:+.3f}  gain {one['gain']:+.3f} "
              f"{one['gain_interval']}")  # fmt: skip
    print(f"teacher: {config.run_dir / TEACHER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
