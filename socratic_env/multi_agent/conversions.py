"""PettingZoo's forms of the environment: with its checks of order, and parallel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pettingzoo import AECEnv, ParallelEnv  # type: ignore[import-untyped]
from pettingzoo.utils.conversions import (  # type: ignore[import-untyped]
    turn_based_aec_to_parallel_wrapper,
)
from pettingzoo.utils.wrappers import OrderEnforcingWrapper  # type: ignore[import-untyped]

from socratic_env.engine.background import TEACHERS, run
from socratic_env.errors import ActionError, StepError, unknown
from socratic_env.multi_agent.aec import Action, Observation, SocraticAECEnv
from socratic_env.teachers import Teacher
from socratic_env.teachers.teacher import ask
from socratic_env.types import Guidance


class _Ordered(OrderEnforcingWrapper):
    """PettingZoo's checks of the order of calls, with an error where it would only log."""

    def step(self, action: Action) -> None:
        """As the environment's; the environment refuses a step before reset or after the end."""
        if self.env.agents:
            super().step(action)
        else:
            self.env.step(action)


class _TurnByTurn(turn_based_aec_to_parallel_wrapper):
    """The turns as steps of all agents: of the actions, that of `active_agent` counts."""

    def step(
        self, actions: dict[str, Action]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """One turn. The action of an agent that waits may be left out, and is not used."""
        if not self.aec_env.unwrapped.agents:
            raise StepError("no agent is left to act; call reset() first")
        if not isinstance(actions, Mapping):
            raise ActionError(f"actions is {actions!r:.60}; give a dictionary of agents and their actions")
        for agent in actions:
            if agent not in self.possible_agents:
                raise unknown("agent", agent, self.possible_agents, ActionError)
        turn = self.aec_env.agent_selection
        if turn not in actions:
            given = ", ".join(actions) or "nobody"
            raise ActionError(f"it is {turn}'s turn, but the actions are those of {given}; add {turn}'s")
        return super().step(actions)


def raw_env(**kwargs: Any) -> SocraticAECEnv:
    """The environment without PettingZoo's checks of order; arguments as for SocraticAECEnv."""
    return SocraticAECEnv(**kwargs)


def env(**kwargs: Any) -> AECEnv:
    """The turn-by-turn (AEC) environment; arguments as for SocraticAECEnv."""
    return _Ordered(raw_env(**kwargs))


def parallel_env(**kwargs: Any) -> ParallelEnv:
    """The parallel environment; arguments as for SocraticAECEnv.

    Each step is one turn: actions and results are keyed by agent, `infos[agent]["active_agent"]`
    says whose action counts next, and what the other one hands in is not used.
    """
    return _TurnByTurn(env(**kwargs))


def guide(environment: AECEnv | ParallelEnv, teacher: Teacher) -> Guidance:
    """A Teacher object in the teacher's seat: its action on the teacher's turn, in either form.

        teacher = from_spec("rule")
        env.step(multi_agent.guide(env, teacher) if env.agent_selection == "teacher_0" else reply)

    Raises StepError on another turn, and what `teacher.check` raises for an unfit question.
    """
    request = environment.unwrapped.request
    teacher.check(request.dialogue.question)
    (guidance,) = run(ask(teacher, [request]), TEACHERS)
    return guidance
