"""`socratic bench-teachers`: variants (environments that differ by their protocol) side by side."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from socratic_env.cli.shared import name_of, progress_bar
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, StudentError, TeacherError, check_count
from socratic_env.evaluation.comparison import Prices, Run, draw_questions, report, run_variant
from socratic_env.evaluation.comparison_page import need_matplotlib, page, paired
from socratic_env.evaluation.html import BRACKETS, shares
from socratic_env.plugins import spec_of
from socratic_env.protocols import TeachingProtocol, protocol, protocols
from socratic_env.questions import load_questions
from socratic_env.students import Student, student_from_spec
from socratic_env.students.scripted_student import Habits
from socratic_env.types import Question
from socratic_env.viewpoints import viewpoints_of


@dataclass(frozen=True)
class BenchTeachers:
    """Run the same questions and seeds through several variants, one for each protocol, and compare them.

    Exit status 1 means that faults of the teacher have left some episodes open.
    """

    variants: tuple[str, ...] = ()
    """Their protocols: names, or paths of files (.md); none given: all names."""
    baseline: str = "paper"
    """The protocol that the others are compared with."""
    teacher: str = "rule"
    """Who teaches: "rule", "retry", or JSON such as {"kind": "openai", "base_url": ..., "model": ...}."""
    student: str = "scripted"
    """Who answers: "scripted", or JSON such as {"kind": "openai", "base_url": ..., "model": ...}."""
    questions: str = "procedural"
    """A source ("procedural", "concepts:zorin", ...), a path, "module:name", or JSON with its options."""
    domain: str | None = None
    """One domain only."""
    split: str = "test"
    """Which split: train or test."""
    number: int = 200
    """How many questions."""
    rollouts: int = 4
    """Episodes on each question."""
    max_attempts: int = 3
    """K."""
    viewpoints: str | None = None
    """Knowledge in the student's system text: the path of a knowledge base, or a JSON list of viewpoints."""
    seed: int = 0
    """Of the questions, the scripted student's chances and the resampling."""
    resamples: int = 2000
    """Bootstrap resamples of the questions."""
    habits: Habits = field(default_factory=Habits)
    """Probabilities of the scripted student."""
    prices: Prices = field(default_factory=Prices)
    """Money for a million tokens."""
    html: Path | None = None
    """Write a page with a plot to this file (needs matplotlib)."""
    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Run the comparison and print it."""
    options = tyro.cli(BenchTeachers, args=arguments, prog="socratic bench-teachers")
    chosen = _variants(options)
    for name in ("number", "rollouts", "resamples"):
        if getattr(options, name) < 1:
            raise ConfigurationError(f"--{name} is {getattr(options, name)}; give at least 1")
    check_count("max_attempts", options.max_attempts)
    if options.html is not None:
        need_matplotlib()
    asked = draw_questions(
        load_questions(spec_of(options.questions, "--questions"), options.domain, options.split),
        options.number,
        options.seed,
    )
    teacher = spec_of(options.teacher, "--teacher")
    student = student_from_spec(
        spec_of(options.student, "--student"), {"seed": options.seed, "habits": options.habits}
    )
    try:
        runs = _run(options, chosen, asked, teacher, student)
    except (StudentError, TeacherError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        run(student.close())
    result = {
        "teacher": name_of(teacher),
        "student": name_of(spec_of(options.student, "--student")),
        "seed": options.seed,
        **report(
            runs,
            protocol(options.baseline).name,
            options.max_attempts,
            options.prices,
            options.resamples,
            options.seed,
        ),
    }
    if options.html is not None:
        try:
            options.html.write_text(page(result), encoding="utf-8")
        except OSError as error:
            print(f"error: {options.html} cannot be written: {error}", file=sys.stderr)
            return 1
        print(f"wrote {options.html}", file=sys.stderr)
    if options.json:
        print(json.dumps(result, indent=1, allow_nan=False))
    else:
        _show(result, Console())
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in result["warnings"]:
        told.print(f"WARNING: {line}", markup=False, style="bold red")
    return 1 if any(variant["open"]["episodes"] for variant in result["variants"]) else 0


def _variants(options: BenchTeachers) -> list[TeachingProtocol]:
    baseline = protocol(options.baseline)
    chosen = [protocol(name) for name in options.variants or protocols()]
    by_name: dict[str, TeachingProtocol] = {} if baseline in chosen else {baseline.name: baseline}
    for each in chosen:
        if by_name.setdefault(each.name, each) != each:
            raise ConfigurationError(
                f"two protocols are called {each.name!r}, and the comparison could not tell them apart; "
                "rename a file"
            )
    return list(by_name.values())


def _run(
    options: BenchTeachers,
    chosen: list[TeachingProtocol],
    asked: list[Question],
    teacher: str | dict[str, Any],
    student: Student,
) -> list[Run]:
    runs, viewpoints = [], viewpoints_of(options.viewpoints, "--viewpoints")
    with progress_bar() as progress:
        for each in chosen:
            task = progress.add_task(each.name, total=len(asked) * options.rollouts)
            coroutine = run_variant(
                each,
                asked,
                student,
                teacher,
                options.rollouts,
                options.max_attempts,
                lambda ended, task=task: progress.advance(task, ended),  # type: ignore[misc]
                viewpoints,
            )
            runs.append(run(coroutine))
    return runs


def _show(result: dict[str, Any], console: Console) -> None:
    later = range(2, result["max_attempts"] + 1)
    rates = ["first_attempt_accuracy", *(f"correction_rate_{k}" for k in later)]
    learnt = _table("first", *(f"at {k}" for k in later), "guided", f"vs {result['baseline']}")
    spent = _table("leaks", "chars", "tokens", "cost", "ms")
    for variant in result["variants"]:
        metrics, name = variant["metrics"], variant["name"]
        guided = metrics["guided_accuracy"]
        against = paired(guided, 2) if name != result["baseline"] else ""
        learnt.add_row(name, *(_value(metrics[rate]) for rate in rates), shares(guided, 2), against)
        spent.add_row(
            name,
            shares(metrics["leakage_rate"], 2),
            _value(metrics["guidance_chars"], 0),
            str(sum(variant["teacher_tokens"]) + sum(variant["student_tokens"])),
            f"{variant['teacher_cost'] + variant['student_cost']:.4g}",
            f"{variant['latency_s'] * 1000:.2f}",
        )
    console.print(learnt, "", spent, "", highlight=False)
    for variant in result["variants"]:
        if variant["indistinguishable_from"]:
            others = ", ".join(variant["indistinguishable_from"])
            console.print(f"this teacher cannot tell {variant['name']} from {others}", highlight=False)
    console.print(
        f"{result['questions']} questions x {result['rollouts']} rollouts. {BRACKETS} "
        "Differences are paired.",
        highlight=False,
    )


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("variant", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _value(metric: dict[str, Any], digits: int = 2) -> str:
    return "-" if metric["value"] is None else f"{metric['value']:.{digits}f}"
