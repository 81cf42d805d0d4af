"""The learner: turns attempts into optimizer steps, by advantages or by self-distillation.

A forward pass goes over rows; a row holds all attempts of an episode where each extends the one
before, and the targets are the tokens of all their responses.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed.checkpoint import state_dict as full

from agents.config import TrainConfig
from agents.learning import processes as parallel
from agents.learning.rows import (
    Batch,
    Read,
    Row,
    Scorer,
    chains,
    log_probabilities,
    micro_batches,
    packed,
    padded,
    statistics,
)
from agents.learning.samples import Sample
from agents.learning.sdpo import divergence, move_average, sdpo_loss, shortened, shortlist
from agents.learning.trainer_state import load_trainer_state
from agents.learning.weights import add_lora, full_weights
from agents.losses import policy_loss, token_weights, truncated_importance_weights
from socratic_env.errors import SocraticError

Chain = list[int]
"""Indices of the samples of a row."""
MicroLoss = Callable[[list[Chain], torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(rows, weights_N) -> (loss, importance ratios_N) of one micro-batch."""

_FULL = full.StateDictOptions(full_state_dict=True, cpu_offload=True)
_GIVEN = full.StateDictOptions(full_state_dict=True, strict=False)


class NonFiniteError(SocraticError):
    """A loss or a gradient is not a finite number."""


class Learner:
    """A model with AdamW and a linear warm-up; under torchrun, a shard of it.

    Under SDPO it also holds the self-teacher, a slowly moving copy of the model.
    """

    def __init__(self, model: Any, pad: int, config: TrainConfig) -> None:
        self.model, self.pad, self.config = model, pad, config
        self.device = model.device
        if config.lora_rank:
            add_lora(model, config.lora_rank, config.lora_alpha, config.seed)
        if config.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        bfloat16 = config.dtype == "bfloat16"
        self.self_teacher = None
        if config.algorithm == "sdpo":
            copied = copy.deepcopy(model).eval().requires_grad_(False)
            self.self_teacher = parallel.sharded(Scorer(copied), bfloat16)
        self.scorer = parallel.sharded(Scorer(model), bfloat16)
        trained = [p for p in self.scorer.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)
        warmup = max(1, config.warmup)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min(1.0, (step + 1) / warmup)
        )

    def update(self, samples: Sequence[Sample], advantages_N: np.ndarray) -> dict[str, float]:
        """One pass over a batch with the clipped policy loss.

        Each attempt's advantage is broadcast to its response tokens. Returns the metrics of the
        pass, means over response tokens unless said otherwise.
        """
        logps_old, entropies = self._old_statistics(samples)
        read = partial(log_probabilities, temperature=self.config.temperature)

        def micro_loss(rows: list[Chain], weights_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            (logps_N,) = self._score(self.scorer, self._batch(samples, rows), read)
            flat = _flat(rows)
            old_N = torch.cat([logps_old[i] for i in flat]).to(logps_N)
            rollout_N = torch.tensor([x for i in flat for x in samples[i].logps]).to(logps_N)
            advantage_N = _per_token([advantages_N[i] for i in flat], samples, flat).to(logps_N)
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

        # Both are read at the temperature that sampled, as logp_old was.
        def read(logits_NV: torch.Tensor, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logps_NV = torch.log_softmax(logits_NV / self.config.temperature, dim=-1)
            index_NK = shortlist(logps_NV, settings.top_k)
            logps_N = logps_NV.gather(-1, targets_N[:, None]).squeeze(-1)
            return shortened(logps_NV, index_NK), index_NK, logps_N

        def read_teacher(logits_NV: torch.Tensor, index_NK: torch.Tensor) -> tuple[torch.Tensor]:
            logps_NV = torch.log_softmax(logits_NV / self.config.temperature, dim=-1)
            return (shortened(logps_NV, index_NK),)

        def micro_loss(rows: list[Chain], weights_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            flat = _flat(rows)
            student_NK, index_NK, logps_N = self._score(self.scorer, self._batch(samples, rows), read)
            shown = self._arranged([Row.of(prompts[i] or [], samples[i].response) for i in flat])
            with torch.no_grad():  # the same tokens in the same order
                (teacher_NK,) = self._score(teacher, replace(shown, targets_N=index_NK), read_teacher)
            away_N = divergence(student_NK, teacher_NK, settings.alpha)
            old_N = torch.cat([logps_old[i] for i in flat]).to(logps_N)
            return sdpo_loss(away_N, logps_N, old_N, weights_N), (logps_N.detach() - old_N).exp()

        others = [len(prompt or []) + len(s.response) for prompt, s in zip(prompts, samples, strict=True)]
        metrics = self._pass(samples, rows_in, micro_loss, others)
        move_average(teacher.parameters(), self.scorer.parameters(), settings.ema_rate)
        metrics["distilled"] = len(rows_in) / len(samples)  # share of attempts with a demonstration
        return metrics | self._sampling_metrics(samples, logps_old, entropies)

    def weights(self) -> dict[str, torch.Tensor]:
        """The whole model's weights under the names that the checkpoint's model has."""
        return dict(full_weights(self.model))

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the model's weights."""
        state = {
            "optimizer": full.get_optimizer_state_dict(self.scorer, self.optimizer, options=_FULL),
            "schedule": self.schedule.state_dict(),
        }
        if self.self_teacher is not None:
            state["self_teacher"] = full.get_model_state_dict(self.self_teacher, options=_FULL)
        if self.config.lora_rank:
            everything = full.get_model_state_dict(self.scorer, options=_FULL)
            state["adapter"] = {name: x for name, x in everything.items() if ".lora_" in name}
        return state

    def load(self, place: Path) -> None:
        """Go on from a checkpoint, which every process reads. Raises CheckpointError."""
        state = load_trainer_state(place)
        full.set_optimizer_state_dict(self.scorer, self.optimizer, state["optimizer"], options=_GIVEN)
        self.schedule.load_state_dict(state["schedule"])
        if self.self_teacher is not None:
            full.set_model_state_dict(self.self_teacher, state["self_teacher"], options=_GIVEN)
        if self.config.lora_rank:
            full.set_model_state_dict(self.scorer, state["adapter"], options=_GIVEN)

    # ------------------------------------------------------------------------------------

    def _pass(
        self,
        samples: Sequence[Sample],
        chosen: Sequence[int],
        loss: MicroLoss,
        others: Sequence[int] | None = None,
    ) -> dict[str, float]:
        """An optimizer step for each mini-batch of questions. `others`: tokens of the row that each
        sample has in another model, whose micro-batches must fit too."""
        groups = sorted({samples[i].group for i in chosen})
        size = self.config.questions_per_minibatch
        steps = []
        self.model.train()
        for start in range(0, len(groups), size):
            these = set(groups[start : start + size])
            steps.append(self._step(samples, [i for i in chosen if samples[i].group in these], loss, others))
        tokens = sum(step["tokens"] for step in steps)
        return {
            "loss": float(np.mean([step["loss"] for step in steps])),
            "grad_norm": float(np.mean([step["grad_norm"] for step in steps])),
            "clip_fraction": sum(step["clipped"] for step in steps) / tokens,
            "ratio_mean": sum(step["ratio_sum"] for step in steps) / tokens,
            "ratio_min": min(step["ratio_min"] for step in steps),
            "ratio_max": max(step["ratio_max"] for step in steps),
            # Tokens that went through the model with gradient, prompts included, padding not.
            "trained_tokens": sum(step["forward_tokens"] for step in steps),
            "lr": float(self.schedule.get_last_lr()[0]),
        }

    def _step(
        self,
        samples: Sequence[Sample],
        chosen: Sequence[int],
        micro_loss: MicroLoss,
        others: Sequence[int] | None,
    ) -> dict[str, float]:
        """One optimizer step on these samples. Token weights are those of the whole mini-batch, so
        that neither the split into micro-batches nor the number of processes changes the gradient."""
        lengths = [len(samples[i].response) for i in chosen]
        weights = dict(zip(chosen, token_weights(lengths, self.config.loss), strict=True))
        low, high = 1 - self.config.loss.clip_low, 1 + self.config.loss.clip_high
        total = clipped = ratio_sum = 0.0
        ratio_min, ratio_max = math.inf, 0.0
        self.optimizer.zero_grad(set_to_none=True)
        for rows, counts in self._shares(samples, chosen, others):
            flat = _flat(rows)
            weights_N = _per_token([weights[i] * counts for i in flat], samples, flat).to(self.device)
            loss, ratios_N = micro_loss(rows, weights_N)
            # Gradients are averaged over processes, and the losses of all add up.
            (loss * parallel.size()).backward()
            total += loss.item()
            if counts:
                clipped += float(((ratios_N < low) | (ratios_N > high)).sum())
                ratio_sum += float(ratios_N.sum())
                ratio_min = min(ratio_min, float(ratios_N.min()))
                ratio_max = max(ratio_max, float(ratios_N.max()))
        total, clipped, ratio_sum = parallel.summed([total, clipped, ratio_sum])
        ratio_min, ratio_max = parallel.largest([-ratio_min, ratio_max])
        self._check_finite("loss", total)
        norm = torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], self.config.grad_clip)
        self._check_finite("gradient's norm", float(parallel.whole(norm)))
        self.optimizer.step()
        self.schedule.step()
        return {
            "loss": total,
            "grad_norm": float(parallel.whole(norm)),
            "clipped": clipped,
            "ratio_sum": ratio_sum,
            "ratio_min": -ratio_min,
            "ratio_max": ratio_max,
            "tokens": sum(lengths),
            "forward_tokens": sum(_length(samples, chain) for chain in chains(samples, chosen)),
        }

    def _check_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise NonFiniteError(f"the {name} is {value}; lower the learning rate ({self.config.lr})")

    def _score(self, scorer: Any, batch: Batch, read: Read) -> tuple[torch.Tensor, ...]:
        with self._precision():
            scored: tuple[torch.Tensor, ...] = scorer(batch, read)
        return scored

    def _precision(self) -> AbstractContextManager[Any]:
        low = self.config.dtype == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low)

    def _batch(self, samples: Sequence[Sample], rows: list[Chain]) -> Batch:
        return self._arranged([Row.of_attempts([samples[i] for i in chain]) for chain in rows])

    def _arranged(self, rows: Sequence[Row]) -> Batch:
        return (packed(rows) if self.config.packing else padded(rows, self.pad)).to(self.device)

    def _shares(
        self, samples: Sequence[Sample], chosen: Sequence[int], others: Sequence[int] | None = None
    ) -> Iterator[tuple[list[Chain], bool]]:
        """This process's micro-batches. All processes have equally many, since they pass the model
        together: the last one may be another's and then does not count."""
        rows = chains(samples, chosen)
        lengths = [_length(samples, chain) for chain in rows]
        if others is not None:
            lengths = [max(n, *(others[i] for i in chain)) for n, chain in zip(lengths, rows, strict=True)]
        groups = micro_batches(lengths, self.config.micro_batch_tokens, self.config.packing)
        for first in range(0, len(groups), parallel.size()):
            own = first + parallel.rank()
            yield [rows[i] for i in groups[min(own, len(groups) - 1)]], own < len(groups)

    @torch.no_grad()
    def _old_statistics(self, samples: Sequence[Sample]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(logp_old, entropy) of every sample's response tokens, under the weights that sampled."""
        read = partial(statistics, temperature=self.config.temperature)
        kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.model.eval()
        for rows, _ in self._shares(samples, range(len(samples))):
            logps_N, entropies_N = self._score(self.scorer, self._batch(samples, rows), read)
            flat = _flat(rows)
            lengths = [len(samples[i].response) for i in flat]
            pairs = zip(logps_N.cpu().split(lengths), entropies_N.cpu().split(lengths), strict=True)
            kept |= dict(zip(flat, pairs, strict=True))
        kept = parallel.union(kept)
        ordered = [kept[i] for i in range(len(samples))]
        return [logps for logps, _ in ordered], [entropies for _, entropies in ordered]

    def _sampling_metrics(
        self, samples: Sequence[Sample], logps_old: Sequence[torch.Tensor], entropies: Sequence[torch.Tensor]
    ) -> dict[str, float]:
        """Entropy, and the mismatch of sampler and learner: mean |dlogp|, ratios, effective sample size."""
        old = torch.cat(list(logps_old))
        rollout = torch.tensor([logp for sample in samples for logp in sample.logps])
        clip = self.config.loss.rollout_is_clip or math.inf
        ratios = truncated_importance_weights(old, rollout, math.inf)
        weights = ratios.clamp(max=clip)
        sample_size = weights.sum() ** 2 / (weights**2).sum()
        return {
            "entropy": float(torch.cat(list(entropies)).mean()),
            "rollout_mismatch": float((old - rollout).abs().mean()),
            "rollout_ratio_mean": float(ratios.mean()),
            "rollout_ratio_max": float(ratios.max()),
            "rollout_truncated": float((ratios > clip).float().mean()),
            "rollout_ess": float(sample_size / len(weights)),
        }


def _flat(rows: Sequence[Chain]) -> list[int]:
    return [i for chain in rows for i in chain]


def _length(samples: Sequence[Sample], chain: Chain) -> int:
    return len(samples[chain[-1]].prompt) + len(samples[chain[-1]].response)


def _per_token(values: Sequence[float], samples: Sequence[Sample], indices: Sequence[int]) -> torch.Tensor:
    """One value for each sample, repeated for each of its response tokens."""
    repeats = torch.tensor([len(samples[i].response) for i in indices])
    return torch.tensor(values, dtype=torch.float32).repeat_interleave(repeats)
