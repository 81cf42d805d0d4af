"""Verifiers: (question, reply) -> Verdict. Pure, and linear in the length of the reply.

One may be asynchronous (`async def`), where it asks another process or a model: all replies of a step are
then judged together. Where it cannot judge, through no fault of the reply, it raises VerifierError: the
episode stays open, and nothing is paid.

A file `<kind>_verifier.py` here is the kind `<kind>`: it holds a function of that name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import TypeAlias

from socratic_env.errors import ConfigurationError
from socratic_env.plugins import Kinds
from socratic_env.types import AnswerKind, Question, Verdict
from socratic_env.verifiers.choice_verifier import choice
from socratic_env.verifiers.numeric_verifier import numeric
from socratic_env.verifiers.text_verifier import text

__all__ = [
    "KINDS",
    "SyncVerifier",
    "Verifier",
    "VerifierSpec",
    "by_kind",
    "choice",
    "numeric",
    "text",
    "verifier_from_spec",
]

SyncVerifier: TypeAlias = Callable[[Question, str], Verdict]
Verifier: TypeAlias = Callable[[Question, str], "Verdict | Awaitable[Verdict]"]
VerifierSpec: TypeAlias = "str | Verifier | None"

KINDS = Kinds("verifier", __name__)
_OF_KIND: Mapping[AnswerKind, SyncVerifier] = {
    AnswerKind.CHOICE: choice,
    AnswerKind.NUMERIC: numeric,
    AnswerKind.TEXT: text,
}


def by_kind(question: Question, reply: str) -> Verdict | Awaitable[Verdict]:
    """Judge by the question's own verifier, or else by that of its kind."""
    own = question.verifier
    if own is None:
        return _OF_KIND[question.kind](question, reply)
    return (_named(own) if isinstance(own, str) else own)(question, reply)


@cache
def _named(name: str) -> Verifier:
    found: Verifier = KINDS.load(name)
    return found


def verifier_from_spec(spec: VerifierSpec) -> Verifier:
    """None: by the question's kind; a name; "module:name" of one's own; or the function itself."""
    if spec is None:
        return by_kind
    found = KINDS.load(spec) if isinstance(spec, str) else spec
    if not callable(found):
        raise ConfigurationError(f"verifier is {spec!r}; give a name, a function or None")
    return found
