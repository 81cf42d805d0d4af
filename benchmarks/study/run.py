"""Run the learning study: `python -m benchmarks.study.run` (`make study`), `--full`, `--quick`.

Each arm on each seed is one job; what is in the results already, with the same settings and code, is not run
again, so that an interrupted study goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.options import ChainStudent
from benchmarks.study.arms import ARMS, MAIN, RATE_ARMS, RATE_SEEDS, RATES, Arm
from benchmarks.study.play import make_student, play, settings_of
from socratic_env.records.run_folder import read_lines

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
ROOT = HERE.parents[1]


QUICK = {"chain": ChainStudent(schooling_steps=40, schooling_batch=64, steps=10, batch=64)}
"""A student of seconds, for `--quick`."""


def code_version() -> str:
    """The package's version, and a hash of all code that a run depends on."""
    files = sorted(
        path
        for folder in ("socratic_env", "agents", "envs_registry", "benchmarks/study")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md") and path.name != "README.md"
    )
    told = hashlib.sha256()
    for path in files:
        told.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return f"{installed('socratic-env')}+{told.hexdigest()[:12]}"


def chosen_jobs(
    arms: Sequence[Arm], seeds: Sequence[int] | None, done: Iterable[dict[str, Any]]
) -> list[tuple[Arm, int]]:
    """The arms on their seeds that are not among the results yet, seed by seed."""
    known = {key(record) for record in done}
    jobs = [
        (arm, seed)
        for arm in arms
        for seed in (arm.seeds if seeds is None else seeds)
        if any((arm.name, seed, step, told(settings_of(arm))) not in known for step in arm.measured)
    ]
    order = {arm.name: place for place, arm in enumerate(arms)}
    return sorted(jobs, key=lambda job: (job[1], order[job[0].name]))


def key(record: dict[str, Any]) -> tuple[str, int, int, str]:
    """What a record is of."""
    return record["arm"], record["seed"], record["steps"], told(record["settings"])


def told(settings: dict[str, Any]) -> str:
    """Settings as one text, whatever their order."""
    return json.dumps(settings, sort_keys=True, default=str)


def work(arm: Arm, seed: int, students: Path, version: str) -> list[dict[str, Any]]:
    """One job, in a process of its own pool."""
    return play(arm, seed, students / f"seed-{seed}", version)


def prepare(arm: Arm, seed: int, students: Path) -> None:
    """The student that all arms of a seed begin with, unless it is there."""
    folder = students / f"seed-{seed}"
    if not folder.is_dir():
        make_student(arm.config(seed), folder)


def rate_arms() -> list[Arm]:
    """The arms whose learning rate is chosen, at each rate."""
    return [
        replace(
            ARMS[name],
            name=f"{name}@{rate:g}",
            settings={**ARMS[name].settings, "lr": rate},
            measured=ARMS[name].measured[:1],
            seeds=RATE_SEEDS,
        )
        for name in RATE_ARMS
        for rate in RATES
    ]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study.run", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all arms (default: the main table)")
    parser.add_argument("--rates", action="store_true", help="the choice of learning rates")
    parser.add_argument("--quick", action="store_true", help="one seed, few steps: does the machinery work?")
    parser.add_argument(
        "--any-version", action="store_true", help="run nothing again that another version of the code ran"
    )
    parser.add_argument("--arms", nargs="+", choices=sorted(ARMS), help="only these arms")
    parser.add_argument("--seeds", nargs="+", type=int, help="other seeds than the arms' own")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines (default: %(default)s)")
    parser.add_argument(
        "--students",
        type=Path,
        default=ROOT / "runs" / "study",
        help="folder of students (default: %(default)s)",
    )
    parser.add_argument("--processes", type=int, default=2, help="jobs at once (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="start no job after this time")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing; 0: all of it is there, 1: some failed or were left."""
    options = parse(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes: one core for each
    arms = [ARMS[name] for name in options.arms or (ARMS if options.full else MAIN)]
    seeds = options.seeds
    if options.rates:
        arms = rate_arms()
    if options.quick:
        arms = [replace(arm, measured=(3,), settings={**arm.settings, **QUICK}) for arm in arms]
        seeds = seeds or [arms[0].seeds[0]]
        options.students = options.students / "quick"
    version = code_version()
    done = read_lines(options.results) if options.results.exists() else []
    others = [record for record in done if record["version"] != version]
    if others:
        count = "count as they are" if options.any_version else "do not count; --any-version counts them"
        print(f"{len(others)} results are of another version of the code and {count}")
    if not options.any_version:
        done = [record for record in done if record["version"] == version]
    jobs = chosen_jobs(arms, seeds, done)
    started = time.monotonic()
    failed = left = 0
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    context = multiprocessing.get_context("spawn")
    with (
        Progress(*columns) as progress,
        ProcessPoolExecutor(options.processes, mp_context=context) as pool,
    ):
        wanted = sorted({seed for _, seed in jobs})
        bar = progress.add_task("students", total=len(wanted))
        for seed in wanted[:1]:
            pool.submit(
                prepare, arms[0], seed, options.students
            ).result()  # schools the model for all of them
            progress.advance(bar)
        for each in as_completed(
            [pool.submit(prepare, arms[0], seed, options.students) for seed in wanted[1:]]
        ):
            each.result()
            progress.advance(bar)
        bar = progress.add_task("runs", total=len(jobs))
        running: dict[Any, tuple[Arm, int]] = {}
        waiting = list(reversed(jobs))
        while waiting or running:
            while waiting and len(running) < options.processes:
                if options.minutes and time.monotonic() - started > 60 * options.minutes:
                    left, waiting = len(waiting), []
                    break
                arm, seed = waiting.pop()
                running[pool.submit(work, arm, seed, options.students, version)] = arm, seed
            if not running:
                break
            future = next(as_completed(running))
            arm, seed = running.pop(future)
            progress.advance(bar)
            try:
                records = future.result()
            except Exception as error:  # noqa: BLE001 - one job that fails must not end the others
                failed += 1
                progress.console.print(f"{arm.name}, seed {seed}: {type(error).__name__}: {error}")
                continue
            with options.results.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(record, default=str) + "\n" for record in records)
            last = records[-1]
            progress.console.print(
                f"{arm.name}, seed {seed}: unassisted {last['unassisted']:.3f} after {last['steps']} steps, "
                f"{last['seconds']:.0f} s"
            )
    print(f"{len(jobs) - failed - left} runs made, {failed} failed, {left} left for another time")
    return 1 if failed or left else 0


if __name__ == "__main__":
    sys.exit(main())
