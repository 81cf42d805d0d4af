"""Rollouts by vLLM in the learner's process, with weights synchronised into the running engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from agents.learning.samples import Completion, Sampling
from agents.policies.policy import NamedWeights
from socratic_env.engine.background import run
from socratic_env.models.vllm_engine import EngineLoop, make_engine


class VLLMPolicy:
    """An in-process vLLM engine on a model folder.

    Args:
        folder: a model in transformers' format.
        eos: the token id that ends a response.
        max_model_len: most tokens of prompt and response together.
        dtype: of the engine's weights; float32 makes its log-probabilities those of the learner.
        kv_cache_bytes: memory for the key-value cache.
        max_num_seqs: most sequences in one forward pass.
        seed: of the engine.
    """

    def __init__(
        self,
        folder: str | Path,
        eos: int,
        max_model_len: int,
        dtype: str = "float32",
        kv_cache_bytes: int = 2**29,
        max_num_seqs: int = 256,
        seed: int = 0,
    ) -> None:
        self.eos, self.max_model_len = eos, max_model_len
        self._engine = make_engine(
            model=str(folder),
            skip_tokenizer_init=True,
            dtype=dtype,
            seed=seed,
            max_model_len=max_model_len,
            max_num_seqs=max_num_seqs,
            kv_cache_memory_bytes=kv_cache_bytes,
            # Room for a whole prompt in one forward pass.
            max_num_batched_tokens=max(max_model_len, 8192),
            # At the default of 128 the short prompts of small students would never be cached.
            block_size=32,
            enforce_eager=True,
            enable_prefix_caching=True,
            # At the sampling temperature; the default is before it.
            logprobs_mode="processed_logprobs",
        )
        self._loop = EngineLoop(self._engine)

    def generate(self, prompts: Sequence[list[int]], sampling: Sampling, seed: int) -> list[Completion]:
        """One response for each prompt."""

        async def together() -> list[Completion]:
            seeds = np.random.SeedSequence(seed).generate_state(len(prompts)).tolist()
            return await asyncio.gather(*map(self.complete, prompts, repeat(sampling), seeds))

        return run(together())

    async def complete(self, prompt: list[int], sampling: Sampling, seed: int) -> Completion:
        """One response; it joins the running batch."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=seed,
            logprobs=0,
            stop_token_ids=[self.eos],
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        output = await self._loop.complete(prompt, parameters)
        best = output.outputs[0]
        ids = list(best.token_ids)
        logps = [entry[token].logprob for entry, token in zip(best.logprobs, ids, strict=True)]
        finished = bool(ids) and ids[-1] == self.eos
        return Completion(ids, logps, finished, output.num_cached_tokens or 0)

    def load_weights(self, weights: NamedWeights) -> None:
        """Reload the running engine's weights, and forget prefixes cached under the old ones.

        Tensors pass by reference, on a GPU too. vLLM's weight transfer is for two processes: CUDA
        opens no IPC handle in the process that made it, and NCCL takes no two ranks on one GPU.
        """
        named = [(name, tensor.detach()) for name, tensor in weights]
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(named)})
        self._engine.apply_model(pack_tied_head)
        self._engine.reset_prefix_cache()

    def close(self) -> None:
        """Shut the engine down."""
        self._loop.close()
        self._engine.llm_engine.engine_core.shutdown()


def pack_tied_head(model: Any) -> None:
    """On the CPU the output head is a packed copy; with tied embeddings a reload leaves it stale."""
    head = getattr(model, "lm_head", None)
    if head is not None and hasattr(head, "quant_method"):
        head.quant_method.process_weights_after_loading(head)
