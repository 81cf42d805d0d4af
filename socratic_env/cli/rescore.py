"""`socratic rescore RUN`: stored replies judged anew: another verifier, leak detector or mended questions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from socratic_env.cli.shared import progress_bar, shown
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, check_count
from socratic_env.evaluation.folder import FAULTS
from socratic_env.evaluation.html import shares
from socratic_env.evaluation.intervals import RESAMPLES
from socratic_env.evaluation.measured import EVALUATION
from socratic_env.evaluation.rescoring import Detector, paid, report, rescored
from socratic_env.evaluation.stored_episodes import StoredEpisodes, read_episodes
from socratic_env.leakage import detect
from socratic_env.plugins import attribute
from socratic_env.records.run_folder import CONFIG, EPISODES
from socratic_env.verifiers import verifier_from_spec

_FEW = 10
"""Changed attempts that are printed."""


@dataclass(frozen=True)
class Rescore:
    """Judge the stored replies of a run or an evaluation anew; nothing is sampled.

    Without options: by the verifier, leak detector and questions as they are now. Exit status 1 means that
    some replies could not be judged.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run or evaluation."""
    verifier: str | None = None
    """A verifier's name, or module:name; none given: the run's own."""
    detector: str | None = None
    """module:name of a function (question, guidance) -> kinds of leak; none given: the package's."""
    questions: str | None = None
    """Mended questions with the same ids: a path, a source, or JSON; none given: where they came from."""
    out: Path | None = None
    """New folder for the episodes as they are now, for `socratic view`, `export` and, of evaluations,
    `compare`."""
    resamples: int = RESAMPLES
    """Bootstrap resamples of the questions."""
    seed: int = 0
    """Of the resampling."""
    json: bool = False
    """Print JSON for machines, with every change."""


def main(arguments: list[str]) -> int:
    """Judge, and print what has changed."""
    options = tyro.cli(Rescore, args=arguments, prog="socratic rescore")
    check_count("--resamples", options.resamples)
    if options.out is not None and options.out.exists():
        raise ConfigurationError(f"--out {options.out} is there already; give a new folder")
    stored = read_episodes(options.run, options.questions)
    given = stored.arguments
    verifier = verifier_from_spec(options.verifier or given.verifier)
    detector: Detector = detect if options.detector is None else attribute("--detector", options.detector)
    questions, gone, other = stored.found()
    if not questions:
        raise ConfigurationError(
            f"none of the {len(gone)} questions of {options.run} is found any more, such as {gone[0]!r}; "
            "give them with --questions"
        )
    with progress_bar() as progress:
        bar = progress.add_task("episodes", total=len(stored.records))
        work = rescored(
            stored.records,
            questions,
            verifier,
            given.max_attempts,
            detector,
            lambda count: progress.advance(bar, count),
        )
        found = run(work)
    result = {
        "run": str(options.run),
        "kind": stored.kind,
        "verifier": options.verifier or given.verifier,
        "detector": options.detector,
        "questions": {"there": len(questions), "gone": gone, "changed": other},
        **report(found, given.max_attempts, options.resamples, options.seed),
    }
    if options.out is not None:
        _write(options.out, stored, [one.after for one in found], options)
    if options.json:
        print(json.dumps(result, indent=1, allow_nan=False))
    else:
        _show(result)
        if options.out is not None:
            print(options.out.resolve())
    return 1 if result["verdicts"]["unjudged"] else 0


def _write(out: Path, stored: StoredEpisodes, records: list[dict[str, Any]], options: Rescore) -> None:
    asked = {"verifier": options.verifier, "detector": options.detector, "questions": options.questions}
    config = {**stored.config, "rescored": {"run": str(stored.folder), **asked}}
    evaluation = stored.kind == EVALUATION
    if evaluation:
        for record in records:
            for attempt in record["attempts"]:
                attempt["reward"] = float(attempt["correct"])
    else:
        records = paid(records, stored.arguments.max_attempts, stored.arguments.reward)
    ended = [record for record in records if record["stop"] is not None or not evaluation]
    left = [
        {"fault": "judged anew, and not played on", "fault_kind": "Rescored", **record}
        for record in records
        if record["stop"] is None
    ]
    try:
        out.mkdir(parents=True)
        (out / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        for name, lines in ((EPISODES, ended), (FAULTS, left if evaluation else [])):
            with (out / name).open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    except OSError as error:
        raise ConfigurationError(f"--out {out} cannot be written: {error}; give another folder") from None


def _show(result: Mapping[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    verdicts, questions = result["verdicts"], result["questions"]
    console.print(f"{result['episodes']} episodes, {result['attempts']} attempts")
    for name, metric in result["metrics"].items():
        change = f"{100 * metric['difference']:+.1f}" if metric["difference"] is not None else "-"
        bounds = metric["difference_interval"]
        between = f" [{100 * bounds[0]:+.1f}, {100 * bounds[1]:+.1f}]" if bounds else ""
        console.print(
            f"{name}: {shares(metric['before'])} -> {shares(metric['after'])}, {change}{between} points",
            markup=False,
        )
    console.print(
        f"verdicts: {verdicts['became_right']} became right, {verdicts['became_wrong']} became wrong, "
        f"{verdicts['read_otherwise']} read otherwise, {verdicts['unjudged']} not judged"
    )
    console.print(f"leaks: {result['leaks']['found']} texts now leak, {result['leaks']['gone']} no longer do")
    console.print(
        f"episodes: {result['ended_earlier']} end earlier, {result['left_open']} are open, since nobody has "
        "played on"
    )
    for change in result["changes"][:_FEW]:
        before, after = change["before"], change["after"]
        told = f"  {change['question_id']} attempt {change['attempt']}: {_told(before)} -> {_told(after)}"
        console.print(shown(told))
    if len(result["changes"]) > _FEW:
        console.print(f"  and {len(result['changes']) - _FEW} more; --json has all of them")
    for name, told in (("gone", "are not found any more"), ("changed", "ask something else now")):
        if questions[name]:
            line = f"WARNING: {len(questions[name])} questions {told}, such as {questions[name][0]}"
            console.print(line, style="bold red", markup=False)


def _told(side: Mapping[str, Any]) -> str:
    word = {True: "right", False: "wrong", None: "not judged"}[side["correct"]]
    leaks = f", leaks: {', '.join(side['leaks'])}" if side.get("leaks") else ""
    return f"{word} ({side['verdict']}{leaks})"
