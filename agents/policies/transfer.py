"""The learner's side of vLLM's weight transfer, to servers over HTTP.

An update is `start_weight_update`, `update_weights`, `finish_weight_update` on every server; how
the tensors travel is the backend's: in a file (here), or by NCCL (`agents.policies.nccl`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from agents.policies.http import Servers
from socratic_env.engine.background import run
from socratic_env.errors import StudentError

NamedTensors = Sequence[tuple[str, torch.Tensor]]


class Transfer(Protocol):
    """A way of bringing weights to the servers."""

    def send(self, weights: NamedTensors) -> None:
        """Replace the weights of the servers, which are paused. Raises StudentError."""
        ...

    def close(self) -> None:
        """Give back what the transfer holds, here and there."""
        ...


class WeightClient:
    """vLLM's routes for weight updates, on all servers at once; the same methods as vLLM's own
    `VLLMWeightSyncClient`. Each waits for all servers and must not run on the background loop."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.version = ""

    def world_sizes(self) -> list[int]:
        """Number of workers of each server."""
        return [int(reply["world_size"]) for reply in run(self.servers.get_all("/get_world_size"))]

    def init_weight_transfer_engine(self, init_info: Mapping[str, Any]) -> None:
        """What both sides must agree on; ranks, where there are any, go on from server to server."""
        infos = [dict(init_info) for _ in self.servers.up]
        if "rank_offset" in init_info:
            for i, workers in enumerate(self.world_sizes()[:-1]):
                infos[i + 1]["rank_offset"] = infos[i]["rank_offset"] + workers
        self._post("/init_weight_transfer_engine", [{"init_info": info} for info in infos])

    def shutdown_weight_transfer_engine(self) -> None:
        """Let the servers close their connection to the learner."""
        self._post("/shutdown_weight_transfer_engine")

    def start_weight_update(self) -> None:
        """Make the servers ready for new weights."""
        self._post("/start_weight_update")

    def update_weights(self, update_info: Mapping[str, Any]) -> None:
        """Let the servers receive new weights."""
        self._post("/update_weights", [{"update_info": update_info}] * len(self.servers.up))

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Let the servers put the new weights to use, under this name or else `version`."""
        named = {"weight_version": weight_version or self.version}
        self._post("/finish_weight_update", [named] * len(self.servers.up))

    def _post(self, path: str, bodies: Sequence[Mapping[str, Any]] | None = None) -> None:
        run(self.servers.post_all(path, bodies))


class FolderTransfer:
    """By a file in a folder that the servers see under the same path: on one machine, or on a
    shared file system. For servers with the backend of `agents.policies.worker`.

    Args:
        client: of the servers.
        folder: made where it is missing; /dev/shm/... is memory.
    """

    def __init__(self, client: WeightClient, folder: Path) -> None:
        self._client = client
        self._file = folder.resolve() / "weights.safetensors"

    def send(self, weights: NamedTensors) -> None:
        """Write the file at once or not at all, and let the servers load it."""
        fresh = self._file.with_suffix(".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights}, fresh)
            os.replace(fresh, self._file)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise StudentError(
                f"weights cannot be written to {self._file}: {error}; free some space or give another "
                "--sync-folder"
            ) from error
        self._client.start_weight_update()
        self._client.update_weights({"path": str(self._file)})
        self._client.finish_weight_update()

    def close(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)
