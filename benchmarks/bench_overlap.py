"""Time of a step against the sum and the longest of its parts, with batches played during the update before.

    PYTHONPATH=. python benchmarks/bench_overlap.py [--rollout 0.4] [--update 0.4] [--sync 0.05] [--steps 8]

The trainer and the environment are real; the sampler, the learner and the weights wait for so many seconds. A
step cannot be shorter than the longer of rollout and update, and the weights, for which both stand still.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from agents.config import TrainConfig
from agents.learning.samples import Completion, Sample, Sampling
from agents.runs.assembly import new_student
from agents.trainer import train
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions


class SlowPolicy:
    """Says one random token after so many seconds for a whole batch."""

    max_model_len = 4096

    def __init__(self, seconds: float, sync: float, end: int) -> None:
        self.seconds, self.sync, self.end = seconds, sync, end

    def generate(self, prompts: Sequence[list[int]], sampling: Sampling, seed: int) -> list[Completion]:
        time.sleep(self.seconds)
        return [Completion([self.end], [0.0], True) for _ in prompts]

    def load_weights(self, weights: Any) -> None:
        time.sleep(self.sync)

    def close(self) -> None: ...


class SlowLearner:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def update(self, samples: Sequence[Sample], advantages_B: np.ndarray) -> dict[str, float]:
        time.sleep(self.seconds)
        return {"trained_tokens": 1.0}

    def sampler_weights(self) -> list[tuple[str, Any]]:
        return []


class NoLog:
    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None: ...

    def episodes(self, step: int, episodes: Any, details: Any = None) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollout", type=float, default=0.4)
    parser.add_argument("--update", type=float, default=0.4)
    parser.add_argument("--sync", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    for staleness in (0, 1):
        config = TrainConfig(
            questions_per_step=4, rollouts_per_question=4, questions_per_minibatch=4, max_attempts=1,
            steps=options.steps + 2, staleness=staleness, estimator="benchmarks.bench_overlap:ones",
        )  # fmt: skip
        env = gym.make_vec("SocraticConcepts-v0", num_envs=16, rollouts_per_question=4, max_attempts=1)
        _, tokenizer = new_student(config, load_questions("concepts"))
        policy = SlowPolicy(options.rollout, options.sync, tokenizer.eos_token_id)
        learner: Any = SlowLearner(options.update)
        log: Any = NoLog()
        steps = list(train(config, env, policy, Chat(tokenizer), learner, log))
        steps = steps[1:-1]  # the first and the last have nothing beside them
        env.close()
        parts = [np.mean([m[f"seconds_{part}"] for m in steps]) for part in ("rollout", "learn", "sync")]
        whole = np.mean([m["seconds"] for m in steps])
        longest = max(parts[:2]) + parts[2]
        print(
            f"staleness {staleness}: {whole:.3f} s a step; sum of parts {sum(parts):.3f} s (ratio "
            f"{whole / sum(parts):.2f}), longer of rollout and update, and weights {longest:.3f} s (ratio "
            f"{whole / longest:.2f})"
        )


def ones(batch: Any) -> np.ndarray:
    """An advantage for every attempt, so that every step makes an update."""
    return np.ones(len(batch.rewards_N))


if __name__ == "__main__":
    main()
