"""Weights from the learner's GPU to the servers' GPUs by NCCL, with vLLM's own weight transfer.

For servers started with `--weight-transfer-config '{"backend": "nccl"}'`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import torch
from vllm.distributed.weight_transfer import (
    ParamMeta,
    TrainerWeightTransferEngine,
    WeightSource,
    WeightTransferTrainerFactory,
)
from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

from agents.policies.transfer import NamedTensors, WeightClient


class _Weights(WeightSource):
    """The weights of the update under way."""

    def __init__(self) -> None:
        self.named: NamedTensors = ()

    def metadata(self) -> list[ParamMeta]:
        return [ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self.named]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        return iter(self.named)


class NCCLTransfer:
    """The learner is rank 0 of a group, all workers of all servers are the others. No two of them
    may share a GPU. The group is made at the first update; the learner's current CUDA device sends."""

    def __init__(self, client: WeightClient) -> None:
        self._client, self._weights = client, _Weights()
        self._engine: TrainerWeightTransferEngine | None = None

    def send(self, weights: NamedTensors) -> None:
        """Broadcast the weights while the servers receive them."""
        self._weights.named = weights
        if self._engine is None:
            address, port = _rendezvous(self._client.servers.urls[0])
            group = NCCLTrainerInitInfo(
                master_address=address,
                master_port=port,
                world_size=1 + sum(self._client.world_sizes()),
                rank=0,
            )
            self._engine = WeightTransferTrainerFactory.trainer_init(
                group, client=self._client, source=self._weights
            )
        self._engine.send_weights()
        self._weights.named = ()

    def close(self) -> None:
        """Leave the group, on both sides."""
        if self._engine is not None:
            self._client.shutdown_weight_transfer_engine()
            self._engine.shutdown()


def _rendezvous(url: str) -> tuple[str, int]:
    """(this machine's address as that server sees it, a free port)."""
    host = urlsplit(url).hostname or "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))  # sends nothing: only asks which way it would go
        address = str(probe.getsockname()[0])
    with socket.socket() as probe:
        probe.bind((address, 0))
        return address, int(probe.getsockname()[1])
