"""Rows of token ids into micro-batches, and what a model says at the positions that are trained on.

Notation: B rows, T positions of the longest row, N target tokens of all rows together, V tokens of
the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from agents.learning.samples import Sample

IGNORED = -100
"""Target of a position that is not trained on."""
MOST_LOGITS = 2**27
"""Logits held at once; more are computed in parts, and again in the backward pass."""

Read = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]
"""(logits_NV in float32, targets_N) -> tensors of N rows."""


@dataclass(frozen=True)
class Row:
    """One sequence: its ids, and for each position the id itself if it is a target."""

    ids: list[int]
    targets: list[int]

    @classmethod
    def of(cls, prompt: Sequence[int], response: Sequence[int]) -> Row:
        """A prompt (no targets) and a response (all targets)."""
        return cls([*prompt, *response], [IGNORED] * len(prompt) + list(response))

    @classmethod
    def of_attempts(cls, attempts: Sequence[Sample]) -> Row:
        """Attempts of which each extends the one before: the last one's ids, all responses targets."""
        last = attempts[-1]
        row = cls.of(last.prompt, last.response)
        for attempt in attempts[:-1]:
            begin = len(attempt.prompt)
            row.targets[begin : begin + len(attempt.response)] = attempt.response
        return row


def chains(samples: Sequence[Sample], indices: Sequence[int]) -> list[list[int]]:
    """These samples in groups that fit into one row: attempts of an episode, in order, of which each
    prompt begins with the prompt and response before it. (It does not where history was cut.)"""
    found: list[list[int]] = []
    for i in sorted(indices, key=lambda i: (samples[i].row, samples[i].attempt)):
        before = samples[found[-1][-1]] if found else None
        if before is not None and before.row == samples[i].row:
            said = before.prompt + before.response
            if samples[i].prompt[: len(said)] == said:
                found[-1].append(i)
                continue
        found.append([i])
    return found


@dataclass(frozen=True)
class Batch:
    """Rows side by side, padded on the right; or one after the other in a single row (B = 1), which
    no padding fills.

    ids_BT: token ids. predicts_BT: True at positions whose *next* token is a target. targets_N: the
    target ids (or what else is read there), row by row. mask_BT: 1 where a row has a token, or None if
    packed. positions_BT: places within each row, which begin anew at 0, or None if padded.
    """

    ids_BT: torch.Tensor
    predicts_BT: torch.Tensor
    targets_N: torch.Tensor
    mask_BT: torch.Tensor | None = None
    positions_BT: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        tensors = (self.ids_BT, self.predicts_BT, self.targets_N, self.mask_BT, self.positions_BT)
        return Batch(*(None if tensor is None else tensor.to(device) for tensor in tensors))  # type: ignore[arg-type]


def padded(rows: Sequence[Row], pad: int) -> Batch:
    """Rows as one batch, padded on the right with `pad`."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    targets = torch.full((len(rows), width), IGNORED)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
        targets[i, : len(row.targets)] = torch.tensor(row.targets)
    predicts, targets_N = _shifted(targets)
    return Batch(ids, predicts, targets_N, mask_BT=mask)


def packed(rows: Sequence[Row]) -> Batch:
    """Rows one after the other; the model keeps them apart by the positions that begin anew.

    A row begins with a prompt, so that the last position of a row never predicts the next row.
    """
    ids = torch.tensor([[token for row in rows for token in row.ids]])
    positions = torch.cat([torch.arange(len(row.ids)) for row in rows])[None]
    predicts, targets_N = _shifted(torch.tensor([[target for row in rows for target in row.targets]]))
    return Batch(ids, predicts, targets_N, positions_BT=positions)


def _shifted(targets_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    shifted = torch.full_like(targets_BT, IGNORED)
    shifted[:, :-1] = targets_BT[:, 1:]
    predicts = shifted != IGNORED
    return predicts, shifted[predicts]


def micro_batches(lengths: Sequence[int], most_tokens: int, packing: bool = False) -> list[list[int]]:
    """Indices of rows in groups, the longest first, each of at most `most_tokens` (or one row).

    Padded rows are grouped by similar length, and their padding counts; packed ones go into the
    first group with room.
    """
    groups: list[list[int]] = []
    sizes: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if packing:
            place = next((g for g, size in enumerate(sizes) if size + lengths[i] <= most_tokens), None)
        else:
            fits = groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= most_tokens
            place = len(groups) - 1 if fits else None
        if place is None:
            groups.append([i])
            sizes.append(lengths[i])
        else:
            groups[place].append(i)
            sizes[place] += lengths[i]
    return groups


class Scorer(torch.nn.Module):
    """A causal language model of transformers, called as a whole, so that FSDP can gather its parts."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, read: Read) -> tuple[torch.Tensor, ...]:
        """What `read` makes of the logits at the positions that predict a target.

        The head runs on these positions only, and in parts where the vocabulary is large.
        """
        hidden_ND = self.hidden(batch)
        head = self.model.get_output_embeddings()
        part = self.part
        if len(hidden_ND) <= part:
            return read(head(hidden_ND).float(), batch.targets_N)

        def of_part(hidden_ND: torch.Tensor, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return read(head(hidden_ND).float(), targets_N)

        parts = [
            checkpoint(of_part, *pair, use_reentrant=False)
            for pair in zip(hidden_ND.split(part), batch.targets_N.split(part), strict=True)
        ]
        return tuple(map(torch.cat, zip(*parts, strict=True)))

    @property
    def part(self) -> int:
        """How many positions have their logits held at once."""
        return max(1, MOST_LOGITS // int(self.model.config.vocab_size))

    def hidden(self, batch: Batch) -> torch.Tensor:
        """hidden_ND: the last hidden states at the positions that predict a target."""
        hidden_BTD: torch.Tensor = self.model.get_decoder()(
            input_ids=batch.ids_BT,
            attention_mask=batch.mask_BT,
            position_ids=batch.positions_BT,
            use_cache=False,
        ).last_hidden_state
        return hidden_BTD[batch.predicts_BT]


def statistics(
    logits_NV: torch.Tensor, targets_N: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(logps_N, entropies_N): log-probability of each target at the sampling temperature, and the
    entropy in nats of the distribution that it was drawn from (without gradient)."""
    logps_NV = torch.log_softmax(logits_NV / temperature, dim=-1)
    entropies_N = -(logps_NV.detach().exp() * logps_NV.detach()).sum(-1)
    return logps_NV.gather(-1, targets_N[:, None]).squeeze(-1), entropies_N


def token_statistics(model: Any, batch: Batch, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """`statistics` of a batch under a model."""
    logps_N, entropies_N = Scorer(model)(batch, partial(statistics, temperature=temperature))
    return logps_N, entropies_N


def log_probabilities(
    logits_NV: torch.Tensor, targets_N: torch.Tensor, temperature: float
) -> tuple[torch.Tensor]:
    """(logps_N,): as of `statistics`, for a pass with gradient."""
    logps_NV = torch.log_softmax(logits_NV / temperature, dim=-1)
    return (logps_NV.gather(-1, targets_N[:, None]).squeeze(-1),)
