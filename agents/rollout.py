"""One batch of episodes: a policy plays a vector environment in lockstep.

Token ids are exact from end to end: a second attempt's prompt is the first prompt, the response
as sampled, and the ids of the guidance turn. Text is never tokenized again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.policies.base import Policy
from agents.records import Completion, RolloutBatch, Sample, Sampling
from socratic_env.types import Message
from socratic_env.vector import SocraticVectorEnv

_SENTINEL = "\u2063reply\u2063"


@dataclass(frozen=True)
class Chat:
    """A tokenizer's chat format in ids."""

    tokenizer: Any

    @property
    def eos(self) -> int:
        """The id that ends a response."""
        return int(self.tokenizer.eos_token_id)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a dialogue, up to where the student begins to reply."""
        encoded = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_dict=True
        )
        return list(encoded["input_ids"])

    def turn(self, user: str) -> list[int]:
        """Ids from the end of a reply, over a user's message, to where the next reply begins.

        Begins with the end-of-reply id.
        """
        text = self.tokenizer.apply_chat_template(
            [
                {"role": "user", "content": "-"},
                {"role": "assistant", "content": _SENTINEL},
                {"role": "user", "content": user},
            ],
            add_generation_prompt=True,
            tokenize=False,
        )
        tail = text.split(_SENTINEL, 1)[1]
        return list(self.tokenizer(tail, add_special_tokens=False)["input_ids"])

    def text(self, response: Sequence[int]) -> str:
        """A response as text."""
        return str(self.tokenizer.decode(response, skip_special_tokens=True))

    def extend(self, prompt: list[int], response: list[int], user: str) -> list[int]:
        """The next prompt: what was said, to the id, and the user's new message."""
        turn = self.turn(user)
        ended = bool(response) and response[-1] == self.eos and turn[:1] == [self.eos]
        return [*prompt, *response, *(turn[1:] if ended else turn)]


def rollout(
    env: SocraticVectorEnv,
    policy: Policy,
    chat: Chat,
    sampling: Sampling,
    seed: int,
    question_ids: Sequence[str] | None = None,
) -> RolloutBatch:
    """Play one batch to its end (Algorithm 1, the inner loops).

    Args:
        seed: of the questions (unless `question_ids` names them) and of the sampling.
    """
    options = {"question_ids": list(question_ids)} if question_ids is not None else {}
    _, infos = env.reset(seed=seed, options=options)
    prompts = [chat.prompt(messages) for messages in infos["messages"]]
    active = list(range(env.num_envs))
    made: list[tuple[int, int, list[int], Completion]] = []
    attempt = 0
    while active:
        room = policy.max_model_len - sampling.max_tokens
        too_long = [row for row in active if len(prompts[row]) > room]
        env.cut(too_long)
        active = [row for row in active if len(prompts[row]) <= room]
        if not active:
            break
        attempt += 1
        completions = policy.generate([prompts[row] for row in active], sampling, mixed_seed(seed, attempt))
        actions = [""] * env.num_envs
        for row, completion in zip(active, completions, strict=True):
            actions[row] = chat.text(completion.ids)
            made.append((row, attempt, prompts[row], completion))
        _, _, terminated, truncated, infos = env.step(actions)
        responses = dict(zip(active, completions, strict=True))
        active = [row for row in active if not (terminated[row] or truncated[row])]
        for row in active:
            prompts[row] = chat.extend(prompts[row], responses[row].ids, infos["guidance"][row])
    episodes = env.episodes()
    samples = [
        Sample(
            row=row,
            group=row // env.rollouts_per_question,
            attempt=k,
            prompt=prompt,
            response=completion.ids,
            logps=completion.logps,
            correct=episodes[row].attempts[k - 1].verdict.correct,
            reward=episodes[row].rewards[k - 1],
        )
        for row, k, prompt, completion in made
    ]
    statistics = env.statistics
    return RolloutBatch(samples, episodes, statistics.attempts, statistics.solved, statistics.means())


def mixed_seed(seed: int, number: int) -> int:
    """A seed far from those of other attempts and steps."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
