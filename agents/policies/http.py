"""Requests to vLLM's servers: bounded connections, one total deadline, retries where they are safe.

All of it lives on the process's background loop (`socratic_env.engine.background`).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import aiohttp

from socratic_env.errors import StudentError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_jitter = random.Random()
T = TypeVar("T")


async def together(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, in order. The first fault cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None
    return [task.result() for task in tasks]


class ServerRefusal(StudentError):
    """A server answered with another status than 200."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Servers:
    """Connections to several servers that do the same.

    Args:
        urls: such as "http://127.0.0.1:8001", without a path.
        deadline_s: total seconds of one request, with all tries and pauses, once it has a connection.
        retries: further tries after connection faults, 429 and 5xx, of requests that may be repeated.
        connections: most connections at once.

    Attributes:
        down: numbers of servers that are left out by `get_all` and `post_all`.
    """

    def __init__(
        self, urls: Sequence[str], deadline_s: float = 3600.0, retries: int = 4, connections: int = 512
    ) -> None:
        self.urls = tuple(url.rstrip("/") for url in urls)
        self.down: set[int] = set()
        self._deadline_s, self._retries = deadline_s, retries
        self._slots = asyncio.Semaphore(connections)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, server: int, path: str) -> Any:
        """What a server says, from JSON. Raises StudentError."""
        return await self._ask("GET", server, path, None, self._retries)

    async def post(
        self, server: int, path: str, body: Mapping[str, Any] | None = None, again: bool = False
    ) -> Any:
        """The reply of a server, from JSON. `again`: the request may be repeated after a fault.

        Raises StudentError, ServerRefusal if the server gave a status other than 200. Cancelling
        closes the connection, so that the server drops the request.
        """
        return await self._ask("POST", server, path, body, self._retries if again else 0)

    async def get_all(self, path: str) -> list[Any]:
        """What each server says."""
        return await together(self.get(server, path) for server in self.up)

    async def post_all(self, path: str, bodies: Sequence[Mapping[str, Any]] | None = None) -> list[Any]:
        """The reply of each server to its body."""
        each = bodies or [{}] * len(self.up)
        asked = zip(self.up, each, strict=True)
        return await together(self.post(server, path, body) for server, body in asked)

    @property
    def up(self) -> list[int]:
        """The numbers of all other servers."""
        return [server for server in range(len(self.urls)) if server not in self.down]

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, method: str, server: int, path: str, body: Mapping[str, Any] | None, retries: int
    ) -> Any:
        url, pause = self.urls[server] + path, _FIRST_PAUSE_S
        fault: StudentError | None = None
        try:
            async with self._slots, asyncio.timeout(self._deadline_s):
                for tries_left in range(retries, -1, -1):
                    try:
                        return await self._once(method, url, body)
                    except StudentError as error:
                        fault = error
                    if isinstance(fault, ServerRefusal) and fault.status < 500 and fault.status != 429:
                        break
                    if tries_left:
                        await asyncio.sleep(pause * _jitter.uniform(0.5, 1.0))
                        pause = min(2 * pause, _LONGEST_PAUSE_S)
        except TimeoutError:
            before = f"; before: {fault}" if fault else ""
            raise StudentError(f"{url}: no answer within {self._deadline_s} s{before}") from None
        assert fault is not None
        raise fault

    async def _once(self, method: str, url: str, body: Mapping[str, Any] | None) -> Any:
        try:
            async with self._open().request(method, url, json=body) as reply:
                said = await reply.read()
        except (aiohttp.ClientError, OSError) as error:
            raise StudentError(f"{url}: {type(error).__name__}: {error}; is the server running?") from error
        if reply.status != 200:
            raise ServerRefusal(f"{url}: HTTP {reply.status}: {_reason(said)}", reply.status)
        try:
            return json.loads(said)
        except ValueError:
            raise StudentError(f"{url}: the reply is no JSON: {said[:200]!r}") from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # None is used twice: servers close idle ones, and those of a request that failed, and a
            # step of a weight update that finds its connection closed may not just be sent again.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._session


def _reason(said: bytes) -> str:
    """What a server says about an error."""
    try:
        return str(json.loads(said)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return said[:500].decode(errors="replace")
