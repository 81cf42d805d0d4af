"""`socratic utility`: what viewpoints are worth to a student, on paired probes."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from socratic_env.cli.shared import name_of, progress_bar, shown
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, StudentError, check_count
from socratic_env.evaluation.intervals import RESAMPLES
from socratic_env.evaluation.probes import generic_probes, source_questions, targeted_probes
from socratic_env.evaluation.scores import BATCH, Scores
from socratic_env.evaluation.utilities import Measured, Probes, measure
from socratic_env.evaluation.utility_page import HEADS, READING, about, cells, utility_page
from socratic_env.plugins import spec_of
from socratic_env.questions import load_questions
from socratic_env.students import student_from_spec
from socratic_env.students.scripted_student import Habits
from socratic_env.viewpoints import KnowledgeBase, Viewpoint, viewpoints_of

_PAPER = 200
"""Characters a line of the table may have where the output is no terminal."""


@dataclass(frozen=True)
class UtilityCommand:
    """Measure U(v): the mean score of first attempts with a viewpoint in the context, minus without.

    Viewpoints of a base are measured beside its active ones (an active one against the others). One that
    gives the answer of a probe away is vetoed. Exit status 1 means that some pairs have an unknown side.
    """

    viewpoints: Annotated[str, tyro.conf.Positional]
    """The path of a knowledge base, or a JSON list of viewpoints."""
    ids: tuple[str, ...] = ()
    """Only these of a base, by the beginnings of their ids; none given: all that are not vetoed."""
    student: str = "scripted"
    """Who answers: "scripted", or JSON such as {"kind": "openai", "base_url": ..., "model": ...}."""
    version: str | None = None
    """The student's version, for the base and the cache; none given: made of --student and its sampling. Give
    one where its weights change and its name does not."""
    questions: str = "arithmetic"
    """Where probes come from: a source, a path, "module:name", or JSON with its options."""
    domain: str | None = None
    """One domain only."""
    split: str = "train"
    """Which split: train or test."""
    probes: int = 300
    """How many probes."""
    targeted: bool = False
    """Choose probes for each viewpoint among the questions to which it applies, where fewer are needed."""
    samples: int = 1
    """Attempts on each probe, with and without."""
    verifier: str | None = None
    """A verifier's name, or module:name; none given: that of the question's kind."""
    temperature: float = 0.6
    """Of the student."""
    top_p: float = 0.95
    """Of the student."""
    max_tokens: int = 8192
    """Longest reply of the student."""
    seed: int = 0
    """Of the probes, the student's chances and the resampling."""
    habits: Habits = field(default_factory=Habits)
    """Probabilities of the scripted student."""
    batch: int = BATCH
    """Dialogues that the student is given at once."""
    resamples: int = RESAMPLES
    """Bootstrap resamples of the probes."""
    cache: Path | None = None
    """Keep scores in this file, and find them there again."""
    write: bool = False
    """Write measurements and vetoes into the base."""
    html: Path | None = None
    """Write a page to this file."""
    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Measure, and print what was found."""
    options = tyro.cli(UtilityCommand, args=arguments, prog="socratic utility")
    for name in ("probes", "samples", "batch", "resamples", "max_tokens"):
        check_count(f"--{name.replace('_', '-')}", getattr(options, name))
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    with ExitStack() as opened:
        base, active, candidates = _candidates(options, opened)
        student_spec = spec_of(options.student, "--student")
        sampling = {name: getattr(options, name) for name in ("temperature", "top_p", "max_tokens")}
        given = {"seed": options.seed, "habits": options.habits, **sampling}
        student = student_from_spec(student_spec, given)
        opened.callback(lambda: run(student.close()))
        version = options.version or _version(student_spec, given)
        questions = load_questions(spec_of(options.questions, "--questions"), options.domain, options.split)
        probes: Probes = (
            partial(targeted_probes, questions, options.probes, options.seed)
            if options.targeted
            else generic_probes(questions, options.probes, options.seed)
        )
        scores = opened.enter_context(Scores(options.cache))
        progress = opened.enter_context(progress_bar())
        bar = progress.add_task("attempts", total=None)

        def on_planned(attempts: int) -> None:
            progress.update(bar, total=attempts)

        work = measure(
            student,
            probes,
            active,
            candidates,
            options.seed,
            version=version,
            samples=options.samples,
            sources=source_questions(questions, candidates),
            verifier=options.verifier,
            scores=scores,
            resamples=options.resamples,
            batch=options.batch,
            on_planned=on_planned,
            on_played=lambda count: progress.advance(bar, count),
        )
        try:
            measured = run(work)
        except StudentError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        if base is not None:
            _write(base, measured)
    unknown = sum(one.open for one in measured)
    result = {
        "student": name_of(student_spec),
        "version": version,
        "kind": "targeted" if options.targeted else "generic",
        **{name: getattr(options, name) for name in ("questions", "split", "probes", "samples", "seed")},
        "active": [one.id for one in active],
        "played": scores.played,
        "warnings": _warnings(unknown),
        "viewpoints": [one.as_json() for one in measured],
    }
    if options.html is not None:
        try:
            options.html.write_text(utility_page(result, measured), encoding="utf-8")
        except OSError as error:
            print(f"error: {options.html} cannot be written: {error}", file=sys.stderr)
            return 1
        print(f"wrote {options.html}", file=sys.stderr)
    if options.json:
        print(json.dumps(result, indent=1, allow_nan=False))
    else:
        _show(result, measured, Console())
    for line in result["warnings"]:
        told.print(f"WARNING: {line}", markup=False, style="bold red")
    return 1 if unknown else 0


def _candidates(
    options: UtilityCommand, opened: ExitStack
) -> tuple[KnowledgeBase | None, tuple[Viewpoint, ...], list[Viewpoint]]:
    """(the base to write into, V, what is measured)."""
    given = viewpoints_of(options.viewpoints, "the viewpoints")
    if isinstance(given, list):
        for name in ("ids", "write"):
            if getattr(options, name):
                raise ConfigurationError(f"--{name} needs a knowledge base, and the viewpoints are a list")
        if not given:
            raise ConfigurationError("the list of viewpoints is empty; give at least one")
        return None, (), [Viewpoint.of(one) for one in given]
    assert given is not None
    base = KnowledgeBase.read(given)
    if options.write:
        base = opened.enter_context(KnowledgeBase(given))
    chosen = [base[one] for one in options.ids] or [one for one in base if not one.vetoed]
    if not chosen:
        raise ConfigurationError(f"{given} has no viewpoint that is not vetoed; nothing can be measured")
    return base if options.write else None, base.active, chosen


def _version(spec: str | dict[str, Any], given: dict[str, Any]) -> str:
    """The name of a student, and a digest of what it is made of."""
    content = json.dumps([spec, given], sort_keys=True, default=repr)
    return f"{name_of(spec)} {hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _write(base: KnowledgeBase, measured: Sequence[Measured]) -> None:
    for one in measured:
        if one.utility is not None:
            base.measure(one.viewpoint.id, one.utility)
        elif not one.viewpoint.vetoed:
            base.veto(one.viewpoint.id, one.vetoed)


def _warnings(unknown: int) -> list[str]:
    if not unknown:
        return []
    return [
        f"{unknown} pairs have a side on which the student gave no reply: nobody knows its score. They are "
        "left out of U, and intervals cover all that they could be"
    ]


def _show(result: dict[str, Any], measured: Sequence[Measured], console: Console) -> None:
    console = console if console.is_terminal else Console(width=_PAPER)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for head in HEADS:
        left = head in ("viewpoint", "verdict", "id")
        table.add_column(head, justify="left" if left else "right", overflow="fold")
    for one in measured:
        table.add_row(*map(shown, cells(one)))
    console.print(table, "", shown(about(result)), shown(READING), highlight=False)
