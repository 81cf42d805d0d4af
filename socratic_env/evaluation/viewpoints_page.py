"""A knowledge base as people read it: its table, its history, one viewpoint, and the page of it all."""

from __future__ import annotations

import html
from dataclasses import asdict
from typing import Any

from socratic_env.evaluation.html import document, paragraph, table
from socratic_env.evaluation.utility_page import worth
from socratic_env.viewpoints import KnowledgeBase, Trace, Utility, Viewpoint
from socratic_env.viewpoints.knowledge_base import Event

BASE_HEADS = ("viewpoint", "state", "U", "traces", "kind", "where it applies", "teacher", "id")
HISTORY_HEADS = ("#", "time", "event", "viewpoint", "why")
TRACE_HEADS = ("trace", "what the student wrote")
MEASURED_HEADS = ("student", "U", "won/lost", "probes", "set of probes", "beside")


def state(base: KnowledgeBase, viewpoint: Viewpoint) -> str:
    """ "vetoed", "active", or what happened to it last: "proposed", "retired" or "distilled"."""
    if viewpoint.vetoed:
        return "vetoed"
    if viewpoint in base.active:
        return "active"
    ends = [e.what for e in base.history if viewpoint.id in e.ids and e.what in ("retired", "distilled")]
    return ends[-1] if ends else "proposed"


def summary(base: KnowledgeBase) -> str:
    """The base in a line."""
    happened = [event.what for event in base.history]
    return (
        f"{len(base)} viewpoints, {len(base.active)} active, {sum(bool(one.vetoed) for one in base)} vetoed; "
        f"{happened.count('merged')} duplicates merged, {happened.count('measured')} measurements, "
        f"{happened.count('distilled')} distillations."
    )


def base_cells(base: KnowledgeBase, viewpoint: Viewpoint) -> list[str]:
    """A viewpoint's cells under `BASE_HEADS`."""
    teacher = f"{viewpoint.teacher} {viewpoint.teacher_version}".strip()
    return [
        viewpoint.text,
        state(base, viewpoint),
        worth(viewpoint.utility),
        str(len(viewpoint.traces)),
        viewpoint.kind.replace("_", "-"),
        viewpoint.trigger or "everywhere",
        teacher or "-",
        viewpoint.id,
    ]


def history_cells(base: KnowledgeBase, event: Event) -> list[str]:
    """An event's cells under `HISTORY_HEADS`."""
    texts = "; ".join(base[one].text for one in event.ids) or "-"
    why = f"student {event.reason}" if event.what == "distilled" and event.reason else event.reason
    if event.utility is not None:
        student = f", student {event.utility.student}" if event.utility.student else ""
        why = f"U {worth(event.utility)}, {event.utility.n} probes{student}"
    elif event.viewpoint is not None and event.viewpoint.trace is not None:
        why = f"from {where(event.viewpoint.trace)}"
    return [str(event.number), event.time, event.what, texts, why]


def trace_cells(trace: Trace) -> list[str]:
    """A trace's cells under `TRACE_HEADS`."""
    return [where(trace), trace.text or "(not kept)"]


def measured_cells(found: Utility) -> list[str]:
    """A measurement's cells under `MEASURED_HEADS`."""
    won = f"{found.wins}/{found.losses}"
    return [
        found.student or "-",
        worth(found),
        won,
        str(found.n),
        found.probes or "-",
        str(len(found.beside)),
    ]


def where(trace: Trace) -> str:
    """Where a trace is found again."""
    step = "" if trace.step is None else f", step {trace.step}"
    source = f", {trace.source}" if trace.source else ""
    return f"{trace.question_id}, rollout {trace.rollout}, attempt {trace.attempt}{step}{source}"


def details(base: KnowledgeBase, viewpoint: Viewpoint) -> dict[str, Any]:
    """One viewpoint with all that is known of it, ready for JSON."""
    return {
        "id": viewpoint.id,
        "state": state(base, viewpoint),
        **viewpoint.as_json(),
        "traces": [asdict(trace) for trace in viewpoint.traces],
        "measured": [asdict(found) for found in base.measured(viewpoint.id)],
        "history": [event.as_json() for event in base.history if viewpoint.id in event.ids],
    }


def base_page(base: KnowledgeBase, title: str) -> str:
    """The page: the table, each viewpoint with its traces and measurements, and the history."""
    return document(
        title,
        paragraph(summary(base)),
        table(BASE_HEADS, (base_cells(base, one) for one in base), wrap=(0, 5)),
        "<h2>Each viewpoint</h2>",
        *(_section(base, one) for one in base),
        "<h2>History</h2>",
        table(HISTORY_HEADS, (history_cells(base, event) for event in base.history), wrap=(3, 4)),
    )


def _section(base: KnowledgeBase, viewpoint: Viewpoint) -> str:
    head = html.escape(f"{viewpoint.id} ({state(base, viewpoint)}): {viewpoint.text}")
    parts = [f"<details><summary>{head}</summary>"]
    if viewpoint.vetoed:
        parts.append(paragraph(f"Vetoed: {viewpoint.vetoed}"))
    if viewpoint.traces:
        parts.append(table(TRACE_HEADS, map(trace_cells, viewpoint.traces), wrap=(0, 1)))
    else:
        parts.append(paragraph("No trace is kept."))
    measured = base.measured(viewpoint.id)
    if measured:
        parts.append(table(MEASURED_HEADS, map(measured_cells, measured)))
    else:
        parts.append(paragraph("Never measured."))
    return "".join([*parts, "</details>"])
