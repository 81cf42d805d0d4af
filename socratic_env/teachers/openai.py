"""A language-model teacher behind any OpenAI-compatible endpoint, through the `openai` client."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

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
        for name, value in (("base_url", base_url), ("model", model)):
            if not isinstance(value, str) or not value:
                raise ConfigurationError(f"teacher 'openai': {name} is {value!r}; give a text")
        if not base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"teacher 'openai': base_url {base_url!r} is not http(s)://...")
        for name, number in (("concurrency", concurrency), ("deadline_s", deadline_s)):
            if not number > 0:
                raise ConfigurationError(f"teacher 'openai': {name} is {number!r}; it must be above 0")
        self.base_url, self.model = base_url, model
        self._api_key_env = api_key_env
        self._sampling = {"temperature": temperature, "max_tokens": max_tokens}
        self._deadline_s, self._connect_s = deadline_s, connect_s
        self._retries, self._concurrency = retries, concurrency
        self._extra_body = dict(extra_body or {})
        # Connections belong to one event loop: one client, one pool and one cap for each.
        self._clients: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[openai.AsyncOpenAI, asyncio.Semaphore]
        ] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"OpenAITeacher(base_url={self.base_url!r}, model={self.model!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_clients"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._clients = weakref.WeakKeyDictionary()

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """All requests at once, up to the cap; each fails or succeeds by itself."""
        return list(await asyncio.gather(*(self._guide_one(request) for request in requests)))

    async def close(self) -> None:
        """Close the connections of the running loop."""
        client, _ = self._clients.pop(asyncio.get_running_loop(), (None, None))
        if client is not None:
            await client.close()

    def _client(self) -> tuple[openai.AsyncOpenAI, asyncio.Semaphore]:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            client = openai.AsyncOpenAI(
                base_url=self.base_url,
                api_key=os.environ.get(self._api_key_env) or "none",
                max_retries=self._retries,
                timeout=httpx.Timeout(self._deadline_s, connect=self._connect_s),
                # The default transport took eight times as long at 512 calls at once.
                http_client=openai.DefaultAioHttpClient(),
            )
            self._clients[loop] = (client, asyncio.Semaphore(self._concurrency))
        return self._clients[loop]

    async def _guide_one(self, request: TeacherRequest) -> Guidance:
        client, slots = self._client()
        async with slots:
            start = time.perf_counter()
            text, fault, tokens = "", None, (0, 0)
            try:
                async with asyncio.timeout(self._deadline_s):
                    text, tokens = await self._ask(client, request)
            except TimeoutError:
                fault = TeacherTimeout(f"no guidance from {self.base_url} within {self._deadline_s} s")
            except TeacherError as error:
                fault = error
            except openai.APITimeoutError as error:
                fault = TeacherTimeout(f"no guidance from {self.base_url}: {error}")
            except openai.APIStatusError as error:
                fault = TeacherUnavailable(f"{self.base_url} refused: HTTP {error.status_code}")
            except openai.OpenAIError as error:
                fault = TeacherUnavailable(f"{self.base_url} failed: {type(error).__name__}: {error}")
            seconds = time.perf_counter() - start
        usage = Usage(1, int(fault is not None), tokens[0], tokens[1], seconds)
        return Guidance(text, fault=fault, usage=usage)

    async def _ask(
        self, client: openai.AsyncOpenAI, request: TeacherRequest
    ) -> tuple[str, tuple[int, int]]:
        completion = await client.chat.completions.create(
            model=self.model,
            messages=teacher_messages(request.dialogue, request.protocol),  # type: ignore[arg-type]
            extra_body=self._extra_body or None,
            **self._sampling,  # type: ignore[arg-type]
        )
        choices = getattr(completion, "choices", None)
        message = getattr(choices[0], "message", None) if choices else None
        if message is None:
            raise TeacherReplyError(f"{self.base_url} answered without a message")
        if message.refusal:
            raise TeacherReplyError(f"{self.base_url} refused to guide: {message.refusal:.200}")
        if not isinstance(message.content, str) or not message.content.strip():
            raise TeacherReplyError(f"{self.base_url} answered with an empty message")
        usage = completion.usage
        return message.content.strip(), (
            (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        )
