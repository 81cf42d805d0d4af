"""Tasksets of the package verifiers, each with its own reward functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socratic_env.errors import ConfigurationError, QuestionError, check_count
from socratic_env.questions.tasksets import read
from socratic_env.questions.usable import UsableRows, usable


def verifiers(
    domain: str | None,
    split: str,
    package: str,
    config: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    test: Mapping[str, Any] | None = None,
    answer: str | None = None,
    threshold: float = 1.0,
    size: int = 10_000,
) -> UsableRows:
    """The tasks of an installed taskset ("verifiers:my-taskset").

    config: of the taskset. train, test: what is other in it for each split; without them a tenth of the
    prompts is held out. answer: the field of its task data with the right answer. threshold: the reward from
    which a reply is right. size: the most tasks that are read.
    """
    if domain is not None:
        raise QuestionError(f"questions 'verifiers' has nothing of domain {domain!r}; leave domain out")
    check_count("size", size)
    if not isinstance(package, str) or not package:
        raise ConfigurationError(f"package is {package!r}; give the name of an installed taskset")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not threshold > 0:
        raise ConfigurationError(f"threshold is {threshold!r}; give a reward above 0")
    if (train is None) != (test is None):
        raise ConfigurationError(
            "give both train and test, what is other in the config for each split, or neither"
        )
    for name, given in (("config", config), ("train", train), ("test", test)):
        if given is not None and not isinstance(given, Mapping):
            raise ConfigurationError(f"{name} is {given!r:.60}; give a mapping of the taskset's settings")
    own = (train if split == "train" else test) or {}
    told = {**(config or {}), **own}
    contents = read(package, told, split, size, float(threshold), answer, divided=train is not None)
    return usable(f"verifiers:{package} (split {split})", contents)
