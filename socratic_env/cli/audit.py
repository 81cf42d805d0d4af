"""`socratic audit PATH`: damage, duplicates and blind shortcuts of a question set."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from socratic_env.errors import ConfigurationError, QuestionError, unknown
from socratic_env.plugins import spec_of
from socratic_env.questions import load_questions, source_spec
from socratic_env.questions.audit.findings import EXACT, KINDS, NEAR, Report, audit
from socratic_env.questions.files import Contents, Refused, scan_path
from socratic_env.questions.usable import UsableRows
from socratic_env.types import SPLITS, Question

_PAPER = 170
"""Characters a line of the table may have where the output is no terminal."""


@dataclass(frozen=True)
class Audit:
    """Report damaged rows, duplicates, blind shortcuts and recomputed truths, by sub-task."""

    path: Annotated[str, tyro.conf.Positional]
    """A file or folder of questions in any known form, or another source, such as "procedural"."""
    tokenizer: str | None = None
    """Folder of a tokenizer (needs transformers): count tokens too."""
    kinds: tuple[str, ...] = ()
    """Kinds of problem to list, such as "mis-split options"; none given: all."""
    out: Path | None = None
    """Write the JSON to this file, for exclude=FILE of the environments."""
    limit: int = 1000
    """Questions of each split to look at, where it is not a file or folder."""
    strict: bool = False
    """Exit with 1 if any row has a problem of these kinds."""
    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Print the report."""
    options = tyro.cli(Audit, args=arguments, prog="socratic audit")
    for kind in options.kinds:
        if kind not in KINDS:
            raise unknown("kind of problem", kind, KINDS)
    told = Console(stderr=True)
    count = _token_counter(options.tokenizer)
    told.print(f"reading {options.path}", highlight=False)
    contents = _contents(options)
    with told.status("auditing") as status:
        report = audit(contents, count, lambda stage: status.update(f"auditing: {stage}"))
    held = report.as_json(options.kinds or KINDS)
    if options.out is not None:
        try:
            options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            told.print(f"error: {options.out} cannot be written: {error}", highlight=False)
            return 1
        told.print(f"wrote {len(held['rows'])} rows to {options.out}", highlight=False)
    if options.json:
        print(json.dumps(held, indent=1))
    else:
        console = Console()
        _show(report, held, console if console.is_terminal else Console(width=_PAPER))
    return 1 if options.strict and held["rows"] else 0


def _contents(options: Audit) -> Contents:
    spec = source_spec(spec_of(options.path, "PATH"))
    if spec.get("kind") == "file" and set(spec) == {"kind", "path"}:
        return scan_path(spec["path"])
    if options.limit < 1:
        raise ConfigurationError(f"--limit is {options.limit}; give at least 1")
    splits: list[list[Question]] = []
    refused: list[Refused] = []
    failures: list[QuestionError] = []
    for split in SPLITS:
        try:
            items = load_questions(spec, None, split)
        except QuestionError as error:  # a data set may have one split only
            failures.append(error)
            continue
        splits.append([items[i] for i in range(min(options.limit, len(items)))])
        refused += items.refused if isinstance(items, UsableRows) else ()
    if not splits:
        raise failures[0]
    # A source without splits of its own, such as the hub, has the same questions in both.
    if len(splits) == 2 and [q.text for q in splits[0]] == [q.text for q in splits[1]]:
        return Contents(splits[0], list({row.place: row for row in refused}.values()))
    return Contents([question for part in splits for question in part], refused)


def _token_counter(folder: str | None) -> Callable[[Question], int] | None:
    if folder is None:
        return None
    if not Path(folder).is_dir():
        raise ConfigurationError(f"--tokenizer {folder!r} is no folder; give one with tokenizer files")
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise ConfigurationError("--tokenizer needs transformers: install socratic-env[agent]") from None
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--tokenizer {folder!r} holds no tokenizer: {error}") from error
    return lambda question: len(tokenizer(question.text, add_special_tokens=False)["input_ids"])


def _show(report: Report, held: dict[str, Any], console: Console) -> None:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    with_tokens = any(entry["tokens"] for entry in report.subtasks)
    table.add_column("sub-task", overflow="fold", min_width=16)
    for heading in (
        "rows",
        "letters",
        "chars",
        *(["tokens"] if with_tokens else []),
        "damaged",
        "duplicates",
    ):
        table.add_column(heading, justify="right")
    table.add_column("best blind rule")
    table.add_column("accuracy", justify="right")
    table.add_column("recomputed", justify="right")
    for entry in report.subtasks:
        best, truth = entry["best_blind"], entry["recomputed"]
        kinds = entry["problems"]
        again = {kind: kinds[kind] for kind in (EXACT, NEAR) if kind in kinds}
        damaged = sum(kinds.values()) - sum(again.values())
        between = sum(entry["between_splits"].values())
        table.add_row(
            f"{entry['domain']} {entry['subtask']}".strip(),
            "/".join(str(n) for n in entry["splits"].values()) or str(entry["rows"]),
            " ".join(f"{letter}{n}" for letter, n in entry["letters"].items()),
            _lengths(entry["characters"]),
            *([_lengths(entry["tokens"])] if with_tokens else []),
            str(damaged or ""),
            f"{sum(again.values())} ({between} across)" if again else "",
            best["rule"] if best else "",
            f"{best['accuracy']:.2f} / {best['chance']:.2f}" if best else "",
            f"{truth['agree']} of {truth['checked']}" if truth and truth["checked"] else "",
        )
    console.print(table, highlight=False)
    counts: dict[str, int] = {}
    for problem in report.problems:
        counts[problem.kind] = counts.get(problem.kind, 0) + 1
    console.print(f"\n{len(held['rows'])} rows with a problem", highlight=False)
    for kind, number in sorted(counts.items(), key=lambda item: -item[1]):
        first = next(problem for problem in report.problems if problem.kind == kind)
        line = f"{number:6} {kind}, such as {first.id}: {first.detail}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lengths(spread: dict[str, float] | None) -> str:
    return f"{spread['median']:.0f}-{spread['longest']:.0f}" if spread else ""
