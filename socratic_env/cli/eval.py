"""`socratic eval`: accuracy of a student, alone and with a teacher."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from socratic_env.cli.shared import Spec, name_of, progress_bar
from socratic_env.dialogue import Dialogue
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import run
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.errors import ConfigurationError, SocraticError, unknown
from socratic_env.evaluation.folder import EvaluationFolder, Fault
from socratic_env.evaluation.html import BRACKETS, shares
from socratic_env.evaluation.intervals import RESAMPLES
from socratic_env.evaluation.results import blind_cells, metrics_of, page, parts_of, result_of
from socratic_env.evaluation.runner import (
    evaluation_questions,
    pending_episodes,
    run_episodes,
    stored_evaluation,
)
from socratic_env.evaluation.statistics import NOT_PLAYED
from socratic_env.evaluation.warnings import warnings_of
from socratic_env.plugins import spec_of
from socratic_env.questions import load_questions
from socratic_env.questions.audit.findings import KINDS
from socratic_env.questions.exclusion import ids_with
from socratic_env.students import Student, student_from_spec
from socratic_env.students.scripted_student import Habits
from socratic_env.types import Question
from socratic_env.viewpoints import viewpoints_of

RESULT, REPORT = "result.json", "report.html"
INTERRUPTED = "interrupted"
_PAPER = 200
"""Characters a line of the table may have where the output is no terminal."""


@dataclass(frozen=True)
class Eval:
    """avg@n, pass@k, guided accuracy and correction rates of a student, by sub-task.

    Every episode is written down as it ends; the same command with the same --out goes on where an
    interrupted run stopped, and plays again only what a fault left open. Exit status 1 means that some
    episodes are still open, 130 that it was interrupted.
    """

    student: str = "scripted"
    """Who answers: "scripted", or JSON such as {"kind": "openai", "base_url": ..., "model": ...} or
    {"kind": "vllm", "model": FOLDER}; kind "transformers" is slower, and needs no vLLM."""
    out: Path | None = None
    """Folder of the evaluation, new or to go on with; none given: runs/eval-<date>-<time>."""
    questions: str = "procedural"
    """A source ("procedural", "concepts:zorin", ...), a path, "module:name", or JSON with its options."""
    domain: str | None = None
    """One domain only."""
    split: str = "test"
    """Which split: train or test."""
    exclude: Path | None = None
    """Leave out the rows in this file, which `socratic audit --out` wrote."""
    kinds: tuple[str, ...] = ()
    """Leave out only those of its rows with these kinds of problem; none given: all."""
    number: int | None = None
    """How many questions; none given: all of a file, 200 of a generated family."""
    samples: int = 16
    """n, the episodes on each question."""
    pass_k: tuple[int, ...] = ()
    """The k of pass@k; none given: 1, 2, 4, .. and n."""
    max_attempts: int = 2
    """K."""
    teacher: str = "rule"
    """Who teaches: "rule", "retry", or JSON such as {"kind": "openai", "base_url": ..., "model": ...}."""
    protocol: str = "paper"
    """What the teacher sees and is asked: a name, or the path of a file (.md)."""
    max_context_chars: int | None = None
    """End a dialogue that would grow past so many characters."""
    viewpoints: str | None = None
    """Knowledge in the student's system text: the path of a knowledge base, or a JSON list of viewpoints."""
    temperature: float = 0.6
    """Of the student."""
    top_p: float = 0.95
    """Of the student."""
    max_tokens: int = 8192
    """Longest reply of the student; an endpoint refuses a prompt that leaves no room for so much."""
    seed: int = 0
    """Of the questions, the student and the resampling."""
    habits: Habits = field(default_factory=Habits)
    """Probabilities of the scripted student."""
    concurrency: int = 64
    """Most episodes under way at once."""
    resamples: int = RESAMPLES
    """Bootstrap resamples of the questions."""
    json: bool = False
    """Print JSON for machines."""


_FREE = ("out", "pass_k", "concurrency", "resamples", "json")
"""Settings that do not decide an episode, and may change when an evaluation goes on."""


def main(arguments: list[str]) -> int:
    """Play what is left to play, and report."""
    options = tyro.cli(Eval, args=arguments, prog="socratic eval")
    _check(options)
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    known, asked = _questions(options)
    student_spec, teacher_spec = spec_of(options.student, "--student"), spec_of(options.teacher, "--teacher")
    student = _student(options, student_spec)
    interaction = GuidedInteraction(
        EnvArguments(
            teacher=teacher_spec,
            protocol=options.protocol,
            max_attempts=options.max_attempts,
            max_context_chars=options.max_context_chars,
            viewpoints=viewpoints_of(options.viewpoints, "--viewpoints"),
        )
    )
    out = options.out or Path("runs") / f"eval-{datetime.now():%Y%m%d-%H%M%S}"
    failed = None
    try:
        for question in asked:
            interaction.teacher.check(question)
        folder = EvaluationFolder(out, _config(options, student_spec, teacher_spec, interaction, asked))
        try:
            failed = _play(options, asked, interaction, student, folder)
            evaluation = stored_evaluation(folder, asked, options.samples, options.max_attempts)
            left_open = list(folder.faulted.values())
            unheard = sum(not one.made and not one.open for one in folder.standings.values())
        finally:
            folder.close()
    finally:
        run(student.close())
        interaction.close()
    faults = Counter(record["fault"] for record in left_open)
    found = result_of(evaluation, asked, known, options.pass_k or None, options.resamples, options.seed)
    left = evaluation.open
    why = Counter(record["fault_kind"] for record in left_open)
    why += Counter({NOT_PLAYED: left - len(left_open)})
    result = {
        "student": name_of(student_spec),
        "teacher": name_of(teacher_spec),
        **{name: getattr(options, name) for name in _SHOWN},
        **_sent_instead(student_spec),
        "episodes_wanted": len(asked) * options.samples,
        "no_attempt": unheard,
        "faults": [{"fault": fault, "episodes": count} for fault, count in faults.most_common()],
        "open": {"episodes": left, "why": dict(why)},
        "warnings": warnings_of(found["all"], why, f"--max-tokens {options.max_tokens}"),
        **found,
    }
    try:
        (out / RESULT).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (out / REPORT).write_text(page(result), encoding="utf-8")
    except OSError as error:
        failed = failed or f"{out} cannot be written: {error}"
    if options.json:
        print(json.dumps(result, indent=1, allow_nan=False))
    else:
        _show(result, Console())
    told.print(f"report: {(out / REPORT).resolve()}")
    for line in result["warnings"]:
        told.print(f"WARNING: {line}", markup=False, style="bold red")
    if unheard:
        told.print(
            f"{unheard} episodes ended before a first attempt: their prompt, with --max-tokens "
            f"{options.max_tokens}, does not fit into the student's context; they count as unsolved",
            markup=False,
        )
    for fault, count in faults.most_common(3):
        told.print(f"{count} episodes stopped by: {fault}", markup=False)
    if left:
        told.print(f"{left} episodes are not over; go on with the same command and --out {out}", markup=False)
    if failed is not None:
        told.print(f"error: {failed}", markup=False)
    return 130 if failed == INTERRUPTED else int(failed is not None or left > 0)


_SHOWN = ("protocol", "questions", "split", "samples", "max_attempts", "temperature", "top_p", "seed")


def _sent_instead(student: Spec) -> dict[str, Any]:
    """What a student's `request` sends in place of --temperature and --top-p; None: nothing."""
    request = student.get("request") if isinstance(student, dict) else None
    return {name: request[name] for name in ("temperature", "top_p") if name in (request or {})}  # type: ignore[index]


def _check(options: Eval) -> None:
    for name in ("number", "samples", "concurrency", "resamples", "max_tokens"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} is {value}; give at least 1")
    if not 0 <= options.temperature < math.inf:
        raise ConfigurationError(f"--temperature is {options.temperature}; give at least 0")
    if not 0 < options.top_p <= 1:
        raise ConfigurationError(f"--top-p is {options.top_p}; give more than 0 and at most 1")
    for k in options.pass_k:
        if not 1 <= k <= options.samples:
            raise ConfigurationError(f"--pass-k {k} is not within 1 and the {options.samples} --samples")
    for kind in options.kinds:
        if kind not in KINDS:
            raise unknown("kind of problem", kind, KINDS)
    if options.kinds and options.exclude is None:
        raise ConfigurationError("--kinds chooses among the rows of --exclude; give that file too")


def _questions(options: Eval) -> tuple[list[Question], list[Question]]:
    """(questions on which blind rules are scored, those that are asked)."""
    exclude = options.exclude
    skipped = ids_with(exclude, options.kinds) if exclude is not None and options.kinds else exclude
    found = load_questions(spec_of(options.questions, "--questions"), options.domain, options.split, skipped)
    return evaluation_questions(found, options.number, options.seed)


def _student(options: Eval, spec: Spec) -> Student:
    sampling = {name: getattr(options, name) for name in ("temperature", "top_p", "max_tokens")}
    twice = sorted({*sampling, "seed"} & set(spec if isinstance(spec, dict) else ()))
    if twice:
        option = f"--{twice[0].replace('_', '-')}"
        raise ConfigurationError(
            f"--student gives {twice[0]!r}, which has an option of its own; use {option}"
        )
    return student_from_spec(spec, {"seed": options.seed, "habits": options.habits, **sampling})


def _config(
    options: Eval, student: Spec, teacher: Spec, interaction: GuidedInteraction, asked: list[Question]
) -> dict[str, Any]:
    """What decides the episodes, for the folder."""
    chosen = {name: value for name, value in asdict(options).items() if name not in _FREE}
    return {
        **chosen,
        "student": student,
        "teacher": teacher,
        "exclude": str(options.exclude) if options.exclude is not None else None,
        "protocol_digest": _digest([asdict(interaction.protocol)]),
        "viewpoints_digest": _digest([[one.text, one.trigger] for one in interaction.viewpoints.viewpoints]),
        "questions_asked": len(asked),
        "questions_digest": _digest([[q.id, q.system, q.text, q.answer] for q in asked]),
    }


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _play(
    options: Eval,
    asked: list[Question],
    interaction: GuidedInteraction,
    student: Student,
    folder: EvaluationFolder,
) -> str | None:
    """Why the evaluation stopped before its end, if it did."""
    left = pending_episodes(asked, options.samples, interaction, folder)
    total = len(asked) * options.samples
    with progress_bar() as progress:
        bar = progress.add_task("episodes", total=total, completed=total - len(left))

        def on_end(dialogue: Dialogue, fault: Fault | None) -> None:
            folder.write(dialogue, fault)
            progress.advance(bar, fault is None)

        try:
            run(run_episodes(left, interaction, student, options.concurrency, on_end))
        except ConfigurationError:
            raise
        except SocraticError as error:
            return str(error)
        except KeyboardInterrupt:
            return INTERRUPTED
    return None


def _show(result: dict[str, Any], console: Console) -> None:
    console = console if console.is_terminal else Console(width=_PAPER)
    whole = _table("all questions", "value")
    for name, found in metrics_of(result["all"]):
        whole.add_row(name, shares(found))
    most = str(result["max_attempts"])
    by_part = _table("", "questions", "avg@n", f"guided <= {most}", "best blind rule", "chance")
    for name, part in parts_of(result):
        cells = [str(part["questions"]), shares(part["unassisted"], 2), shares(part["guided"][most], 2)]
        by_part.add_row(name, *cells, *blind_cells(part, 2))
    console.print(whole, "", by_part, highlight=False)
    console.print(
        f"\n{result['all']['questions']} questions x {result['samples']} samples. {BRACKETS}",
        highlight=False,
    )


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", overflow="fold")
    return table
