"""Students to be taught and measured. A file `<kind>_student.py` here is the kind `<kind>` of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError
from socratic_env.plugins import Kinds, make
from socratic_env.students.student import Student, StudentReply, StudentRequest, reply_of

__all__ = [
    "KINDS",
    "Student",
    "StudentReply",
    "StudentRequest",
    "StudentSpec",
    "reply_of",
    "student_from_spec",
]

StudentSpec: TypeAlias = "str | Mapping[str, Any]"

KINDS = Kinds("student", __name__, Student)


def student_from_spec(spec: StudentSpec, defaults: Mapping[str, Any] | None = None) -> Student:
    """The student named by a kind ("scripted"), {"kind": "openai", ...}, or "module:name" in place of a
    kind. `defaults` are arguments that the spec does not give, such as {"seed": 0, "temperature": 1.0};
    a kind that does not know one goes without it."""
    arguments = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = arguments.pop("kind", None)
    made = make("student", kind, KINDS.load(kind), arguments, defaults)
    if not isinstance(made, Student):
        raise ConfigurationError(f"student {kind!r} makes {made!r:.60}; it must make a Student")
    return made
