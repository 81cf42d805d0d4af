"""One model behind an OpenAI-compatible endpoint, for teachers and students alike.

The `openai` client's own retries are switched off: a total deadline needs to know how long a pause may
be, and a server must not be able to put a run to sleep. It must not fill the memory either, so a reply
is read up to a bound and never unpacked.
"""

from __future__ import annotations

import asyncio
import os
import random
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
    EndpointUnusable,
)
from socratic_env.models.completion import message, parse, tokens
from socratic_env.models.connection import open_client, trouble_of
from socratic_env.models.fields import Fields
from socratic_env.models.refusal import Asked, Trouble, inside, of_status
from socratic_env.types import Message, Usage

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
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

    Whatever a server or the client does becomes the `fault` of a reply; `ask` raises nothing but the
    ConfigurationError of a key that no header can carry.

    Args:
        who: whose settings these are, for messages ("teacher 'openai'").
        base_url: the endpoint, such as "http://127.0.0.1:8000/v1".
        model: the model's name at the endpoint.
        api_key_env: the environment variable that holds the key; the key itself is never an
            argument, so that it cannot show in a spec, a log or a recording.
        fields: what every request says beside model and messages, such as {"temperature": 0.2}.
        request: further fields of every request, or other values of these; None leaves a field out:
            {"temperature": None, "top_k": 20}.
        rename: fields that are sent under another name: {"max_tokens": "max_completion_tokens"}.
        deadline_s: total seconds of `ask`: its wait for one of the `concurrency` slots, all tries and
            the pauses between them.
        connect_s: seconds for one connection.
        retries: further tries after connection faults, 408, 409, 429 and 5xx, also where such an error
            comes with status 200. A Retry-After, in seconds or as a date, is honoured if it ends before
            the deadline, else the request fails at once.
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
        fields: Mapping[str, Any],
        request: Mapping[str, Any] | None,
        rename: Mapping[str, str] | None,
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
        self._fields = Fields(who, fields, request or {}, rename or {})
        self._deadline_s, self._connect_s = deadline_s, connect_s
        self._retries, self._concurrency = retries, concurrency
        self._max_reply_bytes, self._prices = max_reply_bytes, prices
        self._answered = False
        # Connections belong to one event loop: one client, one pool and one cap for each.
        self._clients: dict[asyncio.AbstractEventLoop, tuple[openai.AsyncOpenAI, asyncio.Semaphore]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clients": {}}

    async def ask(self, chat: Sequence[Message], **fields: Any) -> Reply:
        """The reply to a chat, with these values of `fields`. A fault is data."""
        text, refusal, reason, spent, start = "", "", None, (0, 0), None
        fault: EndpointError | None = None
        before: list[str] = []
        key = self._key()
        try:
            client, slots = self._client(key)
            async with asyncio.timeout(self._deadline_s) as deadline, slots:
                start = time.perf_counter()
                body = self._fields.body(self.model, chat, fields)
                asked = Asked(
                    self.base_url,
                    self.model,
                    self._api_key_env,
                    key,
                    tuple(name for name in body if name not in ("model", "messages")),
                )
                completion = await self._complete(client, body, asked, deadline.when() or 0.0, before)
                spent = tokens(completion)  # first: a refusal costs money as well
                text, refusal, reason = message(completion)
        except TimeoutError:
            why = "" if start else f": none of the {self._concurrency} slots came free (see 'concurrency')"
            why = f"; before: {before[-1]}" if before else why
            fault = EndpointTimeout(f"no reply from {self.base_url} within {self._deadline_s} s{why}")
        except EndpointError as error:
            fault = type(error)(f"{self.base_url} {error}")
        except Exception as error:  # noqa: BLE001 - a fault is data, whatever the client raises
            trouble = trouble_of(error, Asked(self.base_url, self.model, self._api_key_env, key, ()), 0.0)
            fault = EndpointUnavailable(f"{self.base_url} {trouble.text}")
        seconds = time.perf_counter() - start if start else 0.0
        cost = sum(count * price for count, price in zip(spent, self._prices, strict=True)) / 1e6
        usage = Usage(1, int(fault is not None), *spent, seconds, cost)
        return Reply(text, refusal, reason, fault, usage)

    async def close(self) -> None:
        """Close the connections, also those that were opened on other event loops."""
        here = asyncio.get_running_loop()
        for loop, (client, _) in list(self._clients.items()):
            self._clients.pop(loop, None)
            if loop is here:
                await client.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.close(), loop))

    def _client(self, key: str) -> tuple[openai.AsyncOpenAI, asyncio.Semaphore]:
        for loop in list(self._clients):
            if loop.is_closed():
                self._clients.pop(loop, None)
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            timeout = httpx.Timeout(self._deadline_s, connect=self._connect_s)
            client = open_client(self.base_url, key or "none", timeout, self._bound)
            self._clients[loop] = (client, asyncio.Semaphore(self._concurrency))
        return self._clients[loop]

    async def _bound(self, response: httpx.Response) -> None:
        """Before the body of any reply is read: none that unpacks, and no more than so many bytes."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise EndpointReplyError("answered with a packed reply, though it was asked not to")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._max_reply_bytes)

    def _key(self) -> str:
        """The key, "" if there is none."""
        key = os.environ.get(self._api_key_env, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ConfigurationError(
                f"{self._who}: the key in {self._api_key_env} holds characters that no HTTP header can "
                "carry; set that environment variable again"
            )
        return key

    async def _complete(
        self,
        client: openai.AsyncOpenAI,
        body: Mapping[str, Any],
        asked: Asked,
        end: float,
        before: list[str],
    ) -> Any:
        """The first reply that is none of a passing fault. `end`: when time is up. `before`: what earlier
        tries met, for the message if time is up in the next one."""
        pause, tries_left = _FIRST_PAUSE_S, self._retries
        while True:
            completion, trouble = await self._try(client, body, asked)
            if trouble is None:
                self._answered = True
                return completion
            text = trouble.text
            wait = max(pause * _jitter.uniform(0.5, 1.0), trouble.wait or 0.0)
            if trouble.passing and not tries_left:
                text += f", {self._retries + 1} times"
            elif trouble.passing and asyncio.get_running_loop().time() + wait > end:
                text += f", and to wait {wait:.0f} s for another try would pass the deadline"
            elif trouble.passing:
                before.append(text)
                await asyncio.sleep(wait)
                pause, tries_left = min(2 * pause, _LONGEST_PAUSE_S), tries_left - 1
                continue
            # Where nobody has ever answered, the address is what is wrong.
            kind = EndpointUnusable if trouble.unreached and not self._answered else trouble.kind
            raise kind(f"{text}; {trouble.hint}" if trouble.hint else text)

    async def _try(
        self, client: openai.AsyncOpenAI, body: Mapping[str, Any], asked: Asked
    ) -> tuple[Any, Trouble | None]:
        """(a completion, None), or (None, why there is none). Raises EndpointReplyError."""
        try:
            reply = await client.post("/chat/completions", cast_to=httpx.Response, body=body)
        except openai.APIStatusError as error:
            self._answered = True
            response = error.response
            return None, of_status(error.status_code, response.content, response.headers, asked)
        except openai.OpenAIError as error:
            if isinstance(error.__cause__, EndpointReplyError):  # of `_bound`
                said = str(error.__cause__)
            else:
                return None, trouble_of(error, asked, self._connect_s)
        else:
            completion = parse(reply.content)
            trouble = inside(completion, reply.headers, asked)
            return (completion, None) if trouble is None else (None, trouble)
        raise EndpointReplyError(said)


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
