"""Question sets, and how an argument names one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError, unknown
from socratic_env.plugins import make
from socratic_env.questions.chains import ChainQuestions, World
from socratic_env.questions.exclusion import Exclude, excluded_ids
from socratic_env.questions.files import load_path
from socratic_env.questions.hub import load_hub
from socratic_env.questions.procedural import TEMPLATES, ProceduralSet
from socratic_env.questions.question_set import QuestionList, QuestionSet
from socratic_env.types import DOMAINS, SPLITS, Question

__all__ = ["Exclude", "QuestionList", "QuestionSet", "Questions", "load_questions"]

Questions: TypeAlias = "str | Path | Mapping[str, Any] | QuestionSet | Sequence[Question]"


def load_questions(
    spec: Questions, domain: str | None = None, split: str = "train", exclude: Exclude = None
) -> QuestionSet:
    """The questions named by a spec.

    A family of procedural questions ("procedural", "concepts"), all levels or one of them
    ("procedural:easy"), "sciknoweval" (from the hub), a path to a file or folder, a QuestionSet, or
    a sequence of questions (used as they are). `exclude` leaves out rows by id: a list of ids, or the
    path of a JSON file that `socratic audit --out` wrote. Rows so left out may be damaged.

    Raises ConfigurationError for an unusable argument, QuestionError for unusable questions.
    """
    if domain is not None and domain not in DOMAINS:
        raise unknown("domain", domain, DOMAINS)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    skip = excluded_ids(exclude)
    if isinstance(spec, QuestionList):
        return spec.without(skip) if skip else spec
    if isinstance(spec, QuestionSet):
        return _whole(spec, skip)
    if isinstance(spec, Mapping):
        arguments = dict(spec)
        kind = arguments.pop("kind", None)
        if kind != "chains":
            raise unknown("kind of questions", kind, ("chains",))
        return _whole(ChainQuestions(make("questions", kind, World, arguments), split), skip)
    if isinstance(spec, str):
        if spec == "chains":
            return _whole(ChainQuestions(World(), split), skip)
        family, _, level = spec.partition(":")
        if family in TEMPLATES:
            return _whole(ProceduralSet(family, domain, split, level or None), skip)
        if spec == "sciknoweval":
            return load_hub(domain, split, skip)
        if not spec or ("/" not in spec and "." not in spec and not Path(spec).exists()):
            raise unknown("questions", spec, (*TEMPLATES, "chains", "sciknoweval", "a path"))
    if isinstance(spec, str | Path):
        return load_path(spec, domain, split, skip)
    if isinstance(spec, Sequence):
        given = [question for question in spec if isinstance(question, Question)]
        if len(given) == len(spec):
            return QuestionList([question for question in given if question.id not in skip])
    raise ConfigurationError(f"questions is {spec!r:.80}; give a name, a path, or Question records")


def _whole(questions: QuestionSet, skip: frozenset[str]) -> QuestionSet:
    if skip:
        raise ConfigurationError(
            f"exclude names {len(skip)} questions, but {type(questions).__name__} makes its questions on "
            "demand and has no rows to leave out; leave exclude out, or give a file or a list"
        )
    return questions
