"""One chat model in this process, for teachers and students alike; what runs it is a file beside this one."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from socratic_env.errors import ConfigurationError
from socratic_env.models.chat_template import template_arguments
from socratic_env.types import Message, Usage


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote. finish_reason: "length" if it was cut."""

    text: str
    finish_reason: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class LocalSampling:
    """How a model in this process is loaded and sampled.

    max_tokens, temperature, top_p, seed: of the sampling; temperature 0 is greedy.
    max_model_len: most tokens of prompt and reply together; None for the model's own.
    dtype: of the weights, "auto" for the model's.
    template: further arguments of the chat template, such as {"enable_thinking": False}.
    """

    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    max_model_len: int | None
    dtype: str
    template: Mapping[str, Any]

    @classmethod
    def checked(
        cls,
        who: str,
        max_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
        max_model_len: int | None,
        dtype: str,
        chat_template: Mapping[str, Any] | None,
    ) -> LocalSampling:
        """The same from the arguments of a teacher or student, `who` of the messages ("teacher 'vllm'").

        Raises ConfigurationError.
        """
        if not max_tokens > 0:
            raise ConfigurationError(f"{who}: max_tokens is {max_tokens!r}; it must be above 0")
        if not temperature >= 0:
            raise ConfigurationError(f"{who}: temperature is {temperature!r}; it must be 0 or more")
        if not 0 < top_p <= 1:
            raise ConfigurationError(f"{who}: top_p is {top_p!r}; it must be above 0 and at most 1")
        template = template_arguments(who, chat_template)
        return cls(max_tokens, temperature, top_p, seed, max_model_len, dtype, template)


class LocalModel(ABC):
    """A model whose requests run together. Each has its own seed, made of `seed`, its prompt and its rollout:
    up to rounding, what is said does not depend on what else is asked at that time. No code that comes with
    a model is ever run (`trust_remote_code` stays off).

    Args:
        who: whose settings these are, for messages.
        model: where it is.
    """

    def __init__(self, who: str, model: str, sampling: LocalSampling) -> None:
        self.who, self.folder, self.sampling = who, model, sampling

    @property
    @abstractmethod
    def max_model_len(self) -> int:
        """Most tokens of prompt and reply together, once the model is loaded."""

    @abstractmethod
    async def encode(self, chat: Sequence[Message]) -> list[int]:
        """The ids of a chat, up to where the model replies; loads the model first."""

    @abstractmethod
    async def complete(self, ids: list[int], rollout: int = 0) -> Completion:
        """The reply to a prompt that leaves room for one."""

    @abstractmethod
    async def close(self) -> None:
        """Give the model's memory back; the next prompt would load it again."""

    def room(self, ids: Sequence[int]) -> int:
        """How many tokens a reply to these ids may have; 0 or less: the prompt is too long."""
        return self.max_model_len - len(ids)

    def seed_of(self, rollout: int, ids: Sequence[int]) -> int:
        """The seed of a request, in 32 bits."""
        digest = hashlib.sha256(json.dumps([self.sampling.seed, rollout, list(ids)]).encode()).digest()
        return int.from_bytes(digest[:4], "big")
