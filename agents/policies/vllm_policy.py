"""Rollouts by vLLM in the learner's process, with weights synchronised into the running engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from agents.learning.samples import Completion, Sampling
from agents.options import VLLM
from agents.policies.policy import NamedWeights
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, StudentError
from socratic_env.models.vllm_engine import EngineLoop, make_engine


class VLLMPolicy:
    """An in-process vLLM engine on a model folder.

    Args:
        folder: a model in transformers' format.
        ends: token ids of which any ends a response, and no other does.
        max_model_len: most tokens of prompt and response together.
        dtype: of the engine's weights; float32 makes its log-probabilities those of the learner.
        options: memory, parallelism and graphs.
        seed: of the engine.

    Raises ConfigurationError, with what to change, if the engine cannot start.
    """

    def __init__(
        self,
        folder: str | Path,
        ends: Sequence[int],
        max_model_len: int,
        dtype: str = "float32",
        options: VLLM | None = None,
        seed: int = 0,
    ) -> None:
        self.ends, self.max_model_len = tuple(ends), max_model_len
        options = options or VLLM()
        cache = None if options.cache_mib is None else options.cache_mib * 2**20
        self._level, self._workers = options.sleep, options.tensor_parallel > 1
        self._awake, self._holds_weights = True, True
        try:
            self._engine = make_engine(
                model=str(folder),
                skip_tokenizer_init=True,
                dtype=dtype,
                seed=seed,
                max_model_len=max_model_len,
                max_num_seqs=options.max_num_seqs,
                kv_cache_memory_bytes=cache,
                gpu_memory_utilization=options.memory_share,
                tensor_parallel_size=options.tensor_parallel,
                # Room for a whole prompt in one forward pass.
                max_num_batched_tokens=max(max_model_len, 8192),
                block_size=options.block_size,
                enforce_eager=options.enforce_eager,
                enable_sleep_mode=options.sleep > 0,
                enable_prefix_caching=True,
                # At the sampling temperature; the default is before it.
                logprobs_mode="processed_logprobs",
            )
        except (ValueError, RuntimeError) as error:  # out of memory is a RuntimeError
            raise ConfigurationError(no_start(error, options, max_model_len)) from error
        self._loop = EngineLoop(self._engine)

    def generate(self, prompts: Sequence[list[int]], sampling: Sampling, seed: int) -> list[Completion]:
        """One response for each prompt."""

        async def together() -> list[Completion]:
            seeds = np.random.SeedSequence(seed).generate_state(len(prompts)).tolist()
            return await asyncio.gather(*map(self.complete, prompts, repeat(sampling), seeds))

        return run(together())

    async def complete(self, prompt: list[int], sampling: Sampling, seed: int) -> Completion:
        """One response; it joins the running batch. Raises StudentError if it has no weights."""
        self._wake()
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=seed,
            logprobs=0,
            stop_token_ids=list(self.ends),
            ignore_eos=True,  # what the folder's configurations say is in `ends` already
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        output = await self._loop.complete(prompt, parameters)
        best = output.outputs[0]
        ids = list(best.token_ids)
        logps = [entry[token].logprob for entry, token in zip(best.logprobs, ids, strict=True)]
        finished = bool(ids) and ids[-1] in self.ends
        return Completion(ids, logps, finished, output.num_cached_tokens or 0)

    def load_weights(self, weights: NamedWeights) -> None:
        """Reload the running engine's weights, and forget prefixes cached under the old ones.

        Tensors pass by reference, on a GPU too. vLLM's weight transfer is for two processes: CUDA
        opens no IPC handle in the process that made it, and NCCL takes no two ranks on one GPU.
        """
        named = ((name, tensor.detach()) for name, tensor in weights)
        self._holds_weights = True
        self._wake()
        given = iter(list(named)) if self._workers else named  # to other processes they are sent whole
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": given})
        self._engine.apply_model(pack_tied_head)
        self._engine.reset_prefix_cache()

    def rest(self) -> bool:
        """Sleep at the level of `options.sleep`: 1 keeps the weights in the host's memory, 2 nowhere."""
        if self._level and self._awake:
            self._engine.sleep(level=self._level)
            self._awake, self._holds_weights = False, self._level == 1
        return not self._holds_weights

    def _wake(self) -> None:
        if not self._holds_weights:
            raise StudentError("vLLM gave its weights up at --vllm.sleep 2, and none came since; use 1")
        if not self._awake:
            self._engine.wake_up()
            self._awake = True

    def close(self) -> None:
        """Shut the engine down."""
        self._loop.close()
        self._engine.llm_engine.engine_core.shutdown()


def no_start(error: Exception, options: VLLM, max_model_len: int) -> str:
    """Why an engine did not start, in one line, with the settings that can help."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next((line for line in lines if "Value error, " in line), lines[0] if lines else repr(error))
    reason = reason.partition(" See https://")[0].partition(" Try increasing")[0].partition(" [type=")[0]
    if "Sleep mode" in reason:
        return f"vLLM does not start: {reason} --vllm.sleep is for CUDA; leave it out"
    if options.cache_mib is not None:
        more = f"raise --vllm.cache-mib ({options.cache_mib})"
    else:
        more = f"change --vllm.memory-share ({options.memory_share}), or give --vllm.cache-mib"
    return (
        f"vLLM does not start: {reason} If memory is short: {more}, lower --max-model-len ({max_model_len}) "
        f"or --vllm.max-num-seqs ({options.max_num_seqs}); python -m agents.plan says what fits"
    )


def pack_tied_head(model: Any) -> None:
    """On the CPU the output head is a packed copy; with tied embeddings a reload leaves it stale."""
    head = getattr(model, "lm_head", None)
    if head is not None and hasattr(head, "quant_method"):
        head.quant_method.process_weights_after_loading(head)
