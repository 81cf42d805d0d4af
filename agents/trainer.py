"""SocraticPO, as the paper's Algorithm 1 has it.

Departures from the printed algorithm, and where they occur:
- rewards decay over the whole batch of episodes, per optimizer batch, not per question (as in the
  paper's Figure 2; `socratic_env.rewards`);
- advantages are whitened over attempts, each counting once, and no return flows from a later
  attempt to an earlier one unless `credit` says so (`agents.advantages`);
- a token's loss carries a truncated importance weight between sampler and learner (Table 5);
- with `staleness` 1 the next batch is played during an update, with the weights before it: every batch but
  the first is then one update behind, never more, and the importance weight makes up for it.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agents.advantages import Attempts, episode_returns, estimator_of
from agents.batches.curriculum import Curriculum, batch_of_questions
from agents.batches.step_batch import first_attempts, of_mixed_groups, play_step, with_length_penalty
from agents.config import TrainConfig
from agents.learning.learner import Learner, NonFiniteError
from agents.learning.samples import RolloutBatch, Sample, Sampling
from agents.learning.sdpo import demonstrations, teacher_messages
from agents.metrics import advantage_metrics, batch_metrics, teacher_metrics, time_metrics
from agents.policies.policy import Policy, rest
from agents.rollout import check_teacher
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.errors import StudentError
from socratic_env.models.chat import Chat
from socratic_env.types import Episode

Details = Mapping[tuple[int, int], Mapping[str, Any]]
"""(row, attempt) -> {"advantage", "tokens"} of that attempt, as far as they are known and kept."""


class Log(Protocol):
    """Where a run is written down, such as `agents.runs.log.RunLog`."""

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """The metrics of a step."""
        ...

    def episodes(self, step: int, episodes: Iterable[Episode], details: Details | None = None) -> None:
        """The episodes of a batch; details: what the learner knows of their attempts."""
        ...

    def failed_batch(self, step: int, batch: RolloutBatch) -> Path:
        """A batch that could not be learnt from; where it is kept."""
        ...


def train(
    config: TrainConfig,
    env: SocraticVectorEnv,
    policy: Policy,
    chat: Chat,
    learner: Learner,
    log: Log,
    start_step: int = 0,
    past: Iterable[Iterable[tuple[str, bool]]] = (),
) -> Generator[dict[str, float]]:
    """Train from a step on; yields the metrics of each step. Raises TeacherDown before a step whose batch had
    too little teaching.

    past: `first_attempts` of the earlier steps, for a curriculum.
    """
    sampling = Sampling(config.temperature, max_tokens=config.max_response_tokens)
    curriculum = None
    if config.curriculum:
        curriculum = Curriculum.of(env.questions, config.questions_per_step)
        for outcomes in past:
            curriculum.saw(outcomes)

    def play(step: int, version: int) -> Played:
        start, usage = time.perf_counter(), env.usage["teacher"]
        if curriculum is None:
            ids = batch_of_questions(env.questions, step, config.questions_per_step, config.seed)
        else:
            ids = curriculum.draw(config.questions_per_step, [config.seed, step])
        batch = play_step(config, env, policy, chat, sampling, step, ids, version)
        check_teacher(batch, config.max_teacher_faults)
        if curriculum is not None:
            curriculum.saw(first_attempts(batch.episodes))
        cost = teacher_metrics(usage, env.usage["teacher"])
        return Played(batch, batch_metrics(batch) | cost, time.perf_counter() - start)

    updates = 0  # the version of the weights
    ahead: Future[Played] | None = None
    with ThreadPoolExecutor(1, "rollout") as beside:
        for step in range(start_step, config.steps):
            start = time.perf_counter()
            played, ahead = ahead.result() if ahead is not None else play(step, updates), None
            ready = time.perf_counter()
            if config.staleness and step + 1 < config.steps:  # with the weights before this update
                ahead = beside.submit(play, step + 1, updates)
            gone = ahead is None and rest(policy)
            stale = max((updates - sample.version for sample in played.batch.samples), default=0)
            metrics = played.metrics | {"staleness": float(stale)}
            try:
                learnt = learn(played.batch, learner, chat, config)
            except NonFiniteError as error:
                place = log.failed_batch(step + 1, played.batch)
                raise NonFiniteError(f"step {step + 1}: {error}; its batch is saved in {place}") from None
            metrics |= learnt or {"skipped": 1.0}  # 1: rewards do not differ, so there is no direction
            updated = time.perf_counter()
            if ahead is not None:
                wait([ahead])
            idle = time.perf_counter()
            lost: StudentError | None = None
            updates += bool(learnt)
            if learnt or gone:
                try:
                    policy.load_weights(learner.sampler_weights())
                except StudentError as error:
                    lost = error  # the step is made: it is written down before the run stops

            end = time.perf_counter()
            metrics |= time_metrics(metrics, played.seconds, updated - ready, end - idle, end - start)
            log.metrics("train", step + 1, metrics)
            log.episodes(step + 1, played.batch.episodes, details_of(played.batch, chat, config))
            yield metrics
            if lost is not None:
                raise lost


@dataclass(frozen=True)
class Played:
    """A batch, what it shows, and the seconds that it took."""

    batch: RolloutBatch
    metrics: dict[str, float]
    seconds: float


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
    samples, advantages_B = credited(batch, config)
    if not advantages_B.any():
        return {}
    found = learner.update(samples, advantages_B)
    dropped = {"groups_dropped": float(len(groups_of(batch.samples)) - len(groups_of(samples)))}
    return found and found | advantage_metrics(samples, advantages_B) | dropped


def credited(batch: RolloutBatch, config: TrainConfig) -> tuple[list[Sample], np.ndarray]:
    """The attempts that are learnt from, and the advantage of each."""
    samples = list(batch.samples)
    if config.drop_uniform_groups:
        samples = of_mixed_groups(samples, config.questions_per_step)
    samples = with_length_penalty(samples, config)
    return samples, advantages_of(samples, config)


def details_of(batch: RolloutBatch, chat: Chat, config: TrainConfig) -> dict[tuple[int, int], dict[str, Any]]:
    """What the log keeps of each attempt beside its episode: its advantage, where the algorithm has one, and
    by `keep_tokens` its tokens, each as [text, log-probability]."""
    found: dict[tuple[int, int], dict[str, Any]] = {(s.row, s.attempt): {} for s in batch.samples}
    if config.algorithm != "sdpo":
        for sample, advantage in zip(*credited(batch, config), strict=True):
            found[sample.row, sample.attempt]["advantage"] = float(advantage)
    for sample in batch.samples if config.keep_tokens else ():
        pieces = [chat.text([number]) for number in sample.response]
        tokens = [[piece, round(logp, 3)] for piece, logp in zip(pieces, sample.logps, strict=True)]
        found[sample.row, sample.attempt]["tokens"] = tokens
    return found


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
