"""Where real rows lie: outside the project. docs/testing.md says how to get them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL_DATA = Path(os.environ.get("SOCRATIC_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
"""The folder that holds sciknoweval/: $SOCRATIC_DATA, or ../shared/data beside the checkout."""


def has_real_rows() -> bool:
    return (REAL_DATA / "sciknoweval").is_dir()


real_data = pytest.mark.skipif(
    not has_real_rows(),
    reason=f"no real rows at {REAL_DATA}: set SOCRATIC_DATA to the folder that holds sciknoweval/",
)
"""Marks a test of what only real rows can show."""
