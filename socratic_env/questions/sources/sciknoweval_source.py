"""SciKnowEval from the hub, through the `datasets` package."""

from __future__ import annotations

from collections.abc import Collection

from socratic_env.questions.files import Contents, check, collect
from socratic_env.questions.hub import fetch
from socratic_env.questions.question_set import QuestionList

HUB_NAME, HUB_CONFIG, HUB_SPLIT = "hicai-zju/SciKnowEval", "v2", "test"
"""What is loaded. The name may be that of a local folder in the hub's layout."""


def sciknoweval(domain: str | None, split: str, exclude: Collection[str] = frozenset()) -> QuestionList:
    """The v2 rows of the hub; they have no training split there, so all serve as `split`."""
    local = "questions=PATH with local parquet or jsonl files works without a network"
    rows = fetch("sciknoweval", HUB_NAME, HUB_CONFIG, HUB_SPLIT, remedy=local)
    contents = Contents()
    collect(((f"row {i}", row) for i, row in enumerate(rows)), "", split, exclude, contents)
    check(HUB_NAME, contents)
    kept = [q for q in contents.questions if domain in (None, q.domain)]
    return QuestionList(kept, f"{HUB_NAME} (domain {domain or 'any'})")
