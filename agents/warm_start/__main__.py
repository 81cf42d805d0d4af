"""`python -m agents.warm_start FOLDER`: makes the small student, ready for reinforcement learning."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.progress import Progress

from agents.options import TinyStudent, WarmStart
from socratic_env.errors import SocraticError
from socratic_env.plugins import spec_of
from socratic_env.questions import load_questions


@dataclass(frozen=True)
class Make:
    """Make a small student and teach it to answer in form, with beliefs of its own, many of them wrong."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Where it is put, in transformers' format."""
    questions: str = "concepts"
    """Questions with worked solutions: a source, a path, "module:name", or JSON with its options."""
    tiny: TinyStudent = field(default_factory=TinyStudent)
    """Its shape."""
    warm: WarmStart = field(default_factory=WarmStart)
    """Its supervised warm start."""
    seed: int = 0
    """Of its weights, its beliefs and the dialogues it learns from."""


def main(arguments: list[str] | None = None) -> int:
    """Make a student; 0: fine, 2: unusable arguments."""
    options = tyro.cli(Make, args=arguments, prog="python -m agents.warm_start")
    from agents.warm_start import tiny  # torch takes seconds

    try:
        questions = load_questions(spec_of(options.questions, "--questions"))
        tokenizer = tiny.make_tokenizer(
            tiny.sample_texts(questions, 4000, options.seed), options.tiny.vocabulary
        )
        model = tiny.make_model(options.tiny, tokenizer, options.seed)
        with Progress() as progress:
            bar = progress.add_task("warm start", total=options.warm.steps)
            tiny.warm_start(
                model, tokenizer, questions, options.warm, options.seed,
                lambda step, _loss: progress.update(bar, completed=step),
            )  # fmt: skip
        model.save_pretrained(options.folder)
        tokenizer.save_pretrained(options.folder)
    except SocraticError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
