"""verl: an agent loop with a teacher, and the estimator that fits it. Run with verl 0.9.0.

Load this module in every process (`VERL_USE_EXTERNAL_MODULES=socratic_env.adapters.verl`), name a file
in `actor_rollout_ref.rollout.agent.agent_loop_config_path`,

    - name: socratic
      _target_: socratic_env.adapters.verl.SocraticAgentLoop
      arguments: {max_attempts: 3, teacher: {kind: openai, base_url: URL, model: NAME}}

and set `algorithm.adv_estimator=socratic`, `algorithm.use_kl_in_reward=False`. Rows of the dataset hold
`prompt`, `question_id`, `data_source` and `agent_name`; `socratic_env.engine.concurrent.rows(questions,
count, agent_name="socratic", data_source="socratic")` makes them. `rollout.response_length` bounds an
episode: all attempts and the guidance between them. `data.apply_chat_template_kwargs` (such as
`{enable_thinking: false}`) holds for prompts and guidance alike.

A row is an episode, to the id as it was sampled: response 1, guidance, response 2, ... The reward that
verl sees is 1 for a solved episode. The estimator sees the whole batch, so decay is exact, and each attempt
has its own advantage. `turn_scores` holds the verdicts. Other estimators credit the undecayed trajectory.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register
from verl.utils.profiler import simple_timer

from socratic_env.adapters import verl_estimator  # noqa: F401 - registers it
from socratic_env.dialogue import cut, messages
from socratic_env.engine.concurrent import shared_session
from socratic_env.errors import ConfigurationError
from socratic_env.models.chat import Chat
from socratic_env.models.chat_template import template_arguments


@register("socratic")
class SocraticAgentLoop(AgentLoopBase):
    """One episode; all of a worker share a teacher. `arguments` are those of `gym.make`, as plain data."""

    def __init__(self, *args: Any, arguments: Any = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._session = shared_session(arguments or {})
        if not self._session.interaction.decays:
            raise ConfigurationError("leave reward='decay'; the estimator of this adapter decays")
        given = template_arguments(
            "data.apply_chat_template_kwargs", dict(self.apply_chat_template_kwargs or {})
        )
        self._chat = Chat(self.tokenizer, chat_template=given)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Play the question of `question_id`; the prompt is the environment's, not the row's."""
        dialogue = self._session.open(kwargs["question_id"])
        longest, budget = self.rollout_config.prompt_length, self.rollout_config.response_length
        prompt = self._chat.prompt(messages(dialogue))
        if len(prompt) > longest:
            raise ConfigurationError(
                f"{dialogue.question.id} has {len(prompt)} tokens, more than rollout.prompt_length {longest}"
            )
        stops = list(dict.fromkeys([*(sampling_params.get("stop_token_ids") or ()), *self._chat.ends]))
        request, metrics = uuid4().hex, dict[str, float]()
        ids, mask, logprobs, outputs = prompt, list[int](), list[float](), []
        while dialogue.stop is None:
            limited = {**sampling_params, "max_tokens": budget - len(mask), "stop_token_ids": stops}
            with simple_timer("generate_sequences", metrics):
                output = await self.server_manager.generate(request, prompt_ids=ids, sampling_params=limited)
            outputs.append(output)
            response = list(output.token_ids)
            with simple_timer("tool_calls", metrics):
                dialogue = await self._session.step(dialogue, self._chat.text(response))
            mask += [1] * len(response)
            logprobs += output.log_probs or []
            said = ids + response
            if dialogue.stop is None:
                guided = self._chat.extend(ids, response, messages(dialogue)[-1]["content"])
                if len(guided) - len(prompt) < budget:
                    mask += [0] * (len(guided) - len(said))
                    logprobs += [0.0] * (len(guided) - len(said))
                    said = guided
                else:
                    dialogue = cut(dialogue)
            ids = said
        scores = [float(attempt.verdict.correct) for attempt in dialogue.attempts]
        return AgentLoopOutput(
            prompt_ids=prompt,
            response_ids=ids[len(prompt) :],
            response_mask=mask,
            response_logprobs=logprobs if len(logprobs) == len(mask) else None,
            reward_score=scores[-1],
            num_turns=2 * len(scores),
            metrics=metrics,
            extra_fields={
                **outputs[-1].extra_fields,
                "min_global_steps": outputs[0].extra_fields.get("min_global_steps"),
                "turn_scores": scores,
                "tool_rewards": [],
                "reward_extra_info": self._session.metrics(dialogue),
            },
        )
