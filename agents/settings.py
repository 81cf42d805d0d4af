"""What a setting is: default, range and whether it may change midway stand on its field, its doc below it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from socratic_env.errors import ConfigurationError, unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Finite numbers from `low` (where `above`, without it) to `high`."""

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value) and self.low <= value <= self.high and not (self.above and value == self.low)
        )

    def __str__(self) -> str:
        low = f"above {self.low}" if self.above else f"at least {self.low}"
        return low if self.high == math.inf else f"{low} and at most {self.high}"


def setting(
    default: Any = MISSING,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float = math.inf,
    resumable: bool = False,
) -> Any:
    """A field of a configuration.

    Args:
        default: its value if none is given.
        at_least, above, at_most: the range of a number; a value of None is no number.
        resumable: whether it may change when an interrupted run goes on: it changes neither what is learnt
            nor what evaluations before and after have in common.
    """
    low = at_least if above is None else above
    allowed = None if low is None else Range(low, at_most, above is not None)
    return field(default=default, metadata={"range": allowed, "resumable": resumable})


def group(factory: Callable[[], Any], *, resumable: bool = False) -> Any:
    """A field that holds the settings of one part; its options are `--<field>.<setting>`."""
    return field(default_factory=factory, metadata={"range": None, "resumable": resumable})


def flat(config: Any) -> dict[str, tuple[Any, Field[Any]]]:
    """(value, field) of every setting by the name of its option, such as "warm.steps"."""
    found: dict[str, tuple[Any, Field[Any]]] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if is_dataclass(value):
            found |= {f"{each.name}.{name}": inner for name, inner in flat(value).items()}
        else:
            found[each.name] = value, each
    return found


def check_ranges(config: Any) -> None:
    """Raise ConfigurationError for the first number outside its range."""
    for name, (value, each) in flat(config).items():
        allowed = each.metadata.get("range")
        if allowed is not None and value is not None and value not in allowed:
            raise ConfigurationError(f"{name} is {value}; it must be {allowed}")


def lasting(config: Any) -> dict[str, Any]:
    """The settings that may not change midway, by the names of their options."""
    groups = {each.name for each in fields(config) if each.metadata.get("resumable")}
    return {
        name: value
        for name, (value, each) in flat(config).items()
        if not each.metadata.get("resumable") and name.partition(".")[0] not in groups
    }


def from_plain(kind: type[T], values: Any, name: str = "the configuration") -> T:
    """A configuration from plain data (JSON), by the types of its fields.

    Raises ConfigurationError for a setting that there is none of, or one that is missing.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{name} is {values!r:.60}; it must be an object of settings")
    hints = get_type_hints(kind)
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    for given in values:
        if given not in known:
            raise unknown(f"setting of {name}:", given, known)
    missing = [each for each in known if each not in values]
    if missing:
        raise ConfigurationError(f"{name} lacks {', '.join(missing)}; it is not one of this program")
    return kind(**{each: _typed(hints[each], values[each], each) for each in known})


def _typed(hint: Any, value: Any, name: str) -> Any:
    if get_origin(hint) in (Union, UnionType):
        choices = [choice for choice in get_args(hint) if choice is not NoneType]
        return None if value is None else _typed(choices[0], value, name)
    if isinstance(hint, type) and is_dataclass(hint):
        return from_plain(hint, value, name)
    if hint is Path:
        return Path(value)
    return tuple(value) if get_origin(hint) is tuple else value
