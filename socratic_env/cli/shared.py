"""What several commands share: the name of a spec, and the progress bar."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Spec = str | dict[str, Any]


def name_of(spec: Spec) -> str:
    """A spec in a word or two, without addresses."""
    return spec if isinstance(spec, str) else f"{spec.get('kind')} {spec.get('model', '')}".strip()


def progress_bar() -> Progress:
    """The live display of a long command, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))
