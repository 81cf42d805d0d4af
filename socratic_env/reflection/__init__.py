"""Reflecting teachers (Socratic-RL): traces in, viewpoints out. A file `<kind>_reflector.py` here is the kind
`<kind>` of a spec. And the constitution, whose rules a viewpoint must keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError
from socratic_env.plugins import Kinds, make
from socratic_env.reflection.reflector import Reflection, Reflector

__all__ = ["KINDS", "Reflection", "Reflector", "ReflectorSpec", "from_spec"]

ReflectorSpec: TypeAlias = "str | Mapping[str, Any] | Reflector"

KINDS = Kinds("reflector", __name__, Reflector)


def from_spec(spec: ReflectorSpec) -> Reflector:
    """The reflecting teacher named by a spec: a kind ("rule"), {"kind": "openai", ...}, "module:name" in
    place of a kind, or a Reflector object itself."""
    if isinstance(spec, Reflector):
        return spec
    if isinstance(spec, str):
        spec = {"kind": spec}
    if not isinstance(spec, Mapping):
        raise ConfigurationError(
            f"reflector is {spec!r:.80}; give a kind ({', '.join(KINDS.names)}), a mapping with 'kind', or a "
            "Reflector"
        )
    arguments = dict(spec)
    kind = arguments.pop("kind", None)
    made = make("reflector", kind, KINDS.load(kind), arguments)
    if not isinstance(made, Reflector):
        raise ConfigurationError(f"reflector {kind!r} makes {made!r:.60}; it must make a Reflector")
    return made
