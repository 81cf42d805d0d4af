"""Question sets, and how an argument names one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from socratic_env.errors import ConfigurationError, unknown
from socratic_env.questions.base import QuestionList, QuestionSet
from socratic_env.questions.procedural import TEMPLATES, ProceduralSet
from socratic_env.questions.sciknoweval import load_hub, load_path
from socratic_env.types import DOMAINS, SPLITS, Question

__all__ = ["QuestionList", "QuestionSet", "Questions", "load_questions"]

Questions: TypeAlias = "str | Path | QuestionSet | Sequence[Question]"


def load_questions(spec: Questions, domain: str | None = None, split: str = "train") -> QuestionSet:
    """The questions named by a spec.

    A family of procedural questions ("procedural", "concepts"), all levels or one of them
    ("procedural:easy"), "sciknoweval" (from the hub), a path to a file or folder, a QuestionSet, or
    a sequence of questions (used as they are).
    """
    if domain is not None and domain not in DOMAINS:
        raise unknown("domain", domain, DOMAINS)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if isinstance(spec, QuestionSet):
        return spec
    if isinstance(spec, str):
        family, _, level = spec.partition(":")
        if family in TEMPLATES:
            return ProceduralSet(family, domain, split, level or None)
        if spec == "sciknoweval":
            return load_hub(domain, split)
        if "/" not in spec and "." not in spec and not Path(spec).exists():
            raise unknown("questions", spec, (*TEMPLATES, "sciknoweval", "a path"))
    if isinstance(spec, str | Path):
        return load_path(spec, domain, split)
    if isinstance(spec, Sequence) and all(isinstance(q, Question) for q in spec):
        return QuestionList(spec)
    raise ConfigurationError(f"questions is {spec!r:.80}; give a name, a path, or Question records")
