"""The report of a run: one self-contained HTML page from the files of its folder."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure

from agents.runlog import CONFIG, EPISODES, METRICS, REPORT, read_lines

Records = list[dict[str, Any]]

_SHOWN_EPISODES = 6  # of the first and of the last step
_BLUE, _ORANGE, _GREEN, _GREY = "#1f5fa8", "#d1672b", "#3a8a4f", "#777777"

CHARTS: Sequence[tuple[str, str, str, Sequence[tuple[str, str, str]]]] = (
    # (title, kind of metrics, label of the y axis, [(key, legend, colour)])
    ("Held-out accuracy", "eval", "accuracy", (
        ("sampled_unassisted", "unassisted, sampled", _BLUE),
        ("greedy_unassisted", "unassisted, greedy", _GREEN),
        ("sampled_guided", "guided", _ORANGE))),
    ("Training accuracy", "train", "accuracy", (
        ("unassisted", "unassisted", _BLUE), ("guided", "guided", _ORANGE),
        ("correction_rate", "correction rate", _GREY))),
    ("Reward and mu", "train", "mean reward", (
        ("reward_mean", "mean of attempts", _GREEN), ("mu_1", "mu_1", _BLUE), ("mu_2", "mu_2", _ORANGE))),
    ("Entropy", "train", "nats per token", (("entropy", "policy entropy", _BLUE),)),
    ("Response length", "train", "tokens", (
        ("response_length_mean", "mean", _BLUE), ("response_length_max", "longest", _GREY))),
    ("Loss and gradient", "train", "", (("loss", "loss", _BLUE), ("grad_norm", "gradient norm", _ORANGE))),
    ("Clipping", "train", "share of tokens", (("clip_fraction", "clipped", _BLUE),)),
    ("Sampler and learner", "train", "mean |dlogp|", (("rollout_mismatch", "mismatch", _BLUE),)),
    ("Time of a step", "train", "seconds", (
        ("seconds_rollout", "rollout", _BLUE), ("seconds_learn", "learning", _ORANGE),
        ("seconds_sync", "weight sync", _GREY))),
)  # fmt: skip


def write_report(folder: Path) -> Path:
    """Write `report.html` from the metrics, episodes and configuration of a run folder."""
    metrics = read_lines(folder / METRICS)
    by_kind = {kind: [m for m in metrics if m["kind"] == kind] for kind in ("train", "eval")}
    charts = [
        chart(title, label, by_kind[kind], lines)
        for title, kind, label, lines in CHARTS
        if any(record.get(key) is not None for record in by_kind[kind] for key, _, _ in lines)
    ]
    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    ).get_template("report.html.j2")
    text = page.render(
        name=folder.name,
        steps=by_kind["eval"][-1]["step"] if by_kind["eval"] else 0,
        rows=_table(by_kind["eval"]),
        charts=charts,
        samples=_samples(folder / EPISODES),
        config=(folder / CONFIG).read_text(encoding="utf-8"),
    )
    path = folder / REPORT
    path.write_text(text, encoding="utf-8")
    return path


def chart(title: str, label: str, records: Records, lines: Sequence[tuple[str, str, str]]) -> str:
    """An SVG line chart of metrics over steps, with a band where a metric has _low and _high."""
    figure = Figure(figsize=(4.4, 2.9), layout="constrained")
    axes = figure.subplots()
    for key, legend, colour in lines:
        points = [(r["step"], r[key]) for r in records if r.get(key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), label=legend, color=colour, linewidth=1.4)
        band = [r for r in records if r.get(f"{key}_low") is not None]
        if band:
            steps, lows, highs = ([r[k] for r in band] for k in ("step", f"{key}_low", f"{key}_high"))
            axes.fill_between(steps, lows, highs, color=colour, alpha=0.15, linewidth=0)
    axes.set(title=title, xlabel="step", ylabel=label)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    out = io.StringIO()
    figure.savefig(out, format="svg")
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def _table(evals: Records) -> list[tuple[str, str, str]]:
    if not evals:
        return []

    def cell(record: dict[str, Any], key: str) -> str:
        low, high = record.get(f"{key}_low"), record.get(f"{key}_high")
        interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
        return f"{record[key]:.3f}{interval}"

    names = {
        "sampled_unassisted": "unassisted, sampled",
        "greedy_unassisted": "unassisted, greedy",
        "sampled_guided": "guided",
    }
    return [(name, cell(evals[0], key), cell(evals[-1], key)) for key, name in names.items()]


def _samples(path: Path) -> list[tuple[str, Records]]:
    """Episodes of the first and the last step, guided ones before the others."""
    first: list[str] = []
    last: list[str] = []
    last_step = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            step = int(json.loads(line)["step"])
            if step == 1:
                first.append(line)
            if step > last_step:
                last, last_step = [], step
            last.append(line)
    shown = []
    for title, kept in (("First step", first), (f"Step {last_step}", last)):
        records = [json.loads(line) for line in kept]
        records.sort(key=lambda record: (record["stop"] != "solved", -len(record["attempts"])))
        seen: set[str] = set()
        distinct = [r for r in records if not (r["question_id"] in seen or seen.add(r["question_id"]))]  # type: ignore[func-returns-value]
        guided, alone = distinct[: _SHOWN_EPISODES - 2], distinct[::-1][:2]
        if distinct:
            shown.append((title, guided + alone))
    return shown
