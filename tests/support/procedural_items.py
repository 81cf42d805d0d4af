"""Procedural items, each made once for all tests of a process."""

from __future__ import annotations

from collections import defaultdict

from socratic_env.questions.procedural.template import Template
from socratic_env.types import Question

_made: defaultdict[tuple[str, str, str], list[Question]] = defaultdict(list)


def items(template: Template, split: str = "train", count: int = 1200) -> list[Question]:
    """The first items of a registered template."""
    made = _made[template.family, template.name, split]
    made += [template.item(split, number) for number in range(len(made), count)]
    return made[:count]
