"""A dialogue as token ids, exact from turn to turn: text is never tokenized again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from socratic_env.types import Message

_SENTINEL = "\u2063reply\u2063"


@dataclass(frozen=True)
class Chat:
    """A tokenizer's chat format in ids.

    history_tokens: most ids of a wrong answer that the next prompt repeats, half of them from its
    beginning and half from its end (where the answer stands); None: all of them.
    """

    tokenizer: Any
    history_tokens: int | None = None

    @property
    def eos(self) -> int:
        """The id that ends a response."""
        return int(self.tokenizer.eos_token_id)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a dialogue, up to where the student begins to reply."""
        encoded = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_dict=True
        )
        return list(encoded["input_ids"])

    def turn(self, user: str) -> list[int]:
        """Ids from the end of a reply, over a user's message, to where the next reply begins.

        Begins with the end-of-reply id.
        """
        text = self.tokenizer.apply_chat_template(
            [
                {"role": "user", "content": "-"},
                {"role": "assistant", "content": _SENTINEL},
                {"role": "user", "content": user},
            ],
            add_generation_prompt=True,
            tokenize=False,
        )
        tail = text.split(_SENTINEL, 1)[1]
        return list(self.tokenizer(tail, add_special_tokens=False)["input_ids"])

    def text(self, response: Sequence[int]) -> str:
        """A response as text."""
        return str(self.tokenizer.decode(response, skip_special_tokens=True))

    def extend(self, prompt: list[int], response: list[int], user: str) -> list[int]:
        """The next prompt: what was said, to the id, and the user's new message."""
        turn = self.turn(user)
        ended = bool(response) and response[-1] == self.eos and turn[:1] == [self.eos]
        return [*prompt, *self._kept(response), *(turn[1:] if ended else turn)]

    def _kept(self, response: list[int]) -> list[int]:
        most = self.history_tokens
        if most is None or len(response) <= most:
            return response
        return response[: most // 2] + response[len(response) - (most - most // 2) :]
