"""The arguments that all environments share: declared here once, and passed on as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from socratic_env.errors import check_count, unknown
from socratic_env.protocols import TeachingProtocol
from socratic_env.questions import Exclude, Questions
from socratic_env.teachers import TeacherSpec
from socratic_env.verifiers import VerifierSpec
from socratic_env.viewpoints import Viewpoints

FAILURE_POLICIES = ("truncate", "retry_prompt", "raise")
ABOUT_QUESTIONS = ("questions", "domain", "split", "exclude")
"""Arguments that say which questions; a face that is given questions goes without them."""


@dataclass(frozen=True)
class EnvArguments:
    """What `gym.make` takes for any of these environments, beside what only one face knows."""

    questions: Questions = "procedural"
    """A family ("procedural", "concepts", ...), "sciknoweval", a path, a spec, a QuestionSet or a list."""
    domain: str | None = None
    """"chemistry", "physics", "biology", "material", or None for all."""
    split: str = "train"
    """"train" or "test"."""
    exclude: Exclude = None
    """Ids of questions to leave out, or the path of a JSON file that `socratic audit --out` wrote."""
    teacher: TeacherSpec = "rule"
    """"rule", "retry", a spec such as {"kind": "openai", "base_url": ..., "model": ...}, "module:name", or a
    Teacher."""
    protocol: str | Path | TeachingProtocol = "paper"
    """What the teacher sees and is asked: a name, the path of a file (.md), or a TeachingProtocol."""
    verifier: VerifierSpec = None
    """None for the question's own kind, a name, "module:name", or a function (question, text) -> Verdict."""
    max_attempts: int = 2
    """K, the most attempts of an episode."""
    reward: str = "decay"
    """"decay", "full" or "constant:g"."""
    on_teacher_failure: str = "truncate"
    """"truncate", "retry_prompt" or "raise"."""
    max_context_chars: int | None = None
    """Longest dialogue, in characters, or None."""
    viewpoints: Viewpoints = None
    """Knowledge in the student's system text: a KnowledgeBase, the path of one, a list, or None."""

    def __post_init__(self) -> None:
        check_count("max_attempts", self.max_attempts)
        if self.on_teacher_failure not in FAILURE_POLICIES:
            raise unknown("on_teacher_failure", self.on_teacher_failure, FAILURE_POLICIES)
        if self.max_context_chars is not None:
            check_count("max_context_chars", self.max_context_chars)

    @classmethod
    def of(
        cls, given: Mapping[str, Any], without: Collection[str] = (), beside: Collection[str] = ()
    ) -> Self:
        """The arguments that a face was given.

        without: those that it does not take. beside: those of its own, for the message.

        Raises ConfigurationError for one that there is none of.
        """
        known = [each.name for each in fields(cls) if each.name not in without]
        for name in given:
            if name not in known:
                raise unknown("argument", name, [*known, *beside])
        return cls(**given)
