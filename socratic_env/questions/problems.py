"""What is wrong with a row: each problem with its field, its value and a remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]


def is_null(value: Any) -> bool:
    """Whether a value stands for an absent one: null, or the NaN that tables write in its place."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def present(row: Row) -> dict[str, Any]:
    """A row without its null fields."""
    return {field: value for field, value in row.items() if not is_null(value)}


def line_ends(text: str) -> str:
    """A text with its lines ended in the one way, whatever system wrote it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Problems:
    """Collects what is wrong, each with field, value and remedy."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, field: str, value: Any, why: str, remedy: str) -> None:
        """One problem of a field."""
        self.found.append(f"field {field!r} is {value!r:.80}, {why}; {remedy}")

    def text(self, row: Row, field: str, place: str = "", needed: bool = False, default: str = "") -> str:
        """The text of a field; a missing one is the default, unless it is needed."""
        value, name = row.get(field), place + field
        if is_null(value):
            if needed:
                self.found.append(f"field {name!r} is missing; give a text")
            return default
        if not isinstance(value, str):
            self.add(name, value, f"which is {type(value).__name__}, not text", "put it in quotes")
            return default
        try:
            value.encode()
        except UnicodeEncodeError:
            self.add(name, value, "which holds half of a surrogate pair", "write it as Unicode")
            return default
        if needed and not value.strip():
            self.add(name, value, "which is empty", "give a text")
        return line_ends(value)

    def tolerance(self, row: Row, field: str) -> float:
        """A finite number of at least 0; a missing one is 0."""
        value = row.get(field)
        if is_null(value):
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            self.add(field, value, "which is no finite number of at least 0", "give one, such as 0.01")
            return 0.0
        return float(value)

    def misspelt(self, row: Row, known: Iterable[str], place: str = "") -> None:
        """Refuse fields whose name is close to a known one."""
        known = tuple(known)
        for field in row:
            close = get_close_matches(str(field), known, n=1, cutoff=0.8) if field not in known else []
            if close:
                self.add(
                    f"{place}{field}", row[field], "but the schema has no such field", f"is it {close[0]!r}?"
                )
