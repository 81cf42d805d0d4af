"""A dialogue as token ids, exact from turn to turn: text is never tokenized again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from socratic_env.models.chat_template import SENTINEL, Template, template_of
from socratic_env.types import Message


@dataclass(frozen=True)
class Chat:
    """A tokenizer's chat format in ids. Raises ConfigurationError for one that cannot be used.

    history_tokens: most ids of a wrong answer that the next prompt repeats, half of them from its
    beginning and half from its end (where the answer stands); None: all of them.
    chat_template: further arguments of the template, such as {"enable_thinking": False}.
    model_ends: ids that the model's configuration ends a text with, see `ends_of`.
    """

    tokenizer: Any
    history_tokens: int | None = None
    chat_template: Mapping[str, Any] = field(default_factory=dict)
    model_ends: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        assert self._template

    @cached_property
    def _template(self) -> Template:
        return template_of(self.tokenizer, self.chat_template)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The ids that end a response, the template's own first: where a turn ends, the tokenizer's
        end-of-text, and those of the model's configuration that are control tokens here (an ordinary token
        among them is left over from another tokenizer)."""
        known = set(self._template.control.tokens.values())
        own = [*self._template.closing[-1:], self.tokenizer.eos_token_id]
        listed = [number for number in self.model_ends if number in known]
        return tuple(dict.fromkeys(number for number in [*own, *listed] if number is not None))

    @property
    def pad(self) -> int:
        """The id that fills short rows."""
        number = self.tokenizer.pad_token_id
        return int(self.ends[0] if number is None else number)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a dialogue, up to where the student begins to reply."""
        return self._template.ids(messages)

    def turn(self, user: str) -> list[int]:
        """Ids from the end of a reply, over a user's message, to where the next reply begins.

        Begins with the end-of-reply id, where the template writes one.
        """
        dialogue: list[Message] = [
            {"role": "user", "content": "-"},
            {"role": "assistant", "content": SENTINEL},
            {"role": "user", "content": user},
        ]
        return self._template.ids(dialogue, after=SENTINEL)

    def plain(self, text: str) -> list[int]:
        """Ids of a text by itself, none of them a control token."""
        held: list[str] = []
        return self._template.control.encode(self._template.control.guard(text, held), held)

    def broken(self, text: str) -> str:
        """A text whose control tokens are broken by an invisible character, for those who tokenize it."""
        return self._template.control.broken(text)

    def text(self, response: Iterable[int]) -> str:
        """A response as text, without the ids of ends and padding; all others are what was said."""
        silent = {*self.ends, self.pad}
        said = [number for number in response if number not in silent]
        return str(self.tokenizer.decode(said, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def extend(self, prompt: list[int], response: list[int], user: str, most: int | None = None) -> list[int]:
        """The next prompt: what was said, to the id, and the user's new message.

        most: ids that it may have, if it can: of a response that is too long for that its beginning and its
        end are repeated.
        """
        turn = self.turn(user)
        told = turn[self._said_already(response, turn) :]
        room = None if most is None else most - len(prompt) - len(told)
        return [*prompt, *self._kept(response, room), *told]

    def _said_already(self, response: Sequence[int], turn: Sequence[int]) -> int:
        """How many ids of the turn a response that ended has put into the history itself: the template's
        end of the turn, by whichever end, or the mark of the next turn where models stop at that."""
        if not response or response[-1] not in self.ends:
            return 0
        for end in (*self._template.closing[-1:], response[-1]):
            place = turn.index(end) if end in turn else None
            if place is not None and not self.tokenizer.decode(turn[:place]).strip():
                return place + 1
        return 0

    def _kept(self, response: list[int], room: int | None) -> list[int]:
        limits = [limit for limit in (self.history_tokens, room) if limit is not None and limit >= 2]
        most = min(limits, default=len(response))
        if len(response) <= most:
            return response
        return response[: most // 2] + response[len(response) - (most - most // 2) :]


def ends_of(*configs: Any) -> tuple[int, ...]:
    """The end ids that configurations of a model name: one, several or none each."""
    found: list[int] = []
    for config in configs:
        read = config.get if isinstance(config, Mapping) else partial(getattr, config)
        named = read("eos_token_id", None)
        found += [named] if isinstance(named, int) else list(named or ())
    return tuple(dict.fromkeys(found))
