"""Science drills with small numbers, made on demand, for models of 10^5 to 10^6 parameters."""

from __future__ import annotations

from socratic_env.questions.procedural import ProceduralSet


def drills(domain: str | None, split: str, part: str | None = None) -> ProceduralSet:
    """The whole family, or a part of it: one template ("carnot_work")."""
    return ProceduralSet("drills", domain, split, part)
