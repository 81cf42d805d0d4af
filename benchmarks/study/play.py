"""One arm on one seed: the package's environment, teacher, sampler and trainer, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
import transformers
from rich.progress import Progress

from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.learning.samples import RolloutBatch, Sampling
from agents.policies.transformers_policy import TransformersPolicy
from agents.rollout import rollout
from agents.runs.assembly import load_student, new_student, warm_student
from agents.runs.preflight import make_env, shared_teacher
from agents.trainer import train
from benchmarks.study.arms import Arm
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.types import Episode

CURVE_EVERY = 10
CURVE_QUESTIONS = 512
EVALUATION_SEED = 777
"""Of the held-out questions' samples: the same for every arm and seed."""
AVG_QUESTIONS, AVG_SAMPLES = 128, 16


@dataclass
class Counting:
    """What the trainer writes down: only the teacher's words are kept (one word is one token here)."""

    teacher_tokens: int = 0

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def failed_batch(self, step: int, batch: RolloutBatch) -> Path:
        """A study keeps none."""
        return Path(f"none of the {len(batch.samples)} attempts of step {step} kept")

    def episodes(self, step: int, episodes: Iterable[Episode], details: object = None) -> None:
        """Count the words of all guidance."""
        for episode in episodes:
            for attempt in episode.attempts:
                if attempt.guidance is not None:
                    self.teacher_tokens += len(attempt.guidance.text.split())


def quiet() -> None:
    """One thread, since processes share the cores, and no progress bars of a library."""
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()


def make_student(config: TrainConfig, folder: Path) -> None:
    """The warm-started student of a seed's world, in a folder."""
    quiet()
    questions = load_questions(config.questions_spec() or "chains")
    model, tokenizer = new_student(config, questions)
    warm_student(config, model, tokenizer, questions, folder, Progress(disable=True))


@dataclass(frozen=True)
class Bench:
    """What one run is measured on."""

    config: TrainConfig
    policy: TransformersPolicy
    chat: Chat
    make: Callable[[int, int, int], SocraticVectorEnv]
    """(questions, samples of each, attempts) -> their environment."""

    def accuracy(self) -> float:
        """Unassisted accuracy at T = 1 on the curve's questions."""
        batch = self._play(self.make(CURVE_QUESTIONS, 1, 1), Sampling(1.0, max_tokens=self._longest))
        return _first(batch)

    def whole(self) -> dict[str, Any]:
        """Everything that is reported, on all held-out questions."""
        attempts = self.config.env_kwargs()["max_attempts"]
        size = len(load_questions(self.config.questions_spec() or "chains", split="test"))
        sampled = self._play(self.make(size, 1, attempts), Sampling(1.0, max_tokens=self._longest))
        greedy = self._play(self.make(size, 1, 1), Sampling(0.0, max_tokens=self._longest))
        averaged = self._play(self.make(AVG_QUESTIONS, AVG_SAMPLES, 1), Sampling(0.6, 0.95, self._longest))
        solved, second = sum(sampled.solved), sampled.made[1] if attempts > 1 else 0
        levels: dict[str, list[bool]] = {}
        for sample in sampled.samples:
            if sample.attempt == 1:
                levels.setdefault(sampled.episodes[sample.row].question.level, []).append(sample.correct)
        return {
            "unassisted": _first(sampled),
            "greedy": _first(greedy),
            "unassisted_t0.6": _first(averaged),
            "guided": solved / len(sampled.episodes) if attempts > 1 else None,
            "correction_rate": sampled.solved[1] / second if second else None,
            "levels": {level: float(np.mean(right)) for level, right in sorted(levels.items())},
        }

    @property
    def _longest(self) -> int:
        return self.config.max_response_tokens

    def _play(self, env: SocraticVectorEnv, sampling: Sampling) -> RolloutBatch:
        groups = env.num_envs // env.rollouts_per_question
        places = np.linspace(0, len(env.questions) - 1, groups).round().astype(int).tolist()
        ids = [env.questions[place].id for place in places]
        batch = rollout(env, self.policy, self.chat, sampling, EVALUATION_SEED, ids)
        env.close()
        return batch


def _first(batch: RolloutBatch) -> float:
    return float(np.mean([sample.correct for sample in batch.samples if sample.attempt == 1]))


def play(arm: Arm, seed: int, student: Path, version: str) -> list[dict[str, Any]]:
    """Train one arm on one seed; a record for each place at which it is measured."""
    quiet()
    config = arm.config(seed)
    records: list[dict[str, Any]] = []
    with ExitStack() as opened:
        teacher = shared_teacher(config, opened)
        model, tokenizer = load_student(student)
        chat, log = Chat(tokenizer), Counting()
        policy = TransformersPolicy(model, chat.ends, chat.pad, config.max_model_len)
        env = make_env(config, teacher, "train", config.questions_per_step, config.rollouts_per_question)
        opened.callback(env.close)

        def make(questions: int, samples: int, attempts: int) -> SocraticVectorEnv:
            arguments = config.env_kwargs() | {"max_attempts": attempts}
            if teacher is not None:
                arguments["teacher"] = teacher
            made: Any = gym.make_vec(
                config.env, questions * samples, rollouts_per_question=samples, split="test", **arguments
            )
            return cast(SocraticVectorEnv, made)

        bench = Bench(config, policy, chat, make)
        curve = [[0, 0, 0, bench.accuracy()]]
        tokens, started = 0, time.perf_counter()
        learner = Learner(model, tokenizer.pad_token_id, config)
        for step, metrics in enumerate(train(config, env, policy, chat, learner, log), 1):
            tokens += int(metrics["response_tokens"])
            if step % CURVE_EVERY and step not in arm.measured:
                continue
            curve.append([step, tokens, log.teacher_tokens, bench.accuracy()])
            if step in arm.measured:
                records.append(
                    {
                        "arm": arm.name,
                        "seed": seed,
                        "steps": step,
                        "student_tokens": tokens,
                        "teacher_tokens": log.teacher_tokens,
                        **bench.whole(),
                        "seconds": round(time.perf_counter() - started, 1),
                        "settings": settings_of(arm),
                        "version": version,
                        "curve": list(curve),
                    }
                )
    return records


def settings_of(arm: Arm) -> dict[str, Any]:
    """The settings of an arm that differ from the defaults of `agents.train`, without those of the seed."""
    own, plain = asdict(arm.config(0)), asdict(TrainConfig())
    return {name: value for name, value in own.items() if value != plain[name] and name != "questions"}
