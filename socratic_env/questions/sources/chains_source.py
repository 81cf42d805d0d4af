"""Chains of operations in a world with hidden rules, made on demand."""

from __future__ import annotations

from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.questions.chains import ChainQuestions, World


def chains(
    domain: str | None,
    split: str,
    seed: int | str = World.seed,
    concepts: int = World.concepts,
    length: int = World.length,
    easy: float = World.easy,
    medium: float = World.medium,
    first_operations: int = World.first_operations,
) -> ChainQuestions:
    """The world of a seed ("chains:7") and of a size; see `socratic_env.questions.chains.World`."""
    if domain is not None:
        raise QuestionError(f"questions 'chains' has nothing of domain {domain!r}; leave domain out")
    if isinstance(seed, str):
        if not seed.isdecimal():
            raise ConfigurationError(f"questions 'chains': seed is {seed!r}; give a number, as in 'chains:7'")
        seed = int(seed)
    return ChainQuestions(World(seed, concepts, length, easy, medium, first_operations), split)
