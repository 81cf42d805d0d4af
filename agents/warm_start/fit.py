"""Supervised steps: the one loop of every warm start."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from agents.learning.rows import Rows, Scorer, log_probabilities


def fit(
    model: Any,
    batch: Callable[[], Rows],
    steps: int,
    lr: float,
    progress: Callable[[int, float], None] | None = None,
) -> float:
    """Train a model on fresh batches of rows with AdamW and one cycle of the learning rate; the final loss
    for each target token, in nats."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, betas=(0.9, 0.98))
    total = max(steps, 11)  # of fewer, the tenth in which the rate rises would be no step
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=total, pct_start=0.1)
    model.train()
    scorer, loss = Scorer(model), torch.zeros(())
    for step in range(steps):
        (logps_N,) = scorer(batch().to(model.device), partial(log_probabilities, temperature=1.0))
        loss = -logps_N.mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, loss.item())
    return loss.item()
