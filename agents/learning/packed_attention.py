"""Attention "rows": packed rows one after the other, each causal in itself, without a mask over all pairs.

The mask of "sdpa" for packed rows has T x T entries for T tokens of all rows together, and the products
behind it are computed and thrown away. Here each row of length t costs t x t / 2, in any of torch's kernels.
What is not packed (padded rows, sampling with a cache) goes to transformers' "sdpa".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ROWS = "rows"
_packed: ContextVar[bool] = ContextVar("packed", default=False)


@contextmanager
def packed_rows() -> Iterator[None]:
    """Within it, a forward pass has packed rows: batch 1, and positions that begin anew with each row."""
    token = _packed.set(True)
    try:
        yield
    finally:
        _packed.reset(token)


def _mask(*arguments: Any, **options: Any) -> torch.Tensor | None:
    return None if _packed.get() else sdpa_mask(*arguments, **options)


def _attention(
    module: torch.nn.Module,
    query_BHTD: torch.Tensor,
    key_BHTD: torch.Tensor,
    value_BHTD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    position_ids: torch.Tensor | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """The rows are told by their positions, and not by `packed_rows`: a backward pass that computes
    activations again comes after it."""
    lengths = None if attention_mask is not None else _lengths(position_ids, query_BHTD, key_BHTD)
    if lengths is None:
        given: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query_BHTD, key_BHTD, value_BHTD, attention_mask, **options
        )
        return given
    parts = zip(*(x.split(lengths, dim=2) for x in (query_BHTD, key_BHTD, value_BHTD)), strict=True)
    found = [
        sdpa_attention_forward(module, *part, _band(part[0], sliding_window), **options)[0] for part in parts
    ]
    return torch.cat(found, dim=1), None


def _lengths(
    position_ids: torch.Tensor | None, query_BHTD: torch.Tensor, key_BHTD: torch.Tensor
) -> list[int] | None:
    """Lengths of the rows in a pass; None: it has no packed rows."""
    places = query_BHTD.shape[2]
    if position_ids is None or position_ids.shape != (1, places) or key_BHTD.shape[2] != places:
        return None
    starts = (position_ids[0] == 0).nonzero()[:, 0].tolist()
    if not starts or starts[0] != 0:
        return None
    return [end - start for start, end in zip(starts, [*starts[1:], places], strict=True)]


def _band(query_BHTD: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """The mask of one row where it is longer than the layer's window."""
    length = query_BHTD.shape[2]
    if window is None or length <= window:
        return None
    places = torch.arange(length, device=query_BHTD.device)
    away_TT = places[:, None] - places
    return ((away_TT >= 0) & (away_TT < window))[None, None]


AttentionInterface.register(ROWS, _attention)
AttentionMaskInterface.register(ROWS, _mask)
