"""`python -m benchmarks.study.page`: tables and figures of the committed results, without running anything.

Writes `page.html` (self-contained) and the tables of `README.md` between its marks.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.study.arms import ARMS, GATES, MAIN_SEEDS, RATE_ARMS, RATES, UNGATED
from benchmarks.study.run import HERE, RESULTS
from benchmarks.study.summary import (
    ARM_HEADS,
    GATE_HEADS,
    Records,
    arm_row,
    compare,
    estimate,
    gate_row,
    of_arm,
)
from socratic_env.evaluation.html import document, paragraph, table
from socratic_env.records.run_folder import read_lines

COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e", "#57606a", "#bf8700", "#0550ae")
WIDTH, LEFT, ROW = 760, 250, 24


def arms_of(records: Records) -> list[str]:
    """Arms that have results, in the order of the study."""
    there = {record["arm"] for record in records}
    return [name for name in ARMS if name in there]


def tables(records: Records) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """(title, heads, rows) of every table."""
    main = [record for record in records if record["seed"] in MAIN_SEEDS]
    made: list[tuple[str, Sequence[str], list[list[str]]]] = [
        ("Accuracy after 100 steps", ARM_HEADS, [arm_row(main, arm) for arm in arms_of(main)])
    ]
    for title, gates in (("Gates, fixed before the runs", GATES), ("Differences without a gate", UNGATED)):
        rows = []
        for gate in gates:
            found = compare(main, gate)
            lacking = [
                gate.arm,
                gate.against,
                gate.at,
                "not run",
                "-",
                "-",
                "open" if gates is GATES else "none",
            ]
            rows.append(lacking if found is None else gate_row(found, gates is GATES))
        made.append((title, GATE_HEADS, rows))
    rates = []
    for arm in RATE_ARMS:
        cells = [of_arm(records, f"{arm}@{rate:g}") for rate in RATES]
        if any(cells):
            texts = [str(estimate([r["unassisted"] for r in c.values()])) if c else "-" for c in cells]
            rates.append([arm, *texts])
    if rates:
        heads = ("arm", *(f"learning rate {rate:g}" for rate in RATES))
        made.append(("Learning rates, seeds 90 to 92", heads, rates))
    return made


def curves(
    records: Records, arms: Sequence[str], title: str, by_tokens: bool = False, unit: str = "steps"
) -> str:
    """Mean unassisted accuracy over steps (or what else the curves count) or student tokens, as an SVG."""
    height, top, bottom, right = 320, 16, 40, 190
    lines: list[tuple[str, np.ndarray, np.ndarray]] = []
    seeds: set[int] = set()
    for arm in arms:
        runs = [record["curve"] for record in records if record["arm"] == arm and len(record["curve"]) > 1]
        if not runs:
            continue
        longest = max(len(run) for run in runs)
        kept = np.array([run for run in runs if len(run) == longest], dtype=float)
        seeds.add(len(kept))
        lines.append((arm, kept[:, :, 1 if by_tokens else 0].mean(0), kept[:, :, 3].mean(0)))
    if not lines:
        return ""
    furthest = max(xs[-1] for _, xs, _ in lines)

    def place(x: float, y: float) -> str:
        at = 48 + (WIDTH - 48 - right) * x / furthest, height - bottom - (height - top - bottom) * y
        return f"{at[0]:.1f},{at[1]:.1f}"

    parts = []
    for tick in np.linspace(0, 1, 6):
        x, y = place(0, tick).split(",")
        parts.append(f'<line x1="{x}" x2="{WIDTH - right}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="40" y="{float(y) + 4:.1f}" text-anchor="end">{tick:.1f}</text>')
    for tick in np.linspace(0, furthest, 6):
        x, y = place(tick, 0).split(",")
        label = f"{tick / 1000:.0f}k" if by_tokens else f"{tick:.0f}"
        parts.append(f'<text x="{x}" y="{float(y) + 16:.1f}" text-anchor="middle">{label}</text>')
    ends: list[float] = []
    for i, (arm, xs, ys) in enumerate(sorted(lines, key=lambda line: -line[2][-1])):
        colour = COLOURS[i % len(COLOURS)]
        points = " ".join(place(x, y) for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        end = max(float(place(xs[-1], ys[-1]).split(",")[1]), ends[-1] + 14 if ends else 0)
        ends.append(end)
        label = html.escape(f"{arm} {ys[-1]:.2f}")
        parts.append(f'<text x="{WIDTH - right + 8}" y="{end + 4:.1f}" fill="{colour}">{label}</text>')
    axis = ("student tokens" if by_tokens else unit) + f" (means over {max(seeds)} seeds)"
    parts.append(f'<text x="{(48 + WIDTH - right) / 2}" y="{height - 4}" text-anchor="middle">{axis}</text>')
    return figure(title, "".join(parts), height)


def dots(records: Records, arms: Sequence[str], title: str, value: str = "unassisted") -> str:
    """Every seed of every arm as a dot, with the mean and its interval, as an SVG."""
    parts, height = [], ROW * len(arms) + 44

    def x(share: float) -> float:
        return round(LEFT + (WIDTH - LEFT - 20) * min(max(share, 0), 1), 1)

    for tick in np.linspace(0, 1, 6):
        parts.append(f'<line x1="{x(tick)}" x2="{x(tick)}" y1="8" y2="{height - 28}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(tick)}" y="{height - 10}" text-anchor="middle">{tick:.1f}</text>')
    for row, arm in enumerate(arms):
        y = 20 + ROW * row
        values = [r[value] for r in of_arm(records, arm).values() if r[value] is not None]
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{html.escape(arm)}</text>')
        if not values:
            parts.append(f'<text x="{LEFT + 8}" y="{y + 4}" fill="#666">not run</text>')
            continue
        found = estimate(values)
        if found.low is not None and found.high is not None:
            parts.append(f'<line x1="{x(found.low)}" x2="{x(found.high)}" y1="{y}" y2="{y}" '
                         'stroke="#0969da" stroke-width="6" stroke-opacity=".35"/>')  # fmt: skip
        parts += [f'<circle cx="{x(v)}" cy="{y}" r="3" fill="#57606a" fill-opacity=".6"/>' for v in values]
        parts.append(f'<line x1="{x(found.mean)}" x2="{x(found.mean)}" y1="{y - 8}" y2="{y + 8}" '
                     'stroke="#0969da" stroke-width="3"/>')  # fmt: skip
    return figure(title, "".join(parts), height)


def figure(title: str, inside: str, height: int) -> str:
    """A heading and a drawing."""
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" font-size="12" font-family="system-ui,sans-serif"'
    return (
        f"<h2>{html.escape(title)}</h2>"
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(title)}" {size}>'
        f"{inside}</svg>"
    )


STORY = (
    "internalise-group",
    "internalise-1",
    "socratic-group",
    "socratic",
    "grpo",
    "no-teacher",
    "reinforce++",
)


def figures(records: Records) -> list[str]:
    """The drawings: learning curves, every seed, ablations, controls."""
    main = [record for record in records if record["seed"] in MAIN_SEEDS]
    there = arms_of(main)
    controls = [
        f"{name}{says}" for name in ("socratic", "internalise-1")
        for says in ("", "-70", "-other-question", "-random", "-never-right")
    ]  # fmt: skip
    return [
        curves(main, STORY, "Unassisted accuracy over steps"),
        curves(main, STORY, "Unassisted accuracy over student tokens", by_tokens=True),
        dots(main, there, "Unassisted accuracy after 100 steps: every seed, mean and 95 % interval"),
        dots(
            main, [arm for arm in there if has_guided(main, arm)], "Guided accuracy after 100 steps", "guided"
        ),
        dots(main, [arm for arm in controls if arm in there], "Information or exploration: what hints say"),
    ]


def has_guided(records: Records, arm: str) -> bool:
    """Whether the arm has a guided accuracy."""
    return any(record["guided"] is not None for record in of_arm(records, arm).values())


def page(records: Records) -> str:
    """The whole page."""
    versions = sorted({record["version"] for record in records})
    seeds = sorted({record["seed"] for record in records})
    parts = [
        paragraph(
            f"{len(records)} records, seeds {', '.join(map(str, seeds))}. Held-out questions; a seed is a "
            "world, its student and the sampling. Intervals are 95 %, Student's t over seeds."
        ),
        *figures(records),
    ]
    for title, heads, cells in tables(records):
        parts += [f"<h2>{html.escape(title)}</h2>", table(heads, cells)]
    parts.append(
        paragraph(f"Code: {', '.join(versions)}. Made by python -m benchmarks.study.page", note=True)
    )
    return document("The learning study", *parts)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))


def with_tables(text: str, records: Records) -> str:
    """The README with its tables made anew."""
    parts = [f"### {title}\n\n{markdown(heads, rows)}" for title, heads, rows in tables(records)]
    made = "\n\n".join(parts)
    return re.sub(
        r"(<!-- tables -->\n).*?(<!-- end of tables -->)",
        lambda match: f"{match[1]}\n{made}\n\n{match[2]}",
        text,
        flags=re.DOTALL,
    )


def first_figure(records: Records) -> str:
    """The drawing of the project's README: a file of its own."""
    main = [record for record in records if record["seed"] in MAIN_SEEDS]
    drawn = dots(main, STORY, "Unassisted accuracy after 100 steps: every seed, mean and 95 % interval")
    return drawn[drawn.index("<svg") :] + "\n"


def main(results: Path = RESULTS, folder: Path = HERE) -> int:
    """Make the page; 0: fine, 2: there are no results."""
    if not results.is_file():
        print(f"error: {results} is not there; run python -m benchmarks.study.run", file=sys.stderr)
        return 2
    records = read_lines(results)
    (folder / "page.html").write_text(page(records), encoding="utf-8")
    (folder / "figure.svg").write_text(first_figure(records), encoding="utf-8")
    readme = folder / "README.md"
    if readme.is_file():
        readme.write_text(with_tables(readme.read_text(encoding="utf-8"), records), encoding="utf-8")
    print(folder / "page.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
