"""The page of a comparison: what differs, by how much, how it came, and on which questions."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.evaluation.contrasts import Side
from socratic_env.evaluation.html import BRACKETS, document, paragraph, shares, table, warning

METRIC_HEADS = ("side", "metric", "value", "difference, over questions", "over seeds", "seeds")
COLOURS = ("#1f5fa8", "#c2571a", "#3d7d3a", "#8a4fa3", "#a3312f", "#5d6570")
"""Of the sides, in their order, on the whole page."""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 900, 300, 50, 40
_SHOWN = 20
"""Questions shown at most, of those won and of those lost."""


def metric_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """The table for people: one row for each side and metric; differences in points of 100."""
    rows = []
    for place, side in enumerate(found["sides"]):
        for name, metric in side["metrics"].items():
            difference, seeds = "baseline", ""
            if place:
                difference = _points(metric["difference"], metric["difference_interval"])
                seeds = _points(None, metric["seed_interval"])
            rows.append([side["name"], name, shares(metric), difference, seeds, str(len(side["folders"]))])
    return rows


def _points(value: float | None, interval: Sequence[float] | None) -> str:
    text = "" if value is None else f"{100 * value:+.1f} "
    return (
        text + ("-" if interval is None else "[{:+.1f}, {:+.1f}]".format(*(100 * x for x in interval)))
    ).strip()


def page(found: Mapping[str, Any], sides: Sequence[Side]) -> str:
    """The whole page of a `contrasts.contrast`, and of the sides it was made of."""
    names = [side["name"] for side in found["sides"]]
    parts = [
        paragraph(
            f"{found['questions']} questions, the same for all; differences are to {found['baseline']}."
        ),
        *map(warning, found["warnings"]),
        table(METRIC_HEADS, metric_rows(found), wrap=(0,)),
        paragraph(
            f"{BRACKETS} Differences are paired by question, in points of 100. Over seeds: Student's t on "
            "the seeds' differences, where each side has two or more; - says that it is not known.",
            note=True,
        ),
    ]
    curves = [(name, _curves(found, name)) for name in found["sides"][0]["metrics"]]
    if any(picture for _, picture in curves):
        key = "".join(
            f'<span style="white-space:nowrap"><svg width="14" height="14" aria-hidden="true"><rect '
            f'width="14" height="14" fill="{_colour(i)}"/></svg> {html.escape(name)}</span> &nbsp; '
            for i, name in enumerate(names)
        )
        parts += ["<h2>Over the steps</h2>", f"<p>{key}</p>"]
        parts += [f"<h3>{html.escape(name)}</h3>{picture}" for name, picture in curves if picture]
        parts.append(
            paragraph("Bands: 95 % over questions; of several seeds, the widest of their bands.", note=True)
        )
    rows = [[name, *map(str, values)] for name, values in found["settings"].items()]
    parts.append("<h2>Settings that differ</h2>")
    parts.append(table(["setting", *names], rows, wrap=range(len(names) + 1)) if rows else paragraph("None."))
    for side, data in zip(sides[1:], found["sides"][1:], strict=True):
        parts += _questions(side, sides[0], data)
    return document("Comparison", *parts)


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _curves(found: Mapping[str, Any], metric: str) -> str:
    """SVG of the sides' curves over each other; empty where no side has two points."""
    lines = [(i, side["curves"][metric]) for i, side in enumerate(found["sides"])]
    last = max((points[-1]["step"] for _, points in lines if points), default=0)
    if not last or not any(len(points) > 1 for _, points in lines):
        return ""

    def at(step: float, share: float) -> str:
        x = _LEFT + step / last * (_WIDTH - _LEFT - 20)
        return f"{x:.1f},{10 + (1 - share) * (_HEIGHT - _BOTTOM - 10):.1f}"

    marks = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        (x1, y), (x2, _) = at(0, tick).split(","), at(last, tick).split(",")
        marks.append(
            f'<line x1="{x1}" x2="{x2}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 8}" y="{float(y) + 4}" text-anchor="end">{tick:.2f}</text>'
        )
    for step, anchor in ((0, "start"), (last, "end")):
        x = at(step, 0).split(",")[0]
        marks.append(f'<text x="{x}" y="{_HEIGHT - 22}" text-anchor="{anchor}">{step}</text>')
    marks.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 6}" text-anchor="middle">step</text>')
    for place, points in lines:
        low = [at(p["step"], p["interval"][0]) for p in points]
        high = [at(p["step"], p["interval"][1]) for p in points]
        marks.append(
            f'<path d="M{" L".join([*high, *reversed(low)])} Z" fill="{_colour(place)}" opacity="0.15"/>'
            if points
            else ""
        )
    for place, points in lines:
        if points:
            path = " L".join(at(p["step"], p["value"]) for p in points)
            marks.append(
                f'<path class="curve" d="M{path}" fill="none" stroke="{_colour(place)}" stroke-width="2"/>'
            )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" font-size="13" role="img" '
        f'aria-label="{html.escape(metric)} over steps">{"".join(marks)}</svg>'
    )


def _questions(side: Side, base: Side, data: Mapping[str, Any]) -> list[str]:
    parts = [f"<h2>{html.escape(side.name)}: questions won and lost at attempt 1</h2>"]
    if data["unknown"]:
        parts.append(paragraph(f"Open episodes leave {data['unknown']} questions undecided.", note=True))
    kept = any(member.episodes for member in (*side.members, *base.members))
    for kind in ("won", "lost"):
        rows = data[kind]
        parts.append(paragraph(f"{len(rows)} {kind}{f', the first {_SHOWN} shown' * (len(rows) > _SHOWN)}."))
        if not kept:
            if rows:
                text = ", ".join(
                    f"{row['question']} ({100 * row['difference']:+.0f})" for row in rows[:_SHOWN]
                )
                parts.append(paragraph(f"By number: {text}."))
            continue
        for row in rows[:_SHOWN]:
            head = html.escape(f"{row['question']}  {100 * row['difference']:+.0f} points")
            cells = [_dialogues(base, row["question"]), _dialogues(side, row["question"])]
            text = next(
                (
                    r["question"]
                    for s in (side, base)
                    for m in s.members
                    for r in m.episodes.get(row["question"], [])
                ),
                "",
            )
            parts.append(
                f"<details><summary>{head}</summary>{paragraph(text)}"
                f"{table([base.name, side.name], [cells], wrap=(0, 1))}</details>"
            )
    if not kept:
        parts.append(
            paragraph(
                "A training run keeps no dialogues of its held-out questions; evaluations do.", note=True
            )
        )
    return parts


def _dialogues(side: Side, question: str) -> str:
    """All samples of a side on a question, as plain text."""
    said = []
    for member in side.members:
        for record in member.episodes.get(question, []):
            said.append(f"sample {record['sample']}: {record['stop'] or 'open'}")
            for number, attempt in enumerate(record["attempts"], 1):
                mark = "right" if attempt["correct"] else "wrong"
                said.append(f"attempt {number}, {mark} ({attempt['verdict']}):\n{attempt['text']}")
                if attempt["guidance"] or attempt["fault"]:
                    said.append(f"teacher: {attempt['guidance'] or attempt['fault']}")
    return "\n\n".join(said) or "(not played)"
