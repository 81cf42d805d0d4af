"""What a run writes while it goes on: configuration, metrics, episodes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from agents.config import TrainConfig
from agents.metrics import DEFINITIONS
from agents.records import RolloutBatch
from socratic_env.episodes import episode_record
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation import Evaluation
from socratic_env.evaluation import number as _number
from socratic_env.runs import CONFIG, EPISODES
from socratic_env.types import Episode

METRICS, EVALUATIONS, CHECKPOINTS = "metrics.jsonl", "evaluations.jsonl", "checkpoints"


class RunLog:
    """The folder of a run. Metrics go to JSON lines and TensorBoard alike.

    Args:
        resume_step: go on in a folder that has a run, after this step: what was logged of later
            steps is dropped, since they are made again. None: the folder must be new or empty.
    """

    def __init__(self, folder: Path, config: TrainConfig, resume_step: int | None = None) -> None:
        if resume_step is None and folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(f"run_dir {folder} is not empty; give a new folder or --resume {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        (folder / CONFIG).write_text(config.as_json() + "\n", encoding="utf-8")
        for name in (METRICS, EPISODES, EVALUATIONS):
            _keep_lines(folder / name, resume_step or 0)
        self._metrics = (folder / METRICS).open("a", encoding="utf-8")
        self._episodes = (folder / EPISODES).open("a", encoding="utf-8")
        self._evaluations = (folder / EVALUATIONS).open("a", encoding="utf-8")
        purge = None if resume_step is None else resume_step + 1
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)
        if resume_step is None:
            rows = [f"| `{name}` | {text} |" for name, text in DEFINITIONS.items()]
            self._board.add_text("metrics", "\n".join(["| metric | what it is |", "|---|---|", *rows]))

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics; `kind` is "train" or "eval". Undefined values are null."""
        finite = {k: _number(v) for k, v in values.items()}
        self._write(self._metrics, {"kind": kind, "step": step, **finite})
        for key, value in finite.items():
            if value is not None:
                self._board.add_scalar(f"{kind}/{key}", value, step)

    def episodes(self, step: int, episodes: Iterable[Episode]) -> None:
        """All episodes of a batch, without their ground truth."""
        for row, episode in enumerate(episodes):
            record = episode_record(episode.question, episode.attempts, episode.rewards, episode.stop)
            self._write(self._episodes, {"step": step, "row": row, **record})

    def evaluation(self, step: int, way: str, result: Evaluation, found: Mapping[str, Any]) -> None:
        """The accuracy of every held-out question, by attempts allowed (null: no episode is known), and
        what was found in all: `socratic_env.eval_report.result_of`, as in `socratic eval`."""
        attempts = range(1, result.max_attempts + 1)
        accuracy = {str(k): [_number(x) for x in result.per_question(k).tolist()] for k in attempts}
        self._write(self._evaluations, {"step": step, "way": way, "accuracy": accuracy, **found})

    def failed_batch(self, step: int, batch: RolloutBatch) -> Path:
        """The samples of a batch that could not be learnt from, as JSON lines; the file."""
        path = self.folder / f"failed-batch-{step:06d}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for sample in batch.samples:
                file.write(json.dumps(asdict(sample)) + "\n")
        return path

    def close(self) -> None:
        """Close all files."""
        self._evaluations.close()
        self._metrics.close()
        self._episodes.close()
        self._board.close()

    @staticmethod
    def _write(file: Any, record: Mapping[str, Any]) -> None:
        file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        file.flush()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON lines file; a last line that was cut off is left out."""
    records = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                records.append(json.loads(line))
    return records


def _keep_lines(path: Path, last_step: int) -> None:
    """Drop the records of later steps, and a line that was cut off, in one move."""
    if not path.exists():
        return
    fresh = path.with_suffix(".part")
    with path.open(encoding="utf-8") as lines, fresh.open("w", encoding="utf-8") as file:
        for line in lines:
            if line.endswith("\n") and json.loads(line)["step"] <= last_step:
                file.write(line)
    os.replace(fresh, path)
