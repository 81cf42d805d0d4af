"""What a step measures: the metrics of a batch, of the teacher, of the advantages and of the time.

`agents/runs/metric_table.py` says what each is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agents.learning.samples import RolloutBatch, Sample
from socratic_env.evaluation.intervals import value
from socratic_env.evaluation.statistics import Evaluation
from socratic_env.types import Usage


def batch_metrics(batch: RolloutBatch) -> dict[str, float]:
    """What a batch of episodes shows, by its counts."""
    lengths = [len(sample.response) for sample in batch.samples] or [0]
    prompts = sum(len(sample.prompt) for sample in batch.samples)
    stops = [episode.stop for episode in batch.episodes]
    result = Evaluation.of_episodes(batch.episodes, 1, len(batch.made))
    counted = {
        "unassisted": result.solved_within(1),
        "guided": result.solved_within(len(batch.made)),
        "correction_rate": result.corrections(2),
    }
    counted |= {f"replies_{name}": found for name, found in result.replies().items()}
    leaks = [bool(a.guidance.leaks) for e in batch.episodes for a in e.attempts if a.guidance is not None]
    return {
        **{name: value(found.lower) for name, found in counted.items()},
        **{f"{name}_upper": value(found.upper) for name, found in counted.items() if found.open},
        "reward_mean": float(np.mean([sample.reward for sample in batch.samples] or [0.0])),
        **{f"mu_{k}": mu for k, mu in enumerate(batch.mu) if k},
        "attempts": float(sum(batch.made)),
        "open": float(result.open),
        "episodes_stopped": float(sum(stop.truncated for stop in stops)),
        "leaked": float(np.mean(leaks)) if leaks else np.nan,
        "response_tokens": float(batch.tokens),
        "response_length_mean": float(np.mean(lengths)),
        "response_length_max": float(np.max(lengths)),
        "response_length_p50": float(np.median(lengths)),
        "response_length_p95": float(np.quantile(lengths, 0.95)),
        **{f"response_length_{name}": _mean_length(batch, right) for name, right in _OUTCOMES.items()},
        "cached_share": sum(sample.cached_tokens for sample in batch.samples) / max(1, prompts),
        "skipped": 0.0,
    }


_OUTCOMES = {"right": True, "wrong": False}


def _mean_length(batch: RolloutBatch, right: bool) -> float:
    lengths = [len(sample.response) for sample in batch.samples if sample.correct is right]
    return float(np.mean(lengths)) if lengths else np.nan


def teacher_metrics(before: Usage, after: Usage) -> dict[str, float]:
    """What the teacher's calls between two moments cost."""
    tokens = after.prompt_tokens + after.completion_tokens - before.prompt_tokens - before.completion_tokens
    return {
        "teacher_calls": float(after.calls - before.calls),
        "teacher_faults": float(after.failures - before.failures),
        "teacher_tokens": float(tokens),
        "teacher_seconds": after.seconds - before.seconds,
        "teacher_cost": after.cost - before.cost,
    }


def advantage_metrics(samples: Sequence[Sample], advantages_N: np.ndarray) -> dict[str, float]:
    """Mean advantage of the right and of the wrong attempts, by attempt number."""
    metrics = {}
    for attempt in sorted({sample.attempt for sample in samples}):
        for correct, name in ((True, "right"), (False, "wrong")):
            chosen = [s.attempt == attempt and s.correct is correct for s in samples]
            if any(chosen):
                metrics[f"advantage_{name}_{attempt}"] = float(advantages_N[chosen].mean())
    return metrics


def time_metrics(
    metrics: Mapping[str, float], rollout: float, learn: float, sync: float, whole: float
) -> dict[str, float]:
    """The seconds of a step's parts and of all of it (less than their sum where they overlap), and the
    throughput of its tokens (`metrics`) in them."""
    times = {
        "seconds_rollout": rollout,
        "seconds_learn": learn,
        "seconds_sync": sync,
        "seconds": whole,
        "tokens_per_second_sampled": metrics["response_tokens"] / rollout,
    }
    if "trained_tokens" in metrics:
        times["tokens_per_second_trained"] = metrics["trained_tokens"] / learn
    return times
