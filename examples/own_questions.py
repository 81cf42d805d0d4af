"""Questions of your own: write one JSON object a line, check them, and teach on them.

Run: python examples/own_questions.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import gymnasium as gym

from socratic_env.checks import check_questions
from socratic_env.errors import CheckError
from socratic_env.types import reply

ROWS: list[dict[str, Any]] = [
    {
        "id": "fall",
        "question": "How far does a stone fall in 2 s? Take g = 9.81 m/s^2.",
        "answer": 19.62,
        "unit": "m",
        "rel_tol": 0.01,
        "solution": "s = g t^2 / 2 = 9.81 * 4 / 2 = 19.62 m",
        "mistakes": [
            {
                "answer": 39.24,
                "name": "forgot the half",
                "explain": "The distance of a fall has a factor of one half.",
                "next_step": "Multiply g t^2 by one half.",
            }
        ],
    },
    {
        "id": "pair",
        "question": "Which base pairs with adenine in DNA?",
        "options": ["Uracil", "Thymine", "Guanine"],
        "answer": "B",
        "mistakes": [{"answer": "A", "name": "took the base of RNA", "explain": "That base is in RNA."}],
    },
]


def main() -> None:
    """Check the rows, show what a broken one is told, and play an episode on the first."""
    with tempfile.TemporaryDirectory() as folder:
        good, broken = Path(folder) / "good.jsonl", Path(folder) / "broken.jsonl"
        good.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        check_questions(good)
        print("check_questions: fine")

        broken.write_text(json.dumps(ROWS[0] | {"solution": "s = g t^2 = 39.24 m"}) + "\n")
        try:
            check_questions(broken)
        except CheckError as error:
            print(f"check_questions: {error}")

        env = gym.make("SocraticSciKnow-v0", questions=str(good), reward="constant:0.5")
        env.reset(options={"question_id": "fall"})
        for answer in ("39.24 m", "19.6 m"):
            _, reward, *_, info = env.step(reply("s = g t^2", answer))
            print(f"{answer}: {info['verdict']}, reward {float(reward):g}, guidance: {info['guidance']}")
        env.close()


if __name__ == "__main__":
    main()
