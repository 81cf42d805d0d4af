"""`socratic export RUN`: right replies and corrections as rows for training elsewhere, as TRL reads them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from socratic_env import __version__
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.export_rows import rows_of
from socratic_env.evaluation.stored_episodes import read_episodes
from socratic_env.records.run_folder import CONFIG
from socratic_env.viewpoints import InContext


@dataclass(frozen=True)
class Export:
    """Write JSON lines that `datasets.load_dataset("json", data_files=...)` and TRL's trainers read.

    prompt-completion: right replies, for supervised training. preference: a wrong first reply and its
    correction, for preference training. Exit status 1 means that there was no row to write.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run or evaluation."""
    form: Literal["prompt-completion", "preference"] = "prompt-completion"
    """Which rows."""
    out: Path | None = None
    """File to write; none given: <form>.jsonl in the folder. One that is there is replaced."""
    context: Literal["question", "dialogue"] = "question"
    """What stands before a corrected reply in prompt-completion rows: the question alone, or the dialogue
    with its wrong attempts and guidance."""
    questions: str | None = None
    """Where the questions are: a path, a source, or JSON; none given: where they came from."""
    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Write the rows, and say how many were left out and why."""
    options = tyro.cli(Export, args=arguments, prog="socratic export")
    if options.form == "preference" and options.context == "dialogue":
        raise ConfigurationError(
            "--context dialogue with --form preference: both replies of a pair answer the question alone; "
            "leave --context out"
        )
    stored = read_episodes(options.run, options.questions)
    questions, _, _ = stored.found()
    settings = (options.run / CONFIG).read_bytes()
    provenance = {
        "run": options.run.resolve().name,
        "settings": hashlib.sha256(settings).hexdigest()[:12],
        "version": __version__,
    }
    shown = InContext(stored.arguments.viewpoints)
    rows, left = rows_of(options.form, stored.records, questions, shown, options.context, provenance)
    out = options.out or options.run / f"{options.form}.jsonl"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    except OSError as error:
        raise ConfigurationError(f"--out {out} cannot be written: {error}; give another file") from None
    result = {
        "file": str(out),
        "form": options.form,
        "context": options.context,
        "rows": len(rows),
        "questions": len({row["question_id"] for row in rows}),
        "left_out": dict(left),
        **provenance,
    }
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(f"{len(rows)} rows on {result['questions']} questions: {out.resolve()}", markup=False)
        for why, count in left.most_common():
            console.print(f"left out: {count} ({why})", markup=False)
        if not rows:
            console.print("no episode ended right; there is nothing to learn from", markup=False)
    return 0 if rows else 1
