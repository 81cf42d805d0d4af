"""A batch's rows as one record of tensors, and what a model says at the tokens that are learnt from.

Notation: R rows (sequences), T positions of the longest one, N target tokens of all rows together, in the
order of the rows; V tokens of the vocabulary, B attempts. A row holds all attempts of an episode where each
extends the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import MoeModelOutputWithPast

from agents.learning.packed_attention import packed_rows
from agents.learning.samples import Sample
from socratic_env.errors import ConfigurationError

MOST_LOGITS = 2**27
"""Logits held at once; more are computed in parts, and again in the backward pass."""

_UNKNOWN = torch.empty(0)
"""In place of what was not computed yet."""

Read = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]
"""(logits_NV in float32, targets_N) -> tensors of N rows."""


@dataclass(frozen=True)
class Rows:
    """Everything that a loss looks at, made once for a batch; parts of it are taken by `select`.

    ids_RT: token ids, padded on the right. lengths_R: tokens of each row. predicts_RT: True at positions
    whose *next* token is a target. group_R: number of the question.
    row_N, targets_N: the row and the id of each target (or what else is read at it).
    attempt_N: index of the attempt it belongs to, in the order given. logps_rollout_N, logps_old_N: its
    log-probability when it was sampled, and under the weights that the batch begins with, in nats.
    logps_reference_N: under the model that the run began with.
    advantages_N, weights_N: of its attempt; its share of the mini-batch's loss. number_N: its place in the
    batch.
    packed: a forward pass has the rows one after the other, without padding, instead of side by side.
    shown: the same targets behind other prompts, row by row, for a loss with a second model.
    """

    ids_RT: torch.Tensor
    lengths_R: torch.Tensor
    predicts_RT: torch.Tensor
    group_R: torch.Tensor
    row_N: torch.Tensor
    targets_N: torch.Tensor
    attempt_N: torch.Tensor
    logps_rollout_N: torch.Tensor = _UNKNOWN
    logps_old_N: torch.Tensor = _UNKNOWN
    logps_reference_N: torch.Tensor = _UNKNOWN
    advantages_N: torch.Tensor = _UNKNOWN
    weights_N: torch.Tensor = _UNKNOWN
    number_N: torch.Tensor = _UNKNOWN
    packed: bool = False
    shown: Rows | None = None

    def __len__(self) -> int:
        return len(self.lengths_R)

    @classmethod
    def of(
        cls,
        prompts: Sequence[Sequence[int]],
        responses: Sequence[Sequence[int]],
        pad: int,
        groups: Sequence[int] | None = None,
        packed: bool = False,
    ) -> Rows:
        """One attempt in each row: a prompt (no targets) and a response (all targets)."""
        rows = [[(0, list(prompt), False), (i, list(said), True)] for i, (prompt, said) in
                enumerate(zip(prompts, responses, strict=True))]  # fmt: skip
        return cls.of_pieces(rows, pad, groups or range(len(rows)), packed)

    @classmethod
    def of_attempts(cls, samples: Sequence[Sample], pad: int, packed: bool = False) -> Rows:
        """Attempts as sampled, those of an episode in one row where each extends the one before."""
        rows, groups, order = [], [], chains(samples)
        for members in order:
            at, pieces = 0, []
            for i in members:
                sample = samples[i]
                pieces += [(i, sample.prompt[at:], False), (i, sample.response, True)]
                at = len(sample.prompt) + len(sample.response)
            rows.append(pieces)
            groups.append(samples[members[0]].group)
        made = cls.of_pieces(rows, pad, groups, packed)
        sampled = [logp for members in order for i in members for logp in samples[i].logps]
        logps = torch.tensor(sampled, dtype=torch.float32)
        return replace(made, logps_rollout_N=logps)

    @classmethod
    def of_targets(cls, rows: Sequence[tuple[Sequence[int], Sequence[bool]]], pad: int) -> Rows:
        """Ids with a mark at each that is a target; the first of a row never is."""
        pieces = [
            [(i, [token], mark) for token, mark in zip(*row, strict=True)] for i, row in enumerate(rows)
        ]
        return cls.of_pieces(pieces, pad, range(len(rows)), packed=False)

    @classmethod
    def of_pieces(
        cls, rows: Sequence[Sequence[tuple[int, Sequence[int], bool]]], pad: int, groups: Any, packed: bool
    ) -> Rows:
        """Rows of pieces in order: (attempt, ids, whether they are targets); the first piece never is."""
        lengths = [sum(len(ids) for _, ids, _ in pieces) for pieces in rows]
        ids_RT = torch.full((len(rows), max(lengths)), pad)
        target_RT = torch.zeros(ids_RT.shape, dtype=torch.bool)
        owners: list[int] = []
        for row, pieces in enumerate(rows):
            ids_RT[row, : lengths[row]] = torch.tensor(list(chain.from_iterable(p[1] for p in pieces)))
            at = 0
            for attempt, ids, targets in pieces:
                if targets:
                    target_RT[row, at : at + len(ids)] = True
                    owners += [attempt] * len(ids)
                at += len(ids)
        predicts_RT = torch.zeros_like(target_RT)
        predicts_RT[:, :-1] = target_RT[:, 1:]
        return cls(
            ids_RT,
            torch.tensor(lengths),
            predicts_RT,
            torch.tensor(list(groups)),
            row_N=target_RT.nonzero()[:, 0],
            targets_N=ids_RT[target_RT],
            attempt_N=torch.tensor(owners, dtype=torch.long),
            packed=packed,
        )

    def select(self, rows_S: torch.Tensor) -> Rows:
        """The same for some rows only, in ascending order of their numbers."""
        rows_S = rows_S.sort().values
        lengths_S = self.lengths_R[rows_S]
        width = int(lengths_S.max())
        place_R = torch.full((len(self),), -1, device=rows_S.device)
        place_R[rows_S] = torch.arange(len(rows_S), device=rows_S.device)
        kept_N = place_R[self.row_N] >= 0
        tokens: dict[str, Any] = {name: value[kept_N] for name, value in self._tensors("_N")}
        return replace(
            self,
            **tokens | {"row_N": place_R[self.row_N[kept_N]]},
            ids_RT=self.ids_RT[rows_S, :width],
            lengths_R=lengths_S,
            predicts_RT=self.predicts_RT[rows_S, :width],
            group_R=self.group_R[rows_S],
            shown=None if self.shown is None else self.shown.select(rows_S),
        )

    def of_groups(self, groups_G: torch.Tensor) -> Rows:
        """The rows of these questions, of which there is at least one."""
        return self.select(torch.isin(self.group_R, groups_G).nonzero()[:, 0])

    def with_targets(self, kept_N: torch.Tensor) -> Rows:
        """The same rows with these targets only."""
        predicts_RT = self.predicts_RT.clone()
        predicts_RT[self.predicts_RT] = kept_N
        tokens: dict[str, Any] = {name: value[kept_N] for name, value in self._tensors("_N")}
        return replace(self, **tokens, predicts_RT=predicts_RT)

    def to(self, device: torch.device | str) -> Rows:
        """The same on a device."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in self._tensors("")}
        return replace(self, **moved, shown=None if self.shown is None else self.shown.to(device))

    def _tensors(self, suffix: str) -> Iterator[tuple[str, torch.Tensor]]:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, torch.Tensor) and value is not _UNKNOWN and each.name.endswith(suffix):
                yield each.name, value

    def old_logps(self, logps_N: torch.Tensor) -> torch.Tensor:
        """logp_old of the targets: as computed before, or, in a batch's only step, what is said now."""
        return logps_N.detach() if self.logps_old_N is _UNKNOWN else self.logps_old_N

    @property
    def sizes(self) -> list[int]:
        """Tokens that each row costs in a forward pass, the longer one where there are two models."""
        lengths = (
            self.lengths_R if self.shown is None else torch.maximum(self.lengths_R, self.shown.lengths_R)
        )
        return [int(length) for length in lengths]


def chains(samples: Sequence[Sample]) -> list[list[int]]:
    """Indices of samples in groups that fit into one row: attempts of an episode, in order, of which each
    prompt begins with the prompt and response before it. (It does not where history was cut.)"""
    found: list[list[int]] = []
    for i in sorted(range(len(samples)), key=lambda i: (samples[i].row, samples[i].attempt)):
        before = samples[found[-1][-1]] if found else None
        if before is not None and before.row == samples[i].row:
            said = before.prompt + before.response
            if samples[i].prompt[: len(said)] == said:
                found[-1].append(i)
                continue
        found.append([i])
    return found


def micro_batches(
    lengths: Sequence[int], most_tokens: int, packing: bool = False, processes: int = 1
) -> list[list[int]]:
    """Indices of rows in groups, the longest first, each of at most `most_tokens` (or one row).

    Padded rows are grouped by similar length, and their padding counts; packed ones go into the
    first group with room. Several processes take one group each at a time and wait for each other, so that
    there are groups for all of them where there are rows, of as equal a cost as can be.
    """
    groups = _filled(lengths, most_tokens, packing)
    number = -(-len(groups) // processes) * processes
    if processes == 1 or number > len(lengths):
        return groups
    if packing:
        return _levelled(lengths, number, most_tokens) or groups
    low, high = 1, most_tokens  # the smallest limit under which there are no more groups than that
    while low < high:
        middle = (low + high) // 2
        if len(_filled(lengths, middle, packing)) <= number:
            high = middle
        else:
            low = middle + 1
    return _filled(lengths, low, packing)


def _levelled(lengths: Sequence[int], number: int, most_tokens: int) -> list[list[int]] | None:
    """The rows in so many groups, each in turn, from the longest, into the one with the fewest tokens, heavy
    groups first; None if one would hold too many."""
    groups: list[list[int]] = [[] for _ in range(number)]
    sizes = [0] * number
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        place = sizes.index(min(sizes))
        if groups[place] and sizes[place] + lengths[i] > most_tokens:
            return None
        groups[place].append(i)
        sizes[place] += lengths[i]
    return [groups[place] for place in sorted(range(number), key=sizes.__getitem__, reverse=True)]


def _filled(lengths: Sequence[int], most_tokens: int, packing: bool) -> list[list[int]]:
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

    def forward(self, rows: Rows, read: Read) -> tuple[torch.Tensor, ...]:
        """What `read` makes of the logits at the positions that predict a target.

        The head runs on these positions only, and in parts where the vocabulary is large.
        """
        hidden_ND = self.hidden(rows)
        part = self.part
        if len(hidden_ND) <= part:
            return read(self.logits(hidden_ND), rows.targets_N)

        def of_part(hidden_ND: torch.Tensor, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return read(self.logits(hidden_ND), targets_N)

        parts = [
            checkpoint(of_part, *pair, use_reentrant=False)
            for pair in zip(hidden_ND.split(part), rows.targets_N.split(part), strict=True)
        ]
        return tuple(map(torch.cat, zip(*parts, strict=True)))

    def logits(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        """logits_NV in float32: what the model's own forward makes of hidden states, by its head and by what
        it does to logits afterwards (soft caps, scales)."""
        decoder = self.model.get_decoder()
        known = MoeModelOutputWithPast(last_hidden_state=hidden_ND[None])
        known.cross_attentions = None  # which some models pass on
        unused = torch.zeros((1, len(hidden_ND)), dtype=torch.long, device=hidden_ND.device)
        decoder.forward = lambda *_inputs, **_options: known
        try:
            logits: torch.Tensor = self.model(input_ids=unused, use_cache=False).logits
        finally:
            del decoder.forward
        return logits[0].float()

    @property
    def part(self) -> int:
        """How many positions have their logits held at once."""
        return max(1, MOST_LOGITS // int(self.model.config.vocab_size))

    def hidden(self, rows: Rows) -> torch.Tensor:
        """hidden_ND: the last hidden states at the positions that predict a target."""
        places_RT = torch.arange(rows.ids_RT.shape[1], device=rows.ids_RT.device).expand_as(rows.ids_RT)
        mask_RT = places_RT < rows.lengths_R[:, None]
        if rows.packed:  # rows are told apart by the positions that begin anew
            inputs = {"input_ids": rows.ids_RT[mask_RT][None], "position_ids": places_RT[mask_RT][None]}
            predicts = rows.predicts_RT[mask_RT][None]
        else:
            inputs = {"input_ids": rows.ids_RT, "attention_mask": mask_RT.long()}
            predicts = rows.predicts_RT
        with packed_rows() if rows.packed else nullcontext():
            hidden: torch.Tensor = self.model.get_decoder()(**inputs, use_cache=False).last_hidden_state
        return hidden[predicts]


def statistics(
    logits_NV: torch.Tensor, targets_N: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(logps_N, entropies_N): log-probability of each target at the sampling temperature, and the
    entropy in nats of the distribution that it was drawn from."""
    logps_NV = torch.log_softmax(logits_NV / temperature, dim=-1)
    entropies_N = -(logps_NV.exp() * logps_NV).sum(-1)
    return logps_NV.gather(-1, targets_N[:, None]).squeeze(-1), entropies_N


def log_probabilities(
    logits_NV: torch.Tensor, targets_N: torch.Tensor, temperature: float
) -> tuple[torch.Tensor]:
    """(logps_N,): as of `statistics`, without the entropies."""
    logps_NV = torch.log_softmax(logits_NV / temperature, dim=-1)
    return (logps_NV.gather(-1, targets_N[:, None]).squeeze(-1),)


@torch.no_grad()
def logps_of(model: Any, rows: Rows, temperature: float = 1.0) -> torch.Tensor:
    """logps_N of the targets under a model of transformers."""
    (logps_N,) = Scorer(model)(rows, partial(log_probabilities, temperature=temperature))
    found: torch.Tensor = logps_N
    return found


@torch.no_grad()
def check_scored(model: Any, ids: Sequence[int]) -> None:
    """Raise ConfigurationError if the scorer's logits of some ids are not those of the model itself."""
    was_training = model.training
    model.eval()
    rows = Rows.of([ids[:1]], [ids[1:]], pad=0).to(model.device)
    (found_NV,) = Scorer(model)(rows, lambda logits_NV, _targets_N: (logits_NV,))
    own_NV = model(input_ids=rows.ids_RT, use_cache=False).logits[0, :-1].float()
    model.train(was_training)
    away = float((found_NV.log_softmax(-1) - own_NV.log_softmax(-1)).abs().max())
    if not away < 1e-2:
        raise ConfigurationError(
            f"the learner scores {type(model).__name__} wrongly: its log-probabilities are up to {away:.3g} "
            "from those of the model's own forward; use a model whose head comes after its decoder"
        )
