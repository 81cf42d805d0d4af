"""Checkpoints: everything that a run needs to go on, complete or absent, never a part.

A checkpoint is a folder `checkpoints/step-N` with the model and tokenizer in transformers' format
and the optimizer's state. It is written beside its place and moved there at once, so that a run
killed at any moment leaves the last complete one. Questions and sampling are functions of the
seed and the step, and a batch that was not finished is drawn again, so no other state exists.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from agents.learner import Learner
from socratic_env.errors import SocraticError

_FOLDER = re.compile(r"step-(\d{6,})")
_TRAINER = "trainer.pt"


class CheckpointError(SocraticError):
    """A checkpoint cannot be written, or cannot be used."""


def save_checkpoint(
    folder: Path, step: int, model: Any, tokenizer: Any, learner: Learner | None = None
) -> Path:
    """Write the checkpoint of a step below `folder` and remove the earlier ones.

    Raises CheckpointError if it cannot be written (a full disk); earlier ones then stay.
    """
    place = folder / f"step-{step:06d}"
    fresh = folder / f"{place.name}.part"
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        weights = learner.weights() if learner is not None else None
        model.save_pretrained(fresh, state_dict=weights)
        tokenizer.save_pretrained(fresh)
        state = {"step": step, **(learner.state() if learner is not None else {})}
        torch.save(state, fresh / _TRAINER)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(fresh, place)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise CheckpointError(f"checkpoint {place} cannot be written: {error}; free some space") from error
    for other in folder.iterdir():
        if other != place and _FOLDER.match(other.name):
            shutil.rmtree(other, ignore_errors=True)
    return place


def save_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write a model in transformers' format, complete or not at all."""
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
        os.replace(fresh, folder)
    except OSError as error:
        raise CheckpointError(f"model {folder} cannot be written: {error}; free some space") from error


def latest_checkpoint(folder: Path) -> Path:
    """The last complete checkpoint below `folder`. Raises CheckpointError if there is none."""
    found = sorted(p for p in folder.glob("step-*") if _FOLDER.fullmatch(p.name))
    if not found:
        raise CheckpointError(f"{folder} has no checkpoint to resume from; start a new run")
    return found[-1]


def load_trainer_state(place: Path) -> dict[str, Any]:
    """The step and the optimizer's state of a checkpoint."""
    path = place / _TRAINER
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        step = state["step"]
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is no trainer state of this program: {reason}") from error
    if place.name != f"step-{step:06d}":
        raise CheckpointError(f"{path} is of step {step}, not of {place.name}; it was moved there")
    return state
