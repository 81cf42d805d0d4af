"""Data sets of the hub, or of a local folder in its layout, through the package `datasets`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from socratic_env.errors import ConfigurationError, QuestionError, unknown
from socratic_env.questions.hub import CONSTANTS, PARTS, Mapped, load_hub
from socratic_env.questions.hub_presets import PRESETS
from socratic_env.questions.usable import UsableRows

_SPLITS = {"train": "train", "test": "test"}


def hub(
    domain: str | None,
    split: str,
    path: str | None = None,
    exclude: Collection[str] = frozenset(),
    preset: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    hub_split: str | Mapping[str, str] | None = None,
    verifier: str | None = None,
    hub_domain: Any = None,
    **given: Any,
) -> UsableRows:
    """The rows of a data set ("hub:openai/gsm8k"), or of a preset ("gsm8k"; path= of a local copy, preset=).

    Columns: question, options, answer, id, subtask, level, solution, context (before the question), without
    (rows that have it are left out); constants: unit, abs_tol, rel_tol. `split` is the data set's own, or
    {"train": .., "test": ..}; `domain` a column. Without columns, rows are read as those of a file are.
    """
    if path in PRESETS and preset is None:
        path, preset = None, path
    if preset is not None and preset not in PRESETS:
        raise unknown("preset of questions 'hub'", preset, PRESETS)
    known: dict[str, Any] = dict(PRESETS[preset]) if preset is not None else {}
    if path is None and not known:
        raise ConfigurationError(
            f"questions 'hub' names no data set; give path, or a preset: {', '.join(PRESETS)}"
        )
    own = path is None or path == known.get("path")
    place = known["path"] if path is None else path
    if not isinstance(place, str):
        raise ConfigurationError(f"path is {place!r}; give the name of a data set or a folder")
    config = config if config is not None or not own else known.get("config")
    if hub_domain is not None:
        given = {**given, "domain": hub_domain}
    for name in given:
        if name not in (*PARTS, *CONSTANTS):
            raise unknown(
                "option of questions 'hub'", name, [*PARTS, *CONSTANTS, "verifier", "split", "config"]
            )
    asked = known | {name: value for name, value in given.items() if value is not None}
    mapped = Mapped(
        {part: asked[part] for part in PARTS if part in asked},
        {name: asked[name] for name in CONSTANTS if name in asked},
        verifier or known.get("verifier"),
    )
    of = _split_of(hub_split if hub_split is not None else known.get("split", _SPLITS), split, place)
    return load_hub(place, config, of, revision, mapped, split, exclude, domain)


def _split_of(splits: str | Mapping[str, str], split: str, place: str) -> str:
    """The data set's split for that of an environment."""
    if isinstance(splits, str):
        return splits
    if not isinstance(splits, Mapping) or not splits or not set(splits) <= {"train", "test"}:
        raise ConfigurationError(f"split is {splits!r:.80}; give a name, or {{'train': name, 'test': name}}")
    if split not in splits:
        (other,) = splits.values()
        raise QuestionError(
            f'{place} has no {split} split; give "split": '
            f'{{"train": "{other}[:80%]", "test": "{other}[80%:]"}} to divide the one that it has'
        )
    return splits[split]
