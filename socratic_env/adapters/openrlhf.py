"""OpenRLHF: an agent whose environment is a teacher. Run with OpenRLHF 0.11.0.

The file that `--train.agent_func_path` names:

    from socratic_env.adapters.openrlhf import SocraticExecutor

    class AgentExecutor(SocraticExecutor):
        def __init__(self):
            super().__init__(
                chat_template={"enable_thinking": False},  # where the template knows it
                teacher={"kind": "openai", "base_url": URL, "model": NAME},
                max_attempts=3,
            )

The dataset's label (`--data.label_key`) is a question's id; `socratic_env.engine.concurrent.rows` makes
rows with a `question_id`. The prompt is the environment's own; what stands in the row is not read.
All episodes of an engine share one teacher and one estimate of mu (`ConcurrentSession`).

Credit: OpenRLHF sums the rewards of the steps into one of the trajectory, so the decayed reward of a
later success is credited to the earlier failure as well. Ids are exact: OpenRLHF appends the ids of the
feedback, and the feedback is the chat template's text between two replies. Since OpenRLHF makes ids of
texts, control tokens in a question or in guidance are broken by an invisible character.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor

from socratic_env.dialogue import messages
from socratic_env.engine.concurrent import ConcurrentSession
from socratic_env.models.chat import Chat
from socratic_env.models.chat_template import template_arguments


class SocraticInstance(AgentInstanceBase):
    """One episode on the question that the label names; a step is an attempt."""

    def __init__(self, session: ConcurrentSession, chat: Chat):
        self._session, self._chat = session, chat

    async def reset(self, states: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """The question as the chat template writes it."""
        self.dialogue = self._session.open(states["label"])
        asked = messages(self.dialogue)
        prompt = self._chat.prompt(
            [{**said, "content": self._chat.broken(said["content"])} for said in asked]
        )
        return {**states, "observation": self._words(prompt)}

    async def step(self, state_dict: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """One attempt: guidance, or the end with the episode's reward."""
        text = state_dict["action_text"]
        ended = [end for end in map(self._word, self._chat.ends) if text.endswith(end)]
        text = text.removesuffix(max(ended, key=len, default=""))
        self.dialogue = dialogue = await self._session.step(self.dialogue, text)
        done = dialogue.stop is not None
        reward = self._session.settle(dialogue)[-1] if done else 0.0
        correct = dialogue.attempts[-1].verdict.correct
        return {
            "rewards": torch.tensor(reward),
            "scores": torch.tensor(float(correct)),
            "environment_feedback": "" if done else self._feedback(messages(dialogue)[-1]["content"]),
            "done": done,
            "sampling_params": state_dict.get("sampling_params"),
            "extra_logs": self._session.metrics(dialogue),
        }

    def _feedback(self, guidance: str) -> str:
        """The template's text after a reply. A reply that ran out of tokens is never followed by
        another (it has used up the context), so this one ended with the end-of-reply id."""
        said = [self._chat.ends[0]]
        return self._words(self._chat.extend([], said, self._chat.broken(guidance))[len(said) :])

    def _word(self, number: int) -> str:
        return self._words([number])

    def _words(self, ids: list[int]) -> str:
        return str(self._chat.tokenizer.decode(ids, clean_up_tokenization_spaces=False))


class SocraticExecutor(MultiTurnAgentExecutor):
    """Runs one `SocraticInstance` for each rollout.

    Args:
        chat_template: further arguments of the chat template.
        arguments: those of `gym.make` (questions, teacher, max_attempts, ...).
    """

    def __init__(self, chat_template: Mapping[str, Any] | None = None, **arguments: Any):
        super().__init__(SocraticInstance)
        self._template = template_arguments("SocraticExecutor", chat_template)
        self._session = ConcurrentSession(**arguments)

    async def execute(
        self,
        prompt: str,
        label: str,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """One rollout, as MultiTurnAgentExecutor makes it."""
        instance = SocraticInstance(self._session, Chat(hf_tokenizer, chat_template=self._template))
        self.agent_instance_cls = lambda: instance  # called before anything is awaited
        response: dict[str, Any] = await super().execute(
            prompt, label, sampling_params, max_length, hf_tokenizer, llm_engine, images
        )
        self._session.give_up(instance.dialogue)  # no room for another reply
        return response
