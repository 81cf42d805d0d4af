"""Viewpoints before the student: which of them it is shown on a question, and how."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError, ViewpointLeakWarning
from socratic_env.leakage import detect
from socratic_env.types import Message, Question
from socratic_env.viewpoints.knowledge_base import KnowledgeBase
from socratic_env.viewpoints.triggers import applies, labels
from socratic_env.viewpoints.viewpoint import Viewpoint

Viewpoints: TypeAlias = "KnowledgeBase | str | Path | Sequence[Viewpoint | Mapping[str, Any] | str] | None"
"""A base (its active ones, as they change), the path of one (as it stands now), or a list."""

HEADING = "Keep in mind:"
_ABOVE = f"\n\n{HEADING}\n"
_REMEMBERED = 2**14


class InContext:
    """The viewpoints of an environment, before the student on the questions to which they apply.

    given: as of `Viewpoints`; None: none.

    One that would give a question's answer away is not shown on it (`withheld`), and the first is warned of.

    Raises ConfigurationError for anything else, and for a vetoed viewpoint in a list; RecordingError for a
    file that is no knowledge base.
    """

    def __init__(self, given: Viewpoints = None) -> None:
        self._base = given if isinstance(given, KnowledgeBase) else None
        self._fixed = () if self._base is not None else _fixed(given)
        self.withheld: dict[str, int] = {}
        """Id of a viewpoint -> on how many dialogues it was not shown, since it gives the answer away."""

    @property
    def viewpoints(self) -> tuple[Viewpoint, ...]:
        """Those that there are now."""
        if self._base is None:
            return self._fixed
        self._base.check_shared()
        return self._base.active

    def on(self, question: Question) -> tuple[Viewpoint, ...]:
        """Those that are shown on a question."""
        shown = []
        for one in relevant(self.viewpoints, question):
            found = leaks(question, one.text)
            if found:
                self._withhold(one, question, found)
            else:
                shown.append(one)
        return tuple(shown)

    def before(self, question: Question) -> Question:
        """The question as the student is asked it: with the viewpoints in its system text."""
        return with_viewpoints(question, self.on(question)) if self.viewpoints else question

    def _withhold(self, viewpoint: Viewpoint, question: Question, found: Sequence[str]) -> None:
        if not self.withheld:
            warnings.warn(
                f"viewpoint {viewpoint.id} ({viewpoint.text!r:.60}) gives the answer of question "
                f"{question.id!r} away ({', '.join(found)}) and is not shown there; veto it, or leave "
                "numbers and options out of it. Later ones get no warning",
                ViewpointLeakWarning,
                stacklevel=1,
            )
        self.withheld[viewpoint.id] = self.withheld.get(viewpoint.id, 0) + 1


def relevant(viewpoints: Iterable[Viewpoint], question: Question) -> list[Viewpoint]:
    """Those that apply to a question, in their order."""
    said = _labels(question)
    return [one for one in viewpoints if applies(one, question, said)]


def with_viewpoints(question: Question, shown: Sequence[Viewpoint]) -> Question:
    """A question with these viewpoints in its system text: a list under `HEADING`. Where there is no system
    text the model takes no instructions, and reads their texts alone, one a line."""
    if not shown:
        return question
    if not question.system:
        return replace(question, system="\n".join(one.text for one in shown))
    listed = "\n".join(f"- {one.text}" for one in shown)
    return replace(question, system=f"{question.system}{_ABOVE}{listed}")


def viewpoints_in(chat: Sequence[Message]) -> str:
    """The viewpoints that a chat begins with, one a line, after a system text of the question."""
    system = chat[0]["content"] if chat and chat[0]["role"] == "system" else ""
    return "\n".join(line.removeprefix("- ") for line in system.partition(_ABOVE)[2].splitlines())


@lru_cache(_REMEMBERED)
def leaks(question: Question, text: str) -> tuple[str, ...]:
    """The kinds of leak (`leakage.KINDS`) by which a text gives a question's answer away."""
    return tuple(detect(question, text))


def leaking(viewpoint: Viewpoint, questions: Iterable[Question]) -> str:
    """Why a viewpoint must not be used: the first of these questions that it applies to, or came from, whose
    answer it gives away; "" if there is none."""
    sources = {trace.question_id for trace in viewpoint.traces}
    for question in questions:
        if question.id in sources or applies(viewpoint, question, _labels(question)):
            found = leaks(question, viewpoint.text)
            if found:
                return f"gives the answer of {question.id} away ({', '.join(found)})"
    return ""


def veto_leaks(base: KnowledgeBase, questions: Sequence[Question]) -> dict[str, str]:
    """Veto every viewpoint of a base that gives away the answer of a question that it applies to or came
    from; id -> why, of those vetoed now."""
    found = {one.id: leaking(one, questions) for one in base if not one.vetoed}
    vetoed = {viewpoint_id: why for viewpoint_id, why in found.items() if why}
    for viewpoint_id, why in vetoed.items():
        base.veto(viewpoint_id, why)
    return vetoed


def viewpoints_of(text: str | None, what: str) -> str | list[Any] | None:
    """The argument of a command: a path, or a JSON list of viewpoints. Raises ConfigurationError."""
    if text is None or not text.lstrip().startswith("["):
        return text
    try:
        listed: list[Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{what} {text!r:.80} is no valid JSON: {error}; quote it for the shell, or give a path"
        ) from None
    return listed


def _fixed(given: object) -> tuple[Viewpoint, ...]:
    if given is None:
        return ()
    if isinstance(given, str | os.PathLike):
        return KnowledgeBase.read(given).active
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise ConfigurationError(
            f"viewpoints is {given!r:.80}; give a KnowledgeBase, the path of one, or a list of viewpoints"
        )
    listed = tuple(map(Viewpoint.of, given))
    for one in listed:
        if one.vetoed:
            raise ConfigurationError(f"viewpoint {one.id} is vetoed ({one.vetoed}); leave it out")
    return listed


_labels = lru_cache(_REMEMBERED)(labels)
