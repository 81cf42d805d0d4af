"""What a run writes while it goes on: configuration, metrics, episodes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from agents.config import TrainConfig
from socratic_env.errors import ConfigurationError
from socratic_env.types import Episode

CONFIG, METRICS, EPISODES, CHECKPOINT, REPORT = (
    "config.json", "metrics.jsonl", "episodes.jsonl", "checkpoint", "report.html",
)  # fmt: skip


class RunLog:
    """The folder of a run. Metrics go to JSON lines and TensorBoard alike."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(f"run_dir {folder} is not empty; give a new folder or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        (folder / CONFIG).write_text(config.as_json() + "\n", encoding="utf-8")
        self._metrics = (folder / METRICS).open("a", encoding="utf-8")
        self._episodes = (folder / EPISODES).open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"))

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics; `kind` is "train" or "eval". Undefined values are null."""
        finite = {k: (v if math.isfinite(v) else None) for k, v in values.items()}
        self._write(self._metrics, {"kind": kind, "step": step, **finite})
        for key, value in finite.items():
            if value is not None:
                self._board.add_scalar(f"{kind}/{key}", value, step)

    def episodes(self, step: int, episodes: Iterable[Episode]) -> None:
        """All episodes of a batch, without their ground truth."""
        for row, episode in enumerate(episodes):
            self._write(self._episodes, {"step": step, "row": row, **episode_record(episode)})

    def close(self) -> None:
        """Close all files."""
        self._metrics.close()
        self._episodes.close()
        self._board.close()

    @staticmethod
    def _write(file: Any, record: Mapping[str, Any]) -> None:
        file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        file.flush()


def episode_record(episode: Episode) -> dict[str, Any]:
    """An episode for JSON: what was said, judged and paid."""
    return {
        "question_id": episode.question.id,
        "domain": episode.question.domain,
        "question": episode.question.text,
        "attempts": [
            {
                "text": attempt.text,
                "correct": attempt.verdict.correct,
                "answer": attempt.verdict.answer,
                "verdict": attempt.verdict.reason,
                "reward": reward,
                "guidance": attempt.guidance.text if attempt.guidance is not None else None,
                "fault": repr(attempt.guidance.fault)
                if attempt.guidance is not None and attempt.guidance.fault is not None
                else None,
            }
            for attempt, reward in zip(episode.attempts, episode.rewards, strict=True)
        ],
        "stop": episode.stop.value,
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
