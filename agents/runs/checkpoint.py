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
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.learning.trainer_state import TRAINER, CheckpointError, load_trainer_state

_FOLDER = re.compile(r"step-(\d{6,})")


def save_checkpoint(
    folder: Path,
    step: int,
    model: Any,
    tokenizer: Any,
    learner: Learner | None = None,
    keep_last: int = 1,
    best: int | None = None,
) -> Path:
    """Write the checkpoint of a step below `folder` and remove all but the last ones and that of step `best`.

    Raises CheckpointError if it cannot be written (a full disk); earlier ones then stay.
    """
    weights, state = (None, {"step": step}) if learner is None else _held(step, learner)
    return _write(folder, model, tokenizer, weights, state, keep_last, best)


def _held(step: int, learner: Learner) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(weights, trainer state) of a step. They may be the learner's own tensors."""
    weights = learner.weights()
    return weights, {"step": step, "form": _form(weights, learner.config), **learner.state()}


def _write(
    folder: Path,
    model: Any,
    tokenizer: Any,
    weights: Mapping[str, torch.Tensor] | None,
    state: Mapping[str, Any],
    keep_last: int,
    best: int | None,
) -> Path:
    place = folder / checkpoint_name(state["step"])
    with _whole(place, "checkpoint") as fresh:
        model.save_pretrained(fresh, state_dict=weights)
        tokenizer.save_pretrained(fresh)
        torch.save(state, fresh / TRAINER)
    stays = {*_found(folder)[-keep_last:], place}
    if best is not None:
        stays.add(folder / checkpoint_name(best))
    for other in folder.iterdir():
        if other not in stays and _FOLDER.match(other.name):
            shutil.rmtree(other, ignore_errors=True)
    return place


class Checkpoints:
    """The checkpoints of a run, each written at once or while training goes on.

    Attributes:
        place: of the last one that was saved, or is being written; None: there is none yet.
    """

    def __init__(
        self, folder: Path, model: Any, tokenizer: Any, learner: Learner, place: Path | None
    ) -> None:
        self.place = place
        self._folder, self._model, self._tokenizer, self._learner = folder, model, tokenizer, learner
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[Path] | None = None

    def save(self, step: int, best: int | None = None) -> None:
        """Save a step, and keep that of the best one. Raises CheckpointError, also for the one before."""
        self.wait()
        config = self._learner.config
        weights, state = _held(step, self._learner)
        if config.save_in_background:
            weights, state = _copied(weights), _copied(state)
        self._writing = self._writer.submit(
            _write, self._folder, self._model, self._tokenizer, weights, state, config.keep_last, best
        )
        self.place = self._folder / checkpoint_name(step)
        if not config.save_in_background:
            self.wait()

    def wait(self) -> None:
        """Until what was saved is on the disk. Raises CheckpointError if it cannot be written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Wait, whether it can be written or not."""
        self._writer.shutdown()


def _copied(value: Any) -> Any:
    """Tensors of nested dicts and lists as copies on the host."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def checkpoint_name(step: int) -> str:
    """The name of a step's folder."""
    return f"step-{step:06d}"


def save_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write a model in transformers' format, complete or not at all, in place of what was there."""
    with _whole(folder, "model") as fresh:
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)


@contextmanager
def _whole(folder: Path, what: str) -> Iterator[Path]:
    """A folder to fill that takes the place of `folder` once all of it is on the disk."""
    fresh = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        for path in (path for path in fresh.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(fresh, folder)
    # A full disk raises OSError, RuntimeError, SafetensorError, and a bare Exception of tokenizers.
    except Exception as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise CheckpointError(f"{what} {folder} cannot be written: {error}; free some space") from error


def latest_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint below `folder`, if there is one."""
    found = _found(folder)
    return found[-1] if found else None


def _found(folder: Path) -> list[Path]:
    """Complete checkpoints, the latest last."""
    return sorted(p for p in folder.glob("step-*") if _FOLDER.fullmatch(p.name))


def check_form(place: Path, model: Any, config: TrainConfig) -> int:
    """The step of a checkpoint. Raises CheckpointError if its trainer state is of another kind of run than
    this configuration, or of another model than this one (without adapters)."""
    state = load_trainer_state(place)
    held, needed = state["form"], _form(dict(model.named_parameters()), config)
    for name in {**needed, **held}:
        if held.get(name) != needed.get(name):
            raise CheckpointError(
                f"{place / TRAINER} is of another run: its {name} is {held.get(name)}, this run's is "
                f"{needed.get(name)}; put the run's own there, or start a new run"
            )
    step: int = state["step"]
    return step


def _form(weights: Mapping[str, torch.Tensor], config: TrainConfig) -> dict[str, Any]:
    """What a trainer state must agree with: shapes of weights, and which parts it has."""
    return {
        "algorithm": "sdpo" if config.algorithm == "sdpo" else "another",
        "lora_rank": config.lora_rank,
        **{f"weight {name}": list(weight.shape) for name, weight in weights.items()},
    }
