"""Every metric of a run, declared once: its name, what it is, its unit and its chart.

A metric is one line below, in its panel; the run's log, TensorBoard and the report follow from it. What is
logged without a line here is drawn in the report's section "Other".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """name: as it is logged; `*` stands for a number or a word, such as 2 or "physics". A metric with an
        interval has `<name>_low` and `<name>_high` beside it (95 %, over questions), and `<name>_upper` where
        episodes are open: what it would be with all of them solved.
    line: its name in the chart; `*` as in the name.
    meaning: what it is, one sentence.
    """

    name: str
    line: str
    meaning: str


@dataclass(frozen=True)
class Panel:
    """One chart over steps, and the metrics that are drawn in it.

    kind: which records have them: "train" (a step) or "eval" (an evaluation).
    limits: ends of the y axis where they are fixed.
    zeros: whether it is drawn although all its values are 0.
    """

    title: str
    unit: str
    metrics: tuple[Metric, ...]
    kind: str = "train"
    limits: tuple[float | None, float | None] = (0.0, None)
    zeros: bool = True


BOUNDS = ("_low", "_high", "_upper")
FREE = (None, None)
SHARE = (0.0, 1.0)

# "sampled": by eval_temperature and eval_top_p; "greedy": at temperature 0.
_ACCURACY = (
    Panel("Held-out accuracy", "share", (
        Metric("sampled_unassisted", "unassisted, sampled",
               "Share of sampled episodes whose first attempt is right (avg@n); one that was stopped before "
               "it is wrong."),
        Metric("sampled_guided", "guided, sampled",
               "Share of sampled episodes that are solved within all attempts."),
        Metric("greedy_unassisted", "unassisted, greedy", "Share of greedy first attempts that are right."),
        Metric("greedy_guided", "guided, greedy",
               "Share of greedy episodes that are solved within all attempts."),
    ), "eval"),
    Panel("Training accuracy", "share", (
        Metric("unassisted", "unassisted",
               "Share of episodes whose first attempt is right; one that was stopped before it is wrong."),
        Metric("guided", "guided",
               "Share of episodes that are solved within all attempts; open ones count as unsolved."),
        Metric("correction_rate", "correction rate",
               "Share of the episodes that come to a second attempt that solve it there; those left open "
               "before it count as failed."),
    )),
    Panel("Correction rate, held-out", "share", (
        Metric("sampled_correction_rate", "sampled", "Share of sampled second attempts that are right."),
        Metric("sampled_correction_rate_*", "sampled, attempt *",
               "Share of sampled attempts number * that are right."),
        Metric("greedy_correction_rate", "greedy", "Share of greedy second attempts that are right."),
        Metric("greedy_correction_rate_*", "greedy, attempt *",
               "Share of greedy attempts number * that are right."),
    ), "eval"),
    Panel("Solved within k attempts, held-out", "share", (
        Metric("sampled_within_*", "sampled, k = *",
               "Share of sampled episodes that are solved within * attempts."),
        Metric("greedy_within_*", "greedy, k = *",
               "Share of greedy episodes that are solved within * attempts."),
    ), "eval"),
    Panel("Pass@k, held-out", "share", (
        Metric("sampled_pass_*", "pass@*", "Chance that at least one of * sampled first attempts is right."),
    ), "eval"),
    Panel("Unassisted by domain, held-out", "share", (
        Metric("sampled_unassisted_*", "*, sampled",
               "Share of sampled first attempts on questions of * that are right."),
        Metric("greedy_unassisted_*", "*, greedy",
               "Share of greedy first attempts on questions of * that are right."),
    ), "eval"),
    Panel("Guided by domain, held-out", "share", (
        Metric("sampled_guided_*", "*, sampled",
               "Share of sampled episodes on questions of * that are solved within all attempts."),
        Metric("greedy_guided_*", "*, greedy",
               "Share of greedy episodes on questions of * that are solved within all attempts."),
    ), "eval"),
)  # fmt: skip

_REWARDS = (
    Panel("Reward and mu", "reward", (
        Metric("reward_mean", "mean of an attempt", "Mean reward of an attempt."),
        Metric("mu_*", "mu_*",
               "Mean decayed reward of all attempts up to number *: what the next one earns if right."),
    )),
    Panel("Advantages by attempt", "advantage", (
        Metric("advantage_right_*", "right, attempt *", "Mean advantage of right replies at attempt *."),
        Metric("advantage_wrong_*", "wrong, attempt *", "Mean advantage of wrong replies at attempt *."),
    ), limits=FREE),
)  # fmt: skip

_UPDATE = (
    Panel("Loss", "loss", (
        Metric("loss", "loss", "The loss that is minimised, mean over the optimizer steps."),
    ), limits=FREE),
    Panel("Gradient norm", "norm", (
        Metric("grad_norm", "before clipping",
               "Norm of the gradient before it is clipped, mean over the optimizer steps."),
    )),
    Panel("Learning rate", "rate", (
        Metric("lr", "learning rate", "Learning rate after the last optimizer step."),
    )),
    Panel("Clip fraction", "share of tokens", (
        Metric("clip_fraction", "clipped",
               "Share of response tokens whose importance ratio lies outside the clip range."),
    )),
    Panel("Importance ratios", "ratio", (
        Metric("ratio_mean", "mean", "Mean importance ratio exp(logp - logp_old) of the tokens."),
        Metric("ratio_min", "smallest", "Smallest importance ratio exp(logp - logp_old) of a token."),
        Metric("ratio_max", "largest", "Largest importance ratio exp(logp - logp_old) of a token."),
    ), limits=FREE),
    Panel("Entropy", "nats per token", (
        Metric("entropy", "policy", "Entropy of the policy at its response tokens, in nats."),
    )),
    # On response tokens drawn as in training: at its temperature, which p and p_ref have too, and uncut.
    Panel("KL to the reference", "nats", (
        Metric("kl_k1", "k1",
               "KL divergence from the reference by k1, the mean of -log(p_ref / p) over tokens sampled as "
               "in training."),
        Metric("kl_k3", "k3",
               "KL divergence from the reference by k3, the mean of p_ref / p - 1 - log(p_ref / p) over "
               "tokens sampled as in training."),
        Metric("kl_full", "full",
               "KL divergence from the reference, summed over the vocabulary, mean over the same tokens."),
    ), "eval", FREE),
    Panel("Self-distilled attempts", "share", (
        Metric("distilled", "with a demonstration",
               "Share of the attempts for which a sibling's solution could be shown."),
    ), limits=SHARE),
    Panel("Internalised rows", "share of rows", (
        Metric("internalised", "internalised",
               "Share of the rows of an update that are corrections behind the question alone."),
    ), limits=SHARE),
    Panel("Internalisation loss", "loss", (
        Metric("internalise_loss", "loss",
               "The internalisation term of the loss, mean over the optimizer steps."),
    ), limits=FREE),
    Panel("Corrections behind the question alone", "nats per token", (
        Metric("internalise_logp_before", "before the update",
               "Mean logp of the corrections' tokens behind the question alone, before the update, in nats."),
        Metric("internalise_logp_after", "after the update",
               "Mean logp of the corrections' tokens behind the question alone, after the update, in nats."),
    ), limits=FREE),
    Panel("Left out of the update", "count", (
        Metric("skipped", "whole steps",
               "1 if there was nothing to learn from, such as rewards that do not differ."),
        Metric("minibatches_skipped", "mini-batches",
               "Mini-batches that made no optimizer step, since all their advantages are 0."),
        Metric("groups_dropped", "questions",
               "Questions left out of the update: all attempts on them earned the same, or there were enough "
               "others."),
    ), zeros=False),
)  # fmt: skip

_SAMPLING = (
    Panel("Response length", "tokens", (
        Metric("response_length_mean", "mean", "Mean length of a response, in tokens."),
        Metric("response_length_p50", "median", "Median length of a response, in tokens."),
        Metric("response_length_p95", "95 %", "Length that 95 % of the responses keep to, in tokens."),
        Metric("response_length_right", "mean of right ones", "Mean length of a right response, in tokens."),
        Metric("response_length_wrong", "mean of wrong ones", "Mean length of a wrong response, in tokens."),
        Metric("response_length_max", "longest", "Length of the longest response, in tokens."),
    )),
    Panel("Replies that broke off", "share of replies", (
        Metric("replies_cut", "cut",
               "Share of the student's replies that did not end by themselves: they were cut at "
               "max_response_tokens."),
        Metric("replies_empty", "empty", "Share of the student's replies without a word."),
    ), limits=SHARE),
    Panel("Replies that broke off, held-out", "share of replies", (
        Metric("sampled_replies_cut", "cut, sampled",
               "Share of the replies in sampled episodes that were cut at max_response_tokens."),
        Metric("greedy_replies_cut", "cut, greedy",
               "Share of the replies in greedy episodes that were cut at max_response_tokens."),
        Metric("sampled_replies_empty", "empty, sampled",
               "Share of the replies in sampled episodes without a word."),
        Metric("greedy_replies_empty", "empty, greedy",
               "Share of the replies in greedy episodes without a word."),
    ), "eval", SHARE),
    Panel("Open episodes, held-out", "episodes", (
        Metric("sampled_open", "sampled",
               "Sampled episodes that a fault of the teacher ended: they count as unsolved."),
        Metric("greedy_open", "greedy",
               "Greedy episodes that a fault of the teacher ended: they count as unsolved."),
    ), "eval", zeros=False),
    Panel("Attempts of a step", "attempts", (Metric("attempts", "made", "Attempts made."),)),
    Panel("Age of the samples", "updates", (
        Metric("staleness", "oldest",
               "Updates of the weights between those that drew a sample and those that learn from it, at "
               "most."),
    ), zeros=False),
    Panel("Sampler against learner", "nats per token", (
        Metric("rollout_mismatch", "mismatch",
               "Mean absolute logp difference of sampler and learner on the same tokens, in nats."),
    )),
    Panel("Learner over sampler", "ratio", (
        Metric("rollout_ratio_mean", "mean",
               "Mean exp(logp_old - logp_rollout), learner over sampler, of the response tokens; 1 in "
               "expectation."),
        Metric("rollout_ratio_max", "largest",
               "Largest exp(logp_old - logp_rollout), learner over sampler, of a response token."),
    )),
    Panel("Ratios above the cap", "share of tokens", (
        Metric("rollout_capped", "capped",
               "Share of response tokens whose exp(logp_old - logp_rollout) is above the cap "
               "loss.rollout_is_clip."),
    )),
    Panel("Effective sample size", "share of tokens", (
        Metric("rollout_ess", "effective",
               "Effective sample size of the weights min(exp(logp_old - logp_rollout), cap), as a share of "
               "the response tokens."),
    ), limits=SHARE),
    Panel("Prefix cache", "share of prompt tokens", (
        Metric("cached_share", "cached",
               "Share of the prompt tokens that the sampler took from its prefix cache."),
    ), limits=SHARE, zeros=False),
)  # fmt: skip

_COST = (
    Panel("Time of a step", "seconds", (
        Metric("seconds", "all", "Wall time of all of it."),
        Metric("seconds_rollout", "rollout", "Wall time of sampling and teaching."),
        Metric("seconds_learn", "update", "Wall time of the update."),
        Metric("seconds_sync", "weights", "Wall time of handing the new weights to the sampler."),
    )),
    Panel("Throughput", "tokens per second", (
        Metric("tokens_per_second_sampled", "sampled",
               "Response tokens sampled per second of rollout, the teacher's time in it."),
        Metric("tokens_per_second_trained", "trained, with prompts",
               "Trained tokens, prompts included, per second of update."),
    )),
    Panel("Tokens of a step", "tokens", (
        Metric("response_tokens", "student", "Response tokens that the student sampled."),
        Metric("teacher_tokens", "teacher", "Tokens that the teacher read and wrote."),
        Metric("trained_tokens", "trained",
               "Tokens of the rows that were learnt from, prompts included, padding not."),
    )),
    Panel("Cost of a step", "money", (
        Metric("teacher_cost", "teacher",
               "Money for the teacher's tokens, in the currency of its prices."),
    ), zeros=False),
)  # fmt: skip

_TEACHER = (
    Panel("Calls of a step", "calls", (
        Metric("teacher_calls", "calls", "Calls of the teacher."),
    ), zeros=False),
    Panel("Time of the calls of a step", "seconds", (
        Metric("teacher_seconds", "calls",
               "Time in the teacher's calls; calls at the same time count each."),
    ), zeros=False),
    Panel("Faults of a step", "count", (
        Metric("teacher_faults", "calls", "Calls of the teacher that ended in a fault."),
        Metric("open", "episodes left open by them",
               "Episodes that a fault of the teacher ended: whether they would have been solved is unknown."),
        Metric("episodes_stopped", "episodes stopped in all",
               "Episodes stopped before they were solved or out of attempts: the open ones, and those that "
               "met the context limit."),
    )),
    Panel("Leaks", "share of texts", (
        Metric("leaked", "with a leak",
               "Share of the teacher's texts in which a leak of the answer was found."),
    )),
)  # fmt: skip

_VIEWPOINTS = (
    Panel("Viewpoints", "count", (
        Metric("viewpoints", "in the base", "Different viewpoints that were ever proposed."),
        Metric("viewpoints_active", "active", "Viewpoints that the student is shown in the next batch."),
    ), zeros=False),
    Panel("Events of the knowledge base", "count", (
        Metric("viewpoint_events", "all", "Lines of the knowledge base so far."),
        Metric("reflection_faults", "faults",
               "Requests to the reflecting teacher in this step that gave nothing usable."),
    ), zeros=False),
    Panel("Different viewpoints of a step", "count", (
        Metric("reflection_distinct", "different", "Different viewpoints that the reflecting teacher gave."),
    ), zeros=False),
    Panel("How evenly they are spread", "nats", (
        Metric("reflection_entropy", "entropy",
               "Entropy of which viewpoint it is, of all that the teacher gave in the step; 0: always one."),
    ), zeros=False),
    Panel("Kinds of viewpoints of a step", "share", (
        Metric("reflection_share_*", "*", "Share of the viewpoints that are of a kind."),
    ), zeros=False),
    Panel("Workings that were distilled", "count", (
        Metric("distillation_workings", "workings", "Workings, or pairs of them, that a distillation used."),
    ), zeros=False),
    Panel("Loss at the end of a distillation", "nats", (
        Metric("distillation_loss", "loss",
               "The distillation's loss in its last step, for a token (dpo: a pair)."),
    ), limits=FREE, zeros=False),
    Panel("Divergence from the student with viewpoints", "nats per token", (
        Metric("distillation_kl_before", "before",
               "KL(old student with viewpoints, student without) before the distillation by KL."),
        Metric("distillation_kl_after", "after", "The same after it."),
    ), zeros=False),
)  # fmt: skip

SECTIONS: Mapping[str, Sequence[Panel]] = {
    "Accuracy": _ACCURACY,
    "Rewards and advantages": _REWARDS,
    "Update": _UPDATE,
    "Sampling": _SAMPLING,
    "Time, tokens and cost": _COST,
    "Teacher": _TEACHER,
    "Viewpoints": _VIEWPOINTS,
}
"""Section of the report -> its panels."""

METRICS = tuple(metric for panels in SECTIONS.values() for panel in panels for metric in panel.metrics)


def declared(logged: str) -> tuple[Metric, str] | None:
    """The metric of a logged name, and what `*` stands for in it ("" without one); None: it is not declared,
    or is the bound of an interval."""
    if logged.endswith(BOUNDS):
        return None
    exact = next((metric for metric in METRICS if metric.name == logged), None)
    if exact is not None:
        return exact, ""
    for metric in METRICS:
        found = re.fullmatch(re.escape(metric.name).replace(r"\*", "(.+)"), logged)
        if found is not None:
            return metric, found[1]
    return None


def definition(logged: str) -> str:
    """What a metric is. Raises KeyError for one that is not declared here."""
    found = declared(logged)
    if found is None:
        raise KeyError(f"metric {logged!r} is not declared; give it a line in agents/runs/metric_table.py")
    metric, star = found
    return metric.meaning.replace("*", star)
