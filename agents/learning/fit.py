"""Supervised steps: the one loop of every warm start."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch

from agents.learning.rows import Rows, Scorer, log_probabilities

Batch = TypeVar("Batch")


def likelihood(scorer: Scorer, rows: Rows) -> torch.Tensor:
    """Minus the mean log-probability of the targets, in nats."""
    (logps_N,) = scorer(rows, partial(log_probabilities, temperature=1.0))
    return -logps_N.mean()


def fit(
    model: Any,
    batch: Callable[[], Rows],
    steps: int,
    lr: float,
    progress: Callable[[int, float], None] | None = None,
) -> float:
    """Train a model on fresh batches of rows; the final loss for each target token, in nats."""
    return descend(model, lambda: batch().to(model.device), likelihood, steps, lr, progress)


def descend(
    model: Any,
    batch: Callable[[], Batch],
    loss_of: Callable[[Scorer, Batch], torch.Tensor],
    steps: int,
    lr: float,
    progress: Callable[[int, float], None] | None = None,
) -> float:
    """Lower a loss of fresh batches with AdamW and one cycle of the learning rate; the final loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, betas=(0.9, 0.98))
    total = max(steps, 11)  # of fewer, the tenth in which the rate rises would be no step
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=total, pct_start=0.1)
    model.train()
    scorer, loss = Scorer(model), torch.zeros(())
    for step in range(steps):
        loss = loss_of(scorer, batch())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, loss.item())
    return loss.item()
