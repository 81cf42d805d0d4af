"""`socratic view RUN`: a run's report in the browser, or its episodes in the terminal."""

from __future__ import annotations

import json
import sys
import unicodedata
import webbrowser
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.text import Text

from socratic_env.errors import ConfigurationError
from socratic_env.records.run_folder import EPISODES, REPORT, check_run, episodes_of, last_step

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
    if options.episodes < 1:
        raise ConfigurationError(f"--episodes is {options.episodes}; give at least 1")
    check_run(options.run)
    if options.terminal or options.json:
        return _print(options)
    if options.step is not None:
        raise ConfigurationError(f"--step {options.step} chooses episodes to print; add --terminal or --json")
    report = options.run / REPORT
    if not report.is_file():
        raise ConfigurationError(
            f"{options.run} has no {REPORT} yet; write it with: python -m agents.reports {options.run} "
            "(an evaluation's: by the same socratic eval command again)"
        )
    print(report.resolve())
    if not webbrowser.open(report.resolve().as_uri()):
        print("error: no browser could be opened; open the file above in one", file=sys.stderr)
        return 1
    return 0


def _print(options: View) -> int:
    path = options.run / EPISODES
    last = last_step(path) if path.is_file() else None
    if last is None:
        raise ConfigurationError(f"{options.run} has no episodes yet: no step has finished")
    step = last if options.step is None else options.step
    chosen = list(islice(episodes_of(path, step), options.episodes))
    if not chosen:
        raise ConfigurationError(f"{path} has no episodes of step {step}; its last step is {last}")
    console = Console()
    for record in chosen:
        if options.json:
            print(json.dumps(record, ensure_ascii=False))
            continue
        console.rule(_shown(f"step {record['step']}  {record['question_id']}  {record['stop']}"))
        console.print(_shown(record["question"]))
        for attempt in record["attempts"]:
            console.print(_shown(f"\n{attempt['text']}", _STYLES[attempt["correct"]]))
            console.print(_shown(f"-- {attempt['verdict']}, reward {attempt['reward']:.3f}", "dim"))
            if attempt["guidance"] or attempt["fault"]:
                console.print(_shown(f"\nteacher: {attempt['guidance'] or attempt['fault']}", "yellow"))
            if attempt["leaks"]:
                console.print(_shown(f"-- leaks: {', '.join(attempt['leaks'])}", "dim"))
    return 0


def _shown(text: str, style: str = "") -> Text:
    """Text whose control and format characters are spelt out, so that it cannot steer the terminal."""
    shown = "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf") else f"\\u{ord(c):04x}" for c in text
    )
    return Text(shown, style)
