"""What an update minimises: a loss for each response token, by name, and terms that are added to it.

A loss is a function (models, rows, config) -> (losses_N, logps_N): the loss of each token of the rows, and
its log-probability under the model that learns. It reads that model by `models.student(rows, read)`, where
`read(logits_NV, targets_N)` makes tensors of N rows of the logits; `config` is the run's TrainConfig. The
learner multiplies by `rows.weights_N` and adds up. One's own is `--loss module:function`; a new one here is a
function and its line in `LOSSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import torch

from agents.config import TrainConfig
from agents.learning.rows import Read, Rows, log_probabilities, statistics
from agents.learning.sdpo import divergence, sdpo_weights, shortened, shortlist
from agents.losses import k3_divergence, policy_token_losses
from socratic_env.errors import unknown
from socratic_env.plugins import attribute


@dataclass(frozen=True)
class Models:
    """The models of an update, each called as (rows, read) -> tensors of N rows.

    student: the one that learns. teacher: a second one without gradient, or None.
    """

    student: Callable[[Rows, Read], tuple[torch.Tensor, ...]]
    teacher: Callable[[Rows, Read], tuple[torch.Tensor, ...]] | None = None


Loss: TypeAlias = Callable[[Models, Rows, TrainConfig], tuple[torch.Tensor, torch.Tensor]]


def policy(models: Models, rows: Rows, config: TrainConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """The clipped policy loss of each attempt's advantage, with truncated importance weights (Table 5), and
    the terms of `TERMS` whose coefficients are not 0."""
    coefficients = {name: getattr(config.loss, name) for name in TERMS}
    terms = [(TERMS[name], coefficient) for name, coefficient in coefficients.items() if coefficient]
    read = statistics if terms else log_probabilities
    logps_N, *entropies = models.student(rows, partial(read, temperature=config.temperature))
    losses_N = policy_token_losses(
        logps_N,
        rows.old_logps(logps_N),
        rows.logps_rollout_N,
        rows.advantages_N,
        config.loss,
        rows.attempt_N,
    )
    for term, coefficient in terms:
        losses_N = losses_N + coefficient * term(logps_N, entropies[0], rows)
    return losses_N, logps_N


def sdpo(models: Models, rows: Rows, config: TrainConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """SDPO's divergence from the self-teacher, which is shown a sibling's solution in `rows.shown`
    (ALGORITHMS section 4). Both are read at the temperature that sampled, as logp_old was."""
    settings = config.distillation

    def read(logits_NV: torch.Tensor, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logps_NV = torch.log_softmax(logits_NV / config.temperature, dim=-1)
        index_NK = shortlist(logps_NV, settings.top_k)
        logps_N = logps_NV.gather(-1, targets_N[:, None]).squeeze(-1)
        return shortened(logps_NV, index_NK), index_NK, logps_N

    def read_teacher(logits_NV: torch.Tensor, index_NK: torch.Tensor) -> tuple[torch.Tensor]:
        return (shortened(torch.log_softmax(logits_NV / config.temperature, dim=-1), index_NK),)

    assert models.teacher is not None
    assert rows.shown is not None
    student_NK, index_NK, logps_N = models.student(rows, read)
    with torch.no_grad():  # the same tokens in the same order
        (teacher_NK,) = models.teacher(replace(rows.shown, targets_N=index_NK), read_teacher)
    away_N = divergence(student_NK, teacher_NK, settings.alpha)
    return away_N * sdpo_weights(logps_N, rows.old_logps(logps_N)), logps_N


def internalise(models: Models, rows: Rows, config: TrainConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """-r log pi(y | question alone) of corrected attempts, r their own decayed reward (in `advantages_N`):
    what was found with guidance is learnt for the context without it. Beyond the paper (docs/training.md)."""
    (logps_N,) = models.student(rows, partial(log_probabilities, temperature=config.temperature))
    return -rows.advantages_N * logps_N, logps_N


LOSSES: Mapping[str, Loss] = {"policy": policy, "sdpo": sdpo}


def _entropy(logps_N: torch.Tensor, entropies_N: torch.Tensor, rows: Rows) -> torch.Tensor:  # noqa: ARG001
    """Minus the policy's entropy: a positive coefficient keeps the policy wide."""
    return -entropies_N


def _kl(logps_N: torch.Tensor, entropies_N: torch.Tensor, rows: Rows) -> torch.Tensor:  # noqa: ARG001
    """KL divergence from the model that the run began with, by k3."""
    return k3_divergence(logps_N, rows.logps_reference_N)


TERMS: Mapping[str, Callable[[torch.Tensor, torch.Tensor, Rows], torch.Tensor]] = {
    "entropy": _entropy,
    "kl": _kl,
}
"""Setting of `--loss.` with the coefficient -> (logps_N, entropies_N, rows) -> what is added to each token's
loss."""


def loss_of(config: TrainConfig) -> Loss:
    """The loss of a run. Raises ConfigurationError if there is none of its name."""
    name = config.loss_name
    if ":" in name:
        found: Loss = attribute("loss", name)
        return found
    if name not in LOSSES:
        raise unknown("loss", name, [*LOSSES, "module:function"])
    return LOSSES[name]
