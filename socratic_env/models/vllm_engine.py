"""vLLM in this process: its set-up, and requests that join its running batch, awaited one by one."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any


def make_engine(**settings: Any) -> Any:
    """A `vllm.LLM` in this process, without chatter. Raises ImportError if vLLM is not installed.

    On the CPU, prompts are never split over forward passes: requests with seeds of their own fail then. And
    the key-value cache has 2 GiB where nothing else is said: vLLM would take nearly all memory, or fail.
    """
    # vLLM reads these when it is imported.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    for noisy in ("torch._library.triton", "torch.distributed.distributed_c10d"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"vllm\.")
    from vllm import LLM
    from vllm.platforms import current_platform

    usual: dict[str, Any] = {}
    if current_platform.is_cpu():
        usual = {"enable_chunked_prefill": False, "kv_cache_memory_bytes": 2**31}
    with _unlisted("llvmlite.binding.ffi"):
        return LLM(disable_log_stats=True, use_tqdm_on_load=False, **usual | settings)


@contextmanager
def _unlisted(module: str) -> Iterator[None]:
    """vLLM 0.32 for the CPU looks at every name in every loaded module, and fails over one in llvmlite, which
    numba loads (and tianshou numba)."""
    loaded = sys.modules.pop(module, None)
    try:
        yield
    finally:
        if loaded is not None:
            sys.modules[module] = loaded


class EngineLoop:
    """Steps an engine for as long as requests wait; all awaits must be on one event loop.

    Args:
        engine: a `vllm.LLM` in this process. Nothing else may use it while a request waits.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine.llm_engine
        self._numbers = count()
        self._new: list[tuple[list[int], Any, asyncio.Future[Any]]] = []
        self._running: dict[str, asyncio.Future[Any]] = {}
        self._driver: asyncio.Task[None] | None = None
        # A step holds no interpreter lock for most of its time, so that teachers go on meanwhile.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="socratic-engine")

    async def complete(self, prompt: list[int], parameters: Any) -> Any:
        """vLLM's RequestOutput for prompt ids. Raises what vLLM raises; cancelling aborts the request."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._new.append((prompt, parameters, future))
        if self._driver is None or self._driver.done():
            self._driver = loop.create_task(self._drive(loop))
        return await future

    def close(self) -> None:
        """End the thread; the engine stays."""
        self._thread.shutdown()

    async def _drive(self, loop: asyncio.AbstractEventLoop) -> None:
        await asyncio.sleep(0)  # so that requests of this moment begin together
        while self._new or self._running:
            self._admit()
            try:
                outputs = await loop.run_in_executor(self._thread, self._step)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                self._fail(error)
                return
            except asyncio.CancelledError:
                self._fail(RuntimeError("the engine's loop was stopped"))
                raise
            for output in outputs:
                if output.finished:
                    future = self._running.pop(output.request_id, None)
                    if future is not None and not future.done():
                        future.set_result(output)
            # Those who have their answer go on to their next request, which then joins this step.
            await asyncio.sleep(0)

    def _step(self) -> list[Any]:
        import torch

        # vLLM draws from the process's generator even where every request has a seed of its own.
        with torch.random.fork_rng(devices=[]):
            stepped: list[Any] = self._engine.step()
        return stepped

    def _admit(self) -> None:
        gone = [number for number, future in self._running.items() if future.cancelled()]
        if gone:
            self._engine.abort_request(gone)
            for number in gone:
                del self._running[number]
        new, self._new = self._new, []
        for prompt, parameters, future in new:
            if future.done():
                continue
            number = str(next(self._numbers))
            try:
                self._engine.add_request(number, {"prompt_token_ids": prompt}, parameters)
            except Exception as error:  # noqa: BLE001 - it is the asker's, whatever it is
                future.set_exception(error)
            else:
                self._running[number] = future

    def _fail(self, error: Exception) -> None:
        waiting = [*self._running.values(), *(future for _, _, future in self._new)]
        self._engine.abort_request(list(self._running))
        self._running, self._new = {}, []
        for future in waiting:
            if not future.done():
                future.set_exception(error)
