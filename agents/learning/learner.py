"""The learner: turns the attempts of a batch into optimizer steps.

`update` is one pass over a batch; `step` is one optimizer step, from rows of tensors to new weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed.checkpoint import state_dict as full

from agents.config import TrainConfig
from agents.learning import processes
from agents.learning.objectives import LOSSES, Models, internalise, loss_of
from agents.learning.optimizers import make_optimizer
from agents.learning.rows import Read, Rows, Scorer, log_probabilities, micro_batches, statistics
from agents.learning.samples import Sample
from agents.learning.sdpo import move_average
from agents.learning.trainer_state import load_trainer_state
from agents.learning.weights import add_lora, full_weights
from agents.losses import token_weights, truncated_importance_weights
from agents.options import PolicyLoss
from socratic_env.errors import SocraticError

_FULL = full.StateDictOptions(full_state_dict=True, cpu_offload=True)
_GIVEN = full.StateDictOptions(full_state_dict=True, strict=False)


_NOTED = 2**16
"""Logits that are looked at at once beside the loss, since copies of all of them would be the peak."""


class NonFiniteError(SocraticError):
    """A loss or a gradient is not a finite number."""


class Learner:
    """A model with AdamW and a linear warm-up; under torchrun, a shard of it.

    Under SDPO it also holds the self-teacher, a slowly moving copy of the model, and with a KL term the model
    that the run began with.
    """

    def __init__(self, model: Any, pad: int, config: TrainConfig) -> None:
        self.model, self.pad, self.config = model, pad, config
        self.device = model.device
        self.loss = loss_of(config)
        if config.lora_rank:
            add_lora(model, config.lora_rank, config.lora_alpha, config.seed)
        if config.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        bfloat16 = config.dtype == "bfloat16"
        self.fixed: Any = None
        """The self-teacher, or the model that the run began with."""
        if config.loss_name == "sdpo" or config.loss.kl:
            copied = copy.deepcopy(model).eval().requires_grad_(False)
            self.fixed = processes.sharded(Scorer(copied), bfloat16)
        self.scorer = processes.sharded(Scorer(model), bfloat16)
        trained = [p for p in self.scorer.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(trained, config)
        warmup = max(1, config.warmup)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min(1.0, (step + 1) / warmup)
        )

    def update(self, samples: Sequence[Sample], advantages_B: np.ndarray) -> dict[str, float]:
        """One pass over a batch: an optimizer step for each mini-batch of questions.

        Each attempt's advantage is broadcast to its response tokens. Returns the metrics of the pass, means
        over response tokens unless said otherwise; empty if no mini-batch had anything to learn from.
        """
        rows = Rows.of_attempts(samples, self.pad, self.config.packing).to(self.device)
        advantages = torch.as_tensor(advantages_B, dtype=torch.float32, device=self.device)
        rows = replace(rows, advantages_N=advantages[rows.attempt_N])
        if self.config.mask_cut:
            finished = torch.tensor([sample.finished for sample in samples], device=self.device)
            rows = rows.with_targets(finished[rows.attempt_N])
        return self._pass(rows, self._corrections(samples) if self.config.internalise else None)

    def distil(self, samples: Sequence[Sample], prompts: Sequence[list[int] | None]) -> dict[str, float]:
        """One pass with SDPO's loss. `prompts` are the self-teacher's; rows without one are left out."""
        pairs = [(s, prompt) for s, prompt in zip(samples, prompts, strict=True) if prompt is not None]
        alone = [replace(sample, row=i) for i, (sample, _) in enumerate(pairs)]
        responses = [sample.response for sample in alone]
        shown = Rows.of([prompt for _, prompt in pairs], responses, self.pad, packed=self.config.packing)
        rows = replace(Rows.of_attempts(alone, self.pad, self.config.packing), shown=shown).to(self.device)
        metrics = self._pass(replace(rows, advantages_N=torch.ones_like(rows.targets_N)))
        move_average(self.fixed.parameters(), self.scorer.parameters(), self.config.distillation.ema_rate)
        return metrics | {"distilled": len(pairs) / len(samples)}  # share of attempts with a demonstration

    def _pass(self, rows: Rows, corrections: Rows | None = None) -> dict[str, float]:
        """The optimizer steps of a batch; mini-batches whose advantages are all 0 make none."""
        before = self._mean_logp(corrections)
        groups = rows.group_R.unique().split(self.config.questions_per_minibatch)
        once = len(groups) == 1 and self._repeatable  # then logp_old is what the step's own passes say
        if once:
            said_2N = torch.zeros((2, len(rows.targets_N)), device=self.device)
            rows = replace(rows, number_N=torch.arange(len(rows.targets_N), device=self.device))
        else:
            said_2N = self._said(self.scorer, rows)
            rows = replace(rows, logps_old_N=said_2N[0])
        if self.config.loss.kl:
            rows = replace(rows, logps_reference_N=self._said(self.fixed, rows)[0])
        steps = []
        for chosen in groups:
            part, extra = rows.of_groups(chosen), None
            if corrections is not None and torch.isin(corrections.group_R, chosen).any():
                extra = corrections.of_groups(chosen)
            if part.advantages_N.any() or extra is not None:
                steps.append(self.step(part, extra, said_2N if once else None))
        if not steps:
            return {}
        if self.config.warmup_by == "batch":
            self.schedule.step()
        if once:
            said_2N = processes.summed_tensor(said_2N)
            rows = replace(rows, logps_old_N=said_2N[0])
        metrics = _joined(steps) | _sampling_metrics(rows, self.config.loss.rollout_is_clip)
        if corrections is not None:
            metrics |= {
                "internalised": len(corrections) / (len(corrections) + len(rows)),
                "internalise_logp_before": before,
                "internalise_logp_after": self._mean_logp(corrections),
            }
        return metrics | {
            "entropy": float(said_2N[1].mean()),
            "minibatches_skipped": float(len(groups) - len(steps)),
            "lr": float(self.schedule.get_last_lr()[0]),
        }

    def step(
        self, rows: Rows, corrections: Rows | None = None, said_2N: torch.Tensor | None = None
    ) -> dict[str, float]:
        """One optimizer step: rows -> forward -> loss -> backward -> new weights.

        A token's weight is its share of the whole mini-batch's loss, so that neither the split into
        micro-batches nor the number of processes changes the gradient. Corrections weigh c / Z each, Z the
        number of the mini-batch's response tokens. `said_2N` takes the tokens' log-probabilities and
        entropies before the step, at their numbers in the batch.
        """
        rows = replace(rows, weights_N=token_weights(rows.attempt_N, self.config.loss))
        parts = [(self.loss, *part) for part in self._micro_batches(rows)]
        if corrections is not None:
            share = self.config.internalise / len(rows.targets_N)
            weighted = replace(corrections, weights_N=torch.full_like(corrections.advantages_N, share))
            parts += [(internalise, *part) for part in self._micro_batches(weighted)]

        told = StepMetrics(self.config.loss)
        self.model.train()
        for loss, part, counts in parts:
            student = self._student
            if said_2N is not None and loss is not internalise:
                student = partial(self._heard, said_2N, counts)
            losses_N, logps_N = loss(Models(student, self._fixed), part, self.config)
            value = (losses_N * part.weights_N).sum() * counts
            (value * processes.size()).backward()  # gradients are averaged over processes
            told.add(value, logps_N, part, counts, loss is internalise)
        told.gather()
        self._check_finite("loss", told.loss)
        trained = self.optimizer.param_groups[0]["params"]
        norm = float(processes.unsharded(torch.nn.utils.clip_grad_norm_(trained, self.config.grad_clip)))
        self._check_finite("gradient's norm", norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)  # room for the sampler, and for the next pass's scoring
        if self.config.warmup_by == "step":
            self.schedule.step()
        passed = sum(int(each.lengths_R.sum()) for each in (rows, corrections) if each is not None)
        return told.as_dict() | {"grad_norm": norm, "tokens": len(rows.targets_N), "trained_tokens": passed}

    def weights(self) -> dict[str, torch.Tensor]:
        """The whole model's weights under the names that the checkpoint's model has; empty on processes
        that follow, which only take part in gathering them."""
        leads, kept = processes.rank() == 0, {}
        for name, weight in full_weights(self.model):
            if leads:
                kept[name] = weight
        return kept

    def sampler_weights(self) -> Iterable[tuple[str, torch.Tensor]]:
        """(name, weight) of the same, as the sampler gets them: servers in the type of the passes, which is
        half the bytes where that is bfloat16; one in this process the learner's own tensors, one by one."""
        low = self.config.policy == "server" and self.config.dtype == "bfloat16"
        typed = ((name, w.detach().bfloat16() if low else w) for name, w in full_weights(self.model))
        if processes.size() == 1:
            return typed
        leads = processes.rank() == 0  # all take part in gathering each
        return [pair for pair in typed if leads]

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the model's weights."""
        state = {
            "optimizer": full.get_optimizer_state_dict(self.scorer, self.optimizer, options=_FULL),
            "schedule": self.schedule.state_dict(),
        }
        if self.fixed is not None:
            state["fixed"] = full.get_model_state_dict(self.fixed, options=_FULL)
        if self.config.lora_rank:
            everything = full.get_model_state_dict(self.scorer, options=_FULL)
            state["adapter"] = {name: x for name, x in everything.items() if ".lora_" in name}
        return state

    def load(self, place: Path) -> None:
        """Go on from a checkpoint, which every process reads. Raises CheckpointError."""
        state = load_trainer_state(place)
        full.set_optimizer_state_dict(self.scorer, self.optimizer, state["optimizer"], options=_GIVEN)
        self.schedule.load_state_dict(state["schedule"])
        if self.fixed is not None:
            full.set_model_state_dict(self.fixed, state["fixed"], options=_GIVEN)
        if self.config.lora_rank:
            full.set_model_state_dict(self.scorer, state["adapter"], options=_GIVEN)

    # ------------------------------------------------------------------------------------

    def _student(self, rows: Rows, read: Read) -> tuple[torch.Tensor, ...]:
        return self._forward(self.scorer, rows, read)

    def _heard(self, said_2N: torch.Tensor, counts: bool, rows: Rows, read: Read) -> tuple[torch.Tensor, ...]:
        """As `_student`; what is said of each token is noted."""

        def read_and_note(logits_NV: torch.Tensor, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found, part = read(logits_NV, targets_N), max(1, _NOTED // logits_NV.shape[1])
            with torch.no_grad():
                noted = [
                    statistics(*pair, self.config.temperature)
                    for pair in zip(logits_NV.split(part), targets_N.split(part), strict=True)
                ]
            return *found, *map(torch.cat, zip(*noted, strict=True))

        *found, logps_N, entropies_N = self._forward(self.scorer, rows, read_and_note)
        said_2N[:, rows.number_N] += torch.stack([logps_N, entropies_N]).detach() * counts
        return tuple(found)

    @property
    def _repeatable(self) -> bool:
        """Whether a step's own passes say of the tokens what passes before it would: the loss is one of those
        that know it, and the model draws no dropout."""
        config = self.model.config.to_dict()
        dropout = any(value for name, value in config.items() if "drop" in name and value is not True)
        return self.config.loss_name in LOSSES and not dropout

    def _fixed(self, rows: Rows, read: Read) -> tuple[torch.Tensor, ...]:
        return self._forward(self.fixed, rows, read)

    def _forward(self, scorer: Any, rows: Rows, read: Read) -> tuple[torch.Tensor, ...]:
        low = self.config.dtype == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low):
            scored: tuple[torch.Tensor, ...] = scorer(rows, read)
        return scored

    def _check_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise NonFiniteError(f"the {name} is {value}; lower the learning rate ({self.config.lr})")

    def _micro_batches(self, rows: Rows) -> Iterator[tuple[Rows, bool]]:
        """(this process's micro-batches, whether each counts). All processes have equally many, since they
        pass the model together: the last one may be another's and then does not count."""
        most, packing = self.config.micro_batch_tokens, self.config.packing
        groups = micro_batches(rows.sizes, most, packing, processes.size())
        for first in range(0, len(groups), processes.size()):
            own = first + processes.rank()
            chosen = torch.tensor(groups[min(own, len(groups) - 1)], device=self.device)
            yield rows.select(chosen), own < len(groups)

    @torch.no_grad()
    def _values(self, scorer: Any, rows: Rows, read: Read) -> torch.Tensor:
        """values_MN: what a model says of every target, for reads of M values, from all processes."""
        self.model.eval()
        values: torch.Tensor | None = None
        number_N = torch.arange(len(rows.targets_N), device=self.device)
        for part, counts in self._micro_batches(replace(rows, shown=None, number_N=number_N)):
            found = torch.stack(self._forward(scorer, part, read))
            if values is None:
                values = torch.zeros((len(found), len(number_N)), device=self.device)
            values[:, part.number_N] += found * counts
        assert values is not None
        return processes.summed_tensor(values)

    def _said(self, scorer: Any, rows: Rows) -> torch.Tensor:
        """said_2N: log-probability and entropy of a model at every token."""
        return self._values(scorer, rows, partial(statistics, temperature=self.config.temperature))

    def _corrections(self, samples: Sequence[Sample]) -> Rows | None:
        """Corrected attempts behind the prompt of their episode's first attempt, each with its own
        decayed reward; None if there are none that earned anything."""
        first = {sample.row: sample.prompt for sample in samples if sample.attempt == 1}
        found = [s for s in samples if s.correct and s.attempt > 1 and s.reward > 0]
        if not found:
            return None
        prompts, responses = [first[s.row] for s in found], [s.response for s in found]
        groups = [s.group for s in found]
        rows = Rows.of(prompts, responses, self.pad, groups, self.config.packing).to(self.device)
        rewards = torch.tensor([s.reward for s in found], device=self.device, dtype=torch.float32)
        return replace(rows, advantages_N=rewards[rows.attempt_N])

    def _mean_logp(self, rows: Rows | None) -> float:
        if rows is None:
            return math.nan
        read = partial(log_probabilities, temperature=self.config.temperature)
        return float(self._values(self.scorer, rows, read)[0].mean())


class StepMetrics:
    """Sums and extremes of a step's micro-batches, over all processes once gathered."""

    def __init__(self, settings: PolicyLoss) -> None:
        self._low, self._high = 1 - settings.clip_low, 1 + settings.clip_high
        self.loss: float = 0.0
        self.internalise_loss: float = 0.0
        self.clipped: float = 0.0
        self.ratio_sum: float = 0.0
        self.ratio_min: float = math.inf
        self.ratio_max: float = 0.0

    def add(
        self, loss: torch.Tensor, logps_N: torch.Tensor, rows: Rows, counts: bool, correction: bool
    ) -> None:
        """One micro-batch: its loss, and the importance ratios of its tokens where it is no correction."""
        self.loss += loss.item()
        if correction:
            self.internalise_loss += loss.item()
        elif counts and len(logps_N):
            ratios_N = (logps_N.detach() - rows.old_logps(logps_N)).exp()
            self.clipped += float(((ratios_N < self._low) | (ratios_N > self._high)).sum())
            self.ratio_sum += float(ratios_N.sum())
            self.ratio_min = min(self.ratio_min, float(ratios_N.min()))
            self.ratio_max = max(self.ratio_max, float(ratios_N.max()))

    def gather(self) -> None:
        """Take in what the other processes found."""
        sums = [self.loss, self.internalise_loss, self.clipped, self.ratio_sum]
        self.loss, self.internalise_loss, self.clipped, self.ratio_sum = processes.summed(sums)
        smallest, self.ratio_max = processes.largest([-self.ratio_min, self.ratio_max])
        self.ratio_min = -smallest

    def as_dict(self) -> dict[str, float]:
        """By name."""
        return {name: float(value) for name, value in vars(self).items() if not name.startswith("_")}


def _joined(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The metrics of a pass from those of its steps."""
    tokens = sum(step["tokens"] for step in steps)
    means = {name: float(np.mean([step[name] for step in steps])) for name in ("loss", "grad_norm")}
    if any(step["internalise_loss"] for step in steps):
        means["internalise_loss"] = float(np.mean([step["internalise_loss"] for step in steps]))
    return means | {
        "clip_fraction": sum(step["clipped"] for step in steps) / tokens,
        "ratio_mean": sum(step["ratio_sum"] for step in steps) / tokens,
        "ratio_min": min(step["ratio_min"] for step in steps),
        "ratio_max": max(step["ratio_max"] for step in steps),
        "trained_tokens": sum(step["trained_tokens"] for step in steps),
    }


def _sampling_metrics(rows: Rows, cap: float | None) -> dict[str, float]:
    """The mismatch of sampler and learner: mean |dlogp|, ratios, effective sample size."""
    ratios = truncated_importance_weights(rows.logps_old_N, rows.logps_rollout_N, math.inf)
    clip = cap or math.inf
    weights = ratios.clamp(max=clip)
    sample_size = weights.sum() ** 2 / (weights**2).sum()
    return {
        "rollout_mismatch": float((rows.logps_old_N - rows.logps_rollout_N).abs().mean()),
        "rollout_ratio_mean": float(ratios.mean()),
        "rollout_ratio_max": float(ratios.max()),
        "rollout_capped": float((ratios > clip).float().mean()),
        "rollout_ess": float(sample_size / len(weights)),
    }
