"""Teaching prompts side by side, one of them your own, on the same questions and chances.

With the rule-based teacher and a scripted student it takes seconds and no model: what differs is which
hints a protocol gives (`rule_hints`). For real models give run_variant a teacher such as
{"kind": "openai", "base_url": ..., "model": ...} and a student from `student_from_spec`.

Run: python examples/compare_prompts.py
"""

from __future__ import annotations

import asyncio

from socratic_env.evaluation.comparison import draw_questions, report, run_variant
from socratic_env.protocols import parse_protocol, protocol
from socratic_env.questions import load_questions
from socratic_env.students.scripted_student import ScriptedStudent

MINE = """\
---
summary: where to look, and a question on it
dialogue: last
ground_truth: false
reference_solution: false
max_guidance_chars: 400
rule_hints: [locate, ask]
on_leak: replace
---
The student's answer is incorrect. Say which step to look at again, and ask one question about it.
Name no option and no value.

Question:
{question}

Student's latest answer:
{student_answer}
"""


def main() -> None:
    """Run three protocols on 40 questions, and print how many episodes end solved."""
    protocols = [protocol("fixed_retry"), parse_protocol("mine", MINE), protocol("paper")]
    questions = draw_questions(load_questions("procedural", split="test"), number=40, seed=0)
    student = ScriptedStudent(seed=0)
    runs = [asyncio.run(run_variant(each, questions, student, rollouts=4)) for each in protocols]
    result = report(runs, baseline="fixed_retry", max_attempts=3)
    print(f"solved within {result['max_attempts']} attempts, {result['questions']} questions x 4 rollouts")
    for variant in result["variants"]:
        guided = variant["metrics"]["guided_accuracy"]
        low, high = guided["difference_interval"]
        against = f"{guided['difference']:+.2f} [{low:+.2f}, {high:+.2f}] against {result['baseline']}"
        print(f"{variant['name']:<12} {guided['value']:.2f}   {against}")


if __name__ == "__main__":
    main()
