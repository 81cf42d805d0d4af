"""Well-known data sets of the hub by one word: where they lie, and which of their columns is what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "gsm8k": {
        "path": "openai/gsm8k",
        "config": "main",
        "split": {"train": "train", "test": "test"},
        "question": "question",
        "answer": {"column": "answer", "after": "####"},
        "solution": {"column": "answer", "before": "####"},
    },
    "math-500": {
        "path": "HuggingFaceH4/MATH-500",
        "split": {"test": "test"},
        "question": "problem",
        "answer": "answer",
        "solution": "solution",
        "subtask": "subject",
        "level": "level",
        "verifier": "math",
    },
    "mmlu": {
        "path": "cais/mmlu",
        "config": "all",
        "split": {"train": "auxiliary_train", "test": "test"},
        "question": "question",
        "options": "choices",
        "answer": {"column": "answer", "as": "index"},
        "subtask": "subject",
    },
    "mmlu-pro": {
        "path": "TIGER-Lab/MMLU-Pro",
        "split": {"train": "validation", "test": "test"},
        "question": "question",
        "options": "options",
        "answer": {"column": "answer_index", "as": "index"},
        "subtask": "category",
        "id": "question_id",
    },
    "arc": {
        "path": "allenai/ai2_arc",
        "config": "ARC-Challenge",
        "split": {"train": "train", "test": "test"},
        "question": "question",
        "options": "choices",
        "answer": {"column": "answerKey", "as": "label"},
        "id": "id",
    },
    "gpqa": {
        "path": "Idavidrein/gpqa",
        "config": "gpqa_diamond",
        "split": {"test": "train"},
        "question": "Question",
        "options": ["Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"],
        "answer": {"column": "Correct Answer", "as": "text"},
        "solution": "Explanation",
        "domain": "High-level domain",
        "subtask": "Subdomain",
        "id": "Record ID",
    },
    "commonsenseqa": {
        "path": "tau/commonsense_qa",
        "split": {"train": "train", "test": "validation"},
        "question": "question",
        "options": "choices",
        "answer": {"column": "answerKey", "as": "label"},
        "subtask": "question_concept",
        "id": "id",
    },
    "scienceqa": {
        "path": "derek-thomas/ScienceQA",
        "split": {"train": "train", "test": "test"},
        "question": "question",
        "context": "hint",
        "options": "choices",
        "answer": {"column": "answer", "as": "index"},
        "solution": "solution",
        "domain": "topic",
        "subtask": "skill",
        "level": "grade",
        "without": "image",
    },
}
"""Word -> options of the source `hub`. Splits: that of an environment -> that of the data set."""
