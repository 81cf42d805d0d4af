"""One model behind an OpenAI-compatible endpoint, for teachers and students alike.

The `openai` client's own retries are switched off: a total deadline needs to know how long a pause may
be, and a server must not be able to put a run to sleep. It must not fill the memory either, so a reply
is read up to a bound and never unpacked.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai

from socratic_env.errors import (
    ConfigurationError,
    EndpointError,
    EndpointReplyError,
    EndpointTimeout,
    EndpointUnavailable,
)
from socratic_env.types import Message, Usage

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_PASSING = (408, 409, 429)
"""Status codes after which another try may succeed, beside 5xx."""
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_jitter = random.Random()


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answered to one chat, or the fault that left no answer.

    text: what it wrote ("" for nothing). refusal: why it would not. finish_reason: "length" if it was cut.
    """

    text: str = ""
    refusal: str = ""
    finish_reason: Any = None
    fault: EndpointError | None = None
    usage: Usage = field(default=Usage())


class Endpoint:
    """Asks for chat completions, within a total deadline and a cap of calls at once.

    Args:
        who: whose settings these are, for messages ("teacher 'openai'").
        base_url: the endpoint, such as "http://127.0.0.1:8000/v1".
        model: the model's name at the endpoint.
        api_key_env: the environment variable that holds the key; the key itself is never an
            argument, so that it cannot show in a spec, a log or a recording.
        body: further fields of every request, such as {"temperature": 0.2}.
        deadline_s: total seconds of `ask`: its wait for one of the `concurrency` slots, all tries and
            the pauses between them.
        connect_s: seconds for one connection.
        retries: further tries after connection faults, 408, 409, 429 and 5xx. A Retry-After in
            seconds is honoured if it ends before the deadline, else the request fails at once.
        concurrency: most calls under way at once.
        max_reply_bytes: a longer reply is a fault, and the rest of it is not read.
        prices: money for a million tokens of prompt and of completion, for `Usage.cost`.
    """

    def __init__(
        self,
        who: str,
        base_url: str,
        model: str,
        api_key_env: str,
        body: Mapping[str, Any],
        deadline_s: float,
        connect_s: float,
        retries: int,
        concurrency: int,
        max_reply_bytes: int,
        prices: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        for name, text in (("base_url", base_url), ("model", model), ("api_key_env", api_key_env)):
            if not isinstance(text, str) or not text:
                raise ConfigurationError(f"{who}: {name} is {text!r}; give a text")
        if not base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"{who}: base_url {base_url!r} is not http(s)://...")
        if "@" in urlsplit(base_url).netloc or urlsplit(base_url).query:
            raise ConfigurationError(
                f"{who}: a user, a password or a query does not belong into base_url; put the key into an "
                "environment variable and name that with 'api_key_env'"
            )
        above_0 = {"concurrency": concurrency, "deadline_s": deadline_s, "connect_s": connect_s}
        for name, number in {**above_0, "max_reply_bytes": max_reply_bytes}.items():
            if not number > 0:
                raise ConfigurationError(f"{who}: {name} is {number!r}; it must be above 0")
        at_least_0 = {"retries": retries, "prompt_price": prices[0], "completion_price": prices[1]}
        for name, number in at_least_0.items():
            if not number >= 0:
                raise ConfigurationError(f"{who}: {name} is {number!r}; it must be 0 or more")
        self.base_url, self.model = base_url, model
        self._who, self._api_key_env = who, api_key_env
        self._body = dict(body)
        self._deadline_s, self._connect_s = deadline_s, connect_s
        self._retries, self._concurrency = retries, concurrency
        self._max_reply_bytes, self._prices = max_reply_bytes, prices
        # Connections belong to one event loop: one client, one pool and one cap for each.
        self._clients: dict[asyncio.AbstractEventLoop, tuple[openai.AsyncOpenAI, asyncio.Semaphore]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clients": {}}

    async def ask(self, chat: Sequence[Message], **body: Any) -> Reply:
        """The reply to a chat, with these fields beside those of every request. A fault is data."""
        client, slots = self._client()
        text, refusal, reason, tokens, start = "", "", None, (0, 0), None
        fault: EndpointError | None = None
        try:
            async with asyncio.timeout(self._deadline_s) as deadline, slots:
                start = time.perf_counter()
                whole = {"model": self.model, "messages": list(chat), **self._body, **body}
                completion = _parse(await self._post(client, whole, deadline.when() or 0.0))
                tokens = _tokens(completion)  # first: a refusal costs money as well
                text, refusal, reason = _message(completion)
        except TimeoutError:
            why = "" if start else f": none of the {self._concurrency} slots came free (see 'concurrency')"
            fault = EndpointTimeout(f"no reply from {self.base_url} within {self._deadline_s} s{why}")
        except EndpointError as error:
            fault = type(error)(f"{self.base_url} {error}")
        seconds = time.perf_counter() - start if start else 0.0
        cost = sum(count * price for count, price in zip(tokens, self._prices, strict=True)) / 1e6
        usage = Usage(1, int(fault is not None), *tokens, seconds, cost)
        return Reply(text, refusal, reason, fault, usage)

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
                http_client=openai.DefaultAioHttpClient(event_hooks={"response": [self._bound]}),
                default_headers={"Accept-Encoding": "identity"},
            )
            self._clients[loop] = (client, asyncio.Semaphore(self._concurrency))
        return self._clients[loop]

    async def _bound(self, response: httpx.Response) -> None:
        """Before the body of any reply is read: none that unpacks, and no more than so many bytes."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise EndpointReplyError("answered with a packed reply, though it was asked not to")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._max_reply_bytes)

    def _key(self) -> str:
        key = os.environ.get(self._api_key_env, "").strip() or "none"
        if not (key.isascii() and key.isprintable()):
            raise ConfigurationError(
                f"{self._who}: the key in {self._api_key_env} holds characters that no HTTP header can "
                "carry; set that environment variable again"
            )
        return key

    async def _post(self, client: openai.AsyncOpenAI, body: Mapping[str, Any], end: float) -> bytes:
        """The body of the first reply that is none of a passing fault. `end`: when time is up."""
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
                if isinstance(error.__cause__, EndpointReplyError):  # of `_bound`
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
        raise EndpointUnavailable(fault)


class _Bounded(httpx.AsyncByteStream):
    """The body of a reply as it arrives, up to a number of bytes."""

    def __init__(self, stream: httpx.AsyncByteStream, most: int) -> None:
        self._stream, self._left, self._most = stream, most, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise EndpointReplyError(f"answered with more than {self._most} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


# Nothing about a reply is taken for granted: any server may stand behind an address.


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        # Not what it says: an error page may repeat the request's headers, key included.
        raise EndpointReplyError(f"answered with no JSON ({len(body)} bytes)") from None


def _tokens(completion: Any) -> tuple[int, int]:
    """(prompt tokens, completion tokens), 0 where the server does not say."""
    counts = completion.get("usage") if isinstance(completion, dict) else None
    counts = counts if isinstance(counts, dict) else {}
    spent = [counts.get(key) for key in ("prompt_tokens", "completion_tokens")]
    prompt, written = (count if isinstance(count, int) and count > 0 else 0 for count in spent)
    return prompt, written


def _message(completion: Any) -> tuple[str, str, Any]:
    """(text, refusal, finish reason) of the first choice."""
    match completion:
        case {"choices": [{"message": dict(message)} as choice, *_]}:
            pass
        case _:
            raise EndpointReplyError("answered without a message")
    text, refusal = (message.get(key) for key in ("content", "refusal"))
    refusal = f"{refusal!r:.200}" if refusal else ""
    return text if isinstance(text, str) else "", refusal, choice.get("finish_reason")
