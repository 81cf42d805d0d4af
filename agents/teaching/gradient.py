"""A teacher that learns by policy gradient: the reward of a viewpoint is its utility (Socratic-RL, 3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.learning.samples import Sample
from agents.options import PolicyLoss
from agents.rollout import mixed_seed
from agents.teaching.lessons import Worth, Writer, Written, drawn
from agents.teaching.teach_config import TeachConfig
from agents.trainer import advantages_of
from socratic_env.traces import InteractionTrace
from socratic_env.viewpoints import diversity


def learner_config(config: TeachConfig) -> TrainConfig:
    """The learner's settings: GRPO over the viewpoints on one trace."""
    return TrainConfig(
        algorithm="grpo",
        questions_per_step=config.traces_per_step,
        questions_per_minibatch=config.traces_per_step,
        rollouts_per_question=config.viewpoints_per_trace,
        temperature=config.temperature,
        max_response_tokens=config.max_viewpoint_tokens,
        max_model_len=config.max_model_len,
        lr=config.lr,
        warmup=1,
        weight_decay=0.0,
        loss=PolicyLoss(rollout_is_clip=None, kl=config.kl),  # the sampler is the learner's own model
    )


def policy_gradient(
    config: TeachConfig, writer: Writer, traces: list[InteractionTrace], worth: Worth, model: object
) -> Iterator[dict[str, float]]:
    """One optimizer step after the other; yields the metrics of each."""
    settings = learner_config(config)
    learner = Learner(model, writer.chat.pad, settings)
    for step in range(config.steps):
        chosen = drawn(traces, config.traces_per_step, (config.seed, step))
        written = writer.write(chosen, config.viewpoints_per_trace, mixed_seed(config.seed, step, 1))
        # Fresh probes each time: a teacher must not learn what helps on some questions alone.
        probes = mixed_seed(config.seed, step, 2)
        rewards = worth.of([one.viewpoint for one in written], config.probes, probes)
        samples = [
            sample_of(one, i, i // config.viewpoints_per_trace, reward)
            for i, (one, reward) in enumerate(zip(written, rewards, strict=True))
        ]
        found = learner.update(samples, advantages_of(samples, settings))
        if found:
            writer.policy.load_weights(learner.weights().items())
        yield told(written, rewards) | {
            name: found[name] for name in ("loss", "grad_norm", "entropy") if name in found
        }


def sample_of(written: Written, row: int, group: int, reward: float) -> Sample:
    """A viewpoint as the learner sees an attempt."""
    completion = asdict(written.completion)
    return Sample(
        row, group, 1, written.prompt, completion["ids"], completion["logps"], reward > 0, reward,
        finished=written.completion.finished,
    )  # fmt: skip


def told(written: list[Written], rewards: list[float]) -> dict[str, float]:
    """Metrics of viewpoints: mean reward, the share that could not be read, and how different they are."""
    return {
        "utility": float(np.mean(rewards)),
        "unreadable": sum(one.viewpoint is None for one in written) / len(written),
        **diversity(one.viewpoint for one in written if one.viewpoint is not None),
    }
