"""What several commands share: names of specs, the progress bar, text that cannot steer the terminal."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

Spec = str | dict[str, Any]


def name_of(spec: Spec) -> str:
    """A spec in a word or two, without addresses."""
    return spec if isinstance(spec, str) else f"{spec.get('kind')} {spec.get('model', '')}".strip()


def progress_bar() -> Progress:
    """The live display of a long command, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def shown(text: str, style: str = "") -> Text:
    """Text whose control and format characters are spelt out, so that it cannot steer the terminal."""
    spelt = "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf") else f"\\u{ord(c):04x}" for c in text
    )
    return Text(spelt, style)
