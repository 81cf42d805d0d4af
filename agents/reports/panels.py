"""The charts of a report: each metric in its panel, and in section "Other" what no panel shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from agents.reports import charts
from agents.reports.summary import Spent
from agents.runs.metric_table import FREE, SECTIONS, Panel, declared

OTHER = "Other"
_NO_METRICS = {"kind", "step"}
_FACTS = {field.name for field in fields(Spent)}
"""Metrics of an evaluation whose sums the page shows beside its settings."""
_UNDECLARED = "Logged without a line in agents/runs/metric_table.py."


@dataclass(frozen=True)
class Drawn:
    """A panel with its chart, and (name in the chart, last value, definition) of each line."""

    panel: Panel
    chart: charts.Chart
    legend: Sequence[tuple[str, str, str]]


def draw_all(records: Mapping[str, charts.Records]) -> dict[str, list[Drawn]]:
    """Section -> its charts, of the records of each kind ("train", "eval"); sections without one are left
    out."""
    logged = {kind: _logged(found) for kind, found in records.items()}
    drawn = {
        title: [d for panel in panels if (d := _draw(panel, logged[panel.kind], records[panel.kind]))]
        for title, panels in SECTIONS.items()
    }
    drawn[OTHER] = [d for kind, found in records.items() for d in _others(kind, logged[kind], found)]
    return {title: found for title, found in drawn.items() if found}


def _logged(records: charts.Records) -> list[str]:
    """The metrics that have a value, without the bounds of intervals."""
    names = dict.fromkeys(key for record in records for key, value in record.items() if value is not None)
    pairs = [{f"{name}_low", f"{name}_high"} for name in names]
    bounds = {bound for pair in pairs if pair <= names.keys() for bound in pair}
    return [name for name in names if name not in bounds | _NO_METRICS]


def _draw(panel: Panel, logged: Collection[str], records: charts.Records) -> Drawn | None:
    """The panel's chart; None if the records have none of its metrics."""
    names, meanings = {}, {}
    found = [(name, pair) for name in logged if (pair := declared(name)) is not None]
    for own in panel.metrics:
        for name, (metric, star) in found:
            if metric is own:
                names[name] = own.line.replace("*", star)
                meanings[name] = own.meaning.replace("*", star)
    if not panel.zeros and not any(record.get(name) for record in records for name in names):
        return None
    return _drawn(panel, names, meanings, records)


def _others(kind: str, logged: Collection[str], records: charts.Records) -> list[Drawn]:
    """A chart for each metric that neither a panel of its kind nor a fact of the page shows."""
    shown = {metric for panels in SECTIONS.values() for p in panels if p.kind == kind for metric in p.metrics}
    others = []
    for name in logged:
        found = declared(name)
        if (found is not None and found[0] in shown) or (kind == "eval" and name in _FACTS):
            continue
        meaning = _UNDECLARED if found is None else found[0].meaning.replace("*", found[1])
        panel = Panel(name, "evaluation" if kind == "eval" else "step", (), kind, FREE)
        others += [d for d in [_drawn(panel, {name: name}, {name: meaning}, records)] if d is not None]
    return others


def _drawn(
    panel: Panel, names: Mapping[str, str], meanings: Mapping[str, str], records: charts.Records
) -> Drawn | None:
    chart = charts.line_chart(records, names, panel.limits)
    if chart is None:
        return None
    return Drawn(panel, chart, [(names[x.metric], x.last, meanings[x.metric]) for x in chart.lines])
