"""A model's weights as others take them: under their own names, LoRA merged, shards together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer

from agents.learning.processes import unsharded

_ADAPTER = "default"


def add_lora(model: Any, rank: int, alpha: int, seed: int) -> None:
    """Low-rank adapters on all linear layers but the head, in place; only they are trained."""
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model, _ADAPTER)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name)


@torch.no_grad()
def full_weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, weight) of the model as it was before adapters and sharding. Every process must ask."""
    adapted = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            continue
        weight = unsharded(parameter)
        module, inner, rest = name.partition(".base_layer.")
        if inner:
            name = f"{module}.{rest}"
            if rest == "weight":
                layer = adapted[module]
                up, down = (_whole_weight(side[_ADAPTER]) for side in (layer.lora_B, layer.lora_A))
                weight = weight + layer.scaling[_ADAPTER] * (up @ down).to(weight)
        yield name, weight


def _whole_weight(linear: Any) -> torch.Tensor:
    return unsharded(linear.weight)
