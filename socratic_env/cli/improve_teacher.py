"""`socratic improve-teacher`: a better prompt for a teacher, searched for and judged on held-out ones."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from socratic_env.cli.shared import name_of
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, StudentError, TeacherError
from socratic_env.evaluation.comparison import draw_questions
from socratic_env.evaluation.comparison_page import paired
from socratic_env.evaluation.html import shares
from socratic_env.evaluation.improvement import (
    Improvement,
    Propose,
    Search,
    Trial,
    by_grammar,
    improve,
)
from socratic_env.plugins import spec_of
from socratic_env.protocols import protocol, protocol_text
from socratic_env.questions import load_questions
from socratic_env.students import student_from_spec


@dataclass(frozen=True)
class ImproveTeacher:
    """Change a teaching protocol, keep what helps the student, and write the winner as a protocol file.

    Candidates are compared by guided minus first-attempt accuracy, less a penalty for guidance that gives the
    answer away, on training questions by successive halving; the winner and the original then meet on
    held-out questions. Exit status 1 means that nothing better was found.
    """

    variant: tyro.conf.Positional[str] = "paper"
    """The protocol to be improved: a name, or the path of a file (.md)."""
    teacher: str = "rule"
    """Who teaches: "rule", "retry", or JSON such as {"kind": "openai", "base_url": ..., "model": ...}."""
    student: str = "scripted"
    """Who answers: "scripted", or JSON such as {"kind": "openai", "base_url": ..., "model": ...}."""
    proposer: str | None = None
    """Who proposes changes: None, a grammar of small ones; JSON {"base_url": ..., "model": ...}, a language
    model that sees the prompt, and dialogues in which it helped and did not."""
    questions: str = "procedural"
    """A source, a path, "module:name", or JSON with its options; it needs a train and a test split."""
    domain: str | None = None
    """One domain only."""
    held_out: int = 200
    """Held-out questions of the last comparison."""
    search: Search = field(default_factory=Search)
    """How it is searched."""
    out: Path = Path("improved.md")
    """Where the winner's protocol is written; a file that is there is kept, and refused."""
    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Search and print what came of it."""
    options = tyro.cli(ImproveTeacher, args=arguments, prog="socratic improve-teacher")
    original = protocol(options.variant)
    if options.out.suffix != ".md" or options.out.exists():
        raise ConfigurationError(f"--out {options.out}: give a new file that ends in .md")
    if original.fixed:
        raise ConfigurationError(
            f"protocol {original.name!r} says a fixed text and asks no teacher; give one that does"
        )
    options.search.check()
    search, spec = options.search, spec_of(options.questions, "--questions")
    training, held_out = (
        draw_questions(load_questions(spec, options.domain, split), number, search.seed)
        for split, number in (("train", search.largest), ("test", options.held_out))
    )
    student = student_from_spec(spec_of(options.student, "--student"), {"seed": search.seed})
    propose, endpoint = _proposer(options.proposer)
    told = Console(stderr=True, highlight=False)

    def on_trial(trial: Trial) -> None:
        told.print(
            f"round {trial.round}  {trial.name:<24} {trial.questions:5d} questions  score {trial.score:+.3f}"
        )

    async def work() -> Improvement:
        try:
            return await improve(
                original, propose, student, spec_of(options.teacher, "--teacher"), training, held_out, search,
                on_trial,
            )  # fmt: skip
        finally:
            await student.close()
            if endpoint is not None:
                await endpoint.close()

    try:
        found = run(work())
    except (StudentError, TeacherError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    better = found.winner.protocol is not original
    if better:
        summary = f"improved from {original.name}: {_story(found)}"
        text = protocol_text(replace(found.winner.protocol, name=options.out.stem, summary=summary))
        try:
            options.out.write_text(text, encoding="utf-8")
        except OSError as error:
            print(f"error: {options.out} cannot be written: {error}", file=sys.stderr)
            return 1
    if options.json:
        names = {
            name: name_of(spec_of(getattr(options, name), f"--{name}")) for name in ("teacher", "student")
        }
        print(json.dumps({**names, "seed": search.seed, **found.as_json()}, indent=1, allow_nan=False))
    else:
        _show(found, options.out, Console(highlight=False, soft_wrap=True))
    return 0 if better else 1


def _proposer(text: str | None) -> tuple[Propose, Any]:
    if text is None:
        return by_grammar, None
    spec = spec_of(text, "--proposer")
    if not isinstance(spec, dict) or not {"base_url", "model"} <= spec.keys():
        raise ConfigurationError(
            f"--proposer is {text!r:.80}; give JSON with base_url and model, or leave it out for the grammar"
        )
    known = {"base_url", "model", "api_key_env", "temperature", "max_tokens"}
    for key in spec:
        if key not in known | {"kind"}:
            raise ConfigurationError(f"--proposer: {key!r} is none of {', '.join(sorted(known))}")
    fields: dict[str, Any] = {
        "temperature": spec.get("temperature", 1.0),
        "max_tokens": spec.get("max_tokens", 2048),
    }
    key_env = spec.get("api_key_env", "OPENAI_API_KEY")
    from socratic_env.evaluation.proposals import ByModel, proposer_endpoint  # its client is slow to import

    endpoint = proposer_endpoint(spec["base_url"], spec["model"], key_env, fields)
    return ByModel(endpoint), endpoint


def _story(found: Improvement) -> str:
    """The changes that led to the winner, the first one in front."""
    by_name = {one.protocol.name: one for one in found.candidates}
    told, one = [], found.winner
    while one.parent:
        told.append(one.change)
        one = by_name[one.parent]
    return "; then ".join(reversed(told))


def _show(found: Improvement, out: Path, console: Console) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("candidate", "from", "questions", "score", "change"):
        table.add_column(heading, justify="right" if heading in ("questions", "score") else "left")
    last = {trial.name: trial for trial in found.trials}
    for one in found.candidates:
        trial = last.get(one.protocol.name)
        judged = ("-", "not tried") if trial is None else (str(trial.questions), f"{trial.score:+.3f}")
        table.add_row(one.protocol.name, one.parent, *judged, one.change)
    console.print(table)
    for fault in found.faults:
        console.print(f"a proposal came to nothing: {fault}", markup=False)
    spent = ", ".join(f"{name} {count}" for name, count in found.spent.items())
    console.print(f"\ntokens: {spent}")
    if found.held_out is None:
        console.print("nothing better than the original was found; no file was written")
        return
    before, after = found.held_out["variants"]
    for variant in (before, after):
        metric = variant["metrics"]["guided_accuracy"]
        console.print(f"held-out, {variant['name']}: guided {shares(metric, 3)}")
    console.print(
        f"difference {paired(after['metrics']['guided_accuracy'], 3)} on {found.held_out['questions']} "
        "questions (95 %, paired)"
    )
    console.print(f"wrote {out}: protocol={str(out)!r}, or a file of envs_registry/variants makes it an id")
