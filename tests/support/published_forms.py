"""Rows in the three forms in which SciKnowEval is published, and files of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from socratic_env.questions.sciknoweval import CLOSING

OPTIONS = {"A": "one", "B": "two\nand a second line", "C": "three", "D": "four"}


def user_text(statement: str, options: Mapping[str, str], closing: str = f"\n{CLOSING}") -> str:
    return f"{statement}\n\n" + "\n".join(f"{letter}: {text}" for letter, text in options.items()) + closing


def paper_row(
    statement: str = "How many?", options: Mapping[str, str] = OPTIONS, answer: str = "B"
) -> dict[str, Any]:
    """A row of the paper's parquet files: `extra_info.question` is cut at a blank line of the statement."""
    cut = statement.split("\n\n")[0] if "\n\n" in statement else user_text(statement, options, "")
    return {
        "data_source": "sciknoweval/physics",
        "prompt": [
            {"role": "system", "content": "Answer."},
            {"role": "user", "content": user_text(statement, options)},
        ],
        "ability": "science",
        "reward_model": {"ground_truth": answer, "style": "rule"},
        "extra_info": {"answer": "", "index": 0, "question": [cut], "split": "train"},
    }


def sdpo_row(
    statement: str = "How many?", options: Mapping[str, str] = OPTIONS, answer: str = "B"
) -> dict[str, Any]:
    """A line of the SDPO authors' files."""
    return {
        "idx": 7,
        "kind": "mcq",
        "dataset": "sciknoweval",
        "answer": answer,
        "prompt": user_text(statement, options),
        "description": statement,
        "system": "Answer.",
    }


def v2_row(
    statement: str = "How many?", options: Mapping[str, str] = OPTIONS, answer: str = "B"
) -> dict[str, Any]:
    """A row of version 2, on the hub and in raw files."""
    return {
        "question": statement,
        "choices": {"text": list(options.values()), "label": list(options)},
        "answerKey": answer,
        "answer": "",
        "type": f"mcq-{len(options)}-choices",
        "domain": "Physics",
        "details": {"level": "L3", "task": "t", "subtask": "s", "source": "SciBench"},
        "prompt": {"default": "Answer."},
    }


FORMS = {"paper": paper_row, "sdpo": sdpo_row, "v2": v2_row}


def write(path: Path, rows: Sequence[Any]) -> Path:
    """A file of rows, in the kind that its suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
