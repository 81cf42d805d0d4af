"""Seconds of what a step does, from its load and a card's speed. Nothing here has been checked on a GPU."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.config import TrainConfig
from agents.plan.gpus import Gpu
from agents.plan.load import Attempt, Row, passes, update_flop
from agents.plan.shapes import Shape


@dataclass(frozen=True)
class Sampler:
    """Where responses come from.

    cards: that sample, each with the whole model. slots: sequences that each decodes at once. bytes_each: of
    a weight and of a number of the cache. pause: seconds of a decoding step beside the card's own work.
    """

    cards: int
    slots: int
    bytes_each: int
    pause: float


def rollout_seconds(
    shape: Shape, gpu: Gpu, sampler: Sampler, attempts: Sequence[Attempt], mfu: float, mbu: float
) -> float:
    """Seconds to sample all attempts, first ones first: prefill of what no cache knows, then decoding."""
    total = 0.0
    for number in sorted({attempt.number for attempt in attempts}):
        own = [attempt for attempt in attempts if attempt.number == number][:: sampler.cards]
        unknown = sum(attempt.prompt - attempt.known for attempt in own)
        total += 2 * shape.parameters * unknown / (gpu.tflops * 1e12 * mfu)
        total += _decode(shape, gpu, sampler, own, mfu, mbu)
    return total


def _decode(
    shape: Shape, gpu: Gpu, sampler: Sampler, attempts: Sequence[Attempt], mfu: float, mbu: float
) -> float:
    """Continuous batching: a sequence that ends makes room for the next. A step reads all weights and the
    cache of all sequences, or computes, whichever is longer."""
    ends = [0] * min(sampler.slots, len(attempts))
    starts = []
    for attempt in attempts:
        start = heapq.heappop(ends)
        starts.append(start)
        heapq.heappush(ends, start + attempt.response)
    steps = max(ends)
    live = np.zeros(steps + 1)
    begun = np.zeros(steps + 1)  # sum over live sequences of prompt - start: context at t is that + live * t
    for start, attempt in zip(starts, attempts, strict=True):
        end = start + attempt.response
        live[start] += 1
        live[end] -= 1
        begun[start] += attempt.prompt - start
        begun[end] -= attempt.prompt - start
    live, begun = live.cumsum()[:-1], begun.cumsum()[:-1]
    context = begun + live * np.arange(steps)
    read = shape.parameters * sampler.bytes_each + context * shape.cache_per_token(sampler.bytes_each)
    reading = read / (gpu.bandwidth * 1e9 * mbu)
    computing = live * 2 * shape.parameters / (gpu.tflops * 1e12 * mfu)
    return float(np.maximum(reading, computing).sum() + sampler.pause * steps)


def update_seconds(
    shape: Shape,
    config: TrainConfig,
    gpu: Gpu,
    learners: int,
    rows: Sequence[Row],
    state_bytes: float,
    mfu: float,
    mbu: float,
) -> float:
    """Seconds of the passes of a batch and its optimizer steps. The processes take micro-batches in turn and
    wait for each other after each; gathering weights hides behind computing where it is the shorter."""
    minibatches = config.questions_per_step // config.questions_per_minibatch
    size = -(-len(rows) // minibatches)
    total = 0.0
    low = config.dtype == "bfloat16"
    peak = (gpu.tflops if low else gpu.tflops32) * 1e12 * mfu
    held = 2 if low else 4
    gather = 4 * held * shape.parameters * (learners - 1) / learners / (gpu.link * 1e9)
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        flops = [update_flop(shape, config, each) for each in passes(part, config, learners)]
        for i in range(0, len(flops), learners):
            total += max(max(flops[i : i + learners]) / peak, gather)
        total += state_bytes / (gpu.bandwidth * 1e9 * mbu)
    return total
