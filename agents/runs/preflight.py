"""What of a run can be refused before a model is loaded; nothing here imports torch."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.console import Console

from agents.batches.curriculum import Curriculum
from agents.config import TrainConfig
from agents.runs.resume import check_unchanged
from socratic_env.engine.background import run as wait_for
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.errors import ConfigurationError
from socratic_env.plugins import spec_of
from socratic_env.questions import QuestionSet, load_questions, source_spec
from socratic_env.questions.chains import ChainQuestions
from socratic_env.questions.modular import ModularQuestions
from socratic_env.records.run_folder import CONFIG
from socratic_env.teachers import Teacher, from_spec

MADE = ("tiny", "chain", "modular", "smollm2")
"""Students that are warm-started in the run's folder."""
WORLDS = {"chain": ChainQuestions, "modular": ModularQuestions}
"""Those that know the words of one world only, and its questions."""


@dataclass(frozen=True)
class Environments:
    """The environments of a run, with one teacher for all of them."""

    train: SocraticVectorEnv
    make: Callable[..., SocraticVectorEnv]
    """(split, questions, rollouts of each, **further arguments) -> their environment."""


def open_environments(config: TrainConfig, before: TrainConfig | None, opened: ExitStack) -> Environments:
    """The environments of a run that can begin, or go on (`before` is its configuration then).

    Raises ConfigurationError, QuestionError or what Gymnasium raises for what cannot be used.
    """
    if config.run_dir is None:
        raise ConfigurationError("run_dir is None; give a folder")
    sampler(config)
    if before is None:
        check_free(config.run_dir)
    else:
        check_unchanged(before, config)
    if config.student not in MADE and not Path(config.student).is_dir():
        raise ConfigurationError(
            f"student {config.student!r} is neither {' nor '.join(MADE)} nor a local folder"
        )
    check_held_out(config)
    make = partial(make_env, config, shared_teacher(config, opened))
    env = make("train", config.questions_per_step, config.rollouts_per_question)
    opened.callback(env.close)
    if config.curriculum:
        Curriculum.of(env.questions, config.questions_per_step)
    return Environments(env, make)


def shared_teacher(config: TrainConfig, opened: ExitStack) -> Teacher | None:
    """One teacher for training and evaluation, since it may hold a model or a file that it writes to;
    None: each environment's own."""
    spec = config.teacher_spec()
    if spec is None:
        return None
    teacher = from_spec(spec)
    opened.callback(lambda: wait_for(teacher.close()))
    return teacher


def check_held_out(config: TrainConfig) -> None:
    """Raise ConfigurationError or QuestionError if there are no questions to evaluate on."""
    spec = config.questions_spec()
    if spec is None:
        return
    full = source_spec(spec)
    path = Path(full.get("path") or "")
    if full.get("kind") == "file" and path.is_file():
        raise ConfigurationError(
            f"questions {str(path)!r} is one file, and held-out accuracy would be measured on the questions "
            f"of the training; give a folder with train{path.suffix} and test{path.suffix}"
        )
    if full.get("kind") == "hub" and isinstance(full.get("split"), str):
        raise ConfigurationError(
            f"questions split {full['split']!r} would serve both training and held-out accuracy; give two, "
            'as in "split": {"train": "train[:90%]", "test": "train[90%:]"}'
        )
    load_questions(full, config.domain, "test")


def sampler(config: TrainConfig) -> str:
    """The policy that "auto" stands for here, or the one that was asked for: "vllm", "transformers" or
    "server". Raises ConfigurationError if it cannot work here."""
    has_vllm = importlib.util.find_spec("vllm") is not None
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if config.policy == "auto":
        return "vllm" if has_vllm and not several else "transformers"
    if config.policy == "vllm" and not has_vllm:
        raise ConfigurationError(
            "policy 'vllm' needs vLLM: install socratic-env[cpu] or [gpu], or use --policy transformers"
        )
    if config.policy == "vllm" and several:
        raise ConfigurationError(
            "policy 'vllm' runs in one process of its own kind, not beside the others of torchrun; use "
            "--policy server or --policy transformers"
        )
    return config.policy


def warm_questions(config: TrainConfig, questions: QuestionSet, console: Console) -> QuestionSet:
    """Questions with worked solutions to warm-start on."""
    if config.student in WORLDS:
        if not isinstance(questions, WORLDS[config.student]):
            wanted = {"chain": "chains"}.get(config.student, config.student)
            raise ConfigurationError(
                f"student {config.student!r} knows the words of {wanted} only; use --questions {wanted}, or "
                "another student"
            )
        return questions
    if config.warm_questions is not None:
        return load_questions(spec_of(config.warm_questions, "warm_questions"), split="train")
    first = questions[0]
    if first.solution is not None and first.mistakes:
        return questions
    console.print("the questions have no worked solutions: warm start on 'procedural'", highlight=False)
    return load_questions("procedural", config.domain, "train")


def make_env(
    config: TrainConfig, teacher: Teacher | None, split: str, questions: int, samples: int, **more: Any
) -> SocraticVectorEnv:
    """The vector environment of a run, through its id; teacher None: the environment's own; more: further
    arguments of it.

    Raises ConfigurationError for an environment of another kind, and for an id whose questions would be
    replaced.
    """
    spec = gym.spec(config.env)
    if spec.vector_entry_point is None:  # Gymnasium would make a batch of single environments
        raise _no_dialogues(config.env, "it makes single environments only")
    own = spec.kwargs.get("questions")
    if own is not None and config.questions_spec() not in (None, own):
        raise ConfigurationError(
            f"env {config.env!r} asks {own!r}, and questions is {config.questions!r}; use --questions None "
            f"for the environment's own, or --env {TrainConfig.env}"
        )
    chosen: dict[str, Any] = more if teacher is None else {**more, "teacher": teacher}
    try:
        made: Any = gym.make_vec(
            config.env,
            num_envs=questions * samples,
            rollouts_per_question=samples,
            split=split,
            **config.env_kwargs(),
            **chosen,
        )
    except TypeError as error:
        raise _no_dialogues(config.env, error) from error
    vector: SocraticVectorEnv = made
    return vector


def _no_dialogues(env: str, why: object) -> ConfigurationError:
    return ConfigurationError(
        f"env {env!r} is no vector environment of dialogues ({why}); use an id such as {TrainConfig.env}"
    )


def check_free(folder: Path) -> None:
    """Raise ConfigurationError if a new run cannot have this folder, since it is used already."""
    unfinished = (folder / CONFIG).with_suffix(".part")  # of a run that was killed while it began
    if folder.is_dir() and any(path != unfinished for path in folder.iterdir()):
        raise ConfigurationError(f"run_dir {folder} is not empty; give a new folder or --resume {folder}")


def claim(folder: Path) -> None:
    """Make the folder of a new run. Raises ConfigurationError if it cannot be, or is used already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"run_dir {folder} cannot be made: {error.strerror}; give another folder"
        ) from error
    check_free(folder)
