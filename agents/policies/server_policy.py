"""Rollouts by vLLM's servers over HTTP, whose weights follow the learner's.

A server must have been started with VLLM_SERVER_DEV_MODE=1 (the routes for weights), with
`--logprobs-mode processed_logprobs` and with a backend of weight transfer; what is missing is
said when the policy is made.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch

from agents.learning.samples import Completion, Sampling
from agents.policies.http import ServerRefusal, Servers, together
from agents.policies.policy import NamedWeights
from agents.policies.transfer import FolderTransfer, Transfer, WeightClient
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, StudentError


def connect(
    urls: Sequence[str],
    sync: str,
    folder: Path,
    weights: NamedWeights,
    ends: Sequence[int],
    max_model_len: int,
) -> ServerPolicy:
    """A policy of the servers at these addresses.

    Args:
        sync: "folder" or "nccl", the backend of weight transfer that the servers were started with.
        folder: where the weights' file goes.

    Raises ConfigurationError and StudentError as ServerPolicy does, and ConfigurationError where
    "nccl" cannot work.
    """
    servers = Servers(urls)
    client = WeightClient(servers)
    transfer: Transfer
    if sync == "nccl":
        if importlib.util.find_spec("vllm") is None or not torch.cuda.is_available():
            raise ConfigurationError("sync 'nccl' needs vLLM and a GPU for the learner; use --sync folder")
        from agents.policies.nccl import NCCLTransfer

        transfer = NCCLTransfer(client)
    else:
        transfer = FolderTransfer(client, folder)
    return ServerPolicy(servers, client, transfer, weights, ends, max_model_len)


class ServerLost(StudentError):
    """A server is gone, or came back with other weights."""


class ServerPolicy:
    """Samples from one or more servers with the same model.

    A server that cannot be reached, or that answers with other weights than it was sent (since it was
    started anew), is left out: what it was asked goes to the others. Before the next weights are sent it is
    asked for, and takes part again if it is there. Without any server left there is a StudentError.

    Args:
        servers: where they are.
        client: what updates their weights.
        transfer: how weights reach them.
        weights: what they shall sample from, whatever they hold now.
        ends: token ids of which any ends a response, and no other does.
        max_model_len: most tokens of prompt and response together.

    Raises ConfigurationError if a server lacks an option, StudentError if one cannot be reached
    or cannot take the weights.
    """

    def __init__(
        self,
        servers: Servers,
        client: WeightClient,
        transfer: Transfer,
        weights: NamedWeights,
        ends: Sequence[int],
        max_model_len: int,
    ) -> None:
        self.ends, self.max_model_len = tuple(ends), max_model_len
        self._servers, self._client, self._transfer = servers, client, transfer
        self._run, self._loads = uuid4().hex, 0
        self._busy = [0] * len(servers.urls)
        self._homes: dict[int, int] = {}
        try:
            run(together(_check(servers, i, max_model_len) for i in range(len(servers.urls))))
            self.load_weights(weights)
            run(together(check_logprobs(servers, i, self.ends) for i in range(len(servers.urls))))
        except BaseException:
            run(servers.close())
            raise

    def generate(self, prompts: Sequence[list[int]], sampling: Sampling, seed: int) -> list[Completion]:
        """One response for each prompt; a fault of one ends all."""
        seeds = np.random.SeedSequence(seed).generate_state(len(prompts)).tolist()
        return run(together(map(self.complete, prompts, repeat(sampling), seeds)))

    async def complete(self, prompt: list[int], sampling: Sampling, seed: int) -> Completion:
        """One response. Raises StudentError."""
        lost: StudentError = ServerLost("no server of the student is left")
        while self._servers.up:
            server = self._home(prompt)
            self._busy[server] += 1
            try:
                return await self._ask(server, prompt, sampling, seed)
            except ServerLost as error:
                self._servers.down.add(server)
                lost = error
            finally:
                self._busy[server] -= 1
        raise lost

    async def _ask(self, server: int, prompt: list[int], sampling: Sampling, seed: int) -> Completion:
        """One response of a server. Raises ServerLost where another server may know better."""
        url, request = self._servers.urls[server], _request(prompt, sampling, seed, self.ends)
        try:
            reply = await self._servers.post(server, "/v1/completions", request, again=True)
            held = (await self._servers.get(server, "/weight_info")).get("weight_version")
        except ServerRefusal as error:
            if error.status < 500:
                raise
            raise ServerLost(str(error)) from error
        except StudentError as error:
            raise ServerLost(str(error)) from error
        if held != self._client.version:  # weights change between batches only: it answered with these
            raise ServerLost(
                f"{url} holds the weights {held!r} and was sent {self._client.version!r}; it was started anew"
            )
        try:
            return _completion(reply, prompt, self.ends)
        except StudentError as error:
            raise StudentError(f"{url}/v1/completions: {error}") from None

    def load_weights(self, weights: NamedWeights) -> None:
        """Send new weights to the servers once they have answered what was asked before.

        After a fault they stay paused, since their weights may be incomplete; a new run mends it.
        """
        named = [(name, tensor.detach()) for name, tensor in weights]
        if self._loads:
            run(self._look_around())
        self._loads += 1
        self._client.version = f"{self._run}-{self._loads}"
        run(self._servers.post_all("/pause?mode=wait"))
        self._transfer.send(named)
        if not all(reply["success"] for reply in run(self._servers.post_all("/reset_prefix_cache"))):
            raise StudentError("a server kept prefixes cached under old weights; does another run use it?")
        run(self._servers.post_all("/resume"))
        self._homes.clear()

    async def _look_around(self) -> None:
        """Find out which servers are there. Raises StudentError if none is, or if the transfer needs all."""
        asked = (self._servers.get(server, "/is_paused") for server in range(len(self._servers.urls)))
        found = await asyncio.gather(*asked, return_exceptions=True)
        lost = {server: said for server, said in enumerate(found) if isinstance(said, BaseException)}
        if len(lost) == len(found) or (lost and not isinstance(self._transfer, FolderTransfer)):
            raise next(iter(lost.values()))
        self._servers.down = set(lost)

    def close(self) -> None:
        """Leave the servers; they go on running."""
        self._transfer.close()
        run(self._servers.close())

    def _home(self, prompt: list[int]) -> int:
        """The server that has the longest beginning of this prompt in its cache, else the least busy
        one: the attempts of a dialogue, and the rollouts of a question, go to one server."""
        known, key = None, 0
        for token in prompt:
            key = hash((key, token))
            known = self._homes.get(key, known)
        if known is None or known in self._servers.down:
            home = min(self._servers.up, key=self._busy.__getitem__)
        else:
            home = known
        self._homes[key] = home
        return home


def _request(prompt: list[int], sampling: Sampling, seed: int, ends: Sequence[int]) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # Said although they change nothing: the model folder's generation_config.json may differ.
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": seed,
        "stop_token_ids": list(ends),
        "ignore_eos": True,  # what the folder's configurations say is in `ends` already
        "logprobs": 0,
        "return_token_ids": True,
        # So that a server without a tokenizer (--skip-tokenizer-init) can answer.
        "return_tokens_as_token_ids": True,
    }


def _completion(reply: Any, prompt: list[int], ends: Sequence[int]) -> Completion:
    """Raises StudentError if a reply is not exactly what was asked for."""
    match reply:
        case {
            "choices": [
                {
                    "prompt_token_ids": list(read),
                    "token_ids": [*ids],
                    "logprobs": {"token_logprobs": [*logps]},
                    "finish_reason": "stop" | "length",
                }
            ]
        }:
            pass
        case {"choices": [{"finish_reason": reason}]} if reason not in ("stop", "length"):
            raise StudentError(f"the response was broken off (finish_reason {reason!r})")
        case _:
            raise StudentError("the reply has no token ids and log-probabilities; use vLLM 0.32 or later")
    if read != prompt:
        raise StudentError(f"the server read other ids than the {len(prompt)} of the prompt: {read[:20]}...")
    if len(logps) != len(ids) or not all(isinstance(logp, float) for logp in logps):
        raise StudentError(f"{len(ids)} tokens came with {len(logps)} log-probabilities: {logps[:5]}...")
    usage = reply.get("usage") or {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Completion(ids, logps, bool(ids) and ids[-1] in ends, cached)


# -- what a server must be like ----------------------------------------------------------------


async def _check(servers: Servers, server: int, max_model_len: int) -> None:
    """Raises ConfigurationError if a server is too small or has no routes for weights."""
    url = servers.urls[server]
    try:
        (model,) = (await servers.get(server, "/v1/models"))["data"]
        longest = model["max_model_len"]
        await servers.get(server, "/is_paused")
    except ServerRefusal as error:
        if error.status != 404:
            raise
        raise ConfigurationError(
            f"{url} has no routes for weights ({error}); start it with VLLM_SERVER_DEV_MODE=1"
        ) from None
    except (LookupError, TypeError, ValueError):
        raise ConfigurationError(f"{url} is no server of vLLM with one model") from None
    if longest < max_model_len:
        raise ConfigurationError(
            f"{url} takes {longest} tokens, fewer than max_model_len={max_model_len}; start it with "
            f"--max-model-len {max_model_len}"
        )


async def check_logprobs(servers: Servers, server: int, ends: Sequence[int]) -> None:
    """Raises ConfigurationError if log-probabilities are not those at the sampling temperature.

    At half the temperature the log-probabilities of two tokens lie twice as far apart; those of a
    server with the default mode stay where they are.
    """
    best = []
    for temperature in (1.0, 0.5):
        probe = _request([ends[0]], Sampling(temperature, max_tokens=1), 0, ends) | {"logprobs": 5}
        reply = await servers.post(server, "/v1/completions", probe, again=True)
        best.append(reply["choices"][0]["logprobs"]["top_logprobs"][0])
    common = best[0].keys() & best[1].keys()
    at_1, at_half = ([logps[token] for token in common] for logps in best)
    if max(at_half) - min(at_half) < 1.5 * (max(at_1) - min(at_1)):
        raise ConfigurationError(
            f"the log-probabilities of {servers.urls[server]} are not those at the sampling temperature; "
            "start it with --logprobs-mode processed_logprobs"
        )
