"""The discretised view of a text environment, for agents on numbers: a choice in, features out."""

from __future__ import annotations

import math
import re
import string
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np

from socratic_env.envs.single import SocraticEnv
from socratic_env.errors import ActionError, ConfigurationError, QuestionError
from socratic_env.types import Option, Question, Usage, reply

NUMBERS = 6
"""Numbers of the question that are features; later ones are left out."""
OPTION_FEATURES = 6
"""Features of each choice."""
WORDS = 64
"""Buckets of hashed words, once for the question and once for the guidance."""
LARGEST = 20.0
"""Every feature is clipped to -LARGEST..LARGEST."""

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_REMEMBERED = 4096  # texts whose words were hashed: questions and hints come again


@lru_cache(maxsize=_REMEMBERED)
def word_tags(text: str) -> np.ndarray:
    """(WORDS,) array: 1 in the bucket of each word, its CRC-32 in lower case modulo WORDS; read-only."""
    tags = np.zeros(WORDS, dtype=np.float32)
    for word in _WORD.findall(text.lower()):
        tags[zlib.crc32(word.encode()) % WORDS] = 1.0
    tags.flags.writeable = False
    return tags


def feature_count(choices: int) -> int:
    """The length of an observation with so many choices."""
    return 1 + 2 * NUMBERS + OPTION_FEATURES * choices + 2 * WORDS


def features(
    statement: str, options: Sequence[Option], tried: Sequence[int], guidance: str, choices: int
) -> np.ndarray:
    """What a student may see of a dialogue, as numbers; the truth is no argument.

    The features, in this order:

    * 1: the attempts made;
    * NUMBERS pairs: whether the question has such a number, and log10 of its size;
    * for each choice OPTION_FEATURES: whether there is such an option, whether it was tried, whether
      it was tried last, log10 of the size and the sign of its first number, and the natural
      logarithm of its size divided by that of the option tried last. 0 stands for what is missing;
    * WORDS: the words of the question (`word_tags`);
    * WORDS: the hint tags, which are the words of the guidance.

    Args:
        statement: the question without its options.
        options: at most `choices` of them.
        tried: the choices of the attempts made so far, in order.
        guidance: the text that the student was shown after the last attempt, "" if none.
        choices: size of the action space.

    Returns:
        A new float32 array of `feature_count(choices)` values.
    """
    numbers = np.zeros((NUMBERS, 2), dtype=np.float32)
    for row, number in zip(numbers, _NUMBER.findall(statement), strict=False):
        row[:] = 1.0, _log10(float(number))
    table = np.zeros((choices, OPTION_FEATURES), dtype=np.float32)
    values = [_first_number(option.text) for option in options]
    last = values[tried[-1]] if tried and tried[-1] < len(values) else None
    for row, value in zip(table, values, strict=False):
        row[0] = 1.0
        if value is not None:
            row[3:5] = _log10(value), np.sign(value)
            if last is not None:
                row[5] = (_log10(value) - _log10(last)) * math.log(10)
    for choice in tried:
        table[choice, 1] = 1.0
    if tried:
        table[tried[-1], 2] = 1.0
    parts = ([len(tried)], numbers.ravel(), table.ravel(), word_tags(statement), word_tags(guidance))
    return np.clip(np.concatenate(parts, dtype=np.float32), -LARGEST, LARGEST)


def _first_number(text: str) -> float | None:
    found = _NUMBER.search(text)
    return None if found is None else float(found[0])


def _log10(value: float) -> float:
    return math.log10(abs(value)) if value and math.isfinite(value) else 0.0


def storable(info: dict[str, Any]) -> dict[str, Any]:
    """The info of a text environment for replay buffers, which cannot hold `messages` (lists that
    grow) and take None for a missing number: without the one, and "" in place of the other."""
    return {key: "" if value is None else value for key, value in info.items() if key != "messages"}


class DiscreteView(gym.Env[np.ndarray, np.int64]):
    """A text environment of multiple-choice questions as `Discrete` choices and `Box` features.

    ## Description
    The text environment stays the master: a choice becomes the reply "<answer>B</answer>" and goes
    to its `step`; rewards and ends are its own. Since both spaces are new, the view is an
    environment of its own (`unwrapped` is the view); the text environment is `env`.

    ## Action Space
    `Discrete(choices)`: the option at that place. A choice that the question lacks is an attempt
    too, and wrong; `info["action_mask"]` says which ones there are.

    ## Observation Space
    `Box(-20, 20, (feature_count(choices),), float32)`, see `features`: a pure function of the
    question's public part, the choices made and the guidance shown.

    ## Rewards, Episode End
    Those of the text environment. Each attempt's reward stands alone, so agents that discount
    should use gamma = 0. Use `reward="full"` for a target that does not move with the policy.

    ## Information
    `action_mask` (int8, as `Discrete.sample` takes it), and what the text environment says, in the
    form of `storable`: no `messages`, and "" for None.

    ## Arguments
    * `env`: a SocraticEnv, or wrappers around one.
    * `choices`: the most options that a question has.

    ## Version History
    v0: first version.
    """

    metadata = SocraticEnv.metadata

    def __init__(self, env: gym.Env[str, str], choices: int = 4) -> None:
        base = getattr(env, "unwrapped", None)
        if not isinstance(base, SocraticEnv):
            raise ConfigurationError(
                f"env is {env!r:.80}; give a text environment, such as SocraticSciKnow-v0"
            )
        if isinstance(choices, bool) or not isinstance(choices, int) or not 2 <= choices <= 26:
            raise ConfigurationError(f"choices is {choices!r}; give a whole number 2..26")
        self.env = env
        self._base = base
        self.action_space = gym.spaces.Discrete(choices)
        self.observation_space = gym.spaces.Box(-LARGEST, LARGEST, (feature_count(choices),), np.float32)
        self._choices = choices
        self._tried: list[int] = []

    @property
    def render_mode(self) -> str | None:  # type: ignore[override]
        """That of the text environment."""
        return self.env.render_mode

    @property
    def usage(self) -> dict[str, Usage]:
        """What calls have cost so far, by role."""
        return self._base.usage

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new episode; options are those of the text environment.

        Raises QuestionError if the question has no options, or more than there are choices.
        """
        super().reset(seed=seed)
        _, info = self.env.reset(seed=seed, options=options)
        self._tried = []
        return self._observe(info)

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One attempt: answer with the option at that place."""
        if action not in self.action_space:
            raise ActionError(f"the action is {action!r}; give a whole number 0..{self._choices - 1}")
        self._question()
        choice = int(action)
        _, reward, terminated, truncated, info = self.env.step(reply("", string.ascii_uppercase[choice]))
        self._tried.append(choice)
        observation, info = self._observe(info)
        return observation, float(reward), terminated, truncated, info

    def render(self) -> Any:
        """The dialogue, as the text environment shows it."""
        return self.env.render()

    def close(self) -> None:
        """Close the text environment."""
        self.env.close()

    def _question(self) -> Question:
        question = self._base.question
        if not 0 < len(question.options) <= self._choices:
            raise QuestionError(
                f"question {question.id!r} has {len(question.options)} options, and the view has "
                f"{self._choices} choices; use multiple-choice questions, and choices= of the most options"
            )
        return question

    def _observe(self, info: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        question = self._question()
        info = storable(info)
        observation = features(
            question.statement, question.options, self._tried, info["guidance"], self._choices
        )
        mask = np.zeros(self._choices, dtype=np.int8)
        mask[: len(question.options)] = 1
        return observation, info | {"action_mask": mask}


def discrete(choices: int = 4, **kwargs: Any) -> DiscreteView:
    """The view of a `SocraticEnv(**kwargs)`: what the Discrete ids make."""
    return DiscreteView(SocraticEnv(**kwargs), choices)
