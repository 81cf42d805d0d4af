"""Drills with a hidden rule for each concept, made on demand."""

from __future__ import annotations

from socratic_env.questions.procedural import ProceduralSet


def concepts(domain: str | None, split: str, part: str | None = None) -> ProceduralSet:
    """The whole family, or a part of it: one concept ("zorin")."""
    return ProceduralSet("concepts", domain, split, part)
