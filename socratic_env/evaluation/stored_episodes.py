"""The stored episodes of a training run or an evaluation with the questions they are on, so that they can be
judged anew or exported without sampling again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium

from socratic_env.engine.arguments import EnvArguments
from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.evaluation.measured import EVALUATION, TRAINING, config_of, played
from socratic_env.plugins import spec_of
from socratic_env.questions import QuestionSet, load_questions
from socratic_env.questions.exclusion import ids_with
from socratic_env.records.run_folder import EPISODES, check_run, read_lines
from socratic_env.types import Question
from socratic_env.viewpoints import viewpoints_of


@dataclass(frozen=True)
class StoredEpisodes:
    """One folder.

    records: its episodes as they stand in the file, with what faults have left of an evaluation's.
    arguments: of the environment that they were played in.
    """

    folder: Path
    kind: str
    config: Mapping[str, Any]
    records: list[dict[str, Any]]
    arguments: EnvArguments

    @cached_property
    def questions(self) -> QuestionSet:
        """The questions, ground truth included. Raises as `load_questions`."""
        given = self.arguments
        return load_questions(given.questions, given.domain, given.split, given.exclude)

    def found(self) -> tuple[dict[str, Question], list[str], list[str]]:
        """(the questions by their ids, ids of those that are gone, ids of those that ask something else)."""
        there: dict[str, Question] = {}
        gone, other = [], []
        for record in {one["question_id"]: one for one in self.records}.values():
            try:
                question = self.questions.find(record["question_id"])
            except QuestionError:
                gone.append(record["question_id"])
                continue
            there[question.id] = question
            if question.text != record["question"]:
                other.append(question.id)
        return there, gone, other


def read_episodes(folder: Path, questions: str | None = None) -> StoredEpisodes:
    """The episodes of a folder. questions: where to take these from in place of where they came from, as of
    `load_questions`, JSON too.

    Raises ConfigurationError for what is no such folder, and for one without episodes.
    """
    check_run(folder)
    config = config_of(folder)
    kind = _kind(config)
    arguments = _arguments(folder, config, questions)
    path = folder / EPISODES
    try:
        records = played(folder) if kind == EVALUATION else read_lines(path) if path.is_file() else []
        for record in records:
            record["question_id"], record["question"], record["attempts"], record["stop"]
    except (KeyError, TypeError) as error:
        raise _foreign(folder, error) from None
    if not records:
        raise ConfigurationError(f"{folder} has no episodes yet: nothing was played to its end")
    return StoredEpisodes(folder, kind, config, records, arguments)


def questions_of(folder: Path) -> QuestionSet:
    """The questions that a folder's episodes are on. Raises as `read_episodes` and `load_questions`."""
    given = _arguments(folder, config_of(folder), None)
    return load_questions(given.questions, given.domain, given.split, given.exclude)


def _kind(config: Mapping[str, Any]) -> str:
    return EVALUATION if config.get("kind") == EVALUATION else TRAINING


def _arguments(folder: Path, config: Mapping[str, Any], questions: str | None) -> EnvArguments:
    try:
        given = _of_evaluation(config) if _kind(config) == EVALUATION else _of_training(config)
        if questions is not None:
            given["questions"] = spec_of(questions, "--questions")
        return EnvArguments(**given)
    except (KeyError, TypeError, AttributeError) as error:
        raise _foreign(folder, error) from None


def _foreign(folder: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{folder} holds records that no run of this version wrote ({type(error).__name__}: {error})"
    )


def _of_evaluation(config: Mapping[str, Any]) -> dict[str, Any]:
    exclude, kinds = config["exclude"], config["kinds"]
    return {
        "questions": spec_of(config["questions"], "questions"),
        "domain": config["domain"],
        "split": config["split"],
        "exclude": ids_with(exclude, kinds) if exclude is not None and kinds else exclude,
        "max_attempts": config["max_attempts"],
        "viewpoints": viewpoints_of(config["viewpoints"], "viewpoints"),
    }


def _of_training(config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        own = gymnasium.spec(config["env"]).kwargs
    except gymnasium.error.Error as error:
        raise ConfigurationError(f"env {config['env']!r} cannot be had here: {error}") from None
    names = {each.name for each in fields(EnvArguments)} - {"teacher", "protocol"}
    chosen = {name: value for name, value in own.items() if name in names}
    for name in ("questions", "domain", "verifier", "reward"):
        if config[name] is not None:
            chosen[name] = spec_of(config[name], name) if name == "questions" else config[name]
    alone = config["algorithm"] != "socratic"
    return chosen | {
        "max_attempts": 1 if alone else config["max_attempts"],
        "viewpoints": viewpoints_of(config["viewpoints"], "viewpoints"),
    }
