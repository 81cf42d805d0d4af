"""Parts by name: a file of this package, an entry point of another one, or "module:name" of anyone's."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

from socratic_env.errors import ConfigurationError, SocraticError, unknown


@dataclass(frozen=True)
class Kinds:
    """The kinds of one sort of part.

    what: the sort, for file names and entry points: "teacher".
    package: where a file `<kind>_<what>.py` is the kind `<kind>`.
    base: the class that parts derive from: a file then holds one class of it. None: parts are functions,
        and a file holds one of its kind's name.
    argument: the argument that names a part, for messages, where it is not called as the sort.

    Other packages add kinds by entry points of the group "socratic_env.<what>s".
    """

    what: str
    package: str
    base: type | None = None
    argument: str = ""

    @property
    def names(self) -> list[str]:
        """All kinds that can be named without a module."""
        return sorted({*self._files(), *self._entry_points()})

    def load(self, kind: object) -> Any:
        """The class or function of a kind, or of "module:name". Raises ConfigurationError."""
        if not isinstance(kind, str):
            raise self.unknown(kind)
        if ":" in kind:
            module = kind.partition(":")[0]
            if get_close_matches(module, self.names, n=1) and not _there(module):
                raise self.unknown(module)  # a typing error before the colon, not a module
            return attribute(self.called, kind)
        file = kind.replace("-", "_")
        if file in self._files():
            return self._part_of(import_module(f"{self.package}.{file}_{self.what}"), file)
        found = self._entry_points().get(kind, [])
        if not found:
            raise self.unknown(kind)
        return self._loaded(kind, found)

    @property
    def called(self) -> str:
        """What a part is called in messages."""
        return self.argument or self.what

    def unknown(self, kind: object) -> SocraticError:
        """The error for a kind that there is not."""
        return unknown(self.called, kind, [*self.names, "module:name"])

    def _files(self) -> list[str]:
        suffix = f"_{self.what}"
        names = [module.name for module in iter_modules(import_module(self.package).__path__)]
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix)]

    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        """Kind -> what other packages have under that name: one, if all is well."""
        found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=f"socratic_env.{self.what}s"):
            if entry not in found.setdefault(entry.name, []):  # a package may stand on the path twice
                found[entry.name].append(entry)
        return found

    def _loaded(self, kind: str, found: list[EntryPoint]) -> Any:
        if len(found) > 1:
            values = " and ".join(entry.value for entry in found)
            raise ConfigurationError(f"{self.called} {kind!r} is {values} at once; give one as module:name")
        try:
            return found[0].load()
        except Exception as error:
            owner = found[0].dist.name if found[0].dist else "a package"
            raise ConfigurationError(
                f"{self.called} {kind!r}: {found[0].value} of {owner} cannot be loaded: "
                f"{type(error).__name__}: {error}; mend that package or its entry point"
            ) from error

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


def spec_of(text: str, what: str) -> str | dict[str, Any]:
    """The spec that a text gives: a name, or the arguments of a JSON object.

    Raises ConfigurationError for a broken JSON object; `what` is the argument's name.
    """
    if not text.lstrip().startswith("{"):
        return text
    try:
        spec: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{what} {text!r:.80} is no valid JSON: {error}; quote it for the shell"
        ) from None
    return spec


def attribute(what: str, path: str) -> Any:
    """What "module:name" stands for; modules of the current folder are found too.

    Raises ConfigurationError if there is no such module, it fails when it is imported, or it holds nothing
    of that name.
    """
    name, _, rest = path.partition(":")
    remedy = f"give {what} as module:name, such as my_package.my_module:MyPart"
    if not name or not rest or not all(part.isidentifier() for part in (*name.split("."), *rest.split("."))):
        raise ConfigurationError(f"{what} {path!r} is no module:name; {remedy}")
    _look_here()
    try:
        found: Any = import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{what} {path!r}: {error}; {remedy}") from None
    except Exception as error:
        raise ConfigurationError(
            f"{what} {path!r}: {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    for part in rest.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{what} {path!r}: {name} has no {rest}; {remedy}")
        found = getattr(found, part)
    return found


def _look_here() -> None:
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # a console script does not look there


def _there(module: str) -> bool:
    """Whether there is such a module, by its first part alone, so that nothing is imported."""
    _look_here()
    first = module.partition(".")[0]
    return first in sys.modules or (first.isidentifier() and find_spec(first) is not None)


def signature_of(what: str, kind: object, factory: Any) -> inspect.Signature:
    """What a factory takes. Raises ConfigurationError for what cannot be called."""
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{what} {kind!r} is {factory!r:.60}, which makes nothing; give a class or a function"
        ) from None


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
    signature = signature_of(what, kind, factory)
    known = {name: value for name, value in (defaults or {}).items() if name in signature.parameters}
    try:
        signature.bind(**{**known, **arguments})
        return factory(**{**known, **arguments})
    except TypeError as error:
        names = ", ".join(signature.parameters) or "none"
        raise ConfigurationError(f"{what} {kind!r}: {error}; its arguments are: {names}") from error
