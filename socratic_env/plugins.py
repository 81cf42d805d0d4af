"""Parts by name: a file of this package, an entry point of another one, or "module:name" of anyone's."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Any

from socratic_env.errors import ConfigurationError, unknown


@dataclass(frozen=True)
class Kinds:
    """The kinds of one sort of part.

    what: the sort, for messages and file names: "teacher".
    package: where a file `<kind>_<what>.py` is the kind `<kind>`.
    base: the class that parts derive from: a file then holds one class of it. None: parts are functions,
        and a file holds one of its kind's name.

    Other packages add kinds by entry points of the group "socratic_env.<what>s".
    """

    what: str
    package: str
    base: type | None = None

    @property
    def names(self) -> list[str]:
        """All kinds that can be named without a module."""
        return sorted({*self._files(), *self._entry_points()})

    def load(self, kind: object) -> Any:
        """The class or function of a kind, or of "module:name". Raises ConfigurationError."""
        if not isinstance(kind, str):
            raise unknown(self.what, kind, [*self.names, "module:name"])
        if ":" in kind:
            return attribute(self.what, kind)
        if kind in self._files():
            return self._part_of(import_module(f"{self.package}.{kind}_{self.what}"), kind)
        found = self._entry_points().get(kind)
        if found is None:
            raise unknown(self.what, kind, [*self.names, "module:name"])
        return found.load()

    def _files(self) -> list[str]:
        suffix = f"_{self.what}"
        names = [module.name for module in iter_modules(import_module(self.package).__path__)]
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix)]

    def _entry_points(self) -> Mapping[str, Any]:
        return {entry.name: entry for entry in entry_points(group=f"socratic_env.{self.what}s")}

    def _part_of(self, module: Any, kind: str) -> Any:
        if self.base is None:
            return getattr(module, kind)
        (part,) = (
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, self.base)
            and value.__module__ == module.__name__
        )
        return part


def attribute(what: str, path: str) -> Any:
    """What "module:name" stands for; modules of the current folder are found too.

    Raises ConfigurationError if there is no such module, or nothing of that name in it.
    """
    name, _, rest = path.partition(":")
    remedy = f"give {what} as module:name, such as my_package.my_module:MyPart"
    if not name or not rest or not all(part.isidentifier() for part in (*name.split("."), *rest.split("."))):
        raise ConfigurationError(f"{what} {path!r} is no module:name; {remedy}")
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # a console script does not look there
    try:
        found: Any = import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{what} {path!r}: {error}; {remedy}") from None
    for part in rest.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{what} {path!r}: {name} has no {rest}; {remedy}")
        found = getattr(found, part)
    return found


def make(
    what: str,
    kind: object,
    factory: Callable[..., Any],
    arguments: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """What a factory makes of a spec's arguments, and of those defaults that it knows.

    Raises ConfigurationError for arguments that do not fit, with those that there are.
    """
    if "api_key" in arguments:
        raise ConfigurationError(
            f"{what}: a key does not belong into a spec; put it into an environment variable and name that "
            "with 'api_key_env'"
        )
    signature = inspect.signature(factory)
    known = {name: value for name, value in (defaults or {}).items() if name in signature.parameters}
    try:
        signature.bind(**{**known, **arguments})
        return factory(**{**known, **arguments})
    except TypeError as error:
        names = ", ".join(signature.parameters) or "none"
        raise ConfigurationError(f"{what} {kind!r}: {error}; its arguments are: {names}") from error
