"""A folder of few questions of one's own, with solutions and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

from socratic_env.questions import load_questions

MISTAKE = ("answer", "name", "reasoning", "explain", "next_step")


def few_questions(folder: Path, count: int = 64) -> Path:
    """`train.jsonl` and `test.jsonl` of a folder, with so many questions of the concept drills each."""
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        questions = load_questions("concepts", None, split)
        rows = [
            {
                "question": question.statement,
                "answer": question.answer,
                "subtask": question.subtask,
                "solution": question.solution,
                "mistakes": [
                    {key: getattr(mistake, key) for key in MISTAKE} for mistake in question.mistakes
                ],
            }
            for question in (questions[index] for index in range(count))
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
