"""What a run begins with: all that can be unusable is looked at before its folder is touched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from agents.config import TrainConfig
from agents.learning.divergence import TeacherDistance
from agents.learning.rows import check_scored
from agents.runs.assembly import chat_of, distance_from, load_student, new_student
from agents.runs.checkpoint import CheckpointError, check_form, latest_checkpoint
from agents.runs.log import CHECKPOINTS
from agents.runs.preflight import MADE, Environments, claim, warm_questions
from socratic_env.questions import QuestionSet
from socratic_env.records.run_folder import EVALUATIONS, METRICS, read_lines


@dataclass(frozen=True)
class Start:
    """What a run begins with, checked before anything is written."""

    model: Any
    tokenizer: Any
    warm_set: QuestionSet | None
    """What the student is yet to be warm-started on."""
    folder: Path
    """Of the student's weights, once it is warm-started."""
    distance: TeacherDistance | None
    place: Path | None
    """Checkpoint to go on from, if any."""
    step: int
    """Steps that were made before."""
    resume_step: int | None
    """Last step of the log to keep, as RunLog takes it."""


def prepare(
    config: TrainConfig,
    before: TrainConfig | None,
    environments: Environments,
    device: torch.device,
    console: Console,
) -> Start:
    """The rest of what can be unusable is made or looked at here, before the run's folder is touched;
    `before` is the configuration of the run that goes on."""
    assert config.run_dir is not None
    place = None
    if before is not None:
        place = checkpoint_of(config.run_dir)
    made, warm_set = config.student in MADE, None
    folder = config.run_dir / "student" if made else Path(config.student)
    if made and place is None:
        warm_set = warm_questions(config, environments.train.questions, console)
        model, tokenizer = new_student(config, warm_set)
    else:
        # Adapters belong to the weights that the run began with.
        folder = folder if place is None or config.lora_rank else place
        model, tokenizer = load_student(folder, config.attention)
    model = model.to(device)
    chat = chat_of(config, model, tokenizer)
    check_scored(model, chat.turn("Try again."))
    step = 0 if place is None else check_form(place, model, config)
    distance = distance_from(config, model, tokenizer)
    resume_step = None
    if before is None:
        claim(config.run_dir)
    else:
        resume_step = -1 if place is None else step
    return Start(model, tokenizer, warm_set, folder, distance, place, step, resume_step)


def checkpoint_of(run_dir: Path) -> Path | None:
    """The checkpoint that a run goes on from; None: it ended before its first one and starts over.

    Raises CheckpointError if the run got further than that, or if its log is gone.
    """
    place = latest_checkpoint(run_dir / CHECKPOINTS)
    for name in (METRICS, EVALUATIONS) if place is not None else ():
        if not (run_dir / name).is_file():
            raise CheckpointError(
                f"{run_dir / name} is missing, and evaluations cannot be told without it; put it back, "
                "or start a new run"
            )
    if place is None and (run_dir / METRICS).exists() and read_lines(run_dir / METRICS):
        raise CheckpointError(f"{run_dir / CHECKPOINTS} has no checkpoint to resume from; start a new run")
    return place
