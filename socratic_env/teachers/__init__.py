"""Teachers, and how a serialisable spec names one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError, unknown
from socratic_env.teachers.base import Teacher, TeacherRequest

__all__ = ["KINDS", "Teacher", "TeacherRequest", "TeacherSpec", "from_spec"]

TeacherSpec: TypeAlias = "str | Mapping[str, Any] | Teacher"

KINDS: dict[str, str] = {
    "rule": "socratic_env.teachers.rule:RuleTeacher",
    "retry": "socratic_env.teachers.retry:RetryTeacher",
    "openai": "socratic_env.teachers.openai:OpenAITeacher",
    "vllm": "socratic_env.teachers.vllm:VLLMTeacher",
    "recorded": "socratic_env.teachers.recorded:RecordedTeacher",
    "recording": "socratic_env.teachers.recorded:RecordingTeacher",
    "ensemble": "socratic_env.teachers.ensemble:EnsembleTeacher",
    "guarded": "socratic_env.teachers.guarded:GuardedTeacher",
}
"""Kind -> class, imported when used."""


def from_spec(spec: TeacherSpec) -> Teacher:
    """The teacher named by a spec: "rule", {"kind": "openai", ...}, or a Teacher object itself."""
    if isinstance(spec, Teacher):
        return spec
    if isinstance(spec, str):
        spec = {"kind": spec}
    if not isinstance(spec, Mapping):
        raise ConfigurationError(
            f"teacher is {spec!r}; give a kind ({', '.join(KINDS)}), a mapping with 'kind', or a Teacher"
        )
    arguments = dict(spec)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise unknown("teacher", kind, KINDS)
    module, _, name = KINDS[kind].partition(":")
    make: Callable[..., Teacher] = getattr(import_module(module), name)
    if "api_key" in arguments:
        raise ConfigurationError(
            "teacher: a key does not belong into a spec; put it into an environment variable "
            "and name that with 'api_key_env'"
        )
    signature = inspect.signature(make)
    try:
        signature.bind(**arguments)
        return make(**arguments)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "none"
        raise ConfigurationError(f"teacher {kind!r}: {error}; its arguments are: {known}") from None
