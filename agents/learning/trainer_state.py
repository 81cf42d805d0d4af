"""The file of a checkpoint that holds what a learner needs beside the model's weights."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from socratic_env.errors import SocraticError

TRAINER = "trainer.pt"


class CheckpointError(SocraticError):
    """A checkpoint cannot be written, or cannot be used."""


def load_trainer_state(place: Path) -> dict[str, Any]:
    """The step and the optimizer's state of a checkpoint."""
    path = place / TRAINER
    try:
        # Mapped, since every process reads it, and a large model's is tens of gigabytes.
        state: dict[str, Any] = torch.load(path, weights_only=True, mmap=True)
        step, _ = state["step"], state["form"]
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is no trainer state of this program: {reason}") from error
    if place.name != f"step-{step:06d}":
        raise CheckpointError(f"{path} is of step {step}, not of {place.name}; it was moved there")
    return state
