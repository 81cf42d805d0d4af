"""OpenEnv: an environment of this package as a server. Run with openenv-core 0.3.0.

    socratic serve SocraticSciKnow-v0 --questions reasoning-gym:leg_counting --teacher retry --port 8000

A client needs nothing of this package:

    async with GenericEnvClient(base_url="http://127.0.0.1:8000") as env:
        result = await env.reset(seed=0)
        result = await env.step({"reply": "<reasoning>..</reasoning>\\n<answer>\\nB\\n</answer>"})

Every session has its own episode, and all share questions, teacher and the estimate of mu, so that a reward
under decay depends on the episodes that ended before; `reward="full"` and `"constant:g"` do not. The teacher,
its key and the truth stay on this side. Over plain HTTP, where OpenEnv makes an environment for each request,
an episode is found again by the `episode_id` that its reset gave.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from gymnasium.utils import seeding
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State
from openenv.core.env_server.web_interface import create_web_interface_app
from pydantic import Field

import socratic_env
from socratic_env.dialogue import Dialogue
from socratic_env.engine.background import run
from socratic_env.engine.concurrent import ConcurrentSession
from socratic_env.engine.observation import observe
from socratic_env.errors import SocraticError, StepError, unknown


class SocraticAction(Action):
    """What the student says."""

    reply: str = Field(description="The student's whole reply, with its answer block")


class SocraticObservation(Observation):
    """The dialogue so far, as `info` of the Gymnasium environment has it. Holds no ground truth."""

    dialogue: str = Field(description="The whole dialogue that the student sees, as text")
    messages: list[dict[str, str]] = Field(description="The same as chat messages")
    question_id: str
    domain: str = ""
    attempt: int = Field(default=0, description="Attempts made so far")
    correct: bool = False
    answer: str | None = Field(default=None, description="The answer that was read, null for none")
    verdict: str | None = None
    guidance: str | None = None
    teacher_fault: str | None = None
    verifier_fault: str | None = None
    stop_reason: str | None = None


class SocraticState(State):
    """Where an episode stands."""

    question_id: str | None = None
    max_attempts: int = 0
    stop_reason: str | None = None


class Served:
    """What all sessions of a server share: questions, teacher, estimate, and the episodes with a name.

    arguments: those of `gym.make`. named: how many named episodes are kept; beyond, the oldest is left.
    """

    def __init__(self, arguments: Mapping[str, Any], named: int, name: str = "socratic-env") -> None:
        self.session = ConcurrentSession(**arguments)
        self.name = name
        self._named: OrderedDict[str, Dialogue] = OrderedDict()
        self._most = named
        self._lock = threading.Lock()

    def keep(self, episode_id: str, dialogue: Dialogue) -> None:
        """Remember a named episode."""
        with self._lock:
            left = [self._named.pop(episode_id, None)]
            self._named[episode_id] = dialogue
            if len(self._named) > self._most:
                left.append(self._named.popitem(last=False)[1])
        for gone in left:
            if gone is not None and gone.attempts:
                self.session.give_up(gone)

    def take(self, episode_id: str) -> Dialogue:
        """A named episode, which is to be kept again. Raises StepError for one that there is not."""
        with self._lock:
            if episode_id not in self._named:
                raise StepError(
                    f"no episode {episode_id[:80]!r} is open, or a step of it is under way; reset with this "
                    "episode_id first"
                )
            return self._named.pop(episode_id)


class SocraticOpenEnv(Environment[SocraticAction, SocraticObservation, SocraticState]):
    """One session: one episode after another."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, served: Served) -> None:
        super().__init__()
        self._served = served
        self._dialogue: Dialogue | None = None
        self._episode_id: str | None = None
        self._generator, _ = seeding.np_random()

    async def reset_async(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        question_id: str | None = None,
        **others: Any,
    ) -> SocraticObservation:
        """A new episode, of the question that the Gymnasium environment has for this seed or of one by id."""
        for name in others:
            raise unknown("argument of reset", name, ["seed", "episode_id", "question_id"])
        if seed is not None:
            self._generator, _ = seeding.np_random(seed)
        session = self._served.session
        drawn = session.questions.draw(self._generator)  # in any case, so that those after it stay the same
        self._leave()
        self._episode_id = episode_id
        return self._seen(session.open(drawn.id if question_id is None else question_id), None)

    async def step_async(
        self,
        action: SocraticAction,
        timeout_s: float | None = None,  # noqa: ARG002 - OpenEnv's; a teacher has deadlines of its own
        episode_id: str | None = None,
        **_others: Any,
    ) -> SocraticObservation:
        """One attempt, and guidance after a wrong one. Raises StepError without an open episode."""
        if self._episode_id is None and self._dialogue is None:
            self._episode_id = episode_id
        if self._episode_id is not None:
            self._dialogue = self._served.take(self._episode_id)  # so that no other step begins from here
        if self._dialogue is None:
            raise StepError("no episode is open; reset first, over plain HTTP with an episode_id in both")
        try:
            dialogue = await self._served.session.step(self._dialogue, action.reply)
        except BaseException:
            self._keep(self._dialogue)
            raise
        earned = self._served.session.settle(dialogue)[-1] if dialogue.stop is not None else 0.0
        return self._seen(dialogue, earned)

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, **others: Any
    ) -> SocraticObservation:
        """As `reset_async`, for the web page."""
        return run(self.reset_async(seed, episode_id, **others))

    def step(
        self, action: SocraticAction, timeout_s: float | None = None, **others: Any
    ) -> SocraticObservation:
        """As `step_async`, for the web page."""
        return run(self.step_async(action, timeout_s, **others))

    @property
    def state(self) -> SocraticState:
        """Where the episode stands; empty before the first one."""
        made, most = self._dialogue, self._served.session.interaction.rules.max_attempts
        if made is None:
            return SocraticState(max_attempts=most)
        return SocraticState(
            episode_id=self._episode_id,
            step_count=len(made.attempts),
            question_id=made.question.id,
            max_attempts=most,
            stop_reason=made.stop.value if made.stop is not None else None,
        )

    def get_metadata(self) -> EnvironmentMetadata:
        """Name, purpose and version."""
        return EnvironmentMetadata(
            name=self._served.name,
            description="Questions with a teacher, who writes guidance after a wrong answer",
            version=socratic_env.__version__,
        )

    def close(self) -> None:
        """End the session; an episode without a name that has begun counts as it stands."""
        self._leave()

    def _leave(self) -> None:
        if self._episode_id is None and self._dialogue is not None and self._dialogue.attempts:
            self._served.session.give_up(self._dialogue)
        self._dialogue = None

    def _keep(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        if self._episode_id is not None:
            self._served.keep(self._episode_id, dialogue)

    def _seen(self, dialogue: Dialogue, reward: float | None) -> SocraticObservation:
        self._keep(dialogue)
        text, info = observe(dialogue, (0.0, 0.0))
        del info["reward_bounds"]
        return SocraticObservation(dialogue=text, reward=reward, done=dialogue.stop is not None, **info)


def create_app(served: Served, max_sessions: int, web: bool = False) -> FastAPI:
    """OpenEnv's application for these sessions; `web` adds its page for trying it by hand, at /web."""
    make = create_web_interface_app if web else create_fastapi_app
    app: FastAPI = make(
        lambda: SocraticOpenEnv(served),
        SocraticAction,
        SocraticObservation,
        max_concurrent_envs=max_sessions,
    )

    @app.exception_handler(SocraticError)
    async def refused(_request: Request, error: SocraticError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=409)

    return app
