"""An evaluation as plain data, and its HTML page: one file, its pictures inside."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.evaluation.html import BRACKETS, document, paragraph, shares, table, warning
from socratic_env.evaluation.intervals import RESAMPLES
from socratic_env.evaluation.statistics import Evaluation, grouped, summary
from socratic_env.questions.audit import blind
from socratic_env.types import Question

_WIDTH, _LINE, _LABEL = 900, 26, 300


def result_of(
    evaluation: Evaluation,
    asked: Sequence[Question],
    known: Sequence[Question],
    pass_k: Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """{"all", "domains", "subtasks"}: the `summary` of all questions asked, and of each part; of each
    sub-task also "blind", its best blind rule beside chance.

    known: the questions on which blind rules are scored and the best is picked: more than were asked
    where there are more, since the best of many rules on a few rows is mostly luck.
    """

    def part(rows: Sequence[int], **labels: str) -> dict[str, Any]:
        return {**labels, **summary(evaluation.select(rows), pass_k, resamples, seed)}

    domains = grouped([q.domain for q in asked])
    subtasks = grouped([(q.domain, q.subtask) for q in asked])
    rules = grouped([(q.domain, q.subtask) for q in known])
    return {
        "all": part(range(len(asked))),
        "domains": [part(rows, domain=domain) for domain, rows in domains.items()],
        "subtasks": [
            part(rows, domain=domain, subtask=subtask)
            | {"blind": _best_blind([known[i] for i in rules[domain, subtask]])}
            for (domain, subtask), rows in subtasks.items()
        ],
    }


def _best_blind(rows: Sequence[Question]) -> dict[str, Any] | None:
    """The rule that does best without reading the question; None for numeric answers."""
    ranked = blind.scores(rows)
    if not ranked:
        return None
    best = ranked[0]
    return {"rule": best.rule, "accuracy": best.accuracy, "chance": best.chance, "rows": best.rows}


def parts_of(result: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name, summary) of all, of the domains if there are several, and of the sub-tasks."""
    domains = result["domains"] if len(result["domains"]) > 1 else []
    named = [(part["domain"], part) for part in domains]
    named += [(f"{part['domain']} {part['subtask']}".strip(), part) for part in result["subtasks"]]
    return [("all", result["all"]), *named]


def metrics_of(part: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name, metric) of a summary, as people read it."""
    named = [("avg@n", part["unassisted"])]
    named += [(f"pass@{k}", found) for k, found in part["pass_at"].items()]
    named += [(f"guided <= {k}", found) for k, found in part["guided"].items() if k != "1"]
    named += [(f"corrected at {k}", found) for k, found in part["correction_rate"].items()]
    named += [(f"replies {name}", found) for name, found in part["replies"].items()]
    return named


def blind_cells(part: dict[str, Any], digits: int = 3) -> tuple[str, str]:
    """The best blind rule of a sub-task, and chance."""
    rule = part.get("blind")
    if rule is None:
        return "", ""
    return f"{rule['accuracy']:.{digits}f} {rule['rule']}", f"{rule['chance']:.{digits}f}"


def picture(result: dict[str, Any]) -> str:
    """SVG: unassisted and guided accuracy with intervals, beside blind rules and chance."""
    named = parts_of(result)
    height = _LINE * (len(named) + 2)
    marks = [
        f'<line x1="{_x(tick)}" x2="{_x(tick)}" y1="0" y2="{height - _LINE}" stroke="#ddd"/>'
        f'<text x="{_x(tick)}" y="{height - 8}" text-anchor="middle">{tick:.1f}</text>'
        for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    for line, (name, part) in enumerate(named):
        y = _LINE * (line + 0.7)
        marks.append(f'<text x="{_LABEL - 10}" y="{y + 4}" text-anchor="end">{html.escape(name)}</text>')
        last = part["guided"][max(part["guided"], key=int)]
        if len(part["guided"]) > 1:
            marks.append(_whisker(last, y + 4, "#d1672b"))
        marks.append(_whisker(part["unassisted"], y - 4, "#1f5fa8"))
        if part.get("blind"):
            for share, colour in ((part["blind"]["accuracy"], "#222"), (part["blind"]["chance"], "#aaa")):
                x = _x(share)
                marks.append(
                    f'<line x1="{x}" x2="{x}" y1="{y - 9}" y2="{y + 9}" stroke="{colour}" stroke-width="2"/>'
                )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" font-size="13" role="img" '
        f'aria-label="accuracy by sub-task">{"".join(marks)}</svg>'
    )


def _x(share: float) -> float:
    return round(_LABEL + share * (_WIDTH - _LABEL - 20), 1)


def _whisker(metric: dict[str, Any], y: float, colour: str) -> str:
    if metric["value"] is None or metric["interval"] is None:
        return ""
    low, high = metric["interval"]
    return (
        f'<line x1="{_x(low)}" x2="{_x(high)}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{_x(metric["value"])}" cy="{y}" r="4" fill="{colour}"/>'
    )


def _sent(setting: float | None) -> str:
    return "left to the server" if setting is None else f"{setting}"


def page(result: dict[str, Any]) -> str:
    """The whole page of a result with its settings."""
    whole = result["all"]
    intro = (
        f"{whole['questions']} questions, {result['samples']} samples each, up to {result['max_attempts']} "
        f"attempts; student {result['student']}, teacher {result['teacher']}, protocol {result['protocol']}; "
        f"temperature {_sent(result['temperature'])}, top-p {_sent(result['top_p'])}, seed {result['seed']}."
    )
    names = [name for name, _ in metrics_of(whole)]
    rows = [
        [name, str(part["questions"]), *(shares(m, 2) for _, m in metrics_of(part)), *blind_cells(part, 2)]
        for name, part in parts_of(result)
    ]
    legend = (
        "Blue: unassisted (avg@n). Orange: guided within all attempts. Black: best blind rule. Grey: chance."
    )
    note = (
        f"{BRACKETS} avg@n: mean over questions of the mean over "
        "samples of the first attempt. pass@k: chance that one of k samples is right at the first attempt, "
        "unbiased. Corrected at k: share of the episodes that reach attempt k that solve it there. Replies "
        "cut: those that did not end by themselves, of those of which the model says so; empty: those "
        "without a word. A blind rule answers without reading the question."
    )
    return document(
        "Evaluation",
        paragraph(intro),
        *map(warning, result["warnings"]),
        table(["all questions", "value"], [(name, shares(found)) for name, found in metrics_of(whole)]),
        f"<h2>By sub-task</h2>{picture(result)}",
        paragraph(legend, note=True),
        table(["", "questions", *names, "best blind rule", "chance"], rows),
        paragraph(note, note=True),
    )
