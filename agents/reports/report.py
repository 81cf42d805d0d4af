"""The report of a run: one self-contained HTML page from the files of its folder, whole or interrupted.

`python -m agents.reports RUN` writes it again.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import jinja2
import tyro

from agents.config import TrainConfig
from agents.reports import charts
from agents.reports.panels import draw_all
from agents.reports.summary import by_part, changes, spent, training_warnings, warnings
from agents.runs.programs import Program, program_of
from socratic_env.errors import SocraticError
from socratic_env.records.run_folder import (
    EPISODES,
    EVALUATIONS,
    METRICS,
    REPORT,
    check_run,
    episodes_of,
    last_step,
    read_lines,
)

_READ_EPISODES = 2048  # at most, of a step
_SHOWN_EPISODES = 8  # of a step
_SHOWN_CHARACTERS = 6000  # of a text


def write_report(folder: Path) -> Path:
    """Write `report.html` from the metrics, episodes and configuration of a run folder.

    Raises ConfigurationError if the folder is not that of a run.
    """
    check_run(folder)
    program, config = program_of(folder)
    metrics, held_out = _read(folder / METRICS), _read(folder / EVALUATIONS)
    train, evaluations = ([m for m in metrics if m["kind"] == kind] for kind in ("train", "eval"))
    headings, parts = by_part(held_out)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": charts.number, "duration": duration}
    page = environment.get_template("report.html.j2").render(
        name=folder.resolve().name,
        program=program.name,
        config=config,
        settings=config.as_json(),
        changed=_changed(program, config),
        steps=train[-1]["step"] if train else 0,
        skipped=sum(bool(m["skipped"]) for m in train),
        accuracy=changes(held_out),
        warnings=[*warnings(held_out), *training_warnings(train)],
        headings=headings,
        parts=parts,
        evaluated=evaluations[-1]["step"] if evaluations else 0,
        training=spent(train),
        evaluation=spent(evaluations),
        sections=draw_all({"train": train, "eval": evaluations}),
        charts=charts,
        samples=samples(folder / EPISODES),
        most=_SHOWN_CHARACTERS,
    )
    path = folder / REPORT
    fresh = path.with_suffix(".part")
    fresh.write_text(page, encoding="utf-8")
    os.replace(fresh, path)
    return path


def samples(path: Path) -> list[tuple[int, list[dict[str, Any]]]]:
    """(step, episodes) of the first, a middle and the last step: of each kind of course one (first those
    that guidance solved), and then more, of different questions."""
    last = last_step(path) if path.is_file() else None
    if last is None:
        return []
    return [(step, chosen) for step in sorted({1, (1 + last) // 2, last}) if (chosen := _chosen(path, step))]


def _chosen(path: Path, step: int) -> list[dict[str, Any]]:
    kinds: set[tuple[Any, ...]] = set()
    questions: set[str] = set()
    new: list[dict[str, Any]] = []
    more: list[dict[str, Any]] = []
    for episode in islice(episodes_of(path, step), _READ_EPISODES):
        attempts = episode["attempts"]
        leaked, failed = (any(a[what] for a in attempts) for what in ("leaks", "fault"))
        kind = (episode["stop"], len(attempts), leaked, failed)
        if kind not in kinds:
            new.append(episode)
        elif episode["question_id"] not in questions and len(more) < _SHOWN_EPISODES:
            more.append(episode)
        kinds.add(kind)
        questions.add(episode["question_id"])
    new.sort(key=lambda episode: episode["stop"] != "solved" or len(episode["attempts"]) == 1)
    return [*new, *more][:_SHOWN_EPISODES]


def duration(seconds: float) -> str:
    """A time in its two largest units, such as "2 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _changed(program: Program, config: TrainConfig) -> dict[str, Any]:
    """The settings that differ from the preset's, such as {"warm.steps": 100}."""
    usual, own = (c.settings() for c in (program.presets.get(config.preset, program.config()), config))
    return {k: v for k, v in own.items() if k not in ("preset", "run_dir") and v != usual[k]}


def _read(path: Path) -> list[dict[str, Any]]:
    return read_lines(path) if path.is_file() else []


@dataclass(frozen=True)
class Report:
    """Write the report of a training run again, from the files of its folder."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""


def main(arguments: list[str] | None = None) -> int:
    """Write a report and print its path; 0: fine, 2: not the folder of a run."""
    options = tyro.cli(Report, args=arguments, prog="python -m agents.reports")
    try:
        print(write_report(options.run).resolve())
    except (SocraticError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
