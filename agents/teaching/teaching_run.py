"""The folder of a teacher's training, and what both ways to teach need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from agents.runs.checkpoint import save_model
from agents.runs.log import replacing
from agents.teaching.teach_config import Teaching
from socratic_env.evaluation.intervals import difference_of, interval_of, means, resamples_of
from socratic_env.models.chat import Chat, ends_of
from socratic_env.records.run_folder import CONFIG, METRICS

TEACHER, RESULT = "teacher", "result.json"
"""The teacher as it has learnt, and what was found."""


class TeachingRun:
    """What a run writes and shows while it goes on."""

    def __init__(self, config: Teaching, progress: Progress) -> None:
        assert config.run_dir is not None
        self._folder, self._progress = config.run_dir, progress
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}
        self._write(CONFIG, settings)
        (self._folder / METRICS).touch()
        self._bar = progress.add_task("teaching", total=config.steps, status="")

    def line(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Metrics of a step of training ("train"), or of a measurement ("eval")."""
        with (self._folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        if kind == "train":
            status = f"reward {values['reward']:+.3f}" if "reward" in values else ""
            self._progress.update(self._bar, completed=step, status=status)

    def say(self, text: str) -> None:
        """A line on the terminal."""
        self._progress.console.print(text, highlight=False)

    def keep(self, teacher: Any, tokenizer: Any, found: Mapping[str, Any]) -> None:
        """The end: the teacher, and what was found."""
        save_model(self._folder / TEACHER, teacher, tokenizer)
        self._write(RESULT, found)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        with replacing(self._folder / name) as file:
            file.write(json.dumps(content, indent=1) + "\n")


def chat_of(model: Any, tokenizer: Any) -> Chat:
    """A model's chat format."""
    return Chat(tokenizer, model_ends=ends_of(model.generation_config, model.config))


def change(before_N: np.ndarray, after_N: np.ndarray, share: bool = False) -> dict[str, Any]:
    """Means of N values before and after, and that of their paired difference, with 95 % intervals; share:
    they are 0 or 1."""
    picks = resamples_of(len(before_N))
    before, after = means(before_N), means(after_N)
    return {
        "before": float(before_N.mean()),
        "before_interval": interval_of(before, picks, share),
        "after": float(after_N.mean()),
        "after_interval": interval_of(after, picks, share),
        "gain": float(after_N.mean() - before_N.mean()),
        "gain_interval": difference_of(after, before, picks, share),
    }
