"""The batch of a step: played, played on where it teaches too little, and what of it is learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from agents.batches.curriculum import other_questions
from agents.config import TrainConfig
from agents.learning.samples import RolloutBatch, Sample, Sampling
from agents.policies.policy import Policy
from agents.rollout import mixed_seed, rollout
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.models.chat import Chat
from socratic_env.rewards import Schedule, decayed_means
from socratic_env.types import Episode


def first_attempts(episodes: Iterable[Episode]) -> list[tuple[str, bool]]:
    """(question, whether the first attempt was right) of every episode that made one."""
    return [(e.question.id, e.attempts[0].verdict.correct) for e in episodes if e.attempts]


def play_step(
    config: TrainConfig,
    env: SocraticVectorEnv,
    policy: Policy,
    chat: Chat,
    sampling: Sampling,
    step: int,
    ids: Sequence[str],
    version: int = 0,
) -> RolloutBatch:
    """The batch of a step, sampled from weights of that version.

    The episodes on its questions and, while too few of them can be learnt from, on others in as many further
    batches as `resample_batches` allows. Rewards are those of all of them as one batch (DAPO's dynamic
    sampling, with the paper's decay).
    """
    batch = rollout(env, policy, chat, sampling, mixed_seed(config.seed, step), ids, version)
    asked = set(ids)
    for more in range(1, config.resample_batches + 1):
        if len(mixed_groups(batch.samples)) >= config.questions_per_step:
            break
        others = other_questions(env.questions, asked, len(ids), [config.seed, step, more])
        if not others:
            break
        asked |= set(others)
        seed = mixed_seed(config.seed, step, more)
        batch = joined(
            batch, rollout(env, policy, chat, sampling, seed, others, version), env.interaction.schedule
        )
    return batch


def joined(one: RolloutBatch, two: RolloutBatch, pays: Schedule) -> RolloutBatch:
    """Two batches as one, each attempt paid by the counts of both."""
    made, solved = (
        [a + b for a, b in zip(*pair, strict=True)]
        for pair in ((one.made, two.made), (one.solved, two.solved))
    )
    mu = decayed_means(made, solved)

    def paid(episode: Episode) -> Episode:
        rewards = (
            pays(k, mu[k - 1]) if a.verdict.correct else 0.0 for k, a in enumerate(episode.attempts, start=1)
        )
        return replace(episode, rewards=tuple(rewards))

    episodes = [paid(episode) for episode in (*one.episodes, *two.episodes)]
    rows, groups = len(one.episodes), 1 + max((sample.group for sample in one.samples), default=-1)
    moved = [replace(s, row=s.row + rows, group=s.group + groups) for s in two.samples]
    samples = [replace(s, reward=episodes[s.row].rewards[s.attempt - 1]) for s in (*one.samples, *moved)]
    return RolloutBatch(samples, episodes, made, solved, mu)


def mixed_groups(samples: Sequence[Sample]) -> list[int]:
    """The questions whose attempts did not all earn the same, in order."""
    rewards: dict[int, set[float]] = {}
    for sample in samples:
        rewards.setdefault(sample.group, set()).add(sample.reward)
    return sorted(group for group, found in rewards.items() if len(found) > 1)


def of_mixed_groups(samples: Sequence[Sample], most: int) -> list[Sample]:
    """The attempts on the first of these questions."""
    chosen = set(mixed_groups(samples)[:most])
    return [sample for sample in samples if sample.group in chosen]


def with_length_penalty(samples: Sequence[Sample], config: TrainConfig) -> list[Sample]:
    """The attempts, each paid less for what it has in the last `overlong_buffer` tokens before the longest
    response: from nothing to `overlong_penalty`, in a straight line (DAPO's soft overlong punishment)."""
    buffer = config.overlong_buffer
    if not buffer:
        return list(samples)
    begins = config.max_response_tokens - buffer
    per_token = config.overlong_penalty / buffer
    return [replace(s, reward=s.reward - per_token * max(0, len(s.response) - begins)) for s in samples]
