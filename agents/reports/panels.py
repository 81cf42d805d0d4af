"""The charts of a report: which metrics are drawn together, and under what names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.metrics import definition, wildcard
from agents.reports import charts


@dataclass(frozen=True)
class Panel:
    """One chart.

    lines: metric -> its name in the chart; `*` stands for each that is there, in order.
    limits: ends of the y axis where they are fixed.
    """

    title: str
    unit: str
    lines: Mapping[str, str]
    kind: str = "train"
    limits: charts.Limits = (0.0, None)


_FREE = (None, None)

SECTIONS: Mapping[str, Sequence[Panel]] = {
    "Accuracy": (
        Panel("Held-out accuracy", "share", {
            "sampled_unassisted": "unassisted, sampled", "sampled_guided": "guided, sampled",
            "greedy_unassisted": "unassisted, greedy"}, "eval"),
        Panel("Training accuracy", "share", {
            "unassisted": "unassisted", "guided": "guided", "correction_rate": "correction rate"}),
        Panel("Correction rate, held-out", "share", {
            "sampled_correction_rate": "sampled", "greedy_correction_rate": "greedy"}, "eval"),
        Panel("Pass@k, held-out", "share", {"sampled_pass_*": "pass@*"}, "eval"),
        Panel("Unassisted by domain, held-out", "share", {"sampled_unassisted_*": "*"}, "eval"),
    ),
    "Rewards and advantages": (
        Panel("Reward and mu", "reward", {
            "reward_mean": "mean of an attempt", "mu_*": "mu_*"}),
        Panel("Advantages by attempt", "advantage", {
            "advantage_right_*": "right, attempt *", "advantage_wrong_*": "wrong, attempt *"}, limits=_FREE),
    ),
    "Update": (
        Panel("Loss", "loss", {"loss": "loss"}, limits=_FREE),
        Panel("Gradient norm", "norm", {"grad_norm": "before clipping"}),
        Panel("Learning rate", "rate", {"lr": "learning rate"}),
        Panel("Clip fraction", "share of tokens", {"clip_fraction": "clipped"}),
        Panel("Importance ratios", "ratio", {
            "ratio_mean": "mean", "ratio_min": "smallest", "ratio_max": "largest"}, limits=_FREE),
        Panel("Entropy", "nats per token", {"entropy": "policy"}),
        Panel("KL to the reference", "nats", {
            "kl_k1": "k1", "kl_k3": "k3", "kl_full": "full"}, "eval", _FREE),
        Panel("Self-distilled attempts", "share", {"distilled": "with a demonstration"}, limits=(0.0, 1.0)),
    ),
    "Sampling": (
        Panel("Response length", "tokens", {
            "response_length_mean": "mean", "response_length_max": "longest"}),
        Panel("Replies that broke off", "share of replies", {
            "replies_cut": "cut", "replies_empty": "empty"}, limits=(0.0, 1.0)),
        Panel("Replies that broke off, held-out", "share of replies", {
            "sampled_replies_cut": "cut, sampled", "greedy_replies_cut": "cut, greedy",
            "sampled_replies_empty": "empty, sampled"}, "eval", (0.0, 1.0)),
        Panel("Open episodes, held-out", "episodes", {
            "sampled_open": "sampled", "greedy_open": "greedy"}, "eval"),
        Panel("Sampler against learner", "nats per token", {
            "rollout_mismatch": "mismatch"}),
        Panel("Learner over sampler", "ratio", {
            "rollout_ratio_mean": "mean", "rollout_ratio_max": "largest"}),
        Panel("Ratios above the cap", "share of tokens", {
            "rollout_capped": "capped"}),
        Panel("Effective sample size", "share of tokens", {
            "rollout_ess": "effective"}, limits=(0.0, 1.0)),
        Panel("Prefix cache", "share of prompt tokens", {"cached_share": "cached"}, limits=(0.0, 1.0)),
    ),
    "Time, tokens and cost": (
        Panel("Time of a step", "seconds", {
            "seconds": "all", "seconds_rollout": "rollout", "seconds_learn": "update",
            "seconds_sync": "weights"}),
        Panel("Throughput", "tokens per second", {
            "tokens_per_second_sampled": "sampled", "tokens_per_second_trained": "trained, with prompts"}),
        Panel("Tokens of a step", "tokens", {
            "response_tokens": "student", "teacher_tokens": "teacher"}),
        Panel("Cost of a step", "money", {"teacher_cost": "teacher"}),
    ),
    "Teacher": (
        Panel("Calls of a step", "calls", {"teacher_calls": "calls"}),
        Panel("Faults of a step", "count", {
            "teacher_faults": "calls", "open": "episodes left open by them",
            "episodes_stopped": "episodes stopped in all"}),
        Panel("Leaks", "share of texts", {"leaked": "with a leak"}),
    ),
}  # fmt: skip
# No prices are given, the teacher calls nothing, the sampler has no prefix cache.
_LEFT_OUT_AT_ZERO = {"teacher_cost", "teacher_calls", "cached_share"}


@dataclass(frozen=True)
class Drawn:
    """A panel with its chart, and (name in the chart, last value, definition) of each line."""

    panel: Panel
    chart: charts.Chart
    legend: Sequence[tuple[str, str, str]]


def draw(panel: Panel, records: charts.Records) -> Drawn | None:
    """The panel's chart; None if the records have none of its metrics."""
    there = dict.fromkeys(key for record in records for key, value in record.items() if value is not None)
    names = {
        metric: name.replace("*", found)
        for pattern, name in panel.lines.items()
        for metric in there
        if (found := wildcard(pattern, metric)) is not None
    }
    if names.keys() <= _LEFT_OUT_AT_ZERO and not any(r.get(m) for r in records for m in names):
        return None
    chart = charts.line_chart(records, names, panel.limits)
    if chart is None:
        return None
    return Drawn(panel, chart, [(names[x.metric], x.last, definition(x.metric)) for x in chart.lines])
