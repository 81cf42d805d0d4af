"""A language model that reflects, behind any OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from socratic_env.errors import TeacherError, check_count
from socratic_env.models.endpoint import Endpoint
from socratic_env.models.fields import chat_template_field
from socratic_env.reflection.prompts import ReflectionPrompt, reflection_prompt
from socratic_env.reflection.reflector import Reflection, Reflector
from socratic_env.reflection.structured import ask_checked, viewpoints_in
from socratic_env.traces import InteractionTrace
from socratic_env.viewpoints import Viewpoint

_WHO = "reflector 'openai'"


class OpenAIReflector(Reflector):
    """Asks a chat-completions endpoint for viewpoints, trace by trace, in a form that is checked.

    An answer of another form is asked for once more, with what is wrong about it; a second one is a fault,
    and no viewpoint is made up. A viewpoint must be of a kind that the prompt wants, and its trigger must
    apply to the question that it comes from.

    Args:
        prompt: a name of `envs_registry/reflections`, the path of a file of one's own (.md), or a
            ReflectionPrompt.
        min_seen: from how many traces of a batch a viewpoint must come (duplicates count) to be kept.
        max_traces: most traces of a batch that are asked about, the first ones (None: all that the prompt
            wants).
        others: as for the teacher "openai".
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        prompt: str | Path | ReflectionPrompt = "causal_analysis",
        min_seen: int = 1,
        max_traces: int | None = None,
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
        request: Mapping[str, Any] | None = None,
        rename: Mapping[str, str] | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        check_count(f"{_WHO}: min_seen", min_seen)
        if max_traces is not None:
            check_count(f"{_WHO}: max_traces", max_traces)
        self.prompt = reflection_prompt(prompt)
        self._min_seen, self._max_traces = int(min_seen), max_traces
        fields = {"temperature": temperature, "max_tokens": max_tokens}
        self._endpoint = Endpoint(
            _WHO,
            base_url,
            model,
            api_key_env,
            fields | chat_template_field(_WHO, chat_template, request),
            request,
            rename,
            deadline_s,
            connect_s,
            retries,
            concurrency,
            max_reply_bytes,
            (prompt_price, completion_price),
        )

    def __repr__(self) -> str:
        return (
            f"OpenAIReflector(base_url={self._endpoint.base_url!r}, model={self._endpoint.model!r}, "
            f"prompt={self.prompt.name!r})"
        )

    async def consider(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """The viewpoints on all traces that the prompt wants, asked at once, up to the cap."""
        wanted = [trace for trace in traces if self.prompt.wants(trace)][: self._max_traces]
        given = await asyncio.gather(*map(self._one, wanted))
        whole = sum(given, Reflection())
        seen = Counter(viewpoint_id for each in given for viewpoint_id in {one.id for one in each})
        kept = tuple(one for one in whole if seen[one.id] >= self._min_seen)
        return Reflection(kept, whole.faults, whole.unread, whole.usage)

    async def close(self) -> None:
        """Close the connections of the running loop."""
        await self._endpoint.close()

    async def _one(self, trace: InteractionTrace) -> Reflection:
        def read(text: str) -> tuple[Viewpoint, ...]:
            return viewpoints_in(text, self.prompt, trace, self._endpoint.model)

        viewpoints, fault, usage = await ask_checked(self._endpoint, self.prompt.messages(trace), read)
        faults: tuple[TeacherError, ...] = () if fault is None else (fault,)
        return Reflection(viewpoints or (), faults, usage=usage)
