"""Teachers: who gives guidance. A file `<kind>_teacher.py` here is the kind `<kind>` of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError
from socratic_env.plugins import Kinds, make
from socratic_env.teachers.teacher import Teacher, TeacherRequest

__all__ = ["KINDS", "Teacher", "TeacherRequest", "TeacherSpec", "from_spec"]

TeacherSpec: TypeAlias = "str | Mapping[str, Any] | Teacher"

KINDS = Kinds("teacher", __name__, Teacher)


def from_spec(spec: TeacherSpec) -> Teacher:
    """The teacher named by a spec: a kind ("rule"), {"kind": "openai", ...}, "module:name" in place of a
    kind, or a Teacher object itself."""
    if isinstance(spec, Teacher):
        return spec
    if isinstance(spec, str):
        spec = {"kind": spec}
    if not isinstance(spec, Mapping):
        raise ConfigurationError(
            f"teacher is {spec!r}; give a kind ({', '.join(KINDS.names)}), "
            "a mapping with 'kind', or a Teacher"
        )
    arguments = dict(spec)
    kind = arguments.pop("kind", None)
    made = make("teacher", kind, KINDS.load(kind), arguments)
    if not isinstance(made, Teacher):
        raise ConfigurationError(f"teacher {kind!r} makes {made!r:.60}; it must make a Teacher")
    return made
