"""A model in this process, run by vLLM on a local folder."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from socratic_env.errors import ConfigurationError
from socratic_env.models.chat import Chat, ends_of
from socratic_env.models.local_model import Completion, LocalModel, LocalSampling
from socratic_env.models.vllm_engine import EngineLoop, make_engine
from socratic_env.types import Message, Usage


class VLLMModel(LocalModel):
    """A vLLM engine whose requests run together and end one by one.

    The engine starts with the first prompt and works in threads of its own, so that the event loop goes
    on meanwhile.

    Args:
        model: a folder in transformers' format, with a chat template.
        engine: further arguments of `vllm.LLM`, such as {"kv_cache_memory_bytes": 2**29}.
        others: as of LocalModel.
    """

    def __init__(
        self,
        who: str,
        model: str | os.PathLike[str],
        sampling: LocalSampling,
        engine: Mapping[str, Any] | None,
    ) -> None:
        if not (isinstance(model, str | os.PathLike) and (Path(model) / "config.json").is_file()):
            raise ConfigurationError(
                f"{who}: model is {model!r}; give a local folder that holds a model (config.json)"
            )
        if "trust_remote_code" in (engine or {}):
            raise ConfigurationError(
                f"{who}: trust_remote_code runs code of the model folder and is refused; convert "
                "the model to an architecture that vLLM knows"
            )
        super().__init__(who, os.fspath(model), sampling)
        self._settings = {
            "max_model_len": sampling.max_model_len,
            "dtype": sampling.dtype,
            **(engine or {}),
        }
        self._engine: Any = None
        self._chat: Chat | None = None
        self._loop: EngineLoop | None = None
        self._thread: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None, "_chat": None, "_loop": None, "_thread": None}

    async def encode(self, chat: Sequence[Message]) -> list[int]:
        """The ids of a chat, up to where the model replies."""
        if self._loop is None:
            await self._in_thread(self._start)
        assert self._chat is not None
        return self._chat.prompt(chat)

    @property
    def max_model_len(self) -> int:
        """Most tokens of prompt and reply together, once the engine runs."""
        return int(self._engine.llm_engine.model_config.max_model_len)

    async def complete(self, ids: list[int], rollout: int = 0) -> Completion:
        """The reply to a prompt that leaves room for one."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        assert self._loop is not None
        assert self._chat is not None
        parameters = SamplingParams(
            max_tokens=min(self.sampling.max_tokens, self.room(ids)),
            seed=self.seed_of(rollout, ids),
            stop_token_ids=list(self._chat.ends),
            ignore_eos=True,  # what the folder's configurations say is in `ends` already
            detokenize=False,  # it would leave out more than the end
            output_kind=RequestOutputKind.FINAL_ONLY,
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
        )
        start = time.perf_counter()
        output = await self._loop.complete(ids, parameters)
        said = output.outputs[0]
        usage = Usage(1, 0, len(ids), len(said.token_ids), time.perf_counter() - start)
        return Completion(self._chat.text(said.token_ids), said.finish_reason, usage)

    async def close(self) -> None:
        """Shut the engine down; the next prompt would start it again."""
        if self._thread is not None:
            await self._in_thread(self._stop)
            self._thread.shutdown()
            self._thread = None

    async def _in_thread(self, work: Any) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="socratic-vllm")
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # -- in the thread that starts and stops the engine ------------------------------------

    def _start(self) -> None:
        if self._loop is not None:  # another request came first
            return
        try:
            engine = make_engine(
                model=self.folder, seed=self.sampling.seed, trust_remote_code=False, **self._settings
            )
        except ImportError:
            raise ConfigurationError(
                f"{self.who} needs vLLM: install socratic-env[cpu] or socratic-env[gpu]"
            ) from None
        except Exception as error:  # whatever vLLM raises of a model, of settings or of memory
            raise ConfigurationError(
                f"{self.who}: vLLM cannot run {self.folder}: {' '.join(str(error).split())}; change its "
                "settings (`engine` holds further ones of vllm.LLM)"
            ) from error
        try:
            self._chat = self._look_at(engine)
        except ConfigurationError as error:
            engine.llm_engine.engine_core.shutdown()
            raise ConfigurationError(f"{self.who}: {self.folder}: {error}") from None
        self._engine, self._loop = engine, EngineLoop(engine)

    def _look_at(self, engine: Any) -> Chat:
        model = engine.llm_engine.model_config
        ends = ends_of(model.try_get_generation_config(), model.hf_config)
        return Chat(engine.get_tokenizer(), chat_template=self.sampling.template, model_ends=ends)

    def _stop(self) -> None:
        if self._loop is not None:
            self._loop.close()
            self._engine.llm_engine.engine_core.shutdown()
            self._engine = self._loop = self._chat = None
