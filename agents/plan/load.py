"""What a step has to do: attempts with their lengths, the learner's passes, and their FLOP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.config import TrainConfig
from agents.learning.rows import micro_batches
from agents.plan.memory import Pass
from agents.plan.shapes import Shape
from socratic_env.errors import ConfigurationError


@dataclass(frozen=True)
class Attempt:
    """Tokens of an attempt: its prompt, of which `known` are the attempt's before, and its response."""

    row: int
    number: int
    prompt: int
    known: int
    response: int


@dataclass(frozen=True)
class Row:
    """Tokens of one row of the learner, and how many of them are learnt from."""

    length: int
    targets: int


def read_lengths(path: Path) -> list[int]:
    """Tokens of responses, one number a line. Raises ConfigurationError for anything else."""
    try:
        found = [int(json.loads(line)) for line in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"lengths {path}: {error}; give a file with the tokens of one response in each line"
        ) from None
    if not found or min(found) < 1:
        raise ConfigurationError(f"lengths {path}: there must be numbers of at least 1, one a line")
    return found


def usual_lengths(config: TrainConfig, count: int) -> list[int]:
    """Where none are given: spread evenly up to the longest response, so that half of it is the mean."""
    return [max(1, round((i + 0.5) / count * config.max_response_tokens)) for i in range(count)]


def play(
    config: TrainConfig,
    episodes: int,
    lengths: Sequence[int] | None,
    prompt: int,
    guidance: int,
    wrong: float,
) -> list[Attempt]:
    """The attempts of a batch of episodes; a share `wrong` of them is followed by another one, up to K and to
    the longest dialogue. The same arguments give the same attempts."""
    rng = np.random.default_rng(0)
    pool = np.minimum(lengths or usual_lengths(config, episodes), config.max_response_tokens)
    most = config.max_attempts if config.algorithm == "socratic" else 1
    attempts: list[Attempt] = []
    for row in range(episodes):
        shown = known = 0
        for number in range(1, most + 1):
            before = prompt if number == 1 else shown + guidance
            response = int(min(rng.choice(pool), config.max_model_len - before))
            if response < 1:
                break
            attempts.append(Attempt(row, number, before, known, response))
            repeated = response if config.history_tokens is None else min(response, config.history_tokens)
            known = before + repeated if repeated == response else before
            shown = before + repeated
            if rng.random() >= wrong:
                break
    return attempts


def rows_of(attempts: Sequence[Attempt]) -> list[Row]:
    """One row for an episode, or for each attempt where history was cut."""
    rows: list[Row] = []
    last: Attempt | None = None
    for attempt in attempts:
        length = attempt.prompt + attempt.response
        if last is not None and last.row == attempt.row and attempt.known == last.prompt + last.response:
            rows[-1] = Row(length, rows[-1].targets + attempt.response)
        else:
            rows.append(Row(length, attempt.response))
        last = attempt
    return rows


def passes(rows: Sequence[Row], config: TrainConfig, learners: int = 1) -> list[Pass]:
    """The learners' forward passes over some rows, as their own grouping makes them."""
    found, sizes = [], [row.length for row in rows]
    for group in micro_batches(sizes, config.micro_batch_tokens, config.packing, learners):
        lengths, targets = [rows[i].length for i in group], sum(rows[i].targets for i in group)
        if config.packing:
            tokens, several = sum(lengths), len(group) > 1
            dense = config.attention in ("sdpa", "eager") and several
            pairs = tokens**2 if dense else sum(length**2 for length in lengths)
            found.append(Pass(tokens, pairs, targets, masked=dense))
        else:
            widest = max(lengths)
            found.append(
                Pass(len(group) * widest, len(group) * widest**2, targets, masked=min(lengths) < widest)
            )
    return found


def forward_flop(shape: Shape, of: Pass) -> tuple[int, int, int]:
    """FLOP of a forward pass: (linear maps of the layers, attention, head), a multiply-add as two."""
    return (
        2 * of.tokens * shape.layers * shape.layer_linear,
        4 * of.pairs * shape.layers * shape.queries,
        2 * of.targets * shape.embedding,
    )


def update_flop(shape: Shape, config: TrainConfig, of: Pass) -> int:
    """FLOP that an update spends on one pass: the old log-probabilities where a batch makes several steps,
    forward, backward, and what gradient checkpointing computes again."""
    linear, attention, head = forward_flop(shape, of)
    old = 1 if config.questions_per_minibatch < config.questions_per_step else 0
    again = 1 if config.gradient_checkpointing else 0
    # The backward pass of a product is two products, of which frozen weights need one. That of fused
    # attention computes the scores once more.
    behind = 2.0 if config.attention == "eager" else 2.5
    if config.lora_rank:
        adapters = 2 * of.tokens * shape.adapters(config.lora_rank)
        through = linear * (2 + old + again) + adapters * (3 + old + again) + head * (2 + old)
    else:
        # The last map's output is no input of the backward pass, so that it is not computed again.
        spared = 2 * of.tokens * shape.layers * shape.hidden * shape.intermediate
        through = linear * (3 + old + again) - spared * again + head * (3 + old)
    return int(through + attention * (1 + old + again + behind))
