"""Generators of the package reasoning-gym, each with its own scorer, made on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.errors import ConfigurationError, QuestionError, check_count
from socratic_env.questions.reasoning_gym import LARGEST, TEST_SEED, ReasoningGymQuestions, check_name

_PART = ("dataset", "weight", "level")
_WANTED = (
    'give a dataset ("reasoning-gym:leg_counting"), or datasets=[...] of names and of mappings such as '
    '{"dataset": "chain_sum", "weight": 2, "max_terms": 4}'
)


def reasoning_gym(
    domain: str | None,
    split: str,
    dataset: str | None = None,
    datasets: Sequence[str | Mapping[str, Any]] | None = None,
    level: int | Mapping[str, int] | None = None,
    seed: int = 0,
    size: int = 10_000,
    threshold: float = 1.0,
    **settings: Any,
) -> ReasoningGymQuestions:
    """One generator ("reasoning-gym:leg_counting"), or several mixed by weight.

    level: of the generator's curriculum, for all that it varies or by name. settings: its own, by name.
    size: items of each split. threshold: the score from which an answer is right.
    """
    if domain is not None:
        raise QuestionError(f"questions 'reasoning-gym' has nothing of domain {domain!r}; leave domain out")
    check_count("size", size)
    if size > LARGEST:
        raise ConfigurationError(f"size is {size}; give at most {LARGEST}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= TEST_SEED // 2:
        raise ConfigurationError(f"seed is {seed!r}; give a whole number of 0 to {TEST_SEED // 2}")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise ConfigurationError(f"threshold is {threshold!r}; give a score above 0, up to 1")
    if (dataset is None) == (datasets is None):
        raise ConfigurationError(
            f"questions 'reasoning-gym' names {'nothing' if dataset is None else 'both'}; {_WANTED}"
        )
    first = seed + (TEST_SEED if split == "test" else 0)
    asked: dict[str, Any] = {"seed": first, "size": size, "split": split, "threshold": float(threshold)}
    if dataset is not None:
        check_name(dataset)
        asked |= {"dataset": dataset, "datasets": None, "settings": settings, "level": _level(level)}
    else:
        if settings or level is not None:
            given = [*settings, *(["level"] if level is not None else [])]
            raise ConfigurationError(f"{given[0]} stands beside datasets; give it within one of them")
        asked |= {"dataset": None, "datasets": _parts(datasets)}
    try:
        return ReasoningGymQuestions(asked)
    except TypeError as error:
        raise ConfigurationError(f"a setting of reasoning-gym is no JSON: {error}") from None


def _parts(datasets: Any) -> list[dict[str, Any]]:
    if not isinstance(datasets, Sequence) or isinstance(datasets, str) or not datasets:
        raise ConfigurationError(f"datasets is {datasets!r:.80}; {_WANTED}")
    parts: list[dict[str, Any]] = []
    for given in datasets:
        part = {"dataset": given} if isinstance(given, str) else given
        if not isinstance(part, Mapping) or "dataset" not in part:
            raise ConfigurationError(f"datasets holds {given!r:.80}; {_WANTED}")
        check_name(part["dataset"])
        weight = part.get("weight", 1)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise ConfigurationError(f"weight of {part['dataset']} is {weight!r}; give a number above 0")
        if part["dataset"] in (other["dataset"] for other in parts):
            raise ConfigurationError(f"datasets holds {part['dataset']!r} twice; give it one weight")
        settings = {name: value for name, value in part.items() if name not in _PART}
        for name in {"seed", "size"} & settings.keys():
            raise ConfigurationError(
                f"{part['dataset']} holds {name}; give it beside datasets, for all of them"
            )
        parts.append(
            {
                "dataset": part["dataset"],
                "weight": weight,
                "level": _level(part.get("level")),
                "settings": settings,
            }
        )
    return parts


def _level(level: Any) -> Any:
    if level is None or isinstance(level, Mapping):
        return None if level is None else dict(level)
    if isinstance(level, bool) or not isinstance(level, int) or level < 0:
        raise ConfigurationError(
            f"level is {level!r}; give a whole number of at least 0, or {{name: number}}"
        )
    return level
