"""Policy gradient for a teacher, by the student's learner: what it writes on one occasion is a group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.learning.samples import Completion, Sample
from agents.options import PolicyLoss
from agents.policies.policy import Policy
from agents.teaching.teach_config import Teaching
from agents.trainer import advantages_of

Play = Callable[[int], tuple[list[Sample], dict[str, float]]]
"""A step's number -> what the teacher wrote, with its rewards, and the metrics of the step."""


def policy_gradient(
    config: Teaching, groups: int, each: int, play: Play, policy: Policy, pad: int, model: Any
) -> Iterator[dict[str, float]]:
    """One optimizer step after the other; yields the metrics of each.

    groups, each: occasions of a step, and texts on each. policy: the sampler of the model.
    """
    settings = TrainConfig(
        algorithm="grpo",
        questions_per_step=groups,
        questions_per_minibatch=groups,
        rollouts_per_question=each,
        temperature=config.temperature,
        max_response_tokens=config.max_teacher_tokens,
        max_model_len=config.max_model_len,
        lr=config.lr,
        warmup=1,
        weight_decay=0.0,
        loss=PolicyLoss(rollout_is_clip=None, kl=config.kl),  # the sampler is the learner's own model
    )
    learner = Learner(model, pad, settings)
    for step in range(config.steps):
        samples, metrics = play(step)
        found = learner.update(samples, advantages_of(samples, settings)) if samples else {}
        if found:
            policy.load_weights(learner.sampler_weights())
        yield metrics | {name: found[name] for name in ("loss", "grad_norm") if name in found}


def sample_of(row: int, group: int, prompt: list[int], completion: Completion, reward: float) -> Sample:
    """What a teacher wrote, as the learner sees an attempt."""
    return Sample(
        row, group, 1, prompt, completion.ids, completion.logps, reward > 0, reward,
        finished=completion.finished,
    )  # fmt: skip
