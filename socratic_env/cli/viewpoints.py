"""`socratic viewpoints PATH`: a knowledge base: its viewpoints, their history, and one in full."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from socratic_env.cli.shared import shown
from socratic_env.evaluation.viewpoints_page import (
    BASE_HEADS,
    HISTORY_HEADS,
    MEASURED_HEADS,
    TRACE_HEADS,
    base_cells,
    base_page,
    details,
    history_cells,
    measured_cells,
    state,
    summary,
    trace_cells,
)
from socratic_env.viewpoints import KnowledgeBase, Viewpoint

_PAPER = 200
"""Characters a line of a table may have where the output is no terminal."""


@dataclass(frozen=True)
class ViewpointsCommand:
    """Show a knowledge base as a table, its history, or one viewpoint in full. It may be in use meanwhile."""

    path: Annotated[Path, tyro.conf.Positional]
    """File of the knowledge base."""
    id: str | None = None
    """Show this viewpoint, by the beginning of its id: its traces, and its utility over versions."""
    history: bool = False
    """Show every event in order."""
    html: Path | None = None
    """Write a page with all of it to this file."""
    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Print what was asked for."""
    options = tyro.cli(ViewpointsCommand, args=arguments, prog="socratic viewpoints")
    base = KnowledgeBase.read(options.path)
    chosen = None if options.id is None else base[options.id]
    if options.html is not None:
        try:
            options.html.write_text(base_page(base, f"Viewpoints of {options.path.name}"), encoding="utf-8")
        except OSError as error:
            print(f"error: {options.html} cannot be written: {error}", file=sys.stderr)
            return 1
        print(f"wrote {options.html}", file=sys.stderr)
    if options.json:
        print(json.dumps(_plain(base, chosen, options.history), indent=1, allow_nan=False))
        return 0
    console = Console()
    console = console if console.is_terminal else Console(width=_PAPER)
    if chosen is not None:
        _show_one(base, chosen, console)
    elif options.history:
        console.print(_table(HISTORY_HEADS, (history_cells(base, event) for event in base.history)))
    else:
        console.print(_table(BASE_HEADS, (base_cells(base, one) for one in base)), "")
        console.print(summary(base), highlight=False)
    return 0


def _plain(base: KnowledgeBase, chosen: Viewpoint | None, history: bool) -> object:
    if chosen is not None:
        return details(base, chosen)
    if history:
        return {"history": [event.as_json() for event in base.history]}
    return {
        "active": [one.id for one in base.active],
        "viewpoints": [{"id": one.id, "state": state(base, one), **one.as_json()} for one in base],
    }


def _show_one(base: KnowledgeBase, chosen: Viewpoint, console: Console) -> None:
    facts = zip(BASE_HEADS, base_cells(base, chosen), strict=True)
    console.print(_table(("", ""), ([head, cell] for head, cell in facts)), "")
    if chosen.vetoed:
        console.print(shown(f"vetoed: {chosen.vetoed}\n"))
    if chosen.traces:
        console.print(_table(TRACE_HEADS, map(trace_cells, chosen.traces)), "")
    measured = base.measured(chosen.id)
    if measured:
        console.print(_table(MEASURED_HEADS, map(measured_cells, measured)), "")
    events = [event for event in base.history if chosen.id in event.ids]
    console.print(_table(HISTORY_HEADS, (history_cells(base, event) for event in events)))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(shown, row))
    return table
