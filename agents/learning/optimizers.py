"""Optimizers of the learner by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import torch

from agents.config import TrainConfig
from socratic_env.errors import ConfigurationError


def make_optimizer(trained: Sequence[torch.nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """The run's optimizer of these weights. Raises ConfigurationError if its library is not installed."""
    if config.optimizer == "adamw":
        # One kernel on a GPU: the usual one holds another copy of all weights while it steps.
        fused = any(weight.is_cuda for weight in trained)
        return torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, fused=fused or None)
    if importlib.util.find_spec("torchao") is None:
        raise ConfigurationError(
            f"optimizer {config.optimizer!r} is torchao's: install socratic-env[eight-bit], or use adamw"
        )
    from torchao.optim import AdamW8bit

    made: torch.optim.Optimizer = AdamW8bit(trained, lr=config.lr, weight_decay=config.weight_decay)
    return made
