"""Question sets, and how an argument names one. A file `sources/<kind>_source.py` is the kind `<kind>`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError, unknown
from socratic_env.plugins import Kinds, make, signature_of
from socratic_env.questions.exclusion import Exclude, excluded_ids
from socratic_env.questions.hub_presets import PRESETS
from socratic_env.questions.question_set import QuestionList, QuestionSet
from socratic_env.types import DOMAINS, SPLITS, Question

__all__ = ["KINDS", "Exclude", "QuestionList", "QuestionSet", "Questions", "load_questions", "source_spec"]

Questions: TypeAlias = "str | Path | Mapping[str, Any] | QuestionSet | Sequence[Question]"

KINDS = Kinds("source", f"{__name__}.sources", argument="questions")
_GIVEN = ("domain", "split", "exclude")
"""Parameters of a source that are arguments of their own, not options of a spec."""


def load_questions(
    spec: Questions, domain: str | None = None, split: str = "train", exclude: Exclude = None
) -> QuestionSet:
    """The questions named by a spec.

    The kind of a source ("procedural", "sciknoweval", ...) or a part of it ("procedural:easy"), a preset of
    the hub ("gsm8k"),
    {"kind": ..., ...} with a source's options, "module:name" in place of a kind, a path to a file or folder,
    a QuestionSet, or a sequence of questions (used as they are). `exclude` leaves out rows by id: a list of
    ids, or the path of a JSON file that `socratic audit --out` wrote. Rows so left out may be damaged.

    Raises ConfigurationError for an unusable argument, QuestionError for unusable questions.
    """
    if domain is not None and domain not in DOMAINS:
        raise unknown("domain", domain, DOMAINS)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    skip = excluded_ids(exclude)
    if isinstance(spec, QuestionSet):
        return _without(spec, skip)
    if isinstance(spec, str | Path | Mapping):
        return _of_source(source_spec(spec), {"domain": domain, "split": split, "exclude": skip})
    return _without(_listed(spec, "questions is", "give a name, a path, a spec, or Question records"), skip)


def source_spec(spec: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec {"kind": ..., ...} that a name, "name:part", "module:name" or a path is short for."""
    if isinstance(spec, Mapping):
        return spec
    if isinstance(spec, Path):
        return {"kind": "file", "path": spec}
    kind, colon, part = spec.partition(":")
    if kind in KINDS.names or kind.replace("-", "_") in KINDS.names:
        return {"kind": kind, **({_first_option(kind): part} if colon else {})}
    if spec in PRESETS:
        return {"kind": "hub", "path": spec}
    if os.sep in spec or "/" in spec or os.path.exists(spec) or ("." in spec and not colon):
        return {"kind": "file", "path": spec}
    if colon:
        return {"kind": spec}
    raise unknown("questions", spec, [*KINDS.names, *PRESETS, "module:name", "a path"])


def _of_source(spec: Mapping[str, Any], given: Mapping[str, Any]) -> QuestionSet:
    options = dict(spec)
    kind = options.pop("kind", None)
    source = KINDS.load(kind)
    parameters = signature_of("questions", kind, source).parameters
    for name in _GIVEN:
        if (
            name in options and f"{kind}_{name}" in parameters
        ):  # the source's own split, beside the environment's
            options[f"{kind}_{name}"] = options.pop(name)
        elif name in options:
            raise ConfigurationError(f"questions {kind!r} holds {name!r}; give {name}= beside questions=")
    for name in ("domain", "split"):
        if name not in parameters:
            raise ConfigurationError(
                f"questions {kind!r} is {source!r:.60}, which takes no {name}; a source is a function "
                "(domain, split, ...) -> QuestionSet"
            )
    made = make("questions", kind, source, options, given)
    wanted = "a source must make a QuestionSet or a list of Question records"
    found = made if isinstance(made, QuestionSet) else _listed(made, f"questions {kind!r} makes", wanted)
    return found if "exclude" in parameters else _without(found, given["exclude"])


def _first_option(kind: str) -> str:
    parameters = signature_of("questions", kind, KINDS.load(kind)).parameters
    options = [name for name in parameters if name not in _GIVEN]
    if not options:
        raise ConfigurationError(f"questions {kind!r} has no parts; give it without ':'")
    return options[0]


def _listed(given: object, what: str, remedy: str) -> QuestionList:
    if isinstance(given, Sequence):
        questions = [question for question in given if isinstance(question, Question)]
        if len(questions) == len(given):
            return QuestionList(questions)
    raise ConfigurationError(f"{what} {given!r:.80}; {remedy}")


def _without(questions: QuestionSet, skip: frozenset[str]) -> QuestionSet:
    if not skip:
        return questions
    if isinstance(questions, QuestionList):
        return questions.without(skip)
    raise ConfigurationError(
        f"exclude names {len(skip)} questions, but {type(questions).__name__} makes its questions on "
        "demand and has no rows to leave out; leave exclude out, or give a file or a list"
    )
