"""One batch of episodes: a policy plays the rows of a vector environment.

Token ids are exact from end to end: a second attempt's prompt is the first prompt, the response
as sampled, and the ids of the guidance turn. Text is never tokenized again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agents.learning.samples import Completion, RolloutBatch, Sample, Sampling
from agents.policies.policy import AsyncPolicy, Policy
from socratic_env.engine.background import run
from socratic_env.envs.batch import SocraticBatch
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.errors import ConfigurationError, TeacherContextError, TeacherDown, VerifierError
from socratic_env.models.chat import Chat
from socratic_env.types import Episode

Attempts = dict[tuple[int, int], tuple[list[int], Completion]]
"""(row, attempt) -> (prompt, response)."""


def rollout(
    env: SocraticVectorEnv,
    policy: Policy,
    chat: Chat,
    sampling: Sampling,
    seed: int,
    question_ids: Sequence[str] | None = None,
    version: int = 0,
) -> RolloutBatch:
    """Play one batch to its end (Algorithm 1, the inner loops).

    With an AsyncPolicy every episode goes on to its teacher call and its next attempt as soon as
    it can; with another policy all wait for each other (lockstep). The rewards are the same: they
    are settled when all episodes have ended.

    Args:
        seed: of the questions (unless `question_ids` names them) and of the sampling.
        version: of the policy's weights, noted on every sample.
    """
    options = {"question_ids": list(question_ids)} if question_ids is not None else {}
    env.reset(seed=seed, options=options)
    if isinstance(policy, AsyncPolicy):
        made = run(play_freely(env.batch, policy, chat, sampling, seed))
    else:
        made = play_in_lockstep(env, policy, chat, sampling, seed)
    episodes = [_with_ends(row, episode, made) for row, episode in enumerate(env.episodes())]
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
            cached_tokens=completion.cached_tokens,
            finished=completion.finished,
            version=version,
        )
        for (row, k), (prompt, completion) in sorted(made.items())
    ]
    statistics = env.statistics
    return RolloutBatch(samples, episodes, statistics.attempts, statistics.solved, statistics.means())


def _with_ends(row: int, episode: Episode, made: Attempts) -> Episode:
    """The episode, with how each reply ended."""
    ends = (made[row, k][1].finished for k in range(1, len(episode.attempts) + 1))
    attempts = tuple(replace(a, finished=end) for a, end in zip(episode.attempts, ends, strict=True))
    return replace(episode, attempts=attempts)


async def play_freely(
    batch: SocraticBatch, policy: AsyncPolicy, chat: Chat, sampling: Sampling, seed: int
) -> Attempts:
    """All rows at once, none waiting for another. What a row is told depends on its own past and
    its own seed, so that the order in which replies arrive changes nothing."""
    made: Attempts = {}

    async def play(row: int) -> None:
        prompt = chat.prompt(batch.observe(row)[1]["messages"])
        for attempt in range(1, batch.interaction.rules.max_attempts + 1):
            if len(prompt) + sampling.max_tokens > policy.max_model_len:
                batch.cut(row)
                return
            completion = await policy.complete(prompt, sampling, mixed_seed(seed, attempt, row))
            _, _, terminated, truncated, info = await batch.step(row, chat.text(completion.ids))
            if info["attempt"] == attempt:  # a reply that nobody could judge is no attempt
                made[row, attempt] = prompt, completion
            if terminated or truncated:
                return
            most = policy.max_model_len - sampling.max_tokens
            prompt = chat.extend(prompt, completion.ids, info["guidance"], most)

    tasks = [asyncio.ensure_future(play(row)) for row in range(len(batch))]
    try:
        await asyncio.gather(*tasks)
    finally:  # one that fails stops all
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return made


def play_in_lockstep(
    env: SocraticVectorEnv, policy: Policy, chat: Chat, sampling: Sampling, seed: int
) -> Attempts:
    """Each step is one attempt of all rows that are not done, and one call of the teacher."""
    made: Attempts = {}
    active = list(range(env.num_envs))
    prompts = [chat.prompt(env.batch.observe(row)[1]["messages"]) for row in active]
    for attempt in range(1, env.interaction.rules.max_attempts + 1):
        too_long = {row for row in active if len(prompts[row]) + sampling.max_tokens > policy.max_model_len}
        env.cut(sorted(too_long))
        active = [row for row in active if row not in too_long]
        if not active:
            break
        completions = policy.generate([prompts[row] for row in active], sampling, mixed_seed(seed, attempt))
        actions = [""] * env.num_envs
        for row, completion in zip(active, completions, strict=True):
            actions[row] = chat.text(completion.ids)
            made[row, attempt] = prompts[row], completion
        _, _, terminated, truncated, infos = env.step(actions)
        for row in active:
            if infos["attempt"][row] < attempt:  # nobody could judge it
                del made[row, attempt]
        active = [row for row in active if not (terminated[row] or truncated[row])]
        for row in active:
            most = policy.max_model_len - sampling.max_tokens
            said = made[row, attempt][1].ids
            prompts[row] = chat.extend(prompts[row], said, infos["guidance"][row], most)
    return made


def check_prompts_fit(batch: RolloutBatch, sampling: Sampling, max_model_len: int) -> None:
    """Raise ConfigurationError if no prompt of the batch left room for a response, and VerifierError if no
    response could be judged."""
    fault = next((episode.fault for episode in batch.episodes if episode.fault is not None), None)
    if not batch.samples and fault is not None:
        raise VerifierError(f"no response of the batch could be judged: {fault}")
    if not batch.samples:
        raise ConfigurationError(
            f"none of {len(batch.episodes)} prompts fits into max_model_len={max_model_len} with "
            f"max_response_tokens={sampling.max_tokens}; raise the first or lower the second"
        )


def check_teacher(batch: RolloutBatch, most: float) -> None:
    """Raise TeacherDown if the teacher has failed more than this share of the batch's requests. One that only
    found no room in its context is not down."""
    given = [a.guidance for episode in batch.episodes for a in episode.attempts if a.guidance is not None]
    faults = [guidance.fault or guidance.stands_for for guidance in given]
    failed = [fault for fault in faults if fault is not None and not isinstance(fault, TeacherContextError)]
    if len(failed) > most * len(given):
        kinds = Counter(type(fault).__name__ for fault in failed).most_common()
        raise TeacherDown(
            f"the teacher failed {len(failed)} of {len(given)} requests of one batch, more than the share "
            f"max_teacher_faults={most:g} ({', '.join(f'{count} {kind}' for kind, count in kinds)}; the "
            f"last: {failed[-1]}); see to the teacher, then go on with --resume"
        )


def mixed_seed(*numbers: int) -> int:
    """A seed far from those of other attempts, rows and steps."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
