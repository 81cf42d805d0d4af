"""An environment under examination: every step of an episode is checked as it is made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import gymnasium as gym
from gymnasium.error import ResetNeeded

from socratic_env.checks.parts import Form, wrong_answers
from socratic_env.errors import CheckError, SocraticError, TrackerError
from socratic_env.types import Question, StopReason

INFO: Mapping[str, tuple[type, ...]] = {
    "messages": (list,),
    "question_id": (str,),
    "domain": (str,),
    "attempt": (int,),
    "correct": (bool,),
    "answer": (str, type(None)),
    "verdict": (str, type(None)),
    "guidance": (str, type(None)),
    "teacher_fault": (str, type(None)),
    "verifier_fault": (str, type(None)),
    "stop_reason": (str, type(None)),
    "reward_bounds": (tuple,),
}
"""What `info` must hold at least, and of which types."""

Step = tuple[str, float, bool, bool, dict[str, Any]]


class EnvProbe:
    """An environment, and episodes that are checked step by step."""

    def __init__(self, env: gym.Env[str, str], name: str, form: Form) -> None:
        self.env, self.name, self.form = env, name, form

    def fail(self, what: str) -> NoReturn:
        """The CheckError that names the environment."""
        raise CheckError(f"{self.name}: {what}")

    @contextmanager
    def naming(self, what: str, remedy: str) -> Iterator[None]:
        """Whatever a user's part raises is named; an error of this package names its own remedy."""
        try:
            yield
        except SocraticError:
            raise
        except Exception as error:  # noqa: BLE001 - any kind
            self.fail(f"{what} raised {type(error).__name__}: {error}; {remedy}")

    def refuses_step(self, env: gym.Env[str, str], action: str, what: str) -> None:
        """This step raises ResetNeeded."""
        remedy = "raise gymnasium.error.ResetNeeded (socratic_env.errors.StepError)"
        try:
            env.step(action)
        except ResetNeeded:
            return
        except Exception as error:  # noqa: BLE001 - whatever a user's environment raises is named
            self.fail(f"{what} raised {type(error).__name__}: {error}; {remedy}")
        self.fail(f"{what} is allowed; {remedy}")

    @property
    def question(self) -> Question:
        """The current question, for a right answer."""
        try:
            question = self.env.get_wrapper_attr("question")
        except AttributeError:
            question = None
        if not isinstance(question, Question):
            self.fail(
                "it has no attribute 'question'; give the current socratic_env.Question, truth included"
            )
        return question

    def right(self) -> str:
        """A right reply to the current question."""
        return self.form("I work it out.", self.question.answer)

    def wrong(self, which: int = 0) -> str:
        """One of the wrong replies to it."""
        answers = wrong_answers(self.question)
        return self.form("I guess.", answers[which % len(answers)])

    def reset(self, **arguments: Any) -> tuple[str, dict[str, Any]]:
        """A new episode, its observation and info checked."""
        with self.naming(f"reset({arguments})", "take any seed, and the id of any question as options"):
            observation, info = self.env.reset(**arguments)
        self._check_seen(observation, info)
        unsaid = {key: info[key] for key in ("answer", "verdict", "guidance", "teacher_fault", "stop_reason")}
        if info["attempt"] != 0 or info["correct"] or any(value is not None for value in unsaid.values()):
            self.fail(f"info says after reset: attempt {info['attempt']}, {unsaid}; nothing was answered yet")
        if self.question.text not in observation:
            self.fail("the observation after reset does not hold the question's text; show it to the student")
        if self.question.id != info["question_id"]:
            self.fail(
                f"info['question_id'] is {info['question_id']!r}, the question {self.question.id!r}; name it"
            )
        return observation, info

    def step(self, action: str) -> Step:
        """One attempt, the five results checked against each other."""
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
        except TrackerError as error:
            self.fail(f"step raised TrackerError: {error}; check the environment with tracker=None")
        except Exception as error:  # noqa: BLE001 - whatever a user's environment raises is named
            self.fail(
                f"step raised {type(error).__name__}: {error} on the reply {action!r:.60}; judge a reply "
                "that cannot be read as wrong, and keep a teacher's failure as data"
            )
        self._check_seen(observation, info)
        self._check_end(terminated, truncated, info)
        self._check_reward(reward, info)
        return observation, float(reward), terminated, truncated, info

    def _check_seen(self, observation: Any, info: Any) -> None:
        if not isinstance(observation, str):
            self.fail(f"the observation is {type(observation).__name__}; give the dialogue as a str")
        for key, types in INFO.items():
            if key not in info:
                self.fail(f"info lacks {key!r}; give all of {', '.join(INFO)}")
            if not isinstance(info[key], types):
                wanted = " or ".join(kind.__name__.replace("NoneType", "None") for kind in types)
                self.fail(f"info[{key!r}] is {info[key]!r:.60}; make it {wanted}")
        try:
            json.dumps(info, allow_nan=False).encode()
            observation.encode()
        except (TypeError, ValueError) as error:
            self.fail(
                f"observation or info is no JSON ({error}); give texts, numbers, lists and mappings only"
            )
        for message in info["messages"]:
            if not (isinstance(message, dict) and set(message) == {"role", "content"}):
                self.fail(f"info['messages'] holds {message!r:.80}; give {{'role': ..., 'content': ...}}")
        at = 0
        for message in info["messages"]:
            at = observation.find(message["content"], at)
            if at < 0:
                self.fail(
                    "the observation does not hold info['messages'] in order; show the same dialogue in both"
                )

    def _check_end(self, terminated: Any, truncated: Any, info: Mapping[str, Any]) -> None:
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, bool):
                self.fail(f"{name} is {flag!r}; make it a bool")
        if terminated and truncated:
            self.fail("an episode is both terminated and truncated; truncated is for faults and limits only")
        if (terminated or truncated) != (info["stop_reason"] is not None):
            self.fail(
                f"stop_reason is {info['stop_reason']!r}, terminated {terminated} and truncated {truncated}; "
                "give a reason with the end, and None before it"
            )
        if info["correct"] and not terminated:
            self.fail("a right answer did not end the episode; terminate it with stop_reason 'solved'")
        ends = (StopReason.SOLVED.value, StopReason.OUT_OF_ATTEMPTS.value)
        if terminated and info["stop_reason"] != ends[not info["correct"]]:
            self.fail(f"stop_reason is {info['stop_reason']!r}; a terminated episode has {' or '.join(ends)}")

    def _check_reward(self, reward: Any, info: Mapping[str, Any]) -> None:
        if isinstance(reward, bool) or not isinstance(reward, int | float):
            self.fail(f"the reward is {reward!r:.60}; make it a float")
        low, high = info["reward_bounds"] if len(info["reward_bounds"]) == 2 else (2, 1)
        if not 0 <= low <= high <= 1:
            self.fail(f"reward_bounds is {info['reward_bounds']}; give (lo, hi) with 0 <= lo <= hi <= 1")
        if not info["correct"] and (reward, low, high) != (0, 0, 0):
            self.fail(
                f"a wrong answer earned {reward} with bounds {(low, high)}; it earns 0, with bounds (0, 0)"
            )
        if not low <= reward <= high:
            self.fail(
                f"the reward {reward} is outside its bounds {(low, high)}; pay the lower one while it is open"
            )
