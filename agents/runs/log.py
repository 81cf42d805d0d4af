"""What a run writes while it goes on: configuration, metrics, episodes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from torch.utils.tensorboard import SummaryWriter

from agents.config import TrainConfig
from agents.learning.samples import RolloutBatch
from agents.runs.metric_table import METRICS as DECLARED
from socratic_env.errors import SocraticError
from socratic_env.evaluation.intervals import number as _number
from socratic_env.evaluation.statistics import Evaluation
from socratic_env.records.episodes import episode_record
from socratic_env.records.run_folder import (
    CONFIG,
    EPISODES,
    EVALUATIONS,
    METRICS,
    read_lines,
    record_of,
)
from socratic_env.types import Episode

CHECKPOINTS = "checkpoints"


class LogError(SocraticError):
    """A file of a run's folder cannot be written."""


class RunLog:
    """The folder of a run. Metrics go to JSON lines and TensorBoard alike.

    Args:
        resume_step: go on in a folder that has a run, after this step: what was logged of later
            steps is dropped, since they are made again; -1 drops all. None: a new run (`claim` it).

    Attributes:
        evaluated: the steps whose evaluations are in the log, whole.

    Raises LogError, here and in every method, if the disk is full; the files that were there stay.
    """

    def __init__(self, folder: Path, config: TrainConfig, resume_step: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with replacing(folder / CONFIG) as file:
            file.write(config.as_json() + "\n")
        last = -1 if resume_step is None else resume_step
        for name in (METRICS, EPISODES, EVALUATIONS):
            _keep_lines(folder / name, lambda record: record["step"] <= last)
        metrics = read_lines(folder / METRICS) if (folder / METRICS).exists() else []
        self.evaluated = {record["step"] for record in metrics if record["kind"] == "eval"}
        # An evaluation is whole once its metrics are there: they are written last.
        _keep_lines(folder / EVALUATIONS, lambda record: record["step"] in self.evaluated)
        with _naming(folder):
            self._metrics = (folder / METRICS).open("a", encoding="utf-8")
            self._episodes = (folder / EPISODES).open("a", encoding="utf-8")
            self._evaluations = (folder / EVALUATIONS).open("a", encoding="utf-8")
            purge = None if resume_step is None else resume_step + 1
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)
            if resume_step is None or resume_step < 0:
                rows = [f"| `{m.name}` | {m.meaning} |" for m in DECLARED]
                self._board.add_text("metrics", "\n".join(["| metric | what it is |", "|---|---|", *rows]))

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics; `kind` is "train" or "eval". Undefined values are null."""
        finite = {k: _number(v) for k, v in values.items()}
        self._write(self._metrics, {"kind": kind, "step": step, **finite})
        with _naming(self.folder):
            for key, value in finite.items():
                if value is not None:
                    self._board.add_scalar(f"{kind}/{key}", value, step)

    def episodes(
        self,
        step: int,
        episodes: Iterable[Episode],
        details: Mapping[tuple[int, int], Mapping[str, Any]] | None = None,
    ) -> None:
        """All episodes of a batch, without their ground truth. details: (row, attempt) -> what is written
        beside that attempt."""
        for row, episode in enumerate(episodes):
            record = episode_record(episode.question, episode.attempts, episode.rewards, episode.stop)
            for number, attempt in enumerate(record["attempts"], 1):
                attempt.update((details or {}).get((row, number), {}))
            self._write(self._episodes, {"step": step, "row": row, **record})

    def evaluation(self, step: int, way: str, result: Evaluation, found: Mapping[str, Any]) -> None:
        """The accuracy of every held-out question, by attempts allowed, open episodes as unsolved and (upper)
        as solved, and what was found in all: `socratic_env.evaluation.results.result_of`, as in
        `socratic eval`."""
        attempts = range(1, result.max_attempts + 1)
        both = {str(k): [values.tolist() for values in result.per_question(k)] for k in attempts}
        accuracy, upper = ({k: values[i] for k, values in both.items()} for i in (0, 1))
        self._write(
            self._evaluations,
            {"step": step, "way": way, "accuracy": accuracy, "accuracy_upper": upper, **found},
        )

    def first_attempts(self) -> list[list[tuple[str, bool]]]:
        """(question, whether its first attempt was right) of every episode so far, step by step."""
        steps: dict[int, list[tuple[str, bool]]] = {}
        for record in read_lines(self.folder / EPISODES):
            found = steps.setdefault(record["step"], [])
            found += [(record["question_id"], attempt["correct"]) for attempt in record["attempts"][:1]]
        return [steps[step] for step in sorted(steps)]

    def failed_batch(self, step: int, batch: RolloutBatch) -> Path:
        """The samples of a batch that could not be learnt from, as JSON lines; the file."""
        path = self.folder / f"failed-batch-{step:06d}.jsonl"
        with replacing(path) as file:
            for sample in batch.samples:
                file.write(json.dumps(asdict(sample)) + "\n")
        return path

    def close(self) -> None:
        """Close all files. What could not be written has been said."""
        for file in (self._evaluations, self._metrics, self._episodes, self._board):
            with suppress(OSError):
                file.close()

    @staticmethod
    def _write(file: TextIO, record: Mapping[str, Any]) -> None:
        with _naming(Path(file.name)):
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
            file.flush()


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A new text for a file, which has its old one until all of the new one is on the disk.

    Raises LogError if it cannot be written.
    """
    fresh = _part(path)
    try:
        with _naming(path), fresh.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    os.replace(fresh, path)


def _keep_lines(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Drop all other records, and a line that was cut off, in one move."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines, replacing(path) as file:
        file.writelines(line for line in lines if line.endswith("\n") and wanted(record_of(line, path)))


def _part(path: Path) -> Path:
    return path.with_suffix(".part")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LogError(
            f"{path} cannot be written: {error.strerror or error}; free some space, then go on with --resume"
        ) from error
