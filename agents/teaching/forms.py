"""How a teacher model is asked about a trace, and how its words become a viewpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.warm_start.modular_student import words_of
from socratic_env.errors import ConfigurationError
from socratic_env.models.completion import without_thinking
from socratic_env.reflection.prompts import reflection_prompt
from socratic_env.reflection.reflector import reference
from socratic_env.reflection.structured import viewpoints_in
from socratic_env.traces import InteractionTrace
from socratic_env.types import Message
from socratic_env.verifiers import text as text_verifier
from socratic_env.viewpoints import Viewpoint


@dataclass(frozen=True)
class Form:
    """ask: the chat of a trace. read: the viewpoint of an answer; raises ValueError with what is wrong.
    wants: whether a trace is asked about."""

    ask: Callable[[InteractionTrace], Sequence[Message]]
    read: Callable[[str, InteractionTrace], Viewpoint]
    wants: Callable[[InteractionTrace], bool]


def form_of(prompt: str) -> Form:
    """The form of `TeachConfig.prompt`."""
    if prompt == "words":
        return Form(_words_asked, _words_read, lambda trace: not trace.correct)
    chosen = reflection_prompt(prompt)
    if chosen.most != 1:
        raise ConfigurationError(
            f"reflection prompt {chosen.name!r} asks for up to {chosen.most} viewpoints, and a teacher that "
            "learns is paid for one; set most: 1"
        )

    def read(answer: str, trace: InteractionTrace) -> Viewpoint:
        found = viewpoints_in(without_thinking(answer), chosen, trace, teacher="learnt")
        if not found:
            raise ValueError("it gives no viewpoint")
        return found[0]

    return Form(chosen.messages, read, chosen.wants)


def _words_asked(trace: InteractionTrace) -> list[Message]:
    said = text_verifier(trace.question, trace.text).answer or ""
    return [{"role": "user", "content": f"{trace.question.statement} = {said}"}]


def _words_read(answer: str, trace: InteractionTrace) -> Viewpoint:
    words = words_of(answer)
    return Viewpoint(words.text, words.kind, words.trigger, reference(trace), "learnt")
