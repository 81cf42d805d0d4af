"""`socratic view RUN`: the report of a run in the browser, or its episodes in the terminal."""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.text import Text

from socratic_env.errors import ConfigurationError

_STYLES = {True: "green", False: "red"}


@dataclass(frozen=True)
class View:
    """Look at a run: its report in the browser, or its episodes in the terminal."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    terminal: bool = False
    """Print episodes here instead of opening the report."""
    step: int | None = None
    """Print episodes of this step only (None: the last one)."""
    episodes: int = 5
    """How many episodes to print."""
    json: bool = False
    """Print those episodes as JSON lines for machines."""


def main(arguments: list[str]) -> int:
    """Open the report, or print episodes; 0: fine, 1: no browser could be opened."""
    options = tyro.cli(View, args=arguments, prog="socratic view")
    if options.terminal or options.json:
        return _print(options)
    report = options.run / "report.html"
    if not report.is_file():
        raise ConfigurationError(f"{options.run} has no report.html; give the folder of a finished run")
    print(report.resolve())
    if not webbrowser.open(report.resolve().as_uri()):
        print("error: no browser could be opened; open the file above in one", file=sys.stderr)
        return 1
    return 0


def _episodes(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise ConfigurationError(f"{path.parent} has no {path.name}; give the folder of a run")
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.endswith("\n"))


def _print(options: View) -> int:
    path = options.run / "episodes.jsonl"
    step = options.step
    if step is None:
        step = max((record["step"] for record in _episodes(path)), default=0)
    chosen = [record for record in _episodes(path) if record["step"] == step][: options.episodes]
    if not chosen:
        raise ConfigurationError(f"{path} has no episodes of step {step}")
    console = Console()
    for record in chosen:
        if options.json:
            print(json.dumps(record, ensure_ascii=False))
            continue
        console.rule(f"step {record['step']}  {record['question_id']}  {record['stop']}")
        console.print(Text(record["question"]))
        for attempt in record["attempts"]:
            console.print(Text(f"\n{attempt['text']}", style=_STYLES[attempt["correct"]]))
            console.print(Text(f"-- {attempt['verdict']}, reward {attempt['reward']:.3f}", style="dim"))
            if attempt["guidance"] or attempt["fault"]:
                console.print(Text(f"\nteacher: {attempt['guidance'] or attempt['fault']}", style="yellow"))
    return 0
