"""An OpenAI-compatible server on loopback that misbehaves on request.

How it behaves is the model's name: "good", or one of `Behaviours` with an argument after a colon,
such as "status:500:2" (two replies of status 500, then good ones).
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from support.loopback import LoopbackServer

GUIDANCE = "Look at the units once more."
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def completion(content: Any = GUIDANCE, finish_reason: Any = "stop", **changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion", "choices": [choice], "usage": USAGE} | changes


class MisbehavingServer(LoopbackServer):
    """Chat completions.

    bodies: raw replies for the models "body:<name>", as (content type, bytes).
    replies: (status, headers, JSON) of the model "replies", one after the other; the last one stays.
    requests: the bodies of all requests so far; headers: their headers.
    down: while set, every reply is 503.
    script: what the model "scripted" says to a request's body, or the status with which it refuses.
    flooded: bytes that "flood" has sent.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, tuple[str, bytes]] = {}
        self.replies: list[tuple[int, dict[str, str], Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.flooded = 0
        self.down = False
        self.script: Callable[[dict[str, Any]], str | int] = lambda body: GUIDANCE
        self._seen: Counter[str] = Counter()
        self._transports: set[asyncio.BaseTransport] = set()
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}/v1"

    @property
    def open_connections(self) -> int:
        return sum(not transport.is_closing() for transport in tuple(self._transports))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._transports.add(request.transport)
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            raise web.HTTPNotFound
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        if self.down:
            return web.json_response({"error": "down"}, status=503)
        kind, _, argument = body["model"].partition(":")
        behave: Callable[[web.Request, str, int], Awaitable[web.StreamResponse]]
        behave = getattr(self, f"_{kind}")
        self._seen[body["model"]] += 1
        return await behave(request, argument, self._seen[body["model"]])

    # -- behaviours: (request, argument, how often this model was asked) ---------------------

    async def _good(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        return web.json_response(completion())

    async def _echo(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """The prompt as guidance; later requests are answered first."""
        await asyncio.sleep(max(0.0, 0.2 - 0.03 * times))
        return web.json_response(completion((await request.json())["messages"][-1]["content"]))

    async def _scripted(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """By `script`, after so many seconds."""
        await asyncio.sleep(float(argument or 0))
        said = self.script(await request.json())
        if isinstance(said, int):
            return web.json_response({"error": "scripted"}, status=said)
        return web.json_response(completion(said))

    async def _slow(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        await asyncio.sleep(float(argument))
        return web.json_response(completion())

    async def _hang(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def _drip(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """One blank a second, for ever: valid JSON so far."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(1)

    async def _status(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """ "status:500:2": 500 twice (for ever without the 2), then good."""
        code, _, often = argument.partition(":")
        if often and times > int(often):
            return web.json_response(completion())
        echo = request.headers.get("Authorization", "")  # as some gateways do
        return web.json_response({"error": {"message": f"wrong key {echo}"}}, status=int(code))

    async def _limited(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """429 once with that Retry-After, then good."""
        if times > 1:
            return web.json_response(completion())
        return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": argument})

    async def _reset(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """The connection breaks in the middle of the body, so often, then good."""
        if times > int(argument):
            return web.json_response(completion())
        whole = json.dumps(completion()).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(whole))}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(whole[: len(whole) // 2])
        assert request.transport is not None
        request.transport.abort()  # type: ignore[attr-defined]
        return response

    async def _hang_if(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """Never answers a prompt that holds the word, and others well."""
        holds = argument in (await request.json())["messages"][-1]["content"]
        return await (self._hang if holds else self._good)(request, argument, times)

    async def _flood(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """A reply that never ends, as fast as it is read; "flood:500" under that status."""
        headers = {"Content-Type": "application/json"}
        response = web.StreamResponse(status=int(argument or 200), headers=headers)
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)
            self.flooded += 65_536

    async def _packed(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        """A small reply that unpacks to 64 MB; packed although nobody asked for it."""
        packer = zlib.compressobj(9, wbits=31)
        body = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return web.Response(body=body, headers=headers)

    async def _replies(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        status, headers, said = self.replies[min(times, len(self.replies)) - 1]
        return web.json_response(said, status=status, headers=headers)

    async def _body(self, request: web.Request, argument: str, times: int) -> web.StreamResponse:
        content_type, body = self.bodies[argument]
        return web.Response(body=body, headers={"Content-Type": content_type})
