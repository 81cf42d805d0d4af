"""`socratic view RUN`: episodes to filter, sort and search in the browser, the report, or the terminal."""

from __future__ import annotations

import json
import sys
import webbrowser
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from socratic_env.cli.shared import shown
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.episodes_page import episodes_page, serve
from socratic_env.records.run_folder import EPISODES, REPORT, check_run, episodes_of, last_step

PAGE = "episodes.html"
_STYLES = {True: "green", False: "red"}


@dataclass(frozen=True)
class View:
    """Look at a run or an evaluation.

    Without options: a page of its episodes, to filter, sort and search, is written to its folder and opened.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    report: bool = False
    """Open its report instead."""
    serve: bool = False
    """Serve the page on this machine: all episodes of a large run, and those that a running one adds."""
    port: int = 0
    """Port of --serve (0: a free one)."""
    terminal: bool = False
    """Print episodes here instead."""
    step: int | None = None
    """Episodes of this step only (None: all in the page, the last step's in the terminal)."""
    episodes: int = 5
    """How many episodes to print."""
    json: bool = False
    """Print those episodes as JSON lines for machines."""


def main(arguments: list[str]) -> int:
    """Open a page, or print episodes; 0: fine, 1: no browser could be opened."""
    options = tyro.cli(View, args=arguments, prog="socratic view")
    if options.episodes < 1:
        raise ConfigurationError(f"--episodes is {options.episodes}; give at least 1")
    check_run(options.run)
    if options.terminal or options.json:
        return _print(options)
    if options.step is not None and (options.report or options.serve):
        raise ConfigurationError(f"--step {options.step} chooses episodes; leave out --report and --serve")
    if options.serve:
        return _serve(options)
    page = options.run / (REPORT if options.report else PAGE)
    if not options.report:
        text = episodes_page(options.run, options.step)
        try:
            page.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{page} cannot be written: {error}; use --serve or --terminal"
            ) from None
    elif not page.is_file():
        raise ConfigurationError(
            f"{options.run} has no {REPORT} yet; write it with: python -m agents.reports {options.run} "
            "(an evaluation's: by the same socratic eval command again)"
        )
    print(page.resolve())
    return _open(page.resolve().as_uri())


def _open(address: str) -> int:
    if not webbrowser.open(address):
        print("error: no browser could be opened; open the address above in one", file=sys.stderr)
        return 1
    return 0


def _serve(options: View) -> int:
    with serve(options.run, options.port) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        print(f"{address} shows {options.run} until Ctrl-C", flush=True)
        _open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
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
        console.rule(shown(f"step {record['step']}  {record['question_id']}  {record['stop']}"))
        console.print(shown(record["question"]))
        for attempt in record["attempts"]:
            console.print(shown(f"\n{attempt['text']}", _STYLES[attempt["correct"]]))
            console.print(shown(f"-- {attempt['verdict']}, reward {attempt['reward']:.3f}", "dim"))
            if attempt["guidance"] or attempt["fault"]:
                console.print(shown(f"\nteacher: {attempt['guidance'] or attempt['fault']}", "yellow"))
            if attempt["leaks"]:
                console.print(shown(f"-- leaks: {', '.join(attempt['leaks'])}", "dim"))
    return 0
