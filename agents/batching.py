"""Rows of token ids into padded micro-batches, and a model's log-probabilities on them.

Notation: B rows, T positions of the longest row, N target tokens of all rows together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

IGNORED = -100
"""Target of a position that is not trained on."""


@dataclass(frozen=True)
class Row:
    """One sequence: its ids, and for each position the id itself if it is a target."""

    ids: list[int]
    targets: list[int]

    @classmethod
    def of(cls, prompt: Sequence[int], response: Sequence[int]) -> Row:
        """A prompt (no targets) and a response (all targets)."""
        return cls([*prompt, *response], [IGNORED] * len(prompt) + list(response))


@dataclass(frozen=True)
class PaddedBatch:
    """Rows padded on the right.

    ids_BT, mask_BT: token ids, and 1 where a row has a token.
    predicts_BT: True at positions whose *next* token is a target.
    targets_N: the target ids, row by row.
    """

    ids_BT: torch.Tensor
    mask_BT: torch.Tensor
    predicts_BT: torch.Tensor
    targets_N: torch.Tensor

    def to(self, device: torch.device | str) -> PaddedBatch:
        """The same batch on a device."""
        tensors = (self.ids_BT, self.mask_BT, self.predicts_BT, self.targets_N)
        return PaddedBatch(*(tensor.to(device) for tensor in tensors))

    def logits_at_targets(self, model: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits_NV, targets_N). The head runs on the positions that predict a target only."""
        hidden_BTD = model.get_decoder()(
            input_ids=self.ids_BT, attention_mask=self.mask_BT, use_cache=False
        ).last_hidden_state
        return model.get_output_embeddings()(hidden_BTD[self.predicts_BT]), self.targets_N


def padded(rows: Sequence[Row], pad: int) -> PaddedBatch:
    """Rows as one batch, padded on the right with `pad`."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    targets = torch.full((len(rows), width), IGNORED)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
        targets[i, : len(row.targets)] = torch.tensor(row.targets)
    shifted = torch.full_like(targets, IGNORED)
    shifted[:, :-1] = targets[:, 1:]
    predicts = shifted != IGNORED
    return PaddedBatch(ids, mask, predicts, shifted[predicts])


def micro_batches(lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Indices of rows in groups of similar length, each at most `most_tokens` when padded."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= most_tokens:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def token_statistics(model: Any, batch: PaddedBatch, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(logps_N, entropies_N): log-probability of each target at the sampling temperature, and the
    entropy in nats of the distribution that it was drawn from (without gradient)."""
    logits_NV, targets_N = batch.logits_at_targets(model)
    logps_NV = torch.log_softmax(logits_NV.float() / temperature, dim=-1)
    entropies_N = -(logps_NV.detach().exp() * logps_NV.detach()).sum(-1)
    return logps_NV.gather(-1, targets_N[:, None]).squeeze(-1), entropies_N
