"""The report of a run: one self-contained HTML page from the files of its folder, whole or interrupted.

`python -m agents.report RUN` writes it again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import jinja2
import tyro

from agents import charts
from agents.config import PRESETS, TrainConfig
from agents.metrics import definition, wildcard
from agents.runlog import EVALUATIONS, METRICS, read_lines
from agents.summary import changes, spent
from socratic_env.errors import SocraticError
from socratic_env.runs import CONFIG, EPISODES, REPORT, check_run, episodes_of, last_step

_READ_EPISODES = 2048  # at most, of a step
_SHOWN_EPISODES = 8  # of a step
_SHOWN_CHARACTERS = 6000  # of a text


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
        Panel("Sampler against learner", "nats per token", {
            "rollout_mismatch": "mismatch"}),
        Panel("Effective sample size", "share of tokens", {
            "rollout_ess": "effective"}, limits=(0.0, 1.0)),
        Panel("Prefix cache", "share of prompt tokens", {"cached_share": "cached"}, limits=(0.0, 1.0)),
    ),
    "Time, tokens and cost": (
        Panel("Time of a step", "seconds", {
            "seconds": "all", "seconds_rollout": "rollout", "seconds_learn": "update",
            "seconds_sync": "weights"}),
        Panel("Throughput", "tokens per second", {
            "tokens_per_second_sampled": "sampled", "tokens_per_second_trained": "learnt from"}),
        Panel("Tokens of a step", "tokens", {
            "response_tokens": "student", "teacher_tokens": "teacher"}),
        Panel("Cost of a step", "money", {"teacher_cost": "teacher"}),
    ),
    "Teacher": (
        Panel("Calls of a step", "calls", {"teacher_calls": "calls"}),
        Panel("Faults of a step", "count", {
            "teacher_faults": "calls", "teacher_failed": "episodes ended by them",
            "truncated": "episodes cut in all"}),
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


def write_report(folder: Path) -> Path:
    """Write `report.html` from the metrics, episodes and configuration of a run folder.

    Raises ConfigurationError if the folder is not that of a run.
    """
    check_run(folder)
    config = TrainConfig.from_json((folder / CONFIG).read_text(encoding="utf-8"))
    metrics = _read(folder / METRICS)
    train, evaluations = ([m for m in metrics if m["kind"] == kind] for kind in ("train", "eval"))
    drawn = {
        title: [d for panel in panels if (d := draw(panel, evaluations if panel.kind == "eval" else train))]
        for title, panels in SECTIONS.items()
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": charts.number, "duration": duration}
    page = environment.get_template("report.html.j2").render(
        name=folder.resolve().name,
        config=config,
        settings=config.as_json(),
        changed=_changed(config),
        steps=train[-1]["step"] if train else 0,
        skipped=sum(bool(m["skipped"]) for m in train),
        accuracy=changes(_read(folder / EVALUATIONS)),
        evaluated=evaluations[-1]["step"] if evaluations else 0,
        training=spent(train),
        evaluation=spent(evaluations),
        sections={title: found for title, found in drawn.items() if found},
        charts=charts,
        samples=samples(folder / EPISODES),
        most=_SHOWN_CHARACTERS,
    )
    path = folder / REPORT
    fresh = path.with_suffix(".part")
    fresh.write_text(page, encoding="utf-8")
    os.replace(fresh, path)
    return path


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


def samples(path: Path) -> list[tuple[int, list[dict[str, Any]]]]:
    """(step, episodes) of the first, a middle and the last step: of each kind of course one (first those
    that guidance solved), and then more, of different questions."""
    last = last_step(path) if path.is_file() else None
    if last is None:
        return []
    return [(step, chosen) for step in sorted({1, (1 + last) // 2, last}) if (chosen := _chosen(path, step))]


def _chosen(path: Path, step: int) -> list[dict[str, Any]]:
    kinds: set[tuple[Any, ...]] = set()
    questions: set[str] = set()
    new: list[dict[str, Any]] = []
    more: list[dict[str, Any]] = []
    for episode in islice(episodes_of(path, step), _READ_EPISODES):
        attempts = episode["attempts"]
        leaked, failed = (any(a[what] for a in attempts) for what in ("leaks", "fault"))
        kind = (episode["stop"], len(attempts), leaked, failed)
        if kind not in kinds:
            new.append(episode)
        elif episode["question_id"] not in questions and len(more) < _SHOWN_EPISODES:
            more.append(episode)
        kinds.add(kind)
        questions.add(episode["question_id"])
    new.sort(key=lambda episode: episode["stop"] != "solved" or len(episode["attempts"]) == 1)
    return [*new, *more][:_SHOWN_EPISODES]


def duration(seconds: float) -> str:
    """A time in its two largest units, such as "2 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _changed(config: TrainConfig) -> dict[str, Any]:
    """The settings that differ from the preset's, such as {"tiny.warm_steps": 100}."""
    usual, own = (_flat(asdict(c)) for c in (PRESETS.get(config.preset, TrainConfig()), config))
    return {k: v for k, v in own.items() if k not in ("preset", "run_dir") and v != usual[k]}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _read(path: Path) -> list[dict[str, Any]]:
    return read_lines(path) if path.is_file() else []


@dataclass(frozen=True)
class Report:
    """Write the report of a training run again, from the files of its folder."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""


def main(arguments: list[str] | None = None) -> int:
    """Write a report and print its path; 0: fine, 2: not the folder of a run."""
    options = tyro.cli(Report, args=arguments, prog="python -m agents.report")
    try:
        print(write_report(options.run).resolve())
    except (SocraticError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
