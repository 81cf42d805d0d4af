"""SocraticPO, as the paper's Algorithm 1 has it.

Departures from the printed algorithm, and where they occur:
- rewards decay over the whole batch of episodes, per optimizer batch, not per question (as in the
  paper's Figure 2; `socratic_env.rewards`);
- advantages are whitened over attempts, each counting once, and no return flows from a later
  attempt to an earlier one unless `credit` says so (`agents.advantages`);
- a token's loss carries a truncated importance weight between sampler and learner (Table 5).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from agents.advantages import Attempts, episode_returns, estimator_of
from agents.config import TrainConfig
from agents.learning.learner import Learner, NonFiniteError
from agents.learning.samples import RolloutBatch, Sample, Sampling
from agents.learning.sdpo import demonstrations, teacher_messages
from agents.metrics import advantage_metrics, batch_metrics, teacher_metrics, time_metrics
from agents.policies.policy import Policy, rest
from agents.rollout import check_teacher, mixed_seed, rollout
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.models.chat import Chat
from socratic_env.questions import QuestionSet
from socratic_env.types import Episode


class Log(Protocol):
    """Where a run is written down, such as `agents.runs.log.RunLog`."""

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """The metrics of a step."""
        ...

    def episodes(self, step: int, episodes: Iterable[Episode]) -> None:
        """The episodes of a batch."""
        ...

    def failed_batch(self, step: int, batch: RolloutBatch) -> Path:
        """A batch that could not be learnt from; where it is kept."""
        ...


_LARGE = 100_000
"""Question sets beyond this size are drawn from instead of gone through."""


def batch_of_questions(questions: QuestionSet, step: int, count: int, seed: int) -> list[str]:
    """Ids of the questions of a step: the set is gone through in a new order each epoch, so that
    the position in the data is a function of the step."""
    size = len(questions)
    if size > _LARGE:
        indices = np.random.default_rng([seed, step]).integers(size, size=count).tolist()
    else:
        places = range(step * count, (step + 1) * count)
        orders = {p // size: np.random.default_rng([seed, p // size]).permutation(size) for p in places}
        indices = [int(orders[p // size][p % size]) for p in places]
    return [questions[i].id for i in indices]


def train(
    config: TrainConfig,
    env: SocraticVectorEnv,
    policy: Policy,
    chat: Chat,
    learner: Learner,
    log: Log,
    start_step: int = 0,
) -> Generator[dict[str, float]]:
    """Train from a step on; yields the metrics of each step. Raises TeacherDown before a step whose batch had
    too little teaching."""
    sampling = Sampling(config.temperature, max_tokens=config.max_response_tokens)
    for step in range(start_step, config.steps):
        start = time.perf_counter()
        usage = env.usage["teacher"]
        ids = batch_of_questions(env.questions, step, config.questions_per_step, config.seed)
        batch = rollout(env, policy, chat, sampling, mixed_seed(config.seed, step), ids)
        sampled = time.perf_counter()
        check_teacher(batch, config.max_teacher_faults)

        stale = rest(policy)
        metrics = batch_metrics(batch) | teacher_metrics(usage, env.usage["teacher"])
        try:
            learnt = learn(batch, learner, chat, config)
        except NonFiniteError as error:
            place = log.failed_batch(step + 1, batch)
            raise NonFiniteError(f"step {step + 1}: {error}; its batch is saved in {place}") from None
        metrics |= learnt or {"skipped": 1.0}  # 1: rewards do not differ, so there is no direction
        updated = time.perf_counter()
        if learnt or stale:
            policy.load_weights(learner.sampler_weights().items())

        synced = time.perf_counter()
        metrics |= time_metrics(metrics, sampled - start, updated - sampled, synced - updated)
        log.metrics("train", step + 1, metrics)
        log.episodes(step + 1, batch.episodes)
        yield metrics


def learn(batch: RolloutBatch, learner: Learner, chat: Chat, config: TrainConfig) -> dict[str, float]:
    """The update of a batch; its metrics, empty if there was nothing to learn from."""
    if config.algorithm == "sdpo":
        texts = [chat.text(sample.response) for sample in batch.samples]
        shown = demonstrations(batch.samples, texts)
        prompts = [
            None
            if solution is None
            else chat.prompt(teacher_messages(batch.episodes[s.row].question, solution))
            for s, solution in zip(batch.samples, shown, strict=True)
        ]
        return learner.distil(batch.samples, prompts) if any(prompts) else {}
    samples = list(batch.samples)
    if config.drop_uniform_groups:
        samples = without_uniform_groups(samples)
    advantages_B = advantages_of(samples, config)
    if not advantages_B.any():
        return {}
    found = learner.update(samples, advantages_B)
    dropped = {"uniform_groups_dropped": float(len(groups_of(batch.samples)) - len(groups_of(samples)))}
    return found and found | advantage_metrics(samples, advantages_B) | dropped


def without_uniform_groups(samples: Sequence[Sample]) -> list[Sample]:
    """The attempts on questions whose attempts did not all earn the same."""
    rewards: dict[int, set[float]] = {}
    for sample in samples:
        rewards.setdefault(sample.group, set()).add(sample.reward)
    return [sample for sample in samples if len(rewards[sample.group]) > 1]


def groups_of(samples: Sequence[Sample]) -> set[int]:
    """The questions that attempts are on."""
    return {sample.group for sample in samples}


def advantages_of(samples: Sequence[Sample], config: TrainConfig) -> np.ndarray:
    """One advantage for each attempt, by the run's credit assignment and estimator."""
    if not samples:
        return np.zeros(0)
    rewards = np.array([sample.reward for sample in samples])
    episodes = np.array([sample.row for sample in samples])
    credited = episode_returns(rewards, episodes) if config.credit == "trajectory" else rewards
    return estimator_of(config.estimator_name)(
        Attempts(
            rewards_N=rewards,
            values_N=credited,
            question_N=np.array([sample.group for sample in samples]),
            episode_N=episodes,
            attempt_N=np.array([sample.attempt for sample in samples]),
            tokens_N=np.array([len(sample.response) for sample in samples]),
        )
    )
