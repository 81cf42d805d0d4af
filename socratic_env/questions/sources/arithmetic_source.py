"""Arithmetic of several operations with brackets, made on demand."""

from __future__ import annotations

from socratic_env.questions.procedural import ProceduralSet


def arithmetic(domain: str | None, split: str, part: str | None = None) -> ProceduralSet:
    """The whole family, or a part of it: one level ("easy"), one shape ("sum_times")."""
    return ProceduralSet("arithmetic", domain, split, part)
