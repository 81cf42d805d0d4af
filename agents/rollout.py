"""One batch of episodes: a policy plays a vector environment in lockstep.

Token ids are exact from end to end: a second attempt's prompt is the first prompt, the response
as sampled, and the ids of the guidance turn. Text is never tokenized again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.policies.base import Policy
from agents.records import Completion, RolloutBatch, Sample, Sampling
from socratic_env.chat import Chat
from socratic_env.vector import SocraticVectorEnv


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
