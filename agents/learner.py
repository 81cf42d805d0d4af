"""The learner: turns attempts with advantages into optimizer steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from agents.batching import Row, micro_batches, padded, token_statistics
from agents.config import TrainConfig
from agents.losses import policy_loss, token_weights, truncated_importance_weights
from agents.records import Sample
from socratic_env.errors import SocraticError


class NonFiniteError(SocraticError):
    """A loss or a gradient is not a finite number."""


class Learner:
    """A model with AdamW and a linear warm-up, updated by the clipped policy loss."""

    def __init__(self, model: Any, pad: int, config: TrainConfig) -> None:
        self.model, self.pad, self.config = model, pad, config
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        warmup = max(1, config.warmup)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min(1.0, (step + 1) / warmup)
        )

    def update(self, samples: Sequence[Sample], advantages_N: np.ndarray) -> dict[str, float]:
        """One pass over a batch: an optimizer step for each mini-batch of questions.

        Each attempt is one row: its own prompt and response ids; its advantage is broadcast to its
        response tokens. Returns the metrics of the pass, means over response tokens unless said
        otherwise.
        """
        logps_old, entropies = self._old_statistics(samples)
        seen: dict[str, list[float]] = {"loss": [], "grad_norm": [], "clip_fraction": [], "ratio_max": []}
        groups = sorted({sample.group for sample in samples})
        size = self.config.questions_per_minibatch
        self.model.train()
        for start in range(0, len(groups), size):
            chosen = set(groups[start : start + size])
            rows = [i for i, sample in enumerate(samples) if sample.group in chosen]
            for key, value in self._step(samples, advantages_N, logps_old, rows).items():
                seen[key].append(value)
        old = torch.cat(logps_old)
        rollout = torch.tensor([logp for sample in samples for logp in sample.logps])
        clip = self.config.loss.rollout_is_clip or math.inf
        weights = truncated_importance_weights(old, rollout, clip)
        sample_size = weights.sum() ** 2 / (weights**2).sum()
        return {
            "loss": float(np.mean(seen["loss"])),
            "grad_norm": float(np.mean(seen["grad_norm"])),
            "clip_fraction": float(np.mean(seen["clip_fraction"])),
            "ratio_max": float(np.max(seen["ratio_max"])),
            "entropy": float(torch.cat(entropies).mean()),
            "lr": float(self.schedule.get_last_lr()[0]),
            # The mismatch of sampler and learner: mean |dlogp| and effective sample size.
            "rollout_mismatch": float((old - rollout).abs().mean()),
            "rollout_ess": float(sample_size / len(weights)),
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the weights."""
        return {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    # ------------------------------------------------------------------------------------

    def _rows(self, samples: Sequence[Sample], indices: Sequence[int]) -> Any:
        rows = [Row.of(samples[i].prompt, samples[i].response) for i in indices]
        return padded(rows, self.pad).to(self.model.device)

    def _micro_batches(self, samples: Sequence[Sample], rows: Sequence[int]) -> list[list[int]]:
        lengths = [len(samples[i].prompt) + len(samples[i].response) for i in rows]
        groups = micro_batches(lengths, self.config.micro_batch_tokens)
        return [[rows[i] for i in group] for group in groups]

    @torch.no_grad()
    def _old_statistics(self, samples: Sequence[Sample]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(logp_old, entropy) of every sample's response tokens, under the weights that sampled."""
        logps: list[torch.Tensor] = [torch.empty(0)] * len(samples)
        entropies = list(logps)
        self.model.eval()
        for group in self._micro_batches(samples, range(len(samples))):
            both = token_statistics(self.model, self._rows(samples, group), self.config.temperature)
            lengths = [len(samples[i].response) for i in group]
            for kept, values in zip((logps, entropies), both, strict=True):
                for i, part in zip(group, values.cpu().split(lengths), strict=True):
                    kept[i] = part
        return logps, entropies

    def _step(
        self,
        samples: Sequence[Sample],
        advantages_N: np.ndarray,
        logps_old: Sequence[torch.Tensor],
        rows: Sequence[int],
    ) -> dict[str, float]:
        """One optimizer step on these rows. Token weights are those of the whole mini-batch, so that
        the split into micro-batches does not change the gradient."""
        lengths = [len(samples[i].response) for i in rows]
        tokens = sum(lengths)
        weights = dict(zip(rows, token_weights(lengths, self.config.loss), strict=True))
        total, clipped, largest = 0.0, 0.0, 0.0
        self.optimizer.zero_grad(set_to_none=True)
        for group in self._micro_batches(samples, rows):
            logps_N, _ = token_statistics(self.model, self._rows(samples, group), self.config.temperature)
            device = logps_N.device
            old_N = torch.cat([logps_old[i] for i in group]).to(device)
            rollout_N = torch.tensor([x for i in group for x in samples[i].logps], device=device)
            repeats = [len(samples[i].response) for i in group]
            advantage_N = _per_token(advantages_N[group].tolist(), repeats, device)
            weight_N = _per_token([weights[i] for i in group], repeats, device)
            loss = policy_loss(logps_N, old_N, rollout_N, advantage_N, weight_N, self.config.loss)
            if not torch.isfinite(loss):
                raise NonFiniteError(f"the loss is {loss.item()}; lower the learning rate ({self.config.lr})")
            loss.backward()
            with torch.no_grad():
                ratio_N = (logps_N - old_N).exp()
                low, high = 1 - self.config.loss.clip_low, 1 + self.config.loss.clip_high
                clipped += float(((ratio_N < low) | (ratio_N > high)).sum())
                largest = max(largest, float(ratio_N.max()))
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        if not torch.isfinite(norm):
            raise NonFiniteError(
                f"the gradient's norm is {norm.item()}; lower the learning rate ({self.config.lr})"
            )
        self.optimizer.step()
        self.schedule.step()
        return {
            "loss": total,
            "grad_norm": float(norm),
            "clip_fraction": clipped / tokens,
            "ratio_max": largest,
        }


def _per_token(values: Sequence[float], repeats: Sequence[int], device: torch.device) -> torch.Tensor:
    """One value for each row, repeated for each of its tokens."""
    row_values = torch.tensor(values, dtype=torch.float32)
    return row_values.repeat_interleave(torch.tensor(repeats)).to(device)
