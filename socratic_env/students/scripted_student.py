"""A scripted student, which believes in the questions' mistakes and follows what it reads."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

from socratic_env.errors import ConfigurationError
from socratic_env.leakage import detect
from socratic_env.students.student import Student, StudentRequest
from socratic_env.types import Mistake, Question, reply
from socratic_env.viewpoints import viewpoints_in

_WORD = re.compile(r"[a-z]{3,}")
_RECOGNISED = 0.6
_AGAINST = re.compile(r"\b(?:not|never|no|wrong|mistake|instead of)\b|n't", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Habits:
    """The stated probabilities of the scripted student; hints multiply the chances to stay wrong."""

    knows: float = 0.35
    """Its first answer is right."""
    retry: float = 0.1
    """A wrong answer is corrected without any hint."""
    locate: float = 0.2
    """... after a hint where to look."""
    ask: float = 0.3
    """... after a question about the place."""
    explain: float = 0.4
    """... after being told what went wrong."""
    next_step: float = 0.5
    """... after being told the next step."""
    copies: float = 0.95
    """... after guidance that gives the answer away."""
    keeps: float = 0.7
    """A student that is not corrected repeats the same mistake, else it makes another."""
    heeds: float = 0.8
    """Its first answer is right after all, where a viewpoint explains the mistake that it would make."""
    misled: float = 0.8
    """Its first answer makes the mistake that a viewpoint tells it to make."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not 0.0 <= value <= 1.0:
                raise ConfigurationError(f"the scripted student's {each.name} is {value!r}; give 0 to 1")


class ScriptedStudent(Student):
    """Believes in the question's mistake table and follows what it reads, with stated probabilities.

    It reads only the messages: its own last reply and the guidance after it. Its chances depend on
    the seed, the question, the rollout and the attempt alone, so that the same guidance has the same
    effect under every protocol. In its first attempt it follows the viewpoints of its system text: those that
    hint at its mistake, and those that tell it to make one (in the words of the mistake's name).
    """

    def __init__(self, habits: Habits | None = None, seed: int = 0) -> None:
        self._habits, self._seed = habits or Habits(), seed

    async def answer(self, requests: Sequence[StudentRequest]) -> list[str]:
        """Replies, at once."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: StudentRequest) -> str:
        question = request.question
        if not question.mistakes:
            raise ConfigurationError(
                f"question {question.id!r} has no mistake table, which is what the scripted student "
                "believes in; use procedural questions, or a student behind an endpoint"
            )
        said = [m["content"] for m in request.messages if m["role"] == "assistant"]
        rng = random.Random(f"{self._seed}/{question.id}/{request.rollout}/{len(said)}")
        luck, other = rng.random(), rng.randrange(len(question.mistakes))
        held = next((m for m in question.mistakes if said and said[-1] == _wrong(m)), None)
        chance = self._habits.knows
        if said:
            guidance = request.messages[-1]["content"] if request.messages[-1]["role"] == "user" else ""
            chance = self.chance(question, held, guidance)
        right = luck < chance
        if not said and (told := viewpoints_in(request.messages)):
            right, other = self._told(request, told, right, other)
        if right:
            return reply(question.solution or "I know it.", question.answer)
        if held is not None and rng.random() < self._habits.keeps:
            return _wrong(held)
        return _wrong(question.mistakes[other])

    def _told(self, request: StudentRequest, told: str, right: bool, other: int) -> tuple[bool, int]:
        """(whether it is right, else which mistake it makes) after it has read viewpoints."""
        mistakes = request.question.mistakes
        rng = random.Random(f"{self._seed}/{request.question.id}/{request.rollout}/viewpoints")
        heeded, misled = rng.random() < self._habits.heeds, rng.random() < self._habits.misled
        if misled:
            for line in told.splitlines():
                for place, mistake in enumerate(mistakes):
                    if recommends(line, mistake):
                        return False, place
        return right or (heeded and explains(told, mistakes[other])), other

    def chance(self, question: Question, held: Mistake | None, guidance: str) -> float:
        """How likely this guidance leads a student that holds a mistake to the right answer."""
        wrong = 1.0 - self._habits.retry
        for strength in hints_in(guidance, held):
            wrong *= 1.0 - getattr(self._habits, strength)
        if detect(question, guidance):
            wrong = min(wrong, 1.0 - self._habits.copies)
        return 1.0 - wrong


def _wrong(mistake: Mistake) -> str:
    return reply(mistake.reasoning, mistake.answer)


def explains(text: str, mistake: Mistake) -> bool:
    """Whether a text has a hint on a mistake word for word, or most words of the principle that explains it
    (those of its name do not count)."""
    hints = (mistake.locate, mistake.ask, mistake.explain, mistake.next_step)
    principle = mistake.explain.partition(f"{mistake.name}: ")[2]
    needed = set(_WORD.findall(principle.lower())) - set(_WORD.findall(mistake.name.lower()))
    said = set(_WORD.findall(text.lower()))
    found = bool(needed) and len(needed & said) >= _RECOGNISED * len(needed)
    return found or any(hint and hint in text for hint in hints)


def recommends(text: str, mistake: Mistake) -> bool:
    """Whether a text tells to make a mistake: it has the words of its name in a row, by their beginnings, and
    nothing against it."""
    told, named = (
        " ".join(word[:4] for word in _WORD.findall(said.lower())) for said in (text, mistake.name)
    )
    found = bool(named) and f" {named} " in f" {told} "
    return found and not _AGAINST.search(text) and not explains(text, mistake)


def hints_in(guidance: str, held: Mistake | None) -> list[str]:
    """Which hints on this mistake a text gives: word for word, else by most of their words."""
    if held is None:
        return []
    hints = {name: cast(str, getattr(held, name)) for name in ("locate", "ask", "explain", "next_step")}
    literal = [name for name, hint in hints.items() if hint and hint in guidance]
    if literal:
        return literal
    words = set(_WORD.findall(guidance.lower()))
    found = []
    for name, hint in hints.items():
        needed = set(_WORD.findall(hint.lower()))
        if needed and len(needed & words) >= _RECOGNISED * len(needed) and (name != "ask" or "?" in guidance):
            found.append(name)
    return found
