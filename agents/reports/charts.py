"""Line charts of metrics over steps: records in, the geometry of an SVG out (pixels, y downwards)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT = 380, 200
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 12, 24
"""Margins around the plot."""
MOST_POINTS = 120
"""Longer series are drawn by the means of neighbours."""
_FEW_POINTS = 25
_NOTHING = 1e-300  # a range that is smaller has no ticks: floating point ends there

Records = Sequence[Mapping[str, Any]]
Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class Line:
    """One metric, drawn: an SVG path, the path of its band ("" for none; of a lone point it is the height
    of its interval), its last value, and dots where there are few points."""

    metric: str
    path: str
    band: str
    dots: Sequence[tuple[float, float]]
    last: str


@dataclass(frozen=True)
class Column:
    """What can be read off at one place of the x axis: its left end, middle, width, and text."""

    left: float
    middle: float
    width: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart, ready to be drawn. Ticks are (pixel, label); together: records in one point."""

    lines: Sequence[Line]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    columns: Sequence[Column]
    together: int


@dataclass(frozen=True)
class _Point:
    """A value, with its interval, or its range where records are drawn together."""

    value: float
    low: float
    high: float


def line_chart(records: Records, names: Mapping[str, str], limits: Limits = (None, None)) -> Chart | None:
    """The chart of some metrics over steps; None if no record has a value of them.

    Args:
        records: in the order of their `step`. A value may be missing or None; `<metric>_low` and
            `<metric>_high` are its interval. Beyond MOST_POINTS, neighbours are drawn together: the
            mean of their values, and as a band their range (or the mean of their intervals).
        names: metric -> its name in the chart.
        limits: ends of the y axis where they are fixed; the others are round numbers.
    """
    present = [r for r in records if any(r.get(metric) is not None for metric in names)]
    if not present:
        return None
    together = math.ceil(len(present) / MOST_POINTS)
    groups = [present[i : i + together] for i in range(0, len(present), together)]
    series = {metric: [_point(group, metric) for group in groups] for metric in names}
    drawn = {metric: points for metric, points in series.items() if any(points)}
    values = [v for points in drawn.values() for p in points if p for v in (p.low, p.high)]
    middles = [(group[0]["step"] + group[-1]["step"]) / 2 for group in groups]
    x_low, x_high = present[0]["step"], present[-1]["step"]
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    y_low, y_high, y_size = _ends(min(values), max(values), limits)

    def x(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (step - x_low) / (x_high - x_low), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - y_low) / (y_high - y_low), 1)

    steps = _ticks(x_low, x_high, max(1.0, _round_size(x_low, x_high)))
    digits = 1 + math.floor(math.log10(max(abs(y_low), abs(y_high)))) - math.floor(math.log10(y_size))
    return Chart(
        lines=[_line(metric, points, [x(m) for m in middles], y) for metric, points in drawn.items()],
        x_ticks=[(x(step), f"{step:.0f}") for step in steps],
        y_ticks=[(y(value), number(value, digits)) for value in _ticks(y_low, y_high, y_size)],
        columns=_columns(groups, {names[m]: points for m, points in drawn.items()}, [x(m) for m in middles]),
        together=together,
    )


def number(value: float, digits: int = 3) -> str:
    """A number of so many significant digits, as people read it: 0.0123, 1.5k, 2e-7."""
    size, suffix = next(
        ((size, suffix) for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= size),
        (1.0, ""),
    )
    whole = len(str(round(abs(value / size))))
    mantissa, exponent, power = f"{value / size:.{max(digits, whole)}g}".partition("e")
    return mantissa + (f"e{int(power)}" if exponent else "") + suffix


def _point(group: Records, metric: str) -> _Point | None:
    present = [record for record in group if record.get(metric) is not None]
    if not present:
        return None
    values = [float(record[metric]) for record in present]
    ends = [(record.get(f"{metric}_low"), record.get(f"{metric}_high")) for record in present]
    bounds = [(low, high) for low, high in ends if low is not None and high is not None]
    low = sum(low for low, _ in bounds) / len(bounds) if bounds else min(values)
    high = sum(high for _, high in bounds) / len(bounds) if bounds else max(values)
    return _Point(sum(values) / len(values), low, high)


def _ends(low: float, high: float, limits: Limits) -> tuple[float, float, float]:
    """(low end, high end, distance of ticks) of the y axis."""
    fixed_low, fixed_high = limits
    low, high = low if fixed_low is None else fixed_low, high if fixed_high is None else fixed_high
    largest = max(abs(low), abs(high))
    if high - low <= 1e-6 * largest + _NOTHING:  # a flat line in the middle, or on the ground
        room = largest / 2 if largest > _NOTHING else 1.0
        low, high = low - room * (fixed_low is None), high + room
    size = _round_size(low, high)
    return (
        math.floor(low / size + 1e-9) * size if fixed_low is None else low,
        math.ceil(high / size - 1e-9) * size if fixed_high is None else high,
        size,
    )


def _round_size(low: float, high: float) -> float:
    """1, 2 or 5 times a power of ten, that goes into the range about five times."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _ticks(low: float, high: float, size: float) -> list[float]:
    first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
    return [k * size for k in range(first, last + 1)]


def _line(
    metric: str, points: Sequence[_Point | None], xs: Sequence[float], y: Callable[[float], float]
) -> Line:
    found = [(x, p) for x, p in zip(xs, points, strict=True) if p]
    there = [f"{x} {y(p.high)}" for x, p in found]
    back = [f"{x} {y(p.low)}" for x, p in reversed(found)]
    banded = any(p.high > p.low for _, p in found)
    return Line(
        metric=metric,
        path="M" + "L".join(f"{x} {y(p.value)}" for x, p in found),
        band="M" + "L".join(there + back) + "Z" if banded else "",
        dots=[(x, y(p.value)) for x, p in found] if len(found) <= _FEW_POINTS else [],
        last=number(found[-1][1].value),
    )


def _columns(
    groups: Sequence[Records], points: Mapping[str, Sequence[_Point | None]], xs: Sequence[float]
) -> list[Column]:
    edges = [float(LEFT), *((a + b) / 2 for a, b in pairwise(xs)), float(WIDTH - RIGHT)]
    columns = []
    for i, (group, x) in enumerate(zip(groups, xs, strict=True)):
        first, last = group[0]["step"], group[-1]["step"]
        text = [f"step {first}" if first == last else f"steps {first} to {last}"]
        for name, series in points.items():
            if (p := series[i]) is not None:
                interval = f" [{number(p.low)}, {number(p.high)}]" if p.high > p.low else ""
                text.append(f"{name}: {number(p.value)}{interval}")
        columns.append(Column(edges[i], x, round(edges[i + 1] - edges[i], 2), "\n".join(text)))
    return columns
