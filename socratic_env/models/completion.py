"""What a chat completion says. Nothing about it is taken for granted: any server may have written it."""

from __future__ import annotations

import json
from typing import Any

from socratic_env.errors import EndpointReplyError

_TEXT_PARTS = ("text", "output_text")
_ENDED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call")
_BROKEN_OFF = ("length", "max_tokens", "max_output_tokens", "content_filter", "abort", "error")
_THOUGHT_PARTS = ("thinking", "redacted_thinking", "reasoning")


def parse(body: bytes) -> Any:
    """The JSON of a reply. Raises EndpointReplyError."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise EndpointReplyError(f"answered with no JSON ({len(body)} bytes)") from None


def tokens(completion: Any) -> tuple[int, int]:
    """(prompt tokens, completion tokens), 0 where the server does not say."""
    counts = completion.get("usage") if isinstance(completion, dict) else None
    counts = counts if isinstance(counts, dict) else {}
    spent = [counts.get(key) for key in ("prompt_tokens", "completion_tokens")]
    prompt, written = (count if isinstance(count, int) and count > 0 else 0 for count in spent)
    return prompt, written


def message(completion: Any) -> tuple[str, str, Any]:
    """(text, refusal, finish reason) of the first choice. Raises EndpointReplyError for another form."""
    match completion:
        case {"choices": [{"message": dict(said)} as choice, *_]}:
            pass
        case _:
            raise EndpointReplyError("answered without a message")
    text, refusal = _content(said.get("content"))
    refusal = said.get("refusal") or refusal
    return text, f"{refusal!r:.200}" if refusal else "", choice.get("finish_reason")


def ended(reason: Any) -> bool | None:
    """Whether a reply with this finish reason ended by itself; None: it does not say."""
    word = reason.lower() if isinstance(reason, str) else None
    return True if word in _ENDED else False if word in _BROKEN_OFF else None


def _content(content: Any) -> tuple[str, Any]:
    """(text, refusal) of a message's content: a text, nothing, or a list of parts, of which those that
    are text are joined and those that are thoughts do not count."""
    if content is None or isinstance(content, str):
        return content or "", None
    if not isinstance(content, list):
        raise EndpointReplyError(f"answered with content that is {_form(content)}, not text or text parts")
    texts, refusal = [], None
    for part in content:
        match part:
            case {"type": kind, "text": str(text)} if kind in _TEXT_PARTS:
                texts.append(text)
            case {"type": "refusal", "refusal": why}:
                refusal = why
            case {"type": kind} if kind in _THOUGHT_PARTS:
                pass
            case _:
                raise EndpointReplyError(f"answered with a content part that is no text: {_form(part)}")
    return "".join(texts), refusal


def _form(value: Any) -> str:
    """A JSON value's form in a few words; its own text stays out, since nobody knows what it holds."""
    if value is None:
        return "null"
    if not isinstance(value, dict):
        return {"str": "a bare text", "list": "a list", "bool": "true or false"}.get(
            type(value).__name__, "a number"
        )
    kind = value.get("type")
    return f"an object of type {kind!r:.40}" if kind is not None else "an object without a type"


def without_thinking(text: str) -> str:
    """A model's reply without its thoughts: what lies between the first <think> (the start, where the
    chat template wrote it) and the last </think>, and what follows a <think> that never ends."""
    thoughts, closed, rest = text.rpartition("</think>")
    if closed and "<think>" in thoughts:
        rest = thoughts.partition("<think>")[0] + rest
    return rest.partition("<think>")[0].strip()
