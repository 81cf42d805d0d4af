"""What tools and people read of an environment that plays one dialogue at a time."""

from __future__ import annotations

from typing import Protocol

from socratic_env import dialogue as rules_of
from socratic_env.dialogue import Dialogue
from socratic_env.engine.interaction import Interaction
from socratic_env.errors import unknown
from socratic_env.terminal import show
from socratic_env.types import Question, Usage

RENDER_MODES = ("ansi", "human")


class HasDialogue(Protocol):
    """A session, of one agent or of two."""

    @property
    def dialogue(self) -> Dialogue:
        """The current dialogue. Raises ResetNeeded before the first."""


class OneDialogue:
    """The shared half of the Gymnasium and the PettingZoo environment: no rules, only what is shown."""

    interaction: Interaction
    render_mode: str | None
    _session: HasDialogue

    @property
    def usage(self) -> dict[str, Usage]:
        """What calls have cost so far, by role; calls of agents outside only where they say so."""
        return dict(self.interaction.usage)

    @property
    def question(self) -> Question:
        """The current question, ground truth included: for tools, not for students."""
        return self.dialogue.question

    @property
    def dialogue(self) -> Dialogue:
        """The current dialogue, ground truth included: for tools, not for students."""
        return self._session.dialogue

    def render(self) -> str | None:
        """The dialogue as text in mode "ansi"; mode "human" prints by itself."""
        return rules_of.text(self.dialogue) if self.render_mode == "ansi" else None

    def _show(self) -> None:
        if self.render_mode == "human":
            show(rules_of.text(self.dialogue))


def check_render_mode(mode: str | None) -> str | None:
    """A render mode as it is given. Raises ConfigurationError for one that there is not."""
    if mode is not None and mode not in RENDER_MODES:
        raise unknown("render_mode", mode, RENDER_MODES)
    return mode
