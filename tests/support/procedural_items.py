"""Procedural items, each made once for all tests of a process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from socratic_env.questions.procedural.editions import edition
from socratic_env.questions.procedural.template import Template
from socratic_env.types import Question

_made: defaultdict[tuple[str, str, str], list[Question]] = defaultdict(list)


def pinned(family: str, domains: Collection[str]) -> list[Template]:
    """The templates of the default mix: each has a route of its own in the tests of its domain. One that is
    in no edition yet meets the tests of every template (`test_procedural.py`) alone."""
    return [template for template in edition(family) if template.domain in domains]


def items(template: Template, split: str = "train", count: int = 1200) -> list[Question]:
    """The first items of a registered template."""
    made = _made[template.family, template.name, split]
    made += [template.item(split, number) for number in range(len(made), count)]
    return made[:count]
