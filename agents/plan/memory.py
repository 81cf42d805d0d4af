"""Bytes of a learner's update, part by part, as PyTorch and transformers lay them out.

c: bytes of a number in products: 2 under bfloat16's autocast, else 4. Checked in tests/test_plan.py against
the allocations of real updates. For several learners (FSDP2) it is an upper bound: their residual stream is
bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.config import TrainConfig
from agents.learning.rows import MOST_LOGITS
from agents.plan.shapes import Shape

STREAM = 4
"""Bytes of a weight, a gradient, and a number of the residual stream: all are float32."""

STATE_BYTES = {"adamw": 8.0, "adamw-8bit": 2 * (1 + 4 / 256)}
"""Of each trained weight: two moments; of 8 bits with a float32 scale for every 256 of them."""


@dataclass(frozen=True)
class Pass:
    """What a forward pass is of.

    tokens: with padding. pairs: of query and key over all rows, which is what a mask has. targets: positions
    whose logits are read. masked: whether attention takes a mask (rows differ, or are packed).
    """

    tokens: int
    pairs: int
    targets: int
    masked: bool


def layer_activations(shape: Shape, config: TrainConfig, of: Pass) -> int:
    """Bytes that one layer keeps for its backward pass."""
    c = 2 if config.dtype == "bfloat16" else STREAM
    d, q, k, i = shape.hidden, shape.queries, shape.keys, shape.intermediate
    # Both norms keep their input and its normalised form.
    norms = 2 * 2 * STREAM * d
    # Inputs of the five maps: autocast makes a copy for each, float32 shares the norms' outputs.
    inputs = 5 * c * d if c < STREAM else 2 * STREAM * d
    heads = (STREAM + c) * (q + k) if shape.qk_norm else 0
    # A mask makes transformers repeat keys and values for every head of the queries.
    attended = c * (3 * q if of.masked and k < q else q + 2 * k) + c * q
    mlp = 4 * c * i
    mask = c * of.pairs if of.masked and config.attention in ("sdpa", "eager") else 0
    scores = 2 * c * shape.heads * of.pairs if config.attention == "eager" else 0
    return of.tokens * (norms + inputs + heads + attended + mlp) + mask + scores


def moments(shape: Shape, config: TrainConfig, of: Pass, learners: int) -> list[dict[str, int]]:
    """Bytes by part at the moments of a pass that can be its widest: where the old log-probabilities and
    entropies are read, if a batch makes several steps; where the forward pass ends; where the backward pass
    has computed a checkpointed layer again; and where it ends, at the embedding. (A step of "adamw-8bit"
    holds two copies of the largest tensor, as the end of the backward pass does.)"""
    low = config.dtype == "bfloat16"
    c = 2 if low else STREAM
    stream = of.tokens * STREAM * shape.hidden
    layer = layer_activations(shape, config, of)
    head = 3 * STREAM * min(of.targets * shape.vocabulary, MOST_LOGITS)  # logits, scaled, log-softmax
    one, all_layers = c * shape.layer_linear, c * shape.layers * shape.layer_linear
    root = c * shape.embedding
    if learners > 1:  # FSDP2 gathers the layer that runs and the next one
        early, late = 2 * one + root, 2 * one + root
    elif low:  # autocast holds a copy of every weight until its context ends
        early, late = all_layers + root, one + root
    else:
        early = late = 0
    # The gradient of a tied head waits for that of the embedding.
    waiting = 0 if config.lora_rank else STREAM * shape.embedding
    kept = stream * shape.layers if config.gradient_checkpointing else layer * shape.layers
    end = {"copies": early, "activations": kept + 2 * stream, "logits": head, "embedding_gradient": 0}
    last = {"copies": late, "activations": 2 * stream, "logits": 0, "embedding_gradient": waiting}
    if shape.tied:
        last["embedding_gradient"] *= 2
    scoring = {
        "gradients": 0,
        "copies": early,
        "activations": 2 * stream,
        "logits": head * 4 // 3,  # and probabilities for the entropies
        "embedding_gradient": 0,
    }
    before = [scoring] if config.questions_per_minibatch < config.questions_per_step else []
    if not config.gradient_checkpointing:
        return [*before, end, last]
    again = {
        "copies": late,
        "activations": kept + layer + stream + 2 * c * of.tokens * shape.intermediate,
        "logits": 0,
        "embedding_gradient": waiting if shape.tied else 0,
    }
    return [*before, end, again, last]


def learner_memory(
    shape: Shape, config: TrainConfig, passes: Sequence[Pass], learners: int = 1
) -> list[dict[str, int]]:
    """Bytes by part on each card that learns, at the moments of an update that can be its widest."""
    full = shape.parameters
    trained = shape.adapters(config.lora_rank) if config.lora_rank else full
    weights = full + (trained if config.lora_rank else 0)
    second = full if config.loss_name == "sdpo" or config.loss.kl else 0
    held = {
        "weights": STREAM * (weights + second) // learners,
        "gradients": STREAM * trained // learners,
        "states": int(STATE_BYTES[config.optimizer] * trained) // learners,
    }
    return [held | parts for of in passes for parts in moments(shape, config, of, learners)]
