"""A teacher that learns from pairs of its viewpoints on one trace, the more useful one preferred (DPO)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from agents.learning.preferences import Pair, prefer
from agents.rollout import mixed_seed
from agents.teaching.lessons import Worth, Writer, Written, drawn
from agents.teaching.teach_config import TeachConfig
from socratic_env.errors import SocraticError
from socratic_env.traces import InteractionTrace

_BATCH = 96
_FOR_ALL = 64  # traces whose viewpoints share their probes


def direct_preference(
    config: TeachConfig, writer: Writer, traces: list[InteractionTrace], worth: Worth, model: Any
) -> Iterator[dict[str, float]]:
    """All steps at once, from viewpoints of the teacher as it is; yields their metrics."""
    pairs = pairs_of(config, writer, traces, worth, config.pairs, config.seed)
    if not pairs:
        raise SocraticError(
            f"no two viewpoints on one of {config.pairs} traces differ in worth by more than "
            f"{config.margin}; take more probes, or more traces"
        )
    rng = np.random.default_rng(config.seed)
    loss = prefer(model, writer.chat.pad, pairs, config.beta, config.steps, _BATCH, config.lr, rng)
    writer.policy.load_weights(model.named_parameters())
    yield {"pairs": float(len(pairs)), "loss": loss}


def pairs_of(
    config: TeachConfig,
    writer: Writer,
    traces: Sequence[InteractionTrace],
    worth: Worth,
    count: int,
    seed: int,
) -> list[Pair]:
    """Pairs from viewpoints on so many traces: every two on one trace that differ by the margin."""
    found: list[Pair] = []
    each, chosen = config.viewpoints_per_trace, drawn(traces, count, (seed, 7))
    for start in range(0, count, _FOR_ALL):
        written = writer.write(chosen[start : start + _FOR_ALL], each, mixed_seed(seed, start, 3))
        utility = worth.of([one.viewpoint for one in written], config.probes, mixed_seed(seed, start, 4))
        rated = list(zip(written, utility, strict=True))
        for first in range(0, len(rated), each):
            on_one = combinations(rated[first : first + each], 2)
            found += [pair for one, other in on_one if (pair := _pair(config, one, other))]
    return found


def _pair(config: TeachConfig, one: tuple[Written, float], other: tuple[Written, float]) -> Pair | None:
    (better, high), (worse, low) = sorted((one, other), key=lambda each: -each[1])
    if high <= low + config.margin:
        return None
    return Pair(better.prompt, better.completion.ids, worse.completion.ids)
