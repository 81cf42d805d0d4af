"""Direct preference optimisation: of two responses to one prompt, the better one is made likelier."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from agents.learning.fit import descend
from agents.learning.rows import Rows, Scorer, log_probabilities

_ROWS = 512  # in one forward pass of `margins`


@dataclass(frozen=True)
class Pair:
    """Ids of a prompt, of the response that is preferred, and of the one that is not."""

    prompt: list[int]
    preferred: list[int]
    rejected: list[int]


@dataclass(frozen=True)
class _Batch:
    """Rows side by side, and the reference's log-probability of each."""

    preferred: Rows
    rejected: Rows
    reference_2B: torch.Tensor


def prefer(
    model: Any,
    pad: int,
    pairs: Sequence[Pair],
    beta: float,
    steps: int,
    batch: int,
    lr: float,
    rng: Any,
    likelihood: float = 0.0,
) -> float:
    """Train a model in place on pairs that are drawn again and again; the final loss.

    The loss of a pair is -log sigmoid(beta * gain), gain how much farther than in the reference (the model as
    it was) the preferred response's log-probability is above the rejected one's.

    Args:
        batch: pairs in a step.
        rng: a NumPy generator.
        likelihood: weight of the preferred responses' mean log-probability of a token, beside the preference.
    """
    reference = Scorer(copy.deepcopy(model).eval())

    def drawn() -> _Batch:
        chosen = [pairs[place] for place in rng.integers(len(pairs), size=batch)]
        good, bad = _sides(chosen, pad, model.device)
        with torch.no_grad():
            reference_2B = torch.stack([_sums(reference, good), _sums(reference, bad)])
        return _Batch(good, bad, reference_2B)

    def loss_of(scorer: Scorer, drawn: _Batch) -> torch.Tensor:
        logps_2B = torch.stack([_sums(scorer, drawn.preferred), _sums(scorer, drawn.rejected)])
        gained_2B = logps_2B - drawn.reference_2B
        loss = -logsigmoid(beta * (gained_2B[0] - gained_2B[1])).mean()
        if likelihood:
            loss = loss - likelihood * logps_2B[0].sum() / len(drawn.preferred.targets_N)
        return loss

    return descend(model, drawn, loss_of, steps, lr)


@torch.no_grad()
def margins(model: Any, reference: Any, pad: int, pairs: Sequence[Pair]) -> list[float]:
    """The gain of each pair, in nats: above 0, the model's implicit reward prefers the preferred one."""
    found: list[float] = []
    for start in range(0, len(pairs), _ROWS):
        good, bad = _sides(pairs[start : start + _ROWS], pad, model.device)
        above = [
            _sums(Scorer(each.eval()), good) - _sums(Scorer(each.eval()), bad) for each in (model, reference)
        ]
        found += (above[0] - above[1]).tolist()
    return found


def _sides(pairs: Sequence[Pair], pad: int, device: Any) -> tuple[Rows, Rows]:
    prompts = [pair.prompt for pair in pairs]
    good, bad = [pair.preferred for pair in pairs], [pair.rejected for pair in pairs]
    return Rows.of(prompts, good, pad).to(device), Rows.of(prompts, bad, pad).to(device)


def _sums(scorer: Scorer, rows: Rows) -> torch.Tensor:
    (logps_N,) = scorer(rows, partial(log_probabilities, temperature=1.0))
    return torch.zeros(len(rows), device=logps_N.device).index_add(0, rows.row_N, logps_N)
