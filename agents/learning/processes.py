"""Several processes under torchrun: FSDP2 shards the model, and rank 0 leads.

Rank 0 runs the environment, the sampler and the log. The others follow: they take part in every call
of the learner, each with its share of the micro-batches.
"""

from __future__ import annotations

import inspect
import os
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

T = TypeVar("T")
_PATIENCE = timedelta(days=7)
_control: Any = None
"""The group in which objects travel, on the CPU: the others wait there for as long as rank 0 plays."""


def start() -> torch.device:
    """Join the processes of torchrun, where there are several; this process's device."""
    if not torch.cuda.is_available():
        device = torch.device("cpu")
    else:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    global _control
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        _control = dist.new_group(backend="gloo", timeout=_PATIENCE)
    return device


def stop() -> None:
    """Leave the processes of torchrun, all together."""
    if dist.is_initialized():
        dist.barrier(group=_control)
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process; 0 leads."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes learn together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sharded(scorer: Any, bfloat16: bool) -> Any:
    """The scorer with its weights spread over all processes, layer by layer (a single one: as it is)."""
    if size() == 1:
        return scorer
    precision = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bfloat16 else MixedPrecisionPolicy()
    for layer in scorer.model.get_decoder().layers:
        fully_shard(layer, mp_policy=precision)
    # The root too is resharded after each pass, so that its parameters are shards whenever they are read.
    return fully_shard(scorer, mp_policy=precision, reshard_after_forward=True)


def unsharded(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with all its shards; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def summed(values: list[float]) -> list[float]:
    """The sum over processes of each value."""
    return _reduced(values, dist.ReduceOp.SUM)


def largest(values: list[float]) -> list[float]:
    """The largest over processes of each value."""
    return _reduced(values, dist.ReduceOp.MAX)


def _reduced(values: list[float], operation: Any) -> list[float]:
    if size() == 1:
        return values
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(tensor, operation)
    return [float(value) for value in tensor.tolist()]


def summed_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over processes, element by element."""
    if size() > 1:
        dist.all_reduce(tensor)
    return tensor


def broadcast(value: Any = None) -> Any:
    """Rank 0's value, in every process."""
    box = [value]
    if size() > 1:
        dist.broadcast_object_list(box, group=_control)
    return box[0]


class _Leader:
    """Rank 0's learner: each call of a method is made by all processes."""

    def __init__(self, learner: Any) -> None:
        self._learner = learner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._learner, name)
        if not inspect.ismethod(value):
            return value

        def called_by_all(*arguments: Any) -> Any:
            broadcast((name, arguments))
            return value(*arguments)

        return called_by_all


def leading(learner: T) -> T:
    """The learner whose calls all processes make with rank 0 (a single one: as it is)."""
    return learner if size() == 1 else cast(T, _Leader(learner))


def release_followers() -> None:
    """Let the followers go."""
    if size() > 1:
        broadcast(None)


def follow(learner: Any) -> None:
    """Take part in the calls of rank 0 until it lets go."""
    while (call := broadcast()) is not None:
        name, arguments = call
        getattr(learner, name)(*arguments)
