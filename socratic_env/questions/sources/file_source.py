"""Questions in files: `questions="rows.jsonl"` is short for {"kind": "file", "path": "rows.jsonl"}."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from socratic_env.questions.files import load_path
from socratic_env.questions.question_set import QuestionList


def file(domain: str | None, split: str, path: str | Path, exclude: Collection[str]) -> QuestionList:
    """The rows of a file, or of the files of a folder, in any known form."""
    return load_path(path, domain, split, exclude)
