"""tianshou: policies that read and write text, on the text environments. Run with tianshou 2.0.1.

    venv = DummyVectorEnv([lambda: TextArrays(gym.make("SocraticSciKnow-v0"))] * 8)
    collector = Collector(TextPolicy(complete), venv, VectorReplayBuffer(1000, 8))
    collector.reset()
    print(collector.collect(n_episode=32).returns.mean())

The buffer then holds the dialogues (`obs`), replies (`act`) and rewards, one transition for each attempt.
Credit: each attempt's reward stands alone; algorithms that discount need gamma = 0. Agents on numbers
take `SocraticSciKnow-Discrete-v0` instead, without this module: see examples/tianshou_ppo.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from tianshou.algorithm.algorithm_base import Policy
from tianshou.data import Batch

from socratic_env.envs.discrete import storable
from socratic_env.errors import ActionError


class TextArrays(gym.Wrapper[Any, str, str, str]):
    """Observations as array cells of dtype object, infos as `socratic_env.envs.discrete.storable`.

    tianshou stacks bare strings into arrays of fixed width, which cut longer texts without a word.
    """

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """(array of shape () that holds the text, info)."""
        text, info = self.env.reset(seed=seed, options=options)
        return np.array(text, dtype=object), storable(info)

    def step(self, action: str) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict[str, Any]]:
        """One attempt; the observation as in `reset`."""
        text, reward, terminated, truncated, info = self.env.step(action)
        return np.array(text, dtype=object), reward, terminated, truncated, storable(info)


class TextPolicy(Policy):
    """A student as a tianshou policy.

    Args:
        complete: replies to dialogues, one for each, such as one batch of a language model.
    """

    def __init__(self, complete: Callable[[list[str]], Sequence[str]]) -> None:
        # tianshou knows no space of texts, and looks at this one for random actions only.
        super().__init__(action_space=gym.spaces.Discrete(1))
        self.complete = complete

    def forward(self, batch: Any, state: Any = None, **_kwargs: Any) -> Batch:
        """`batch.obs`: B dialogues; the result's `act`: B replies as an array of dtype object.

        Raises ActionError if `complete` does not give B texts.
        """
        dialogues = [str(dialogue) for dialogue in batch.obs]
        replies = list(self.complete(dialogues))
        if len(replies) != len(dialogues) or not all(isinstance(reply, str) for reply in replies):
            raise ActionError(
                f"complete() gave {replies!r:.80} for {len(dialogues)} dialogues; it must give one str each"
            )
        acts = np.empty(len(replies), dtype=object)
        acts[:] = replies
        return Batch(act=acts, state=state)
