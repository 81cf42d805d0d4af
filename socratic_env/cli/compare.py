"""`socratic compare RUN RUN ...`: runs, evaluations or groups of seeds against the first of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.contrasts import Side, contrast
from socratic_env.evaluation.contrasts_page import METRIC_HEADS, metric_rows, page
from socratic_env.evaluation.intervals import RESAMPLES
from socratic_env.evaluation.measured import read_measured
from socratic_env.records.run_folder import CONFIG

_PAPER = 200
"""Characters a line of the table may have where the output is no terminal."""


@dataclass(frozen=True)
class Compare:
    """Paired differences to the first side, with intervals over questions and over seeds.

    A side is the folder of a training run or of an evaluation; a folder of such folders (its seeds); or
    several folders of seeds joined by commas. All must have been measured on the same questions.
    """

    sides: Annotated[tuple[str, ...], tyro.conf.Positional]
    """The sides; the first is the baseline."""
    step: int | None = None
    """Of training runs: compare the evaluations at this step (None: the last of each)."""
    html: Path | None = None
    """Write a page: table, curves, settings that differ, questions won and lost with their dialogues."""
    resamples: int = RESAMPLES
    """Bootstrap resamples of the questions."""
    seed: int = 0
    """Of the resampling."""
    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Compare; 0: fine."""
    options = tyro.cli(Compare, args=arguments, prog="socratic compare")
    if options.resamples < 1:
        raise ConfigurationError(f"--resamples is {options.resamples}; give at least 1")
    sides = [
        Side(name, [read_measured(folder, options.step) for folder in folders_of(name)])
        for name in options.sides
    ]
    found = contrast(sides, options.resamples, options.seed)
    if options.html is not None:
        try:
            options.html.parent.mkdir(parents=True, exist_ok=True)
            options.html.write_text(page(found, sides), encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigurationError(f"--html {options.html} cannot be written: {error}") from None
    if options.json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return 0
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=_PAPER, highlight=False)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for place, heading in enumerate(METRIC_HEADS):
        table.add_column(heading, justify="right" if place > 1 else "left", overflow="fold")
    for row in metric_rows(found):
        table.add_row(*row)
    console.print(table)
    for name, values in found["settings"].items():
        console.print(f"{name}: {' | '.join(map(str, values))}", markup=False)
    for side in found["sides"][1:]:
        told = f"{side['name']}: {len(side['won'])} questions won, {len(side['lost'])} lost at attempt 1"
        unknown = f", {side['unknown']} undecided by open episodes" if side["unknown"] else ""
        console.print(f"{told}{unknown}", markup=False)
    for line in found["warnings"]:
        console.print(f"WARNING: {line}", markup=False, style="bold red")
    if options.html is not None:
        print(options.html.resolve())
    return 0


def folders_of(side: str) -> list[Path]:
    """The folders of a side: itself, those it names between commas, or the runs in it."""
    named = [Path(part) for part in side.split(",") if part] if not Path(side).is_dir() else [Path(side)]
    found: list[Path] = []
    for folder in named:
        inner = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
        found += inner if inner and not (folder / CONFIG).is_file() else [folder]
    if not found:
        raise ConfigurationError(f"{side!r} names no folder; give the folder of a run")
    return found
