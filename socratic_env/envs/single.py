"""The Gymnasium environment: one student, one question, up to K attempts."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import TEACHERS, run
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.engine.observation import observe
from socratic_env.engine.session import Session, check_options
from socratic_env.envs.one_dialogue import RENDER_MODES, OneDialogue, check_render_mode
from socratic_env.envs.spaces import text_space
from socratic_env.questions import load_questions
from socratic_env.rewards import BatchStatistics


class SocraticEnv(OneDialogue, gym.Env[str, str]):
    """A student answers a question; after a wrong answer a teacher guides, and it tries again.

    ## Description
    Each step is one whole attempt (paper section 4.1): the reply is verified, and after a wrong
    answer before the last attempt a teacher writes guidance on that very mistake.

    ## Action Space
    `UnicodeText`: the student's reply. A multiple-choice reply holds one answer block:
    `<reasoning>...</reasoning>\\n<answer>\\nB\\n</answer>`.

    ## Observation Space
    `UnicodeText`: the whole dialogue that the student sees. `info["messages"]` is the same as
    chat messages.

    ## Rewards
    A correct attempt k earns mu_{k-1}, the mean decayed reward of all earlier attempts of the
    batch (eqs 17-19); a wrong one earns 0. The batch is the shared `tracker`. Without one it is
    this environment's last 256 episodes: `reset(seed=...)` empties that window and `reset()`
    keeps it, so seeding every episode makes late rewards 0.

    ## Episode End
    Terminated when solved or after attempt K. Truncated when the teacher or the verifier failed for
    good or the dialogue grew past `max_context_chars`; see `info["stop_reason"]`.

    ## Information
    `messages`, `question_id`, `domain`, `attempt` (attempts made), `correct`, `answer` (what was
    read), `verdict` (why), `guidance`, `teacher_fault` (why the teacher gave none, else None),
    `verifier_fault` (why the last reply was not judged, else None),
    `stop_reason` (None while it goes on) and `reward_bounds`: (lo, hi) of the attempt just made, (0, 0)
    if wrong. Never the ground truth.

    ## Arguments
    * `questions`: "procedural", "concepts", "sciknoweval", a path, a QuestionSet or a list.
    * `domain`: "chemistry", "physics", "biology", "material" or None for all.
    * `split`: "train" or "test".
    * `exclude`: ids of questions to leave out, or the path of a JSON file that `socratic audit --out`
      wrote; None for nothing.
    * `teacher`: "rule", "retry", a spec such as {"kind": "openai", "base_url": ..., "model": ...}
      or a Teacher.
    * `protocol`: what the teacher sees and is asked: a name, or the path of a file (.md).
    * `verifier`: None for the question's own kind, a name, or a function (question, text) ->
      Verdict, which may be asynchronous.
    * `max_attempts`: K.
    * `reward`: "decay", "full" or "constant:g".
    * `tracker`: BatchStatistics shared by the environments of a batch.
    * `on_teacher_failure`: "truncate", "retry_prompt" or "raise".
    * `max_context_chars`: longest dialogue, or None.
    * `viewpoints`: knowledge in the student's system text on the questions to which it applies: a
      KnowledgeBase, the path of one, a list, or None.
    * `render_mode`: "ansi" or "human".

    ## References
    SocraticPO: Policy Optimization via Interactive Guidance, sections 4.1-4.3.

    ## Version History
    v0: first version.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 1}
    interaction: GuidedInteraction
    _session: Session

    def __init__(
        self,
        *,
        tracker: BatchStatistics | None = None,
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        self.observation_space = text_space()
        self.action_space = text_space()
        given = EnvArguments.of(arguments, beside=("tracker", "render_mode"))
        self.questions = load_questions(given.questions, given.domain, given.split, given.exclude)
        self.interaction = GuidedInteraction(given)
        self.interaction.teacher.check(self.questions[0])
        self._session = Session(self.interaction, self.questions, tracker)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """A new episode. An unfinished one is closed in the tracker.

        Options: `question_id` chooses the question, `tracker` changes to another batch.
        """
        check_options(options)
        super().reset(seed=seed)
        self._session.open(self.np_random, seed is not None, options)
        self._show()
        return observe(self.dialogue, self._session.reward_bounds)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """One attempt: verify, pay, and guide if the attempt was wrong and not the last."""
        self._session.answer(action)
        if self.dialogue.awaits_guidance:
            (advised,) = run(self.interaction.advise([self.dialogue]), TEACHERS)
            self._session.go_on(advised)
        self._show()
        stop, bounds = self.dialogue.stop, self._session.reward_bounds
        truncated = stop is not None and stop.truncated
        observation, info = observe(self.dialogue, bounds)
        return observation, bounds[0], stop is not None and not truncated, truncated, info

    def close(self) -> None:
        """Close an unfinished episode in the tracker, and a teacher that was made from a spec."""
        self._session.abandon()
        self.interaction.close()
