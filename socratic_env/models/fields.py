"""The fields of a request: any of them can be left out, changed or renamed, for servers that differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from socratic_env.errors import ConfigurationError, unknown
from socratic_env.models.chat_template import template_arguments
from socratic_env.types import Message

CHAT_TEMPLATE = "chat_template_kwargs"
"""The field under which vLLM, SGLang and others take further arguments of a chat template."""
_UNFIT = {
    "messages": "they are the dialogue; leave it out",
    "api_key": "put the key into an environment variable and name that with 'api_key_env'",
}


def chat_template_field(
    who: str, chat_template: Mapping[str, Any] | None, request: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The field of these arguments, if there are any. Raises ConfigurationError for what are none, and where
    `request` has such a field too."""
    given = template_arguments(who, chat_template)
    if given and isinstance(request, Mapping) and CHAT_TEMPLATE in request:
        raise ConfigurationError(
            f"{who}: chat_template and request both set {CHAT_TEMPLATE!r}; leave one out"
        )
    return {CHAT_TEMPLATE: given} if given else {}


@dataclass(frozen=True, slots=True)
class Fields:
    """What a request says beside its dialogue. Raises ConfigurationError for what cannot be sent, and for
    what makes a reply that cannot be read.

    who: whose fields, for messages. fields: the usual ones and their values. request: further ones, or
    other values; None leaves a field out. rename: field -> the name under which it is sent.
    """

    who: str
    fields: Mapping[str, Any]
    request: Mapping[str, Any]
    rename: Mapping[str, str]

    def __post_init__(self) -> None:
        for what, given in (("request", self.request), ("rename", self.rename)):
            if not (isinstance(given, Mapping) and all(isinstance(name, str) and name for name in given)):
                raise ConfigurationError(
                    f"{self.who}: {what} is {given!r:.80}; give a mapping of field names"
                )
        for name, remedy in _UNFIT.items():
            if name in self.request:
                raise ConfigurationError(f"{self.who}: {name!r} does not belong into request; {remedy}")
        if self.request.get("stream"):
            raise ConfigurationError(
                f"{self.who}: request sets 'stream', but replies are read whole; leave it"
            )
        try:
            json.dumps({**self.fields, **self.request}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{self.who}: the fields { ({**self.fields, **self.request})!r:.200} are no JSON ({error})"
            ) from None
        self._check_names()

    def _check_names(self) -> None:
        sent = {"model", "messages", *self.fields, *self.request}
        for name, other in self.rename.items():
            if name not in sent:
                raise unknown(f"field in rename of {self.who}", name, sent)
            if not isinstance(other, str) or not other:
                raise ConfigurationError(f"{self.who}: rename of {name!r} is {other!r}; give the other name")
        names = [self.rename.get(name, name) for name in sent if self.request.get(name, "") is not None]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(
                f"{self.who}: request and rename give {twice[0]!r} twice; leave one of them out with null"
            )

    def body(self, model: str, chat: Sequence[Message], values: Mapping[str, Any]) -> dict[str, Any]:
        """The whole request; `values` stand before those of `fields`, and `request` before both."""
        whole = {"model": model, "messages": list(chat), **self.fields, **values, **self.request}
        return {self.rename.get(name, name): value for name, value in whole.items() if value is not None}
