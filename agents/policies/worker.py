"""In vLLM's servers: weights from a file, as a backend of vLLM's weight transfer that needs no GPU.

The server's options `--worker-extension-cls agents.policies.worker.FolderWorker` (which imports
this module into its workers) and `--weight-transfer-config '{"backend": "folder"}'` choose it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from vllm.config.weight_transfer import WeightTransferConfig
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from agents.policies.vllm_policy import pack_tied_head

if TYPE_CHECKING:
    from vllm.config import VllmConfig


@dataclass
class FolderInit(WeightTransferInitInfo):
    """Nothing needs to be agreed on beforehand."""


@dataclass
class FolderUpdate(WeightTransferUpdateInfo):
    """Where the weights are.

    path: a safetensors file with all weights, named and shaped as in transformers' checkpoints.
    """

    path: str


class FolderEngine(WeightTransferEngine[FolderInit, FolderUpdate]):
    """Loads a file that the learner has written where this server can read it.

    Raises ValueError at the server's start on a CPU with chunked prefill: there the first prompt
    that is split over forward passes ends a server whose requests have seeds.
    """

    init_info_cls = FolderInit
    update_info_cls = FolderUpdate

    def __init__(
        self,
        config: WeightTransferConfig,
        vllm_config: VllmConfig,
        device: torch.device,
        model: torch.nn.Module,
    ) -> None:
        super().__init__(config, vllm_config, device, model)
        if device.type == "cpu" and vllm_config.scheduler_config.enable_chunked_prefill:
            raise ValueError("a student's server on a CPU needs --no-enable-chunked-prefill")
        self._names = {name for name, _ in model.named_parameters()}

    def init_transfer_engine(self, init_info: FolderInit) -> None:
        """Nothing to connect."""

    def start_weight_update(self) -> None:
        """Make the layers ready to take weights in the form of a checkpoint."""
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: FolderUpdate) -> None:
        """Load the file. Raises ValueError if it cannot be read or does not hold this model."""
        try:
            weights = load_file(update_info.path)
        except (OSError, SafetensorError) as error:
            raise ValueError(
                "the server cannot read the file of weights; give the learner's --sync-folder a folder that "
                f"both see under the same path ({error})"
            ) from error
        try:
            if missing := self._names - self.model.load_weights(weights.items()):
                raise ValueError(f"{len(missing)} weights are missing, as {min(missing)}")
        except Exception as error:
            self.finish_weight_update()  # so that a later update begins anew
            raise ValueError(f"the learner's weights do not fit the served model: {error!r:.200}") from error

    def finish_weight_update(self) -> None:
        """Bring what was loaded into the form that the kernels use."""
        finalize_layerwise_reload(self.model, self.model_config)
        pack_tied_head(self.model)

    def shutdown(self) -> None:
        """Nothing is held."""


class FolderWorker:
    """Adds nothing to vLLM's worker: naming it makes the worker import this module."""


WeightTransferEngineFactory.register_engine("folder", FolderEngine)
