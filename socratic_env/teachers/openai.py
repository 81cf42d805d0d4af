"""A language-model teacher behind any OpenAI-compatible endpoint, through the `openai` client.

The client's own retries are switched off: a total deadline needs to know how long a pause may be,
and a server must not be able to put a run to sleep. It must not fill the memory either, so a reply
is read up to a bound and never unpacked.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
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
from socratic_env.teachers.base import Teacher, TeacherRequest, endpoint_key, without_thinking
from socratic_env.types import Guidance, Message, Usage

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
        deadline_s: total seconds from `guide` to a request's guidance: its wait for one of the
            `concurrency` slots, all tries and the pauses between them. No call of `guide` takes longer.
        connect_s: seconds for one connection.
        retries: further tries after connection faults, 408, 409, 429 and 5xx. A Retry-After in
            seconds is honoured if it ends before the deadline, else the request fails at once.
        concurrency: most calls under way at once.
        max_reply_bytes: a longer reply is a fault, and the rest of it is not read.
        prompt_price, completion_price: money for a million tokens, for `Usage.cost`.
        extra_body: further fields of the request, such as {"chat_template_kwargs": {...}}.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float = 0.2,
        max_tokens: int = 1024,
        deadline_s: float = 300.0,
        connect_s: float = 10.0,
        retries: int = 4,
        concurrency: int = 64,
        max_reply_bytes: int = 8 * 2**20,
        prompt_price: float = 0.0,
        completion_price: float = 0.0,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        for name, text in (("base_url", base_url), ("model", model), ("api_key_env", api_key_env)):
            if not isinstance(text, str) or not text:
                raise ConfigurationError(f"teacher 'openai': {name} is {text!r}; give a text")
        if not base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"teacher 'openai': base_url {base_url!r} is not http(s)://...")
        if "@" in urlsplit(base_url).netloc or urlsplit(base_url).query:
            raise ConfigurationError(
                "teacher 'openai': a user, a password or a query does not belong into base_url; put the key "
                "into an environment variable and name that with 'api_key_env'"
            )
        above_0 = {"concurrency": concurrency, "deadline_s": deadline_s, "connect_s": connect_s}
        for name, number in {**above_0, "max_reply_bytes": max_reply_bytes}.items():
            if not number > 0:
                raise ConfigurationError(f"teacher 'openai': {name} is {number!r}; it must be above 0")
        prices = {"prompt_price": prompt_price, "completion_price": completion_price}
        for name, number in {"retries": retries, **prices}.items():
            if not number >= 0:
                raise ConfigurationError(f"teacher 'openai': {name} is {number!r}; it must be 0 or more")
        self.base_url, self.model = base_url, model
        self._api_key_env = api_key_env
        self._sampling = {"temperature": temperature, "max_tokens": max_tokens}
        self._deadline_s, self._connect_s = deadline_s, connect_s
        self._retries, self._concurrency = retries, concurrency
        self._max_reply_bytes, self._prices = max_reply_bytes, (prompt_price, completion_price)
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
        chats = [teacher_messages(request.dialogue, request.protocol) for request in requests]
        return list(await asyncio.gather(*(self._guide_one(client, slots, chat) for chat in chats)))

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
                api_key=endpoint_key("teacher 'openai'", self._api_key_env),
                max_retries=0,
                timeout=httpx.Timeout(self._deadline_s, connect=self._connect_s),
                # The default transport took eight times as long at 512 calls at once.
                http_client=openai.DefaultAioHttpClient(event_hooks={"response": [self._bound]}),
                default_headers={"Accept-Encoding": "identity"},
            )
            self._clients[loop] = (client, asyncio.Semaphore(self._concurrency))
        return self._clients[loop]

    async def _bound(self, response: httpx.Response) -> None:
        """Before the body of any reply is read: none that unpacks, and no more than so many bytes."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise TeacherReplyError("answered with a packed reply, though it was asked not to")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._max_reply_bytes)

    async def _guide_one(
        self, client: openai.AsyncOpenAI, slots: asyncio.Semaphore, chat: list[Message]
    ) -> Guidance:
        text, cut, tokens, start = "", False, (0, 0), None
        fault: TeacherError | None = None
        try:
            async with asyncio.timeout(self._deadline_s) as deadline, slots:
                start = time.perf_counter()
                completion = _parse(await self._ask(client, chat, deadline.when() or 0.0))
                tokens = _tokens(completion)  # first: a refusal costs money as well
                text, cut = _guidance(completion)
        except TimeoutError:
            why = "" if start else f": none of the {self._concurrency} slots came free (see 'concurrency')"
            fault = TeacherTimeout(f"no guidance from {self.base_url} within {self._deadline_s} s{why}")
        except TeacherError as error:
            fault = type(error)(f"{self.base_url} {error}")
        seconds = time.perf_counter() - start if start else 0.0
        cost = sum(count * price for count, price in zip(tokens, self._prices, strict=True)) / 1e6
        usage = Usage(1, int(fault is not None), *tokens, seconds, cost)
        return Guidance(text, fault=fault, truncated=cut, usage=usage)

    async def _ask(self, client: openai.AsyncOpenAI, chat: list[Message], end: float) -> bytes:
        """The body of the first reply that is none of a passing fault. `end`: when time is up."""
        body = {"model": self.model, "messages": chat, **self._sampling, **self._extra_body}
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
                if isinstance(error.__cause__, TeacherReplyError):  # of `_bound`
                    raise error.__cause__ from None
                fault, asked = f"failed: {type(error).__name__}: {error}", ""
            wait = pause * _jitter.uniform(0.5, 1.0)
            if _SECONDS.fullmatch(asked):
                wait = max(wait, float(asked))
            if not tries_left:
                fault += f", {self._retries + 1} times"
            elif asyncio.get_running_loop().time() + wait > end:
                fault += f", and to wait {wait:.0f} s for another try would pass the deadline"
                break
            else:
                await asyncio.sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        raise TeacherUnavailable(fault)


class _Bounded(httpx.AsyncByteStream):
    """The body of a reply as it arrives, up to a number of bytes."""

    def __init__(self, stream: httpx.AsyncByteStream, most: int) -> None:
        self._stream, self._left, self._most = stream, most, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise TeacherReplyError(f"answered with more than {self._most} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


# Nothing about a reply is taken for granted: any server may stand behind an address.


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        # Not what it says: an error page may repeat the request's headers, key included.
        raise TeacherReplyError(f"answered with no JSON ({len(body)} bytes)") from None


def _tokens(completion: Any) -> tuple[int, int]:
    """(prompt tokens, completion tokens), 0 where the server does not say."""
    counts = completion.get("usage") if isinstance(completion, dict) else None
    counts = counts if isinstance(counts, dict) else {}
    spent = [counts.get(key) for key in ("prompt_tokens", "completion_tokens")]
    prompt, written = (count if isinstance(count, int) and count > 0 else 0 for count in spent)
    return prompt, written


def _guidance(completion: Any) -> tuple[str, bool]:
    """(guidance, whether the server cut it)."""
    match completion:
        case {"choices": [{"message": dict(message)} as choice, *_]}:
            pass
        case _:
            raise TeacherReplyError("answered without a message")
    if message.get("refusal"):
        raise TeacherReplyError(f"refused to guide: {message['refusal']!r:.200}")
    text, reason = message.get("content"), choice.get("finish_reason")
    text = without_thinking(text) if isinstance(text, str) else ""
    if not text:
        raise TeacherReplyError(f"answered with an empty message (finish_reason {reason!r:.40})")
    return text, reason == "length"
