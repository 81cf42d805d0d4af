"""Science questions of four domains, made on demand."""

from __future__ import annotations

from socratic_env.questions.procedural import ProceduralSet


def procedural(domain: str | None, split: str, part: str | None = None) -> ProceduralSet:
    """The whole family, or a part of it: one level ("easy"), one template ("carnot_work")."""
    return ProceduralSet("procedural", domain, split, part)
