"""A model in this process, run by transformers: slower than vLLM, and wherever torch runs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from socratic_env.errors import ConfigurationError
from socratic_env.models.chat import Chat, ends_of
from socratic_env.models.local_model import Completion, LocalModel, LocalSampling
from socratic_env.types import Message, Usage

_MOST_TOKENS = 16384
"""Of prompts and replies in one batch."""
_UNBOUNDED = 4096
"""Most tokens of prompt and reply where the model names no limit."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request that waits for the next batch."""

    ids: list[int]
    seed: int
    done: asyncio.Future[Completion]


class TransformersModel(LocalModel):
    """`generate` of transformers in a thread of its own; what waits meanwhile is the next batch.

    Args:
        model: a local folder or the name of a model on the hub, with a chat template.
        device: "cpu", "cuda", ...; None: a GPU where there is one.
        others: as of LocalModel.
    """

    def __init__(
        self, who: str, model: str | os.PathLike[str], sampling: LocalSampling, device: str | None
    ) -> None:
        if not isinstance(model, str | os.PathLike) or not os.fspath(model):
            raise ConfigurationError(f"{who}: model is {model!r}; give a folder or a name on the hub")
        super().__init__(who, os.fspath(model), sampling)
        self._device = device
        self._model: Any = None
        self._chat: Chat | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        own = dict.fromkeys(("_model", "_chat", "_thread", "_worker"))
        return {**self.__dict__, **own, "_waiting": []}

    @property
    def max_model_len(self) -> int:
        """Most tokens of prompt and reply together, once the model is loaded."""
        own = getattr(self._model.config, "max_position_embeddings", None) or _UNBOUNDED
        return min(own, self.sampling.max_model_len or own)

    async def encode(self, chat: Sequence[Message]) -> list[int]:
        """The ids of a chat, up to where the model replies; loads the model first."""
        if self._chat is None:
            await self._in_thread(self._load)
        assert self._chat is not None
        return self._chat.prompt(chat)

    async def complete(self, ids: list[int], rollout: int = 0) -> Completion:
        """The reply to a prompt that leaves room for one."""
        request = _Waiting(ids, self.seed_of(rollout, ids), asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await request.done

    async def close(self) -> None:
        """Give the model's memory back; the next prompt would load it again."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._model = self._chat = None

    async def _work(self) -> None:
        await asyncio.sleep(0)  # requests that come together are one batch
        while self._waiting:
            batch = self._next()
            try:
                said = await self._in_thread(self._generate, batch)
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                for one in batch:
                    if not one.done.done():
                        one.done.set_exception(error)
                continue
            for one, completion in zip(batch, said, strict=True):
                if not one.done.done():  # it may have been cancelled
                    one.done.set_result(completion)

    def _next(self) -> list[_Waiting]:
        """The next batch: what waits, the shortest prompts first, up to a limit of tokens."""
        self._waiting = [one for one in self._waiting if not one.done.done()]
        self._waiting.sort(key=lambda one: len(one.ids))
        fits = [
            number * (len(one.ids) + self.sampling.max_tokens) <= _MOST_TOKENS
            for number, one in enumerate(self._waiting, 1)
        ]
        count = max(1, sum(fits))
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="socratic-transformers")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    # -- in the thread of the model --------------------------------------------------------

    def _load(self) -> None:
        if self._chat is not None:  # another request came first
            return
        try:
            import torch
            import transformers
        except ImportError:
            raise ConfigurationError(
                f"{self.who} needs torch and transformers: install socratic-env[cpu] or socratic-env[gpu]"
            ) from None
        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                self.folder, dtype=self.sampling.dtype, trust_remote_code=False
            )
            model = model.to(device).eval()
        except Exception as error:  # whatever they raise of a folder, of a name or of memory
            raise ConfigurationError(
                f"{self.who}: transformers cannot load {self.folder!r}: {' '.join(str(error).split())}; give "
                "a folder with a model and its tokenizer, or a name on the hub"
            ) from error
        try:
            ends = ends_of(model.generation_config, model.config)
            chat = Chat(tokenizer, chat_template=self.sampling.template, model_ends=ends)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.who}: {self.folder}: {error}") from None
        self._model, self._chat = model, chat

    def _generate(self, batch: Sequence[_Waiting]) -> list[Completion]:
        import torch

        assert self._chat is not None
        width = max(len(one.ids) for one in batch)
        pad, device = self._chat.pad, self._model.device
        ids_BT = torch.tensor([[pad] * (width - len(one.ids)) + one.ids for one in batch], device=device)
        mask_BT = torch.tensor(
            [[0] * (width - len(one.ids)) + [1] * len(one.ids) for one in batch], device=device
        )
        settings = self.sampling
        rooms = [min(settings.max_tokens, self.room(one.ids)) for one in batch]
        start = time.perf_counter()
        with torch.inference_mode():
            out_BT = self._model.generate(
                input_ids=ids_BT,
                attention_mask=mask_BT,
                max_new_tokens=max(rooms),
                do_sample=False,
                num_beams=1,
                temperature=None,
                top_p=None,
                top_k=None,
                eos_token_id=list(self._chat.ends),
                pad_token_id=pad,
                logits_processor=[_Draw([one.seed for one in batch], settings.temperature, settings.top_p)],
            )
        seconds = (time.perf_counter() - start) / len(batch)
        replies = zip(batch, out_BT[:, width:].tolist(), rooms, strict=True)
        return [self._completion(one, ids[:room], seconds) for one, ids, room in replies]

    def _completion(self, one: _Waiting, ids: list[int], seconds: float) -> Completion:
        assert self._chat is not None
        end = next((i for i, token in enumerate(ids) if token in self._chat.ends), None)
        said = ids if end is None else ids[: end + 1]
        usage = Usage(1, 0, len(one.ids), len(said), seconds)
        return Completion(self._chat.text(said), "length" if end is None else "stop", usage)


class _Draw:
    """Makes the greedy choice of `generate` a draw: each row by numbers of its own seed, whatever the rows
    beside it."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._rngs = [np.random.default_rng(seed) for seed in seeds]
        self._temperature, self._top_p = temperature, top_p

    def __call__(self, _ids_BT: Any, logits_BV: Any) -> Any:
        import torch

        if self._temperature == 0:
            return logits_BV
        likely_BV, order_BV = torch.softmax(logits_BV.double() / self._temperature, -1).sort(descending=True)
        upper_BV = likely_BV.cumsum(-1)
        # The most likely tokens that have the share top_p together, the one that reaches it included.
        kept_BV = upper_BV - likely_BV < self._top_p
        total_B1 = (likely_BV * kept_BV).sum(-1, keepdim=True)
        drawn = torch.tensor([[rng.random()] for rng in self._rngs], dtype=torch.float64)
        place_B1 = (upper_BV <= drawn.to(logits_BV.device) * total_B1).sum(-1, keepdim=True)
        place_B1 = torch.minimum(place_B1, kept_BV.sum(-1, keepdim=True) - 1)
        chosen_B1 = order_BV.gather(-1, place_B1)
        return torch.full_like(logits_BV, -torch.inf).scatter_(-1, chosen_B1, 0.0)
