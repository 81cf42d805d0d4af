"""The learner: turns attempts into optimizer steps, by advantages or by self-distillation."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from agents.batching import Row, micro_batches, padded, token_statistics
from agents.config import TrainConfig
from agents.losses import policy_loss, token_weights, truncated_importance_weights
from agents.records import Sample
from agents.sdpo import divergence, move_average, sdpo_loss
from socratic_env.errors import SocraticError

MicroLoss = Callable[[Sequence[int], torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(rows, weights_N) -> (loss, importance ratios_N) of one micro-batch."""


class NonFiniteError(SocraticError):
    """A loss or a gradient is not a finite number."""


class Learner:
    """A model with AdamW and a linear warm-up.

    Under SDPO it also holds the self-teacher, a slowly moving copy of the model.
    """

    def __init__(self, model: Any, pad: int, config: TrainConfig) -> None:
        self.model, self.pad, self.config = model, pad, config
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        warmup = max(1, config.warmup)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min(1.0, (step + 1) / warmup)
        )
        self.self_teacher = None
        if config.algorithm == "sdpo":
            self.self_teacher = copy.deepcopy(model).eval().requires_grad_(False)

    def update(self, samples: Sequence[Sample], advantages_N: np.ndarray) -> dict[str, float]:
        """One pass over a batch with the clipped policy loss.

        Each attempt is one row: its own prompt and response ids; its advantage is broadcast to its
        response tokens. Returns the metrics of the pass, means over response tokens unless said
        otherwise.
        """
        logps_old, entropies = self._old_statistics(samples)

        def micro_loss(rows: Sequence[int], weights_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logps_N, _ = token_statistics(self.model, self._rows(samples, rows), self.config.temperature)
            old_N = torch.cat([logps_old[i] for i in rows]).to(logps_N)
            rollout_N = torch.tensor([x for i in rows for x in samples[i].logps]).to(logps_N)
            advantage_N = _per_token([advantages_N[i] for i in rows], samples, rows).to(logps_N)
            loss = policy_loss(logps_N, old_N, rollout_N, advantage_N, weights_N, self.config.loss)
            return loss, (logps_N.detach() - old_N).exp()

        metrics = self._pass(samples, range(len(samples)), micro_loss)
        return metrics | self._sampling_metrics(samples, logps_old, entropies)

    def distil(self, samples: Sequence[Sample], prompts: Sequence[list[int] | None]) -> dict[str, float]:
        """One pass with SDPO's loss. `prompts` are the self-teacher's; rows without one are left out."""
        if self.self_teacher is None:
            raise ValueError("distil needs algorithm 'sdpo'")
        teacher, settings = self.self_teacher, self.config.distillation
        logps_old, entropies = self._old_statistics(samples)
        rows_in = [i for i, prompt in enumerate(prompts) if prompt is not None]

        def micro_loss(rows: Sequence[int], weights_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits_NV, targets_N = self._rows(samples, rows).logits_at_targets(self.model)
            logps_NV = torch.log_softmax(logits_NV.float(), dim=-1)
            shown = padded([Row.of(prompts[i] or [], samples[i].response) for i in rows], self.pad)
            with torch.no_grad():
                teacher_NV, _ = shown.to(self.model.device).logits_at_targets(teacher)
            away_N = divergence(
                logps_NV, torch.log_softmax(teacher_NV.float(), dim=-1), settings.alpha, settings.top_k
            )
            logps_N = logps_NV.gather(-1, targets_N[:, None]).squeeze(-1)
            old_N = torch.cat([logps_old[i] for i in rows]).to(logps_N)
            return sdpo_loss(away_N, logps_N, old_N, weights_N), (logps_N.detach() - old_N).exp()

        metrics = self._pass(samples, rows_in, micro_loss)
        metrics["distilled"] = len(rows_in) / len(samples)  # share of attempts with a demonstration
        return metrics | self._sampling_metrics(samples, logps_old, entropies)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the weights."""
        state = {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}
        if self.self_teacher is not None:
            state["self_teacher"] = self.self_teacher.state_dict()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.self_teacher is not None:
            self.self_teacher.load_state_dict(state["self_teacher"])

    # ------------------------------------------------------------------------------------

    def _pass(self, samples: Sequence[Sample], rows: Sequence[int], loss: MicroLoss) -> dict[str, float]:
        """An optimizer step for each mini-batch of questions."""
        groups = sorted({samples[i].group for i in rows})
        size = self.config.questions_per_minibatch
        steps = []
        self.model.train()
        for start in range(0, len(groups), size):
            chosen = set(groups[start : start + size])
            steps.append(self._step(samples, [i for i in rows if samples[i].group in chosen], loss))
        return {
            "loss": float(np.mean([step["loss"] for step in steps])),
            "grad_norm": float(np.mean([step["grad_norm"] for step in steps])),
            "clip_fraction": float(np.mean([step["clip_fraction"] for step in steps])),
            "ratio_max": max(step["ratio_max"] for step in steps),
            "lr": float(self.schedule.get_last_lr()[0]),
        }

    def _step(
        self, samples: Sequence[Sample], rows: Sequence[int], micro_loss: MicroLoss
    ) -> dict[str, float]:
        """One optimizer step on these rows. Token weights are those of the whole mini-batch, so that
        the split into micro-batches does not change the gradient."""
        lengths = [len(samples[i].response) for i in rows]
        weights = dict(zip(rows, token_weights(lengths, self.config.loss), strict=True))
        low, high = 1 - self.config.loss.clip_low, 1 + self.config.loss.clip_high
        total, clipped, largest = 0.0, 0.0, 0.0
        self.optimizer.zero_grad(set_to_none=True)
        for group in self._micro_batches(samples, rows):
            weights_N = _per_token([weights[i] for i in group], samples, group).to(self.model.device)
            loss, ratios_N = micro_loss(group, weights_N)
            self._check_finite("loss", loss)
            loss.backward()
            total += loss.item()
            clipped += float(((ratios_N < low) | (ratios_N > high)).sum())
            largest = max(largest, float(ratios_N.max()))
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self._check_finite("gradient's norm", norm)
        self.optimizer.step()
        self.schedule.step()
        if self.self_teacher is not None:
            rate = self.config.distillation.ema_rate
            move_average(self.self_teacher.parameters(), self.model.parameters(), rate)
        return {
            "loss": total,
            "grad_norm": float(norm),
            "clip_fraction": clipped / sum(lengths),
            "ratio_max": largest,
        }

    def _check_finite(self, name: str, value: torch.Tensor) -> None:
        if not torch.isfinite(value):
            raise NonFiniteError(f"the {name} is {value.item()}; lower the learning rate ({self.config.lr})")

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

    def _sampling_metrics(
        self, samples: Sequence[Sample], logps_old: Sequence[torch.Tensor], entropies: Sequence[torch.Tensor]
    ) -> dict[str, float]:
        """Entropy, and the mismatch of sampler and learner: mean |dlogp|, effective sample size."""
        old = torch.cat(list(logps_old))
        rollout = torch.tensor([logp for sample in samples for logp in sample.logps])
        clip = self.config.loss.rollout_is_clip or math.inf
        weights = truncated_importance_weights(old, rollout, clip)
        sample_size = weights.sum() ** 2 / (weights**2).sum()
        return {
            "entropy": float(torch.cat(list(entropies)).mean()),
            "rollout_mismatch": float((old - rollout).abs().mean()),
            "rollout_ess": float(sample_size / len(weights)),
        }


def _per_token(values: Sequence[float], samples: Sequence[Sample], rows: Sequence[int]) -> torch.Tensor:
    """One value for each row, repeated for each of its response tokens."""
    repeats = torch.tensor([len(samples[i].response) for i in rows])
    return torch.tensor(values, dtype=torch.float32).repeat_interleave(repeats)
