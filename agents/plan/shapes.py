"""The shape of a decoder of the Llama or Qwen3 kind, which is all that memory and FLOP depend on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.config import TrainConfig
from socratic_env.errors import ConfigurationError


@dataclass(frozen=True)
class Shape:
    """Widths in numbers; `intermediate` is the width of the gated MLP. tied: the head is the embedding.
    qk_norm: queries and keys are normalised per head, as in Qwen3."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool
    qk_norm: bool

    @property
    def queries(self) -> int:
        """Width of all queries together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all keys together."""
        return self.kv_heads * self.head_dim

    @property
    def layer_linear(self) -> int:
        """Parameters of one layer's linear maps."""
        return self.hidden * (2 * self.queries + 2 * self.keys + 3 * self.intermediate)

    @property
    def layer(self) -> int:
        """Parameters of one layer."""
        return self.layer_linear + 2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, and of the head."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters; a tied head counts once."""
        return self.layers * self.layer + self.hidden + self.embedding * (1 if self.tied else 2)

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA of a rank on all linear maps of the layers."""
        d, q, k, i = self.hidden, self.queries, self.keys, self.intermediate
        return self.layers * rank * (2 * (d + q) + 2 * (d + k) + 3 * (d + i))

    def cache_per_token(self, bytes_each: int = 2) -> int:
        """Bytes of the key-value cache for a token."""
        return 2 * self.layers * self.keys * bytes_each


QWEN3 = {
    "Qwen3-0.6B": Shape(1024, 28, 16, 8, 128, 3072, 151936, tied=True, qk_norm=True),
    "Qwen3-1.7B": Shape(2048, 28, 16, 8, 128, 6144, 151936, tied=True, qk_norm=True),
    "Qwen3-4B": Shape(2560, 36, 32, 8, 128, 9728, 151936, tied=True, qk_norm=True),
}
"""The published configurations of the models that presets name; a folder's own config.json goes before."""
SMOLLM2 = Shape(576, 30, 9, 3, 64, 1536, 49152, tied=True, qk_norm=False)


def shape_of(config: TrainConfig) -> Shape:
    """The student's shape: of its folder, of a model that presets name, or of one that is made here.

    Raises ConfigurationError if it cannot be told.
    """
    if config.student == "smollm2":
        return SMOLLM2
    if config.student in ("tiny", "chain", "modular"):
        width, words = config.tiny.hidden, -(-config.tiny.vocabulary // 64) * 64
        kv_heads = 1 if config.student == "tiny" else 2
        return Shape(width, config.tiny.layers, 2, kv_heads, 32, 3 * width, words, tied=True, qk_norm=True)
    place = Path(config.student) / "config.json"
    if place.is_file():
        return shape_from(json.loads(place.read_text(encoding="utf-8")), str(place))
    for name, shape in QWEN3.items():
        if Path(config.student).name.startswith(name):
            return shape
    raise ConfigurationError(
        f"the shape of student {config.student!r} is not known; give a folder with its config.json, or one "
        f"of {', '.join(QWEN3)}"
    )


def shape_from(said: Mapping[str, Any], place: str = "the configuration") -> Shape:
    """The shape that a configuration of transformers states. Raises ConfigurationError without a width."""
    try:
        heads, hidden = int(said["num_attention_heads"]), int(said["hidden_size"])
        return Shape(
            hidden=hidden,
            layers=int(said["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(said.get("num_key_value_heads") or heads),
            head_dim=int(said.get("head_dim") or hidden // heads),
            intermediate=int(said["intermediate_size"]),
            vocabulary=int(said["vocab_size"]),
            tied=bool(said.get("tie_word_embeddings", False)),
            qk_norm="qwen3" in str(said.get("model_type")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{place} does not state a decoder's shape ({error}); the planner knows models of the Llama and "
            "Qwen3 kinds"
        ) from None
