"""Time to make one procedural item, and to load and audit SciKnowEval where its rows are at hand.

Run: SOCRATIC_DATA=folder/of/sciknoweval python -m pytest benchmarks/bench_questions.py
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from socratic_env.questions import load_questions
from socratic_env.questions.audit.findings import audit
from socratic_env.questions.files import scan_path
from socratic_env.questions.procedural import TEMPLATES

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ROWS = Path(os.environ.get("SOCRATIC_DATA", ".")) / "sciknoweval"
real_data = pytest.mark.skipif(not ROWS.is_dir(), reason=f"no rows at {ROWS}; set SOCRATIC_DATA")


@pytest.mark.parametrize("name", sorted(TEMPLATES["procedural"]))
def test_time_of_one_item(benchmark: BenchmarkFixture, name: str) -> None:
    template, numbers = TEMPLATES["procedural"][name], itertools.count()
    question = benchmark(lambda: template.item("train", next(numbers)))
    assert question.solution


@pytest.mark.parametrize("family", sorted(TEMPLATES))
def test_time_of_one_item_of_a_family(benchmark: BenchmarkFixture, family: str) -> None:
    questions, indices = load_questions(family, None, "train"), itertools.count()
    question = benchmark(lambda: questions[next(indices)])
    assert question.solution


@real_data
def test_time_to_load_all_rows(benchmark: BenchmarkFixture) -> None:
    def load() -> int:
        return sum(len(load_questions(ROWS, None, split)) for split in ("train", "test"))

    assert benchmark(load) > 0


@real_data
def test_time_to_audit_all_rows(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: audit(scan_path(ROWS)))
