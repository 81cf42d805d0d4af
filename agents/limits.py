"""The values that the settings of a run may have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from socratic_env.errors import ConfigurationError


@dataclass(frozen=True)
class Range:
    """Finite numbers from `low` (where `above`, without it) to `high`."""

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value) and self.low <= value <= self.high and not (self.above and value == self.low)
        )

    def __str__(self) -> str:
        low = f"above {self.low}" if self.above else f"at least {self.low}"
        return low if self.high == math.inf else f"{low} and at most {self.high}"


_COUNT, _NOT_NEGATIVE, _POSITIVE = Range(1), Range(0), Range(0, above=True)
_SHARE = Range(0, 1)

_RANGES: Mapping[Range, tuple[str, ...]] = {
    _COUNT: (
        "questions_per_step", "rollouts_per_question", "questions_per_minibatch", "max_attempts",
        "micro_batch_tokens", "max_response_tokens", "lora_alpha", "eval_questions", "eval_samples",
        "eval_every", "distillation.top_k", "tiny.hidden", "tiny.layers", "warm.batch",
    ),
    _NOT_NEGATIVE: (
        "steps", "lora_rank", "lr", "warmup", "weight_decay", "eval_temperature", "loss.clip_high",
        "warm.steps", "warm.lr",
    ),
    # At temperature 0 the learner's log-probabilities are infinite; greedy answers teach nothing.
    _POSITIVE: ("temperature", "grad_clip", "loss.rollout_is_clip", "loss.constant"),
    _SHARE: (
        "loss.clip_low", "distillation.alpha", "distillation.ema_rate", "warm.comply", "warm.easy",
        "warm.medium",
    ),
    Range(0, 1, above=True): ("eval_top_p",),
    Range(1, above=True): ("loss.dual_clip",),
    Range(2): ("history_tokens",),
    Range(0, 2**32 - 1): ("seed",),  # what NumPy's generators and vLLM take
    Range(265): ("tiny.vocabulary",),  # all bytes, the special tokens and the markup
}  # fmt: skip


def check_ranges(settings: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for the first number outside its range; None is no number."""
    for allowed, names in _RANGES.items():
        for name in names:
            value = settings[name]
            if value is not None and value not in allowed:
                raise ConfigurationError(f"{name} is {value}; it must be {allowed}")
