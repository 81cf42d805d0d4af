"""What the HTML pages of the commands share: one file each, style and pictures inside."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence
from typing import Any

BRACKETS = (
    "Brackets: 95 % intervals over questions, by the bootstrap, and by Wilson where hardly a question "
    "differs from the others; open episodes count as unsolved at the low end and as solved at the high one."
)
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:80em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}.note{color:#666}"
    ".loud{color:#a92f22;font-weight:600}.scroll{overflow-x:auto}.scroll td,.scroll th{white-space:nowrap}"
    ".scroll .wrap{white-space:pre-wrap;overflow-wrap:anywhere;min-width:16em;text-align:left}"
    ".scroll{margin:.6em 0}details{margin:.6em 0}summary{cursor:pointer}"
)


def document(title: str, *parts: str) -> str:
    """A whole page of parts that are HTML already."""
    title = html.escape(title)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>{''.join(parts)}</html>\n"
    )


def paragraph(text: str, note: bool = False) -> str:
    """A paragraph of plain text."""
    return f"<p{' class=note' * note}>{html.escape(text)}</p>"


def warning(text: str) -> str:
    """A paragraph of plain text that stands out."""
    return f"<p class=loud>{html.escape(text)}</p>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], wrap: Collection[int] = ()) -> str:
    """A table of plain texts. wrap: the columns (from 0) of long ones, which are broken into lines."""
    lines = [_row("th", heads, wrap), *(_row("td", row, wrap) for row in rows)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _row(tag: str, cells: Sequence[str], wrap: Collection[int]) -> str:
    marked = (f"{tag}{' class=wrap' * (place in wrap)}" for place in range(len(cells)))
    return (
        "<tr>"
        + "".join(f"<{m}>{html.escape(c)}</{tag}>" for m, c in zip(marked, cells, strict=True))
        + "</tr>"
    )


def shares(metric: dict[str, Any], digits: int = 3) -> str:
    """A metric with its interval, as people read it: 0.500 up to 0.750 [0.412, 0.811] where some is open."""
    if metric["value"] is None:
        return "-"
    text = f"{metric['value']:.{digits}f}"
    if metric["open"]:
        text += f" up to {metric['upper']:.{digits}f}"
    if metric["interval"] is None:
        return text
    low, high = metric["interval"]
    return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"
