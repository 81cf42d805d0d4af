"""The PettingZoo environment: turn by turn, one agent after the other."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import gymnasium as gym
from gymnasium.spaces import Dict, Discrete
from pettingzoo import AECEnv  # type: ignore[import-untyped]

from socratic_env import dialogue as rules_of
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.interaction import Interaction
from socratic_env.engine.session import RESET_OPTIONS, Session
from socratic_env.envs.one_dialogue import RENDER_MODES, OneDialogue, check_render_mode
from socratic_env.envs.spaces import text_space
from socratic_env.errors import StepError, unknown
from socratic_env.multi_agent.turns import STUDENT, TEACHER, TwoAgentSession
from socratic_env.questions import load_questions
from socratic_env.rewards import BatchStatistics
from socratic_env.teachers import TeacherRequest
from socratic_env.types import Guidance

Observation: TypeAlias = dict[str, Any]
Action: TypeAlias = "str | Guidance | None"


class SocraticAECEnv(OneDialogue, AECEnv):
    """Student and teacher take turns: an answer, guidance on it if it is wrong, an answer, ...

    ## Description
    `student_0` begins. After a wrong attempt before the last it is the turn of `teacher_0`, whose
    text is taken as a Teacher object's guidance is: cut at the protocol's length, searched for
    leaks, and replaced or asked for once more (a second turn) where the protocol says so. Under a
    protocol with a fixed text, and with max_attempts=1, the teacher has no turn.

    ## Action Space
    `UnicodeText` for both: the reply, the guidance. A blank text of the teacher is a fault. The
    teacher may also act with a `Guidance`, as Teacher objects return it, with its own fault,
    mistake and usage; see `guide`.

    ## Observation Space
    `Dict(dialogue=UnicodeText, attempt=Discrete(max_attempts + 1))` for both: a text and the
    number of attempts made. The student's text is the whole dialogue, as in SocraticEnv. The
    teacher's is what the protocol shows on its turn (question, last reply or dialogue, ground
    truth and solution or not), and empty otherwise.

    ## Rewards
    The student's are those of SocraticEnv for the same seeds and texts. The teacher earns for the
    guidance after attempt k, when attempt k + 1 is judged: 1 if that is correct, minus
    `leak_penalty` if the guidance leaked, undecayed. With `teacher_baseline` minus the share of
    guided attempts that were correct before, in the statistics that the student's reward uses
    (0 before the first). A fault, and guidance that no attempt follows, earn nothing.

    ## Episode End
    Both agents end together, as in SocraticEnv; a fault of the teacher or the verifier truncates.

    ## Information
    The student's is that of SocraticEnv. The teacher's: `messages` (its request as chat messages,
    empty when it is not its turn), `question_id`, `domain`, `attempt`, `guidance` (what the student
    was told last), `leaks` (kinds found in it), `teacher_fault`, `verifier_fault`, `stop_reason`.
    Both: `active_agent`, whose turn it is, None at the end.

    ## Arguments
    * `questions`, `domain`, `split`, `exclude`, `protocol`, `verifier`, `max_attempts`, `reward`,
      `tracker`, `max_context_chars`, `viewpoints`, `render_mode`: as for SocraticEnv. The teacher does not
      see viewpoints.
    * `leak_penalty`: what guidance that leaked costs the teacher, at least 0.
    * `teacher_baseline`: whether the teacher's reward is centred.

    ## References
    SocraticPO, sections 4.1-4.3.

    ## Version History
    v0: first version.
    """

    metadata = {
        "name": "socratic_sciknow_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": 1,
        "is_parallelizable": False,
    }
    _session: TwoAgentSession

    def __init__(
        self,
        *,
        leak_penalty: float = 1.0,
        teacher_baseline: bool = False,
        tracker: BatchStatistics | None = None,
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__()
        self.render_mode = check_render_mode(render_mode)
        own = ("leak_penalty", "teacher_baseline", "tracker", "render_mode")
        given = EnvArguments.of(arguments, without=("teacher", "on_teacher_failure"), beside=own)
        self.interaction = Interaction(given)
        self.questions = load_questions(given.questions, given.domain, given.split, given.exclude)
        session = Session(self.interaction, self.questions, tracker)
        self._session = TwoAgentSession(session, leak_penalty, teacher_baseline)
        self._generator = gym.utils.seeding.np_random(None)[0]
        self.possible_agents = [STUDENT, TEACHER]
        self.agents: list[str] = []
        attempts = self.interaction.rules.max_attempts + 1
        self._observation_spaces = {
            agent: Dict({"dialogue": text_space(), "attempt": Discrete(attempts)})
            for agent in self.possible_agents
        }
        self._action_spaces = {agent: text_space() for agent in self.possible_agents}

    # -- what tools read ---------------------------------------------------------------

    @property
    def request(self) -> TeacherRequest:
        """What a Teacher object is asked on the teacher's turn. Raises StepError on another."""
        return self._session.request

    # -- PettingZoo --------------------------------------------------------------------

    def observation_space(self, agent: str) -> Dict:
        """The space of an agent's observations, always the same object."""
        return self._observation_spaces[self._known(agent)]

    def action_space(self, agent: str) -> gym.spaces.Space[str]:
        """The space of an agent's texts, always the same object."""
        return self._action_spaces[self._known(agent)]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """A new episode; an unfinished one is closed in the tracker.

        Options: `question_id` and `tracker`, as for SocraticEnv. Another one is left alone with a
        warning, since PettingZoo's own tests hand in one that no environment knows.
        """
        known = {name: value for name, value in (options or {}).items() if name in RESET_OPTIONS}
        if len(known) < len(options or {}):
            other = ", ".join(repr(name) for name in options or {} if name not in RESET_OPTIONS)
            warnings.warn(
                f"unknown reset option {other} is not used; use one of: {', '.join(RESET_OPTIONS)}",
                stacklevel=2,
            )
        if seed is not None:
            self._generator = gym.utils.seeding.np_random(seed)[0]
        self._session.open(self._generator, seed is not None, known)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self._skip_agent_selection = None
        self._show_turn()

    def step(self, action: Action) -> None:
        """The turn of `agent_selection`. An agent that has ended takes None, which removes it."""
        if not self.agents:
            raise StepError("no agent is left to act; call reset() first")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            if action is not None:
                raise StepError(
                    f"{agent} has ended ({self.dialogue.stop}) and takes no action but None; "
                    "step(None) removes it, reset() opens a new episode"
                )
            self._was_dead_step(None)
            return
        self.rewards = self._session.act(action)
        self._cumulative_rewards[agent] = 0.0
        self._accumulate_rewards()
        self._show_turn()

    def observe(self, agent: str) -> Observation:
        """What an agent sees now."""
        attempt = len(self.dialogue.attempts)
        if self._known(agent) == STUDENT:
            return {"dialogue": rules_of.text(self.dialogue), "attempt": attempt}
        return {"dialogue": rules_of.transcript(self._session.messages()), "attempt": attempt}

    def close(self) -> None:
        """Close an unfinished episode in the tracker."""
        self._session.session.abandon()
        self.agents = []

    # ------------------------------------------------------------------------------------

    def _known(self, agent: str) -> str:
        if agent not in self.possible_agents:
            raise unknown("agent", agent, self.possible_agents)
        return agent

    def _show_turn(self) -> None:
        """Who is next, who has ended, and what they are told."""
        stop = self.dialogue.stop
        truncated = stop is not None and stop.truncated
        self.terminations = dict.fromkeys(self.agents, stop is not None and not truncated)
        self.truncations = dict.fromkeys(self.agents, truncated)
        self.agent_selection = self._session.turn or STUDENT
        self.infos = self._session.infos()
        self._show()
