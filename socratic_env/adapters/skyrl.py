"""SkyRL: the environment as a `BaseTextEnv`. Run with skyrl-gym 0.4.0.

Register it where the environments run, with the arguments of `gym.make` as plain data:

    skyrl_gym.register(
        "socratic",
        entry_point="socratic_env.adapters.skyrl:SocraticTextEnv",
        kwargs={"teacher": {"kind": "openai", "base_url": URL, "model": NAME}, "max_attempts": 3},
    )

A row of the dataset holds `prompt`, `env_class` ("socratic") and `question_id`:
`socratic_env.engine.concurrent.rows(questions, count, env_class="socratic")` makes such rows. The
prompt is the environment's own; what stands in the row is not read. All episodes of a process share
one teacher and one estimate of mu (`ConcurrentSession`).

Credit: each turn earns its own decayed reward. SkyRL's estimators sum the turns of a trajectory, so
that a later success pays for the earlier failure too, unless they are given gamma = 0. With
`generator.use_conversation_multi_turn` SkyRL extends prompts by ids, so texts are never tokenized again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from socratic_env.dialogue import Dialogue, messages
from socratic_env.engine.background import run
from socratic_env.engine.concurrent import shared_session
from socratic_env.errors import ConfigurationError, StepError
from socratic_env.types import Message


class SocraticTextEnv(BaseTextEnv):
    """One episode on one question; a turn is an attempt, an observation is the teacher's guidance.

    Args:
        env_config: not read; arguments stand where the environment is registered.
        extras: the dataset's row; its `question_id` chooses the question.
        arguments: those of `gym.make`, as plain data.
    """

    def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None, **arguments: Any):  # noqa: ARG002
        super().__init__()
        question_id = (extras or {}).get("question_id")
        if not isinstance(question_id, str):
            raise ConfigurationError(
                f"extras['question_id'] is {question_id!r}; give every row of the dataset the id of a "
                "question, as socratic_env.engine.concurrent.rows does"
            )
        self._session = shared_session(arguments)
        self._question_id = question_id
        self._dialogue: Dialogue | None = None
        self.max_turns = self._session.interaction.rules.max_attempts

    def init(self, prompt: list[Message]) -> tuple[list[Message], dict[str, Any]]:  # noqa: ARG002
        """The question as chat messages. `prompt`, the dataset's, is not read."""
        self.close()
        self._dialogue, self.turns = self._session.open(self._question_id), 0
        return messages(self._dialogue), {"question_id": self._question_id}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """One attempt: guidance, or the end with the attempt's reward."""
        self._dialogue = dialogue = run(self._session.step(self._open(), action))
        self.turns += 1
        last, done = dialogue.attempts[-1], dialogue.stop is not None
        observations = messages(dialogue)[-1:] if not done else []
        reward = self._session.settle(dialogue)[-1] if done else 0.0
        metadata = {
            "attempt": self.turns,
            "correct": last.verdict.correct,
            "answer": last.verdict.answer,
            "stop_reason": dialogue.stop.value if dialogue.stop is not None else None,
        }
        return BaseTextEnvStepOutput(
            observations=observations, reward=reward, done=done, metadata=metadata, postprocessed_action=None
        )

    def close(self) -> None:
        """End the episode; left before its end, it counts with the attempts it made."""
        if self._dialogue is not None:
            self._dialogue = self._session.give_up(self._dialogue)

    def get_metrics(self) -> dict[str, float]:
        """`solved_within_k`, `attempts` and `truncated` of this episode; SkyRL averages them."""
        return self._session.metrics(self._open())

    def _open(self) -> Dialogue:
        if self._dialogue is None:
            raise StepError("no episode is open; call init(prompt) first")
        return self._dialogue
