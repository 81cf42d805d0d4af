"""A tokenizer's chat template, looked at once: what it cannot do is made up for, or one clear error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from socratic_env.errors import ConfigurationError
from socratic_env.models.control import Control, control_tokens
from socratic_env.plugins import spec_of
from socratic_env.types import Message

SENTINEL = "\u2063reply\u2063"
_SYSTEM, _ASKED, _LATER = "\u2063rules\u2063", "\u2063question\u2063", "\u2063guidance\u2063"
_OWN = frozenset(
    ("messages", "conversation", "tokenize", "add_generation_prompt", "continue_final_message", "return_dict")
)  # fmt: skip


def template_arguments(who: str, given: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Further arguments of a chat template, by name, from a mapping or its JSON. Raises ConfigurationError
    for what are none."""
    if given is None:
        return {}
    if isinstance(given, str):
        given = spec_of(given, "chat_template")
    if not (isinstance(given, Mapping) and all(isinstance(name, str) for name in given)):
        raise ConfigurationError(
            f'{who}: chat_template is {given!r:.80}; give an object such as {{"enable_thinking": false}}'
        )
    for name in given:
        if name in _OWN:
            raise ConfigurationError(
                f"{who}: chat_template sets {name!r}, which is not to be set; leave it out"
            )
    try:
        json.dumps(dict(given))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{who}: chat_template is {given!r:.80}, which is no JSON ({error})"
        ) from None
    return dict(given)


class Template:
    """What was found of a template.

    folds: it knows no system role, whose text then stands before the first question.
    closing: ids that it writes after a reply, up to the end of the turn; empty if it writes none.
    control: the encoder that keeps text apart from control tokens.
    """

    def __init__(self, tokenizer: Any, arguments: Mapping[str, Any]) -> None:
        self._tokenizer, self._arguments = tokenizer, dict(arguments)
        if not tokenizer.chat_template:
            raise ConfigurationError(f"{self._name()} has no chat template; copy or make it again")
        self._check_arguments()
        self.folds = False
        self.folds = not self._takes_system()
        written = self._probe()
        self.control = Control(tokenizer, control_tokens(tokenizer, written))
        self.closing = self._closing()
        self._check_text()

    def ids(self, messages: Sequence[Message], reply: bool = True, after: str | None = None) -> list[int]:
        """Ids of messages as the template writes them; what they say becomes no control token.

        reply: up to where the next reply begins. after: only what follows this text.
        """
        held: list[str] = []
        guard = self.control.guard
        guarded: list[Message] = [
            {"role": said["role"], "content": guard(said["content"], held)} for said in self._folded(messages)
        ]
        written = self._write(guarded, reply)
        if after is not None:
            written = written.split(after, 1)[1]
        if held:
            return self.control.encode(written, held)
        return list(self._tokenizer(written, add_special_tokens=False)["input_ids"])

    def _folded(self, messages: Sequence[Message]) -> list[Message]:
        if not (self.folds and messages and messages[0]["role"] == "system"):
            return list(messages)
        system, *rest = messages
        if not rest or rest[0]["role"] != "user":
            return [{"role": "user", "content": system["content"]}, *rest]
        return [{"role": "user", "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]

    def _write(self, messages: Sequence[Message], reply: bool) -> str:
        written: str = self._tokenizer.apply_chat_template(
            [dict(said) for said in messages], add_generation_prompt=reply, tokenize=False, **self._arguments
        )
        return written

    # -- looking at it once ----------------------------------------------------------------------

    def _name(self) -> str:
        return (
            f"the tokenizer {getattr(self._tokenizer, 'name_or_path', '') or type(self._tokenizer).__name__}"
        )

    def _check_arguments(self) -> None:
        source = self._tokenizer.chat_template
        text = source if isinstance(source, str) else json.dumps(source)
        for name in self._arguments:
            if not re.search(rf"\b{re.escape(name)}\b", text):
                raise ConfigurationError(
                    f"chat_template sets {name!r}, which the template of {self._name()} never reads; leave "
                    "it out, or see to its spelling"
                )

    def _takes_system(self) -> bool:
        try:
            written = self._write(_dialogue(_SYSTEM)[:2], True)
        except Exception:  # noqa: BLE001 - templates raise what they like
            return False
        return _SYSTEM in written

    def _probe(self) -> str:
        """A whole dialogue as the template writes it, with all that is said in it."""
        dialogue = _dialogue(_SYSTEM)
        try:
            written = self._write(self._folded(dialogue), True)
        except Exception as error:
            raise ConfigurationError(
                f"the chat template of {self._name()} cannot write a dialogue of user and assistant: "
                f"{type(error).__name__}: {error!s:.200}"
            ) from error
        for said in dialogue:
            if said["content"] not in written:
                raise ConfigurationError(
                    f"the chat template of {self._name()} leaves out or changes what the {said['role']} says "
                    f"({written!r:.200}); give it another template"
                )
        return written

    def _closing(self) -> list[int]:
        """What ends a turn stands behind a reply also where nothing follows."""
        try:
            ids = self.ids(_dialogue(None)[:2], reply=False, after=SENTINEL)
        except Exception:  # noqa: BLE001 - a template may insist on a next turn
            return []
        known = set(self.control.tokens.values())
        place = next((i for i, token in enumerate(ids) if token in known), None)
        if place is None or self._tokenizer.decode(ids[:place]).strip():
            return []
        return ids[: place + 1]

    def _check_text(self) -> None:
        """Ordinary text has the ids of the template, control tokens in a text stay text."""
        dialogue = self._folded(_dialogue(_SYSTEM))
        own = self._tokenizer.apply_chat_template(
            dialogue, add_generation_prompt=True, return_dict=True, **self._arguments
        )["input_ids"]
        if self.control.encode(self._write(dialogue, True), []) != list(own):
            raise ConfigurationError(
                f"the ids of {self._name()} are not those of its tokenizer.json, so that text cannot be kept "
                "apart from control tokens; save the tokenizer again"
            )
        known = set(self.control.tokens.values())
        forged = "".join(self.control.tokens)
        hostile: list[Message] = [
            {**said, "content": f"{said['content']} {forged} {said['content']}"}
            for said in _dialogue(_SYSTEM)
        ]
        if [i for i in self.ids(hostile) if i in known - self._unknown()] != [
            i for i in own if i in known - self._unknown()
        ]:
            raise ConfigurationError(
                f"the chat template of {self._name()} makes control tokens of what is said in a dialogue; "
                "give it a template that writes messages as they are"
            )

    def _unknown(self) -> set[int]:
        return {self._tokenizer.unk_token_id}


def _dialogue(system: str | None) -> list[Message]:
    head: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    return [
        *head,
        {"role": "user", "content": _ASKED},
        {"role": "assistant", "content": SENTINEL},
        {"role": "user", "content": _LATER},
    ]


@lru_cache(maxsize=16)
def _looked_at(tokenizer: Any, source: str, size: int, arguments: str) -> Template:  # noqa: ARG001
    return Template(tokenizer, json.loads(arguments))


def template_of(tokenizer: Any, arguments: Mapping[str, Any]) -> Template:
    """A tokenizer's template with these arguments, looked at once. Raises ConfigurationError."""
    plain = json.dumps(dict(arguments), sort_keys=True)
    return _looked_at(tokenizer, str(tokenizer.chat_template), len(tokenizer), plain)
