"""`socratic envs`: the environment ids, one line each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import tyro
from rich.console import Console
from rich.table import Table

from envs_registry import IDS


@dataclass(frozen=True)
class Envs:
    """List the environment ids."""

    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Print the ids."""
    options = tyro.cli(Envs, args=arguments, prog="socratic envs")
    if options.json:
        print(json.dumps([asdict(entry) for entry in IDS], indent=2))
        return 0
    console = Console()
    if not console.is_terminal:  # for other programs, one line each, however long
        longest = max(len(entry.id) for entry in IDS)
        for entry in IDS:
            print(f"{entry.id:<{longest}}  {entry.summary}")
        return 0
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for entry in IDS:
        table.add_row(entry.id, entry.summary)
    console.print(table, highlight=False)
    return 0
