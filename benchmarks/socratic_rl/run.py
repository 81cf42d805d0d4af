"""Run the study of Socratic-RL: `python -m benchmarks.socratic_rl.run`. What is there is not run again."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.study.run import ROOT, code_version
from socratic_env.records.run_folder import read_lines

RESULTS = Path(__file__).parent / "results.jsonl"


def work(name: str, seed: int, students: Path, version: str) -> dict[str, Any]:
    """One run, in a process of the pool."""
    from benchmarks.socratic_rl.play import JOBS

    function, plan = JOBS[name]
    record: dict[str, Any] = function(plan, seed, students / f"seed-{seed}", version)
    return record


def prepare(seed: int, students: Path) -> None:
    """The student of a seed, unless it is there."""
    from benchmarks.socratic_rl.play import make_student

    if not (students / f"seed-{seed}").is_dir():
        make_student(seed, students / f"seed-{seed}")


def headline(record: Mapping[str, Any]) -> str:
    """What a run came to, in a word."""
    gained = record.get("gain")
    return f"{record['unassisted']:.3f}" if gained is None else f"utility {gained:+.3f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing; 0: all of it is there, 1: some failed."""
    from benchmarks.socratic_rl.play import JOBS

    parser = argparse.ArgumentParser(prog="python -m benchmarks.socratic_rl.run", description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, help="other seeds than the plans' own")
    parser.add_argument("--jobs", nargs="+", choices=sorted(JOBS), default=list(JOBS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--students", type=Path, default=ROOT / "runs" / "socratic_rl")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--any-version", action="store_true", help="run nothing again that other code ran")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes: one core for each
    version = code_version()
    there = read_lines(options.results) if options.results.exists() else []
    done = {
        (f"{record['experiment']}/{record['arm']}", record["seed"])
        for record in there
        if options.any_version or record["version"] == version
    }
    failed = 0
    context = multiprocessing.get_context("spawn")
    jobs = [
        (name, seed)
        for name in options.jobs
        for seed in options.seeds or JOBS[name][1].seeds
        if (name, seed) not in done
    ]
    seeds = sorted({seed for _, seed in jobs})
    if not jobs:
        print("all runs are there")
        return 0
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        pool.submit(prepare, seeds[0], options.students).result()  # schools the model for all of them
        for each in [pool.submit(prepare, seed, options.students) for seed in seeds[1:]]:
            each.result()
        running = {
            pool.submit(work, name, seed, options.students, version): (name, seed)
            for name, seed in sorted(jobs, key=lambda job: job[1])
        }
        for future in as_completed(running):
            name, seed = running[future]
            try:
                record = future.result()
            except Exception as error:  # noqa: BLE001 - one run that fails must not end the others
                failed += 1
                print(f"{name}, seed {seed}: {type(error).__name__}: {error}", flush=True)
                continue
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(f"{name}, seed {seed}: {headline(record)} in {record['seconds']:.0f} s", flush=True)
    print(f"{len(running) - failed} runs made, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
