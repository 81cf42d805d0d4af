"""The HTML of a comparison of variants: one file, its plot inside."""

from __future__ import annotations

import html
import io
from types import ModuleType
from typing import Any

from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.html import document, paragraph, shares, table


def need_matplotlib() -> ModuleType:
    """matplotlib's figure module. Raises ConfigurationError with the remedy if it is missing."""
    try:
        import matplotlib.figure
    except ImportError:
        raise ConfigurationError(
            "the plot needs matplotlib: pip install 'socratic-env[agent]', or leave --html out"
        ) from None
    module: ModuleType = matplotlib.figure
    return module


def paired(metric: dict[str, Any], digits: int = 3) -> str:
    """The difference to the baseline with its paired interval."""
    if metric["difference"] is None or metric["difference_interval"] is None:
        return "-"
    low, high = metric["difference_interval"]
    return f"{metric['difference']:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def plot(result: dict[str, Any]) -> str:
    """Guided accuracy and correction rates of all variants with intervals, as SVG text."""
    figure = need_matplotlib().Figure(figsize=(9, 1.2 + 0.55 * len(result["variants"])), layout="constrained")
    axes = figure.add_subplot()
    metrics = ["guided_accuracy", *(f"correction_rate_{k}" for k in range(2, result["max_attempts"] + 1))]
    names = [variant["name"] for variant in result["variants"]]
    for shift, metric in enumerate(metrics):
        for place, variant in enumerate(result["variants"]):
            found = variant["metrics"][metric]
            if found["value"] is None or found["interval"] is None:
                continue
            low, high = found["interval"]
            error = [[max(0.0, found["value"] - low)], [max(0.0, high - found["value"])]]
            where = place + 0.5 * (shift / max(1, len(metrics) - 1) - 0.5)
            label = metric.replace("_", " ") if place == 0 else None
            axes.errorbar(
                found["value"], where, xerr=error, fmt="o", color=f"C{shift}", label=label, capsize=2
            )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)  # room for markers at the ends
    axes.set_xlabel("share, with 95 % bootstrap intervals over questions")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue().partition("<svg")[1] + out.getvalue().partition("<svg")[2]


def page(result: dict[str, Any]) -> str:
    """The whole page."""
    heads = ["variant", "first attempt"]
    heads += [f"corrected at {k}" for k in range(2, result["max_attempts"] + 1)]
    heads += ["guided", f"guided against {result['baseline']}", "leaks", "characters", "teacher tokens"]
    heads += ["cost", "latency (ms)", "faults"]
    rows = []
    for variant in result["variants"]:
        metrics = variant["metrics"]
        cells = [variant["name"], shares(metrics["first_attempt_accuracy"])]
        cells += [shares(metrics[f"correction_rate_{k}"]) for k in range(2, result["max_attempts"] + 1)]
        cells += [shares(metrics["guided_accuracy"]), paired(metrics["guided_accuracy"])]
        length = metrics["guidance_chars"]["value"]
        cells += [shares(metrics["leakage_rate"]), "-" if length is None else f"{length:.0f}"]
        cells += [str(sum(variant["teacher_tokens"])), f"{variant['teacher_cost']:.4f}"]
        cells += [f"{variant['latency_s'] * 1000:.2f}", str(variant["teacher_failures"])]
        rows.append(cells)
    notes = [
        f"<li><b>{html.escape(v['name'])}</b>: {html.escape(v['summary'])}"
        + (f" <i>(here the same as {html.escape(', '.join(v['indistinguishable_from']))})</i>" * same)
        + "</li>"
        for v in result["variants"]
        for same in (bool(v["indistinguishable_from"]),)
    ]
    intro = (
        f"{result['questions']} questions, {result['rollouts']} rollouts each, up to "
        f"{result['max_attempts']} attempts; teacher {result['teacher']}, student {result['student']}, "
        f"seed {result['seed']}."
    )
    brackets = "Brackets: 95 % bootstrap intervals; differences are paired, questions resampled together."
    return document(
        "Variants",
        paragraph(intro),
        plot(result),
        table(heads, rows),
        paragraph(brackets, note=True),
        f"<ul>{''.join(notes)}</ul>",
    )
