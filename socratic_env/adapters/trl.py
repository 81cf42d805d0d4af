"""TRL's GRPOTrainer with a teacher in the rollouts and an advantage for each attempt.

Run with TRL 1.16.0. Private methods of that version are used, so other versions are refused.

    env = gym.make_vec("SocraticSciKnow-v0", num_envs=64)
    trainer = SocraticGRPOTrainer(
        model,
        episode_reward,
        GRPOConfig(per_device_train_batch_size=64, num_generations=8),
        Dataset.from_list([{"prompt": question.id} for question in questions]),
        processing_class=tokenizer,
        rollout_func=rollout_func(env),
    )

`GRPOConfig(chat_template_kwargs={"enable_thinking": False})` holds for prompts and guidance alike.
The dataset's prompts are ids of the environment's questions; the environment has the messages. A
generation batch (per_device_train_batch_size * steps_per_generation rows) is one batch of the
environment, so the statistics of reward decay and whitening are over it, whatever TRL splits it into.
`max_completion_length` bounds an attempt; the environment's `max_context_chars` bounds an episode.
With `use_vllm=True` TRL's engine samples; TRL cannot load new weights into vLLM's CPU build.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import trl
from trl import GRPOTrainer
from trl.trainer.utils import pad

from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.errors import ConfigurationError
from socratic_env.models.chat import Chat
from socratic_env.models.chat_template import template_arguments
from socratic_env.rewards import whitened

if not trl.__version__.startswith("1.16."):
    raise ImportError(f"trl is {trl.__version__}, this adapter needs 1.16: pip install 'trl>=1.16,<1.17'")


class _Turn(NamedTuple):
    """One attempt: its prompt, the response as sampled, and the log-probabilities of the response."""

    prompt: list[int]
    response: list[int]
    logprobs: list[float]


def rollout_func(env: SocraticVectorEnv) -> Callable[[list[str], GRPOTrainer], dict[str, Any]]:
    """A `rollout_func` in which the trainer's model plays the environment, by TRL's own generation.

    A completion is an episode, to the id as it was sampled: response 1, guidance turn, response 2, ...
    For each row there are, beside `prompt_ids` and `completion_ids`, per token of the completion:
    `logprobs` (at the sampling temperature, 0 on guidance), `env_mask` (1 on the student's own tokens,
    0 on guidance) and `token_attempts` (the 1-based attempt, 0 on guidance); and `attempt_rewards`, the
    settled reward of each attempt (eqs 17-19).

    Raises:
        ConfigurationError: at the first rollout, if the trainer's settings do not fit the environment.
    """

    def rollout(prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        _check(prompts, trainer, env)
        chat = chat_of(trainer)
        _, infos = env.reset(options={"question_ids": prompts})
        asked = [chat.prompt(messages) for messages in infos["messages"]]
        turns: list[list[_Turn]] = [[] for _ in prompts]
        active = list(range(env.num_envs))
        while active:
            actions = [""] * env.num_envs
            for row, turn in zip(active, _generate(trainer, [asked[row] for row in active]), strict=True):
                actions[row] = chat.text(turn.response)
                turns[row].append(turn)
            _, _, terminated, truncated, infos = env.step(actions)
            active = [row for row in active if not (terminated[row] or truncated[row])]
            for row in active:
                asked[row] = chat.extend(asked[row], turns[row][-1].response, infos["guidance"][row])
        completions, logprobs, attempts = zip(*map(_completion, turns), strict=True)
        return {
            "prompt_ids": [row[0].prompt for row in turns],
            "completion_ids": list(completions),
            "logprobs": list(logprobs),
            "env_mask": [[int(attempt > 0) for attempt in row] for row in attempts],
            "token_attempts": list(attempts),
            "attempt_rewards": [list(episode.rewards) for episode in env.episodes()],
        }

    return rollout


def episode_reward(attempt_rewards: Sequence[Sequence[float]], **_columns: Any) -> list[float]:
    """Reward function for TRL: the return of each episode (eq 14).

    TRL passes all its columns by name. `SocraticGRPOTrainer` logs these returns and does not learn
    from them; TRL's own GRPOTrainer credits whole episodes with them.
    """
    return [sum(rewards) for rewards in attempt_rewards]


class SocraticGRPOTrainer(GRPOTrainer):
    """GRPOTrainer in which each attempt's tokens carry that attempt's advantage.

    Advantages are those of REINFORCE++ (`socratic_env.advantages.whitened`) over all attempts of the
    generation batch, as a (B, T) tensor in place of TRL's (B,), which TRL's losses take and which
    TRL shuffles and splits with its rows. They are 0 on guidance and padding. TRL's table of
    completions (`log_completions`) goes on to show TRL's own.
    """

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)  # puts the rollout's extras into inputs
        if "attempt_rewards" not in inputs[0]:
            raise ConfigurationError("SocraticGRPOTrainer needs rollout_func=rollout_func(env)")
        values = iter(whitened([reward for row in inputs for reward in row["attempt_rewards"]]).tolist())
        advantages_BT = torch.zeros(output["completion_ids"].shape, device=output["completion_ids"].device)
        for advantages_T, row in zip(advantages_BT, inputs, strict=True):
            of_attempt = advantages_T.new_tensor([0.0, *(next(values) for _ in row["attempt_rewards"])])
            advantages_T[: len(row["token_attempts"])] = of_attempt[row["token_attempts"]]
        return {**output, "advantages": advantages_BT}


# ----------------------------------------------------------------------------------------


def _check(prompts: Sequence[str], trainer: GRPOTrainer, env: SocraticVectorEnv) -> None:
    if len(prompts) != env.num_envs:
        raise ConfigurationError(
            f"TRL asks for {len(prompts)} episodes, but the environment's num_envs is {env.num_envs}; make "
            "per_device_train_batch_size * steps_per_generation and per_device_eval_batch_size equal to it"
        )
    unfit = [prompt for prompt in prompts if not isinstance(prompt, str)]
    if unfit:
        raise ConfigurationError(
            f"a prompt is {unfit[0]!r:.60}; the dataset's prompts must be ids of the environment's questions"
        )
    if trainer.accelerator.num_processes > 1:
        raise ConfigurationError(
            f"{trainer.accelerator.num_processes} processes would each settle a batch of their own; use one"
        )


def chat_of(trainer: GRPOTrainer) -> Chat:
    """The chat format of the trainer, with its `chat_template_kwargs`. TRL then ends responses, and masks
    what follows, at every end of it."""
    chat = Chat(
        trainer.processing_class,
        chat_template=template_arguments("GRPOConfig.chat_template_kwargs", trainer.chat_template_kwargs),
        model_ends=tuple(trainer.eos_token_ids),
    )
    trainer.eos_token_ids = ends = list(chat.ends)
    if trainer.use_vllm:
        settings = trainer.vllm_generation.generation_kwargs
        settings["stop_token_ids"] = list(dict.fromkeys([*settings.get("stop_token_ids", ()), *ends]))
    else:
        trainer.generation_config.eos_token_id = ends
        trainer.generation_kwargs["eos_token_id"] = ends
    return chat


def _generate(trainer: GRPOTrainer, prompts: list[list[int]]) -> list[_Turn]:
    """One response for each prompt, by transformers or vLLM as the trainer's settings have it."""
    responses, logprobs = trainer._generate_single_turn(prompts, None, {}, 1)
    responses = [list(response) for response in responses]
    if logprobs is None:  # TRL keeps none of transformers' generation
        logprobs = _logprobs(trainer, prompts, responses)
    return [_Turn(*turn) for turn in zip(prompts, responses, logprobs, strict=True)]


@torch.no_grad()
def _logprobs(
    trainer: GRPOTrainer, prompts: list[list[int]], responses: list[list[int]]
) -> list[list[float]]:
    """Log-probabilities of responses by the model that sampled them, at the sampling temperature and
    before any top-p or top-k cut."""

    def padded(rows: list[list[int]], value: int, side: str) -> torch.Tensor:
        return pad([torch.tensor(row) for row in rows], padding_value=value, padding_side=side)

    fill = trainer.processing_class.pad_token_id
    ids = torch.cat([padded(prompts, fill, "left"), padded(responses, fill, "right")], dim=1)
    ones = [[[1] * len(row) for row in rows] for rows in (prompts, responses)]
    mask = torch.cat([padded(ones[0], 0, "left"), padded(ones[1], 0, "right")], dim=1)
    device = trainer.accelerator.device
    logps_BT, _, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model,
        ids.to(device),
        mask.to(device),
        max(map(len, responses)),
        batch_size=trainer.args.per_device_train_batch_size,
    )
    return [logps_T[: len(response)].tolist() for logps_T, response in zip(logps_BT, responses, strict=True)]


def _completion(turns: Sequence[_Turn]) -> tuple[list[int], list[float], list[int]]:
    """(ids, log-probabilities, attempts) of an episode, from the first response on."""
    opening = len(turns[0].prompt)
    ids, logprobs, attempts = list[int](), list[float](), list[int]()
    for attempt, turn in enumerate(turns, start=1):
        guidance = turn.prompt[opening + len(ids) :]
        ids += guidance + turn.response
        logprobs += [0.0] * len(guidance) + turn.logprobs
        attempts += [0] * len(guidance) + [attempt] * len(turn.response)
    return ids, logprobs, attempts
