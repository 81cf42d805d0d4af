"""What several commands share: specs on a command line, and the progress bar."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from socratic_env.errors import ConfigurationError

Spec = str | dict[str, Any]


def spec_of(text: str, what: str) -> Spec:
    """The name, or the JSON object, that `--<what>` gives."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        spec: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--{what} is no valid JSON: {error}; quote it for the shell") from None
    return spec


def name_of(spec: Spec) -> str:
    """A spec in a word or two, without addresses."""
    return spec if isinstance(spec, str) else f"{spec.get('kind')} {spec.get('model', '')}".strip()


def progress_bar() -> Progress:
    """The live display of a long command, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))
