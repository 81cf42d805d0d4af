"""Control tokens, and text that must not become any: `<|im_end|>` in a question stays ordinary letters, while
the template's own ends a turn."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

from socratic_env.errors import ConfigurationError

_TAGS = re.compile(r"</?(?:answer|reasoning|think)>")
_GUARDED = re.compile("\ue000(\\d+)\ue001")


def control_tokens(tokenizer: Any, written: str) -> dict[str, int]:
    """{token: id} of what steers a model: every special token, and every added one that the template writes
    (in `written`) and that is no word. The tags of a reply are text, whatever the tokenizer calls them."""
    found = {}
    for number, token in tokenizer.added_tokens_decoder.items():
        text = token.content
        mark = text in written and re.search(r"[^\w\s]", text)
        if (token.special or mark) and _TAGS.sub("", text).strip():
            found[text] = int(number)
    return found


class Control:
    """Encodes a chat whose messages may hold control tokens as text.

    A second tokenizer has other, secret names for the control tokens. In what the template has written
    they are called by these names, and what the messages say is not, so that the tokenizer's own rules do
    the rest: for text without control tokens the ids are those of the tokenizer itself.

    Args:
        tokens: of `control_tokens`.

    Raises ConfigurationError for a tokenizer that cannot be taken apart.
    """

    def __init__(self, tokenizer: Any, tokens: dict[str, int]) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ConfigurationError(
                f"{type(tokenizer).__name__} is no tokenizer of the library tokenizers (tokenizer.json), and "
                "text cannot be kept apart from its control tokens; convert it to one"
            )
        self.tokens = tokens
        secret = secrets.token_hex(8)
        self._names = {text: f"\ue002{secret}:{number}\ue003" for text, number in tokens.items()}
        longest_first = sorted(map(re.escape, tokens), key=len, reverse=True)
        self._control = re.compile("|".join(longest_first) or r"(?!)")
        self._risky = re.compile("|".join([*longest_first, "[\ue000\ue001]"]))
        self._beginnings = {text[:i] for text in tokens for i in range(1, len(text))}
        self._endings = {text[i:] for text in tokens for i in range(1, len(text))}
        self._longest = max(map(len, tokens), default=1)
        self._backend = type(backend).from_str(json.dumps(_renamed(backend, self._names)))
        lost = [text for text, name in self._names.items() if self._backend.token_to_id(name) != tokens[text]]
        if lost:
            raise ConfigurationError(
                f"the tokenizer's control token {lost[0]!r} cannot be told from text; make its "
                "tokenizer.json again"
            )

    def guard(self, text: str, held: list[str]) -> str:
        """The text with a placeholder for all that is a control token, or would be one together with what
        the template writes around it; `held` takes what the placeholders stand for."""

        def hold(part: str) -> str:
            held.append(part)
            return f"\ue000{len(held) - 1}\ue001"

        guarded = self._risky.sub(lambda found: hold(found[0]), text)
        body = guarded.rstrip()  # templates often cut blanks off
        for size in range(min(len(body), self._longest - 1), 0, -1):
            if body[-size:] in self._beginnings:
                guarded = body[:-size] + hold(body[-size:]) + guarded[len(body) :]
                break
        body = guarded.lstrip()
        for size in range(min(len(body), self._longest - 1), 0, -1):
            if body[:size] in self._endings:
                return guarded[: len(guarded) - len(body)] + hold(body[:size]) + body[size:]
        return guarded

    def broken(self, text: str) -> str:
        """The text with an invisible character in each control token."""
        return self._control.sub(lambda found: f"{found[0][0]}\u200b{found[0][1:]}", text)

    def encode(self, written: str, held: Sequence[str]) -> list[int]:
        """Ids of what the template has written of guarded messages."""
        named = self._control.sub(lambda found: self._names[found[0]], written)
        whole = _GUARDED.sub(lambda found: held[int(found[1])], named)
        return list(self._backend.encode(whole, add_special_tokens=False).ids)


def _renamed(backend: Any, names: dict[str, str]) -> dict[str, Any]:
    """A tokenizer's tokenizer.json with other names for some tokens."""
    whole: dict[str, Any] = json.loads(backend.to_str())
    whole |= {"post_processor": None, "truncation": None, "padding": None}
    for token in whole["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = whole["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(text, text): number for text, number in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(text, text), score] for text, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if model.get("merges"):  # those that would make a control token of its letters
        pairs = [
            tuple(pair.split(" ", 1)) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]
        ]
        model["merges"] = [list(pair) for pair in pairs if not names.keys() & {*pair, "".join(pair)}]
    return whole
