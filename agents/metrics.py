"""What a run measures: the metrics of a batch, of the teacher and of the time, and what every metric
means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from agents.learning.samples import RolloutBatch, Sample
from socratic_env.evaluation.intervals import value
from socratic_env.evaluation.statistics import Evaluation
from socratic_env.types import Usage

DEFINITIONS: Mapping[str, str] = {
    # batch_metrics
    "unassisted": "Share of episodes whose first attempt is right; one that was stopped before it is wrong.",
    "guided": "Share of episodes that are solved within all attempts; open ones count as unsolved.",
    "correction_rate": "Share of the episodes that come to a second attempt that solve it there; those left "
    "open before it count as failed.",
    "reward_mean": "Mean reward of an attempt.",
    "mu_*": "Mean decayed reward of all attempts up to number *: what the next one earns if right.",
    "attempts": "Attempts made.",
    "open": "Episodes that a fault of the teacher ended: whether they would have been solved is unknown.",
    "episodes_stopped": "Episodes stopped before they were solved or out of attempts: the open ones, and "
    "those that met the context limit.",
    "replies_cut": "Share of the student's replies that did not end by themselves: they were cut at "
    "max_response_tokens.",
    "replies_empty": "Share of the student's replies without a word.",
    "leaked": "Share of the teacher's texts in which a leak of the answer was found.",
    "response_tokens": "Response tokens that the student sampled.",
    "response_length_mean": "Mean length of a response, in tokens.",
    "response_length_max": "Length of the longest response, in tokens.",
    "cached_share": "Share of the prompt tokens that the sampler took from its prefix cache.",
    "skipped": "1 if there was nothing to learn from, such as rewards that do not differ.",
    # teacher_metrics
    "teacher_calls": "Calls of the teacher.",
    "teacher_faults": "Calls of the teacher that ended in a fault.",
    "teacher_tokens": "Tokens that the teacher read and wrote.",
    "teacher_seconds": "Time in the teacher's calls; calls at the same time count each.",
    "teacher_cost": "Money for the teacher's tokens, in the currency of its prices.",
    # advantage_metrics
    "advantage_right_*": "Mean advantage of right replies at attempt *.",
    "advantage_wrong_*": "Mean advantage of wrong replies at attempt *.",
    # time_metrics
    "seconds": "Wall time of all of it.",
    "seconds_rollout": "Wall time of sampling and teaching.",
    "seconds_learn": "Wall time of the update.",
    "seconds_sync": "Wall time of handing the new weights to the sampler.",
    "tokens_per_second_sampled": "Response tokens sampled per second of rollout, the teacher's time in it.",
    "tokens_per_second_trained": "Trained tokens, prompts included, per second of update.",
    # learner.py
    "minibatches_skipped": "Mini-batches that made no optimizer step, since all their advantages are 0.",
    "uniform_groups_dropped": "Questions left out of the update, since all attempts on them earned the same.",
    "internalised": "Share of the rows of an update that are corrections behind the question alone.",
    "internalise_loss": "The internalisation term of the loss, mean over the optimizer steps.",
    "internalise_logp_before": "Mean logp of the corrections' tokens behind the question alone, before the "
    "update, in nats.",
    "internalise_logp_after": "Mean logp of the corrections' tokens behind the question alone, after the "
    "update, in nats.",
    "loss": "The loss that is minimised, mean over the optimizer steps.",
    "grad_norm": "Norm of the gradient before it is clipped, mean over the optimizer steps.",
    "lr": "Learning rate after the last optimizer step.",
    "clip_fraction": "Share of response tokens whose importance ratio lies outside the clip range.",
    "ratio_min": "Smallest importance ratio exp(logp - logp_old) of a token.",
    "ratio_mean": "Mean importance ratio exp(logp - logp_old) of the tokens.",
    "ratio_max": "Largest importance ratio exp(logp - logp_old) of a token.",
    "trained_tokens": "Tokens of the rows that were learnt from, prompts included, padding not.",
    "entropy": "Entropy of the policy at its response tokens, in nats.",
    "rollout_mismatch": "Mean absolute logp difference of sampler and learner on the same tokens, in nats.",
    "rollout_ratio_mean": "Mean exp(logp_old - logp_rollout), learner over sampler, of the response tokens; "
    "1 in expectation.",
    "rollout_ratio_max": "Largest exp(logp_old - logp_rollout), learner over sampler, of a response token.",
    "rollout_capped": "Share of response tokens whose exp(logp_old - logp_rollout) is above the cap "
    "loss.rollout_is_clip.",
    "rollout_ess": "Effective sample size of the weights min(exp(logp_old - logp_rollout), cap), as a share "
    "of the response tokens.",
    "distilled": "Share of the attempts for which a sibling's solution could be shown.",
    # evaluation: "sampled" by eval_temperature and eval_top_p, "greedy" at temperature 0
    "sampled_open": "Sampled episodes that a fault of the teacher ended: they count as unsolved.",
    "sampled_replies_cut": "Share of the replies in sampled episodes that were cut at max_response_tokens.",
    "sampled_replies_empty": "Share of the replies in sampled episodes without a word.",
    "greedy_open": "Greedy episodes that a fault of the teacher ended: they count as unsolved.",
    "greedy_replies_cut": "Share of the replies in greedy episodes that were cut at max_response_tokens.",
    "greedy_replies_empty": "Share of the replies in greedy episodes without a word.",
    "sampled_unassisted": "Share of sampled episodes whose first attempt is right (avg@n); one that was "
    "stopped before it is wrong.",
    "sampled_unassisted_*": "Share of sampled first attempts on questions of * that are right.",
    "sampled_guided": "Share of sampled episodes that are solved within all attempts.",
    "sampled_guided_*": "Share of sampled episodes on questions of * that are solved within all attempts.",
    "sampled_correction_rate": "Share of sampled second attempts that are right.",
    "sampled_correction_rate_*": "Share of sampled attempts number * that are right.",
    "sampled_within_*": "Share of sampled episodes that are solved within * attempts.",
    "sampled_pass_*": "Chance that at least one of * sampled first attempts is right.",
    "greedy_unassisted": "Share of greedy first attempts that are right.",
    "greedy_unassisted_*": "Share of greedy first attempts on questions of * that are right.",
    "greedy_guided": "Share of greedy episodes that are solved within all attempts.",
    "greedy_guided_*": "Share of greedy episodes on questions of * that are solved within all attempts.",
    "greedy_correction_rate": "Share of greedy second attempts that are right.",
    "greedy_correction_rate_*": "Share of greedy attempts number * that are right.",
    "greedy_within_*": "Share of greedy episodes that are solved within * attempts.",
    # on response tokens drawn as in training: at its temperature, which p and p_ref have too, and uncut
    "kl_k1": "KL divergence from the reference by k1, the mean of -log(p_ref / p) over tokens sampled as "
    "in training.",
    "kl_k3": "KL divergence from the reference by k3, the mean of p_ref / p - 1 - log(p_ref / p) over tokens "
    "sampled as in training.",
    "kl_full": "KL divergence from the reference, summed over the vocabulary, mean over the same tokens.",
}
"""Metric -> what it is, one sentence; `*` stands for a number or a name. A metric with an interval has
`_low` and `_high` beside it (95 %, over questions), and `_upper` where episodes are open: what it would be
with all of them solved."""
BOUNDS = ("_low", "_high", "_upper")


def wildcard(pattern: str, name: str) -> str | None:
    """What `*` of a pattern stands for in a metric's name ("" for a pattern without one); None: another
    metric, or the bound of an interval."""
    found = re.fullmatch(re.escape(pattern).replace(r"\*", "(.+)"), name)
    if found is None or name.endswith(BOUNDS):
        return None
    return found[1] if found.groups() else ""


def definition(name: str) -> str:
    """What a metric is. Raises KeyError for one that DEFINITIONS leaves out."""
    if name in DEFINITIONS:
        return DEFINITIONS[name]
    for pattern, text in DEFINITIONS.items():
        found = wildcard(pattern, name)
        if found is not None:
            return text.replace("*", found)
    raise KeyError(f"metric {name!r} has no definition; add one to agents/metrics.py")


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
        "cached_share": sum(sample.cached_tokens for sample in batch.samples) / max(1, prompts),
        "skipped": 0.0,
    }


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


def time_metrics(metrics: Mapping[str, float], rollout: float, learn: float, sync: float) -> dict[str, float]:
    """The seconds of a step's parts, and the throughput of its tokens (`metrics`) in them."""
    times = {
        "seconds_rollout": rollout,
        "seconds_learn": learn,
        "seconds_sync": sync,
        "seconds": rollout + learn + sync,
        "tokens_per_second_sampled": metrics["response_tokens"] / rollout,
    }
    if "trained_tokens" in metrics:
        times["tokens_per_second_trained"] = metrics["trained_tokens"] / learn
    return times
