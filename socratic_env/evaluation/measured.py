"""What a finished or running folder has measured: by question, by attempts allowed, and over its steps.

Reads the folders of `agents.train` and of `socratic eval`; writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.folder import FAULTS
from socratic_env.evaluation.intervals import Floats
from socratic_env.evaluation.statistics import Evaluation, Standing
from socratic_env.records.episodes import attempts_of
from socratic_env.records.run_folder import CONFIG, EPISODES, EVALUATIONS, check_run, read_lines
from socratic_env.types import StopReason

TRAINING, EVALUATION = "training", "evaluation"
_DECIDES = {
    TRAINING: ("env", "questions", "domain", "eval_questions", "eval_seed"),
    EVALUATION: ("questions_digest",),
}
"""The settings that decide which questions a folder was measured on."""
_OF_A_FOLDER = ("run_dir", "kind")


@dataclass(frozen=True)
class Measured:
    """One folder.

    accuracy: attempts allowed -> (least, most) share of samples solved, by question: open episodes as
        unsolved, and as solved.
    keys: the questions in that order; ids in an evaluation, numbers in a training run.
    step: of a training run's evaluation; None in an evaluation.
    curves: attempts allowed -> [{"step", "value", "interval", ..}], an `intervals.estimate` of each step.
    episodes: question id -> its records (a training run keeps none of its held-out questions).
    """

    path: Path
    kind: str
    settings: Mapping[str, Any]
    keys: Sequence[str]
    accuracy: Mapping[int, tuple[Floats, Floats]]
    open: int
    step: int | None = None
    curves: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)
    episodes: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """The seed of a training run. An evaluation's own decides its questions, not its student: None."""
        return self.settings.get("seed") if self.kind == TRAINING else None

    @property
    def known(self) -> list[str]:
        """The questions of which anything is known."""
        return [key for key in self.keys if self.kind == TRAINING or key in self.episodes]

    def along(self, keys: Sequence[str]) -> Measured:
        """The same with its questions in this order; those it does not know are open."""
        place = {key: i for i, key in enumerate(self.keys)}

        def end(values: Floats, missing: float) -> Floats:
            return np.array([values[place[key]] if key in place else missing for key in keys])

        accuracy = {k: (end(least, 0.0), end(most, 1.0)) for k, (least, most) in self.accuracy.items()}
        return replace(self, keys=list(keys), accuracy=accuracy)

    @property
    def questions(self) -> dict[str, Any]:
        """The settings that decide which questions these are."""
        return {name: self.settings.get(name) for name in _DECIDES[self.kind]}


def read_measured(folder: Path, step: int | None = None) -> Measured:
    """What a folder has measured. step: of a training run, the evaluation at it (None: the last one).

    Raises ConfigurationError for what is no such folder, or has measured nothing yet.
    """
    check_run(folder)
    config = config_of(folder)
    try:
        if config.get("kind") == EVALUATION:
            if step is not None:
                raise ConfigurationError(
                    f"--step {step}: {folder} is an evaluation, which has no steps; leave it out"
                )
            return _evaluation(folder, config)
        return _training(folder, config, step)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ConfigurationError(
            f"{folder} holds records that no run of this version wrote ({type(error).__name__}: {error}); "
            "measure it again"
        ) from None


def config_of(folder: Path) -> dict[str, Any]:
    """The settings of a folder. Raises ConfigurationError if it holds none."""
    try:
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ConfigurationError(f"{folder / CONFIG} holds no settings; put the file back that the run wrote")
    return config


def played(folder: Path) -> list[dict[str, Any]]:
    """The records of an evaluation by question and sample: of each episode its end, or what a fault has left
    of it."""
    stands: dict[tuple[str, int], dict[str, Any]] = {}
    for name in (FAULTS, EPISODES):  # what was played to its end stands over a fault
        path = folder / name
        for record in read_lines(path) if path.is_file() else ():
            stands[record["question_id"], int(record["sample"])] = record
    return [record for _, record in sorted(stands.items())]


def settings_of(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names, such as {"loss.kl": 0.0}; the folder's own place is none."""
    found: dict[str, Any] = {}
    for name, setting in config.items():
        if isinstance(setting, dict) and setting:
            found |= settings_of(setting, f"{prefix}{name}.")
        elif prefix or name not in _OF_A_FOLDER:
            found[f"{prefix}{name}"] = setting
    return found


def _training(folder: Path, config: dict[str, Any], step: int | None) -> Measured:
    path = folder / EVALUATIONS
    records = [r for r in read_lines(path) if r["way"] == "sampled"] if path.is_file() else []
    by_step = {record["step"]: record for record in records}
    if not by_step:
        raise ConfigurationError(f"{folder} has no evaluation yet; wait for the run's first one")
    last = max(by_step) if step is None else step
    if last not in by_step:
        raise ConfigurationError(
            f"--step {last}: {folder} has no evaluation at it; its steps are {', '.join(map(str, by_step))}"
        )
    accuracy = {attempts: _both(by_step[last], attempts) for attempts in map(int, by_step[last]["accuracy"])}
    curves = {
        attempts: [
            {"step": at, **by_step[at]["all"]["guided"][str(attempts)]}
            for at in sorted(by_step)
            if at <= last
        ]
        for attempts in accuracy
    }
    keys = [str(number) for number in range(1, len(accuracy[1][0]) + 1)]
    left = int(by_step[last]["open"]["episodes"])
    return Measured(folder, TRAINING, settings_of(config), keys, accuracy, left, last, curves)


def _both(record: Mapping[str, Any], attempts: int) -> tuple[Floats, Floats]:
    least, most = (
        np.array(record[name][str(attempts)], dtype=float) for name in ("accuracy", "accuracy_upper")
    )
    return least, most


def _evaluation(folder: Path, config: dict[str, Any]) -> Measured:
    samples, most = int(config["samples"]), int(config["max_attempts"])
    stands = {(record["question_id"], int(record["sample"])): record for record in played(folder)}
    if not stands:
        raise ConfigurationError(f"{folder} has no episodes yet; let the evaluation begin")
    ids = sorted({question for question, _ in stands})
    # Of questions that were never begun not even the id is known here; they are as open as can be.
    keys = [*ids, *(f"not played {i + 1}" for i in range(int(config["questions_asked"]) - len(ids)))]
    standings = [
        _standing(stands[key, sample]) if (key, sample) in stands else Standing()
        for key in keys
        for sample in range(samples)
    ]
    result = Evaluation.of(standings, samples, most)
    accuracy = {k: result.per_question(k) for k in range(1, most + 1)}
    episodes: dict[str, list[dict[str, Any]]] = {}
    for (question, _), record in stands.items():
        episodes.setdefault(question, []).append(record)
    return Measured(folder, EVALUATION, settings_of(config), keys, accuracy, result.open, episodes=episodes)


def _standing(record: Mapping[str, Any]) -> Standing:
    stop = None if record["stop"] is None else StopReason(record["stop"])
    return Standing.of(attempts_of(record), stop)


def mean_curve(curves: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The curves of several seeds as one: at each step that all have, the mean, and as its band the least
    low end and the greatest high end of the seeds' intervals."""
    by_step = [{point["step"]: point for point in curve} for curve in curves]
    common = sorted(set.intersection(*(set(points) for points in by_step))) if by_step else []
    found = []
    for step in common:
        points = [points[step] for points in by_step]
        if any(point["value"] is None or point["interval"] is None for point in points):
            continue
        lows, highs = zip(*(point["interval"] for point in points), strict=True)
        found.append(
            {
                "step": step,
                "value": sum(point["value"] for point in points) / len(points),
                "interval": [min(lows), max(highs)],
            }
        )
    return found
