"""A language-model teacher in this process: vLLM on a local model folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from socratic_env.errors import ConfigurationError, TeacherReplyError
from socratic_env.protocols import teacher_messages
from socratic_env.teachers.base import Teacher, TeacherRequest, without_thinking
from socratic_env.types import Guidance, Usage


class VLLMTeacher(Teacher):
    """Runs a model by vLLM, all requests of a `guide` in one call of the engine.

    The engine starts with the first request and works in a thread of its own, so that the event loop
    goes on meanwhile; calls queue up there. Each request has its own seed, made of `seed` and its
    prompt: up to rounding, what is said does not depend on what else is asked in the same call. No
    code of a model folder is ever run (`trust_remote_code` stays off).

    Args:
        folder: a model in transformers' format, with a chat template.
        max_tokens, temperature: of the guidance (Table 5: 1024 and 0.2).
        seed: of the sampling.
        max_model_len: most tokens of prompt and guidance together; None for the model's own.
        dtype: of the weights, "auto" for the folder's.
        engine: further arguments of `vllm.LLM`, such as {"kv_cache_memory_bytes": 2**29}.
        chat_template: further arguments of the template, such as {"enable_thinking": False}.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        max_tokens: int = 1024,
        temperature: float = 0.2,
        seed: int = 0,
        max_model_len: int | None = None,
        dtype: str = "auto",
        engine: Mapping[str, Any] | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        if not (isinstance(folder, str | os.PathLike) and (Path(folder) / "config.json").is_file()):
            raise ConfigurationError(
                f"teacher 'vllm': folder is {folder!r}; give a local folder that holds a model (config.json)"
            )
        if not max_tokens > 0:
            raise ConfigurationError(f"teacher 'vllm': max_tokens is {max_tokens!r}; it must be above 0")
        if not temperature >= 0:
            raise ConfigurationError(f"teacher 'vllm': temperature is {temperature!r}; it must be 0 or more")
        if "trust_remote_code" in (engine or {}):
            raise ConfigurationError(
                "teacher 'vllm': trust_remote_code runs code of the model folder and is refused; convert "
                "the model to an architecture that vLLM knows"
            )
        self._folder = os.fspath(folder)
        self._max_tokens, self._temperature, self._seed = max_tokens, temperature, seed
        self._settings = {"max_model_len": max_model_len, "dtype": dtype, **(engine or {})}
        self._template = dict(chat_template or {})
        self._engine: Any = None
        self._thread: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"VLLMTeacher({self._folder!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None, "_thread": None}

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """All requests in one call of the engine; a prompt that is too long fails by itself."""
        if not requests:
            return []
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="socratic-vllm")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._generate, list(requests))

    async def close(self) -> None:
        """Shut the engine down; the next request would start it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._stop)
            thread.shutdown()

    # -- in the engine's thread -----------------------------------------------------------

    def _start(self) -> None:
        # vLLM reads these when it is imported: the engine in this process, and no chatter.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        for noisy in ("torch._library.triton", "torch.distributed.distributed_c10d"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"vllm\.")
        try:
            from vllm import LLM
            from vllm.platforms import current_platform
        except ImportError:
            raise ConfigurationError(
                "teacher 'vllm' needs vLLM: install socratic-env[cpu] or socratic-env[gpu]"
            ) from None
        # On the CPU, a request with a seed fails when its prompt is split over forward passes.
        whole = {"enable_chunked_prefill": False} if current_platform.is_cpu() else {}
        self._engine = LLM(
            model=self._folder,
            seed=self._seed,
            trust_remote_code=False,
            disable_log_stats=True,
            use_tqdm_on_load=False,
            **whole | self._settings,
        )
        if self._engine.get_tokenizer().chat_template is None:
            raise ConfigurationError(f"teacher 'vllm': the model in {self._folder} has no chat template")

    def _stop(self) -> None:
        if self._engine is not None:
            self._engine.llm_engine.engine_core.shutdown()
            self._engine = None

    def _generate(self, requests: list[TeacherRequest]) -> list[Guidance]:
        if self._engine is None:
            self._start()
        from vllm import SamplingParams

        start = time.perf_counter()
        tokenizer = self._engine.get_tokenizer()
        longest = self._engine.llm_engine.model_config.max_model_len
        given: list[Guidance | None] = []
        prompts, parameters = [], []
        for request in requests:
            chat = teacher_messages(request.dialogue, request.protocol)
            ids = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_dict=False, **self._template
            )
            left = longest - len(ids)
            if left <= 0:
                fault = TeacherReplyError(
                    f"the prompt of {len(ids)} tokens does not fit into the {longest} of {self._folder}"
                )
                given.append(Guidance(fault=fault, usage=Usage(1, 1)))
                continue
            given.append(None)
            prompts.append({"prompt_token_ids": ids})
            parameters.append(
                SamplingParams(
                    temperature=self._temperature,
                    max_tokens=min(self._max_tokens, left),
                    seed=_seed_of(self._seed, ids),
                )
            )
        outputs = self._engine.generate(prompts, parameters, use_tqdm=False) if prompts else []
        # The calls run together, so each has its share of their time.
        seconds = (time.perf_counter() - start) / max(1, len(prompts))
        answers = (_guidance(output, seconds) for output in outputs)
        return [next(answers) if one is None else one for one in given]


def _seed_of(seed: int, ids: Sequence[int]) -> int:
    digest = hashlib.sha256(json.dumps([seed, list(ids)]).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _guidance(output: Any, seconds: float) -> Guidance:
    said = output.outputs[0]
    text, fault = without_thinking(said.text), None
    if not text:
        fault = TeacherReplyError(f"the model wrote no guidance (finish_reason {said.finish_reason!r})")
    usage = Usage(1, int(fault is not None), len(output.prompt_token_ids), len(said.token_ids), seconds)
    return Guidance(
        text, fault=fault, truncated=said.finish_reason == "length" and fault is None, usage=usage
    )
