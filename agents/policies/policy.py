"""What a policy is: prompts as ids in, exact ids and log-probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import torch

from agents.learning.samples import Completion, Sampling

NamedWeights = Iterable[tuple[str, torch.Tensor]]


class Policy(Protocol):
    """A sampler of the student."""

    max_model_len: int
    """Most tokens of prompt and response together."""

    def generate(self, prompts: Sequence[list[int]], sampling: Sampling, seed: int) -> list[Completion]:
        """One response for each prompt. The same seed gives the same responses."""
        ...

    def load_weights(self, weights: NamedWeights) -> None:
        """Take over new weights, so that the next tokens are drawn from them."""
        ...

    def close(self) -> None:
        """Give memory and processes back."""
        ...


@runtime_checkable
class AsyncPolicy(Policy, Protocol):
    """A sampler whose requests run together and end one by one."""

    async def complete(self, prompt: list[int], sampling: Sampling, seed: int) -> Completion:
        """One response. Many are awaited together, all on the loop of `socratic_env.engine.background`."""
        ...


@runtime_checkable
class RestingPolicy(Policy, Protocol):
    """A sampler that can leave the GPU's memory to the learner."""

    def rest(self) -> bool:
        """Give memory back until prompts or weights come; whether weights must come first."""
        ...


def rest(policy: Policy) -> bool:
    """Let a sampler rest while the learner works, where it can; whether it then needs the weights again even
    if they are the same."""
    return isinstance(policy, RestingPolicy) and policy.rest()
