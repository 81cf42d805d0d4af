"""Time to make one procedural item, for each template of choice and for the concepts family.

Run: python -m pytest benchmarks/bench_questions.py
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from socratic_env.questions import load_questions
from socratic_env.questions.procedural import TEMPLATES

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


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
