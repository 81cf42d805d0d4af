"""What a server says when it gives no completion: its own words, what they mean, and what may help."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from socratic_env.errors import (
    EndpointContextError,
    EndpointError,
    EndpointReplyError,
    EndpointUnavailable,
    EndpointUnusable,
)

LONGEST_WORDS = 300
"""Characters of a server's own words that are kept."""
_READ = 65_536
_PASSING = (408, 409, 429)
"""Status codes after which another try may succeed, beside 5xx."""
_UNUSABLE = (401, 403, 404, 405, 407)
"""Status codes that every other call would get too, until the settings change."""
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context_window_exceeded"
    r"|context[ _-](?:length|size|window|limit)"
    r"|longer than the maximum (?:model|input|allowed) length"
    r"|(?:input|prompt|token count)[^.]{0,60} exceeds? (?:the |its |a )?(?:model'?s? )?(?:maximum|limit)"
    r"|exceeds? the maximum (?:number of (?:input )?tokens|(?:input|allowed|model) length)"
    r"|(?:prompt|input|messages?|conversation) (?:is|are) too (?:long|large)"
    r"|too many (?:input |prompt )?tokens"
    r"|inputs`? must have less than \d+ tokens|inputs`? tokens \+ `?max_new_tokens`? must be"
    r"|reduce the length of the (?:input|prompt|messages?)",
    re.IGNORECASE,
)
_CODES = (
    ("context_length", 400),
    ("rate_limit", 429),
    ("ratelimit", 429),
    ("quota", 429),
    ("exhausted", 429),
    ("too_many", 429),
    ("auth", 401),
    ("api_key", 401),
    ("permission", 403),
    ("forbidden", 403),
    ("not_found", 404),
    ("notfound", 404),
    ("invalid", 400),
    ("bad_request", 400),
    ("badrequest", 400),
    ("unsupported", 400),
    ("exceed_context", 400),
)
"""Words in an error's code or type -> the status that they stand for; the first that is found."""
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,500})<", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,500}>")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a try gave no completion.

    text: what happened, in the server's words where there are some. hint: what may help.
    passing: whether another try may succeed. wait: the seconds that the server asks for.
    unreached: nobody is there, which may be a wrong address.
    """

    text: str
    kind: type[EndpointError] = EndpointUnavailable
    passing: bool = False
    hint: str = ""
    wait: float | None = None
    unreached: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom, for hints: the address, the model, the variable of the key, the key itself
    ("" if there is none), and the names of the fields that were sent."""

    base_url: str
    model: str
    api_key_env: str
    key: str = field(repr=False)
    fields: tuple[str, ...]

    def strike(self, text: str) -> str:
        """A text without the key, in none of the forms in which a server may repeat it."""
        if not self.key:
            return text
        forms = {self.key, html.escape(self.key), quote(self.key, safe=""), json.dumps(self.key)[1:-1]}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        if len(self.key) >= 16:  # a key that the server cut short is a secret too
            text = re.sub(re.escape(self.key[:8]) + r"[^\s\"'<>&]*", "***", text)
        return text


def of_status(status: int, body: bytes, headers: Mapping[str, str], asked: Asked) -> Trouble:
    """The trouble of a reply with a status that is no success."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = _plain(body)
    error = _error_of(said)
    return _trouble(status, f"HTTP {status}", error if error is not None else said, headers, asked)


def inside(completion: Any, headers: Mapping[str, str], asked: Asked) -> Trouble | None:
    """The trouble within a reply of status 200, judged by its own code; None for a completion."""
    if not isinstance(completion, dict):
        return None
    error = _error_of(completion)
    if error is not None:
        status = _status_of(error)
        return _trouble(status or 503, "HTTP 200 with an error inside", error, headers, asked, status)
    if "choices" in completion and not completion["choices"]:
        return Trouble("answered without a choice", EndpointReplyError, True, wait=asked_wait(headers))
    return None


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or as a date; None for neither.

    A date is compared with the server's own clock where the reply tells it.
    """
    asked = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(asked):
        return float(asked)
    until = _date(asked)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    if not 10 < len(text) < 60:
        return None
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _error_of(said: Any) -> Any:
    """The error in a reply: `error`, that of its first choice, or the reply itself; None if it has none."""
    match said:
        case [dict(first), *_]:
            return _error_of(first)
        case {"error": error} if error:
            return error
        case {"choices": [{"error": error}, *_]} if error:
            return error
        case {"object": "error"}:
            return said
    return None


def _status_of(error: Any) -> int | None:
    """The status that an error stands for by its own code; None if it does not say."""
    if not isinstance(error, dict):
        return None
    named = [error.get(key) for key in ("code", "status", "status_code", "type")]
    for code in named:
        if isinstance(code, int | str) and re.fullmatch("[45][0-9]{2}", str(code)):
            return int(code)
    words = " ".join(code for code in named if isinstance(code, str))[:500].lower()
    return next((status for word, status in _CODES if word in words), None)


def _trouble(
    status: int,
    what: str,
    error: Any,
    headers: Mapping[str, str],
    asked: Asked,
    said_status: int | None = None,
) -> Trouble:
    words = _bounded(asked.strike(_words(error)))
    if said_status is not None:
        what += f" (code {said_status})"
    text = f"refused: {what}" + (f': "{words}"' if words else "")
    code = " ".join(str(error.get(key)) for key in ("code", "type")) if isinstance(error, dict) else ""
    judged = status not in (*_UNUSABLE, *_PASSING)
    if status == 413 or (judged and _TOO_LONG.search(f"{code[:200]} {words}")):
        return Trouble(text, EndpointContextError)
    if status in _UNUSABLE:
        return Trouble(text, EndpointUnusable, hint=_hint(status, words, asked))
    passing = status in _PASSING or status >= 500
    return Trouble(text, passing=passing, hint=_hint(status, words, asked), wait=asked_wait(headers))


def _words(error: Any) -> str:
    """The sentence in an error, whatever its form."""
    match error:
        case str():
            return error
        case {"message": str(words)} | {"detail": str(words)} | {"msg": str(words)} | {"error": str(words)}:
            return words
        case {"message": inner} | {"detail": inner} if isinstance(inner, dict | list):
            return _words(inner)
        case [*parts]:
            # Of a refused field its place and what is wrong, not the value: that may be the whole prompt.
            return "; ".join(filter(None, map(_field, parts[:3])))
    return ""


def _field(part: Any) -> str:
    match part:
        case {"loc": [*place], "msg": str(words)}:
            return f"{'.'.join(map(str, place[:5]))}: {words}"
    return _words(part) if isinstance(part, str | dict) else ""


def _plain(body: bytes) -> str:
    """What a reply that is no JSON says: the title of a page, else its text."""
    text = body[:_READ].decode(errors="replace")
    title = _TITLE.search(text)
    return html.unescape(title[1] if title else _TAG.sub(" ", text))


def _bounded(words: str) -> str:
    """Words on one line, of a length that fits into a message."""
    line = " ".join(words[:_READ].split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line[: LONGEST_WORDS + 1])
    return line if len(line) <= LONGEST_WORDS else f"{line[:LONGEST_WORDS]}..."


def _hint(status: int, words: str, asked: Asked) -> str:
    if status in (401, 403):
        if asked.key:
            return f"see to the key in {asked.api_key_env}, or name another variable with 'api_key_env'"
        return f"no key was sent: {asked.api_key_env} is empty; put the key there, or see 'api_key_env'"
    if status == 407:
        return "the proxy wants a user and a password in its address; see HTTP_PROXY and HTTPS_PROXY"
    if status in (404, 405):
        return address_hint(words, asked)
    named = [field for field in asked.fields if re.search(rf"\b{re.escape(field)}\b", words)]
    if status < 500 and status not in _PASSING and named:
        field = named[0]
        return (
            f'{field!r} can have another value, be left out (request={{"{field}": null}}) or be sent under '
            f'another name (rename={{"{field}": ...}})'
        )
    return ""


def address_hint(words: str, asked: Asked) -> str:
    """What may be wrong with an address or a model's name that a server does not know."""
    path = urlsplit(asked.base_url).path.rstrip("/")
    if path.endswith("/completions"):
        return "base_url ends before '/chat/completions'"
    if "model" in words.lower():
        return f"does it know the model as {asked.model!r:.80}? {asked.base_url}/models lists its names"
    if not path:
        return "base_url usually ends in '/v1', and this one does not"
    return "see to the port and the path of base_url, and to 'model'"
