"""A language-model teacher behind any OpenAI-compatible endpoint, through the `openai` client.

The client's own retries are switched off: a total deadline needs to know how long a pause may be,
and a server must not be able to put a run to sleep.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai

from socratic_env.errors import (
    ConfigurationError,
    TeacherError,
    TeacherReplyError,
    TeacherTimeout,
    TeacherUnavailable,
)
from socratic_env.protocols import teacher_messages
from socratic_env.teachers.base import Teacher, TeacherRequest
from socratic_env.types import Guidance, Usage

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_PASSING = (408, 409, 429)
"""Status codes after which another try may succeed, beside 5xx."""
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_jitter = random.Random()


class OpenAITeacher(Teacher):
    """Asks a chat-completions endpoint (vLLM's server, a commercial one) for guidance.

    Args:
        base_url: the endpoint, such as "http://127.0.0.1:8000/v1".
        model: the model's name at the endpoint.
        api_key_env: the environment variable that holds the key; the key itself is never an
            argument, so that it cannot show in a spec, a log or a recording.
        temperature, max_tokens: of the guidance (Table 5: 0.2 and 1024).
        deadline_s: total seconds for one request, retries included.
        connect_s: seconds for one connection.
        retries: further tries after connection faults, 408, 409, 429 and 5xx.
        concurrency: most calls under way at once.
        extra_body: further fields of the request, such as {"chat_template_kwargs": {...}}.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float = 0.2,
        max_tokens: int = 1024,
        deadline_s: float = 120.0,
        connect_s: float = 10.0,
        retries: int = 4,
        concurrency: int = 64,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        for name, text in (("base_url", base_url), ("model", model), ("api_key_env", api_key_env)):
            if not isinstance(text, str) or not text:
                raise ConfigurationError(f"teacher 'openai': {name} is {text!r}; give a text")
        if not base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"teacher 'openai': base_url {base_url!r} is not http(s)://...")
        if "@" in urlsplit(base_url).netloc:
            raise ConfigurationError(
                "teacher 'openai': a user or a password does not belong into base_url; put the key into an "
                "environment variable and name that with 'api_key_env'"
            )
        numbers = (("concurrency", concurrency), ("deadline_s", deadline_s), ("connect_s", connect_s))
        for name, number in numbers:
            if not number > 0:
                raise ConfigurationError(f"teacher 'openai': {name} is {number!r}; it must be above 0")
        if not retries >= 0:
            raise ConfigurationError(f"teacher 'openai': retries is {retries!r}; it must be 0 or more")
        self.base_url, self.model = base_url, model
        self._api_key_env = api_key_env
        self._sampling = {"temperature": temperature, "max_tokens": max_tokens}
        self._deadline_s, self._connect_s = deadline_s, connect_s
        self._retries, self._concurrency = retries, concurrency
        self._extra_body = dict(extra_body or {})
        # Connections belong to one event loop: one client, one pool and one cap for each.
        self._clients: dict[asyncio.AbstractEventLoop, tuple[openai.AsyncOpenAI, asyncio.Semaphore]] = {}

    def __repr__(self) -> str:
        return f"OpenAITeacher(base_url={self.base_url!r}, model={self.model!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clients": {}}

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """All requests at once, up to the cap; each fails or succeeds by itself."""
        client, slots = self._client()
        return list(await asyncio.gather(*(self._guide_one(client, slots, each) for each in requests)))

    async def close(self) -> None:
        """Close the connections of the running loop."""
        client, _ = self._clients.pop(asyncio.get_running_loop(), (None, None))
        if client is not None:
            await client.close()

    def _client(self) -> tuple[openai.AsyncOpenAI, asyncio.Semaphore]:
        for loop in list(self._clients):
            if loop.is_closed():
                self._clients.pop(loop, None)
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            client = openai.AsyncOpenAI(
                base_url=self.base_url,
                api_key=self._key(),
                max_retries=0,
                timeout=httpx.Timeout(self._deadline_s, connect=self._connect_s),
                # The default transport took eight times as long at 512 calls at once.
                http_client=openai.DefaultAioHttpClient(),
            )
            self._clients[loop] = (client, asyncio.Semaphore(self._concurrency))
        return self._clients[loop]

    def _key(self) -> str:
        key = os.environ.get(self._api_key_env, "").strip() or "none"
        if not (key.isascii() and key.isprintable()):
            raise ConfigurationError(
                f"teacher 'openai': the key in {self._api_key_env} holds characters that no HTTP header can "
                "carry; set that environment variable again"
            )
        return key

    async def _guide_one(
        self, client: openai.AsyncOpenAI, slots: asyncio.Semaphore, request: TeacherRequest
    ) -> Guidance:
        async with slots:
            start = time.perf_counter()
            text, cut, tokens = "", False, (0, 0)
            fault: TeacherError | None = None
            try:
                async with asyncio.timeout(self._deadline_s):
                    text, cut, tokens = _read(await self._ask(client, request))
            except TimeoutError:
                fault = TeacherTimeout(f"no guidance from {self.base_url} within {self._deadline_s} s")
            except TeacherError as error:
                fault = type(error)(f"{self.base_url} {error}")
            seconds = time.perf_counter() - start
        usage = Usage(1, int(fault is not None), *tokens, seconds)
        return Guidance(text, fault=fault, truncated=cut, usage=usage)

    async def _ask(self, client: openai.AsyncOpenAI, request: TeacherRequest) -> bytes:
        """The body of the first reply that is none of a passing fault."""
        end = time.monotonic() + self._deadline_s
        messages = teacher_messages(request.dialogue, request.protocol)
        body = {"model": self.model, "messages": messages, **self._sampling, **self._extra_body}
        pause = _FIRST_PAUSE_S
        for tries_left in range(self._retries, -1, -1):
            try:
                reply = await client.post("/chat/completions", cast_to=httpx.Response, body=body)
                return reply.content
            except openai.APIStatusError as error:
                fault = f"refused: HTTP {error.status_code}"
                if error.status_code not in _PASSING and error.status_code < 500:
                    break
                asked = error.response.headers.get("retry-after", "")
            except openai.OpenAIError as error:
                fault, asked = f"failed: {type(error).__name__}: {error}", ""
            wait = pause * _jitter.uniform(0.5, 1.0)
            if _SECONDS.fullmatch(asked):
                wait = max(wait, float(asked))
            if not tries_left:
                fault += f", {self._retries + 1} times"
            elif time.monotonic() + wait > end:
                fault += f", and to wait {wait:.0f} s for another try would pass the deadline"
                break
            else:
                await asyncio.sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        raise TeacherUnavailable(fault)


def _read(body: bytes) -> tuple[str, bool, tuple[int, int]]:
    """(guidance, whether it was cut, (prompt tokens, completion tokens)) of a reply's body.

    Nothing is taken for granted: any server may stand behind an address.
    """
    try:
        completion = json.loads(body)
    except (ValueError, RecursionError):
        # Not what it says: an error page may repeat the request's headers, key included.
        raise TeacherReplyError(f"answered with no JSON ({len(body)} bytes)") from None
    match completion:
        case {"choices": [{"message": dict(message)} as choice, *_]}:
            pass
        case _:
            raise TeacherReplyError("answered without a message")
    if message.get("refusal"):
        raise TeacherReplyError(f"refused to guide: {message['refusal']!r:.200}")
    text, reason = message.get("content"), choice.get("finish_reason")
    if not isinstance(text, str) or not text.strip():
        raise TeacherReplyError(f"answered with an empty message (finish_reason {reason!r:.40})")
    counts = completion.get("usage")
    counts = counts if isinstance(counts, dict) else {}
    spent = [counts.get(key) for key in ("prompt_tokens", "completion_tokens")]
    prompt, written = (count if isinstance(count, int) else 0 for count in spent)
    return text.strip(), reason == "length", (prompt, written)
