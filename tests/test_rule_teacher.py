"""The teachers that need no model: by the misconception table, and the fixed retry prompt."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import pytest
from support.growth import growth, repeated
from support.scripted import request_on, wrong

from socratic_env.dialogue import Rules, answer, open_dialogue
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError
from socratic_env.questions import load_questions
from socratic_env.teachers.retry_teacher import RETRY_PROMPT, RetryTeacher
from socratic_env.teachers.rule_teacher import UNKNOWN_MISTAKE, RuleTeacher, diagnose
from socratic_env.types import Guidance, Question, Usage, reply

SCIENCE = load_questions("procedural", None, "train")
DRILLS = load_questions("concepts", None, "train")


# -- the rule-based teacher --------------------------------------------------------------


@pytest.mark.parametrize("question", [SCIENCE[0], SCIENCE[1], DRILLS[0]], ids=lambda q: q.subtask)
def test_the_rule_teacher_names_the_mistake(question: Question) -> None:
    for which, mistake in enumerate(question.mistakes):
        request = request_on(question, wrong(question, which))
        (guidance,) = run(RuleTeacher().guide([request]))
        assert guidance.fault is None
        assert guidance.mistake == mistake.name
        assert guidance.text == f"{mistake.explain} {mistake.next_step}"


@pytest.mark.parametrize("hints", [("locate",), ("explain",), ("next_step", "locate")])
def test_the_rule_teacher_gives_the_hints_of_the_protocol(hints: tuple[str, ...]) -> None:
    mistake = SCIENCE[0].mistakes[0]
    (guidance,) = run(RuleTeacher().guide([request_on(SCIENCE[0], rule_hints=hints)]))
    assert guidance.text == " ".join(getattr(mistake, hint) for hint in hints)


def test_the_reasoning_counts_more_than_the_answer() -> None:
    """Two mistakes may lead to one answer, or a student may slip again after its mistake."""
    one, other, *_ = SCIENCE[0].mistakes
    (guidance,) = run(RuleTeacher().guide([request_on(SCIENCE[0], reply(one.reasoning, other.answer))]))
    assert guidance.mistake == one.name


def test_two_mistakes_with_one_answer_are_told_apart_by_the_reasoning() -> None:
    pairs = (
        (question, a, b)
        for question in (DRILLS[i] for i in range(200))
        for a in question.mistakes
        for b in question.mistakes
        if a.answer == b.answer and a.reasoning.split("\n")[0] != b.reasoning.split("\n")[0]
    )
    question, *both = next(pairs)
    for mistake in both:
        (guidance,) = run(
            RuleTeacher().guide([request_on(question, reply(mistake.reasoning, mistake.answer))])
        )
        assert guidance.mistake == mistake.name


def test_without_reasoning_the_answer_decides() -> None:
    mistake = SCIENCE[0].mistakes[1]
    (guidance,) = run(RuleTeacher().guide([request_on(SCIENCE[0], f"<answer>\n{mistake.answer}\n</answer>")]))
    assert guidance.mistake == mistake.name


def test_a_number_is_diagnosed_by_its_value() -> None:
    mistake = DRILLS[0].mistakes[0]
    (guidance,) = run(RuleTeacher().guide([request_on(DRILLS[0], f"<answer> {mistake.answer}.0 </answer>")]))
    assert guidance.mistake is not None


def test_a_number_outside_the_table_gets_the_general_hint() -> None:
    (guidance,) = run(RuleTeacher().guide([request_on(DRILLS[0], "<answer>\n12345\n</answer>")]))
    assert (guidance.text, guidance.mistake) == (UNKNOWN_MISTAKE, None)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("", "no answer block"),
        ("I think it is B.", "no answer block"),
        ("<answer>A</answer><answer>B</answer>", "more than one answer block"),
        ("<answer>Z</answer>", "none of the letters A, B, C, D"),
    ],
)
def test_an_unreadable_answer_is_told_why(said: str, says: str) -> None:
    (guidance,) = run(RuleTeacher().guide([request_on(SCIENCE[0], said)]))
    assert says in guidance.text
    assert guidance.text.startswith("No answer could be read from your reply")
    assert guidance.mistake is None


@pytest.mark.parametrize("question", [SCIENCE[2], DRILLS[1]], ids=lambda q: q.subtask)
def test_the_rule_teacher_costs_nothing_and_repeats_itself(question: Question) -> None:
    requests = [request_on(question, wrong(question, which)) for which in range(3)]
    one, other = run(RuleTeacher().guide(requests)), run(RuleTeacher().guide(requests))
    assert one == other
    assert all(guidance.usage == Usage() for guidance in one)


@pytest.mark.parametrize(
    "unit", ["<reasoning>", "<reasoning>\n", "</reasoning>", "\n", "<reasoning></reasoning>"]
)
def test_diagnosis_takes_linear_time(unit: str) -> None:
    def work(text: str) -> None:
        reply = text + "<answer>\nZ\n</answer>"
        diagnose(SCIENCE[0], answer(open_dialogue(SCIENCE[0]), reply, Rules()).attempts[-1])

    assert growth(work, repeated(unit), 400_000) < 8


def test_the_rule_teacher_needs_a_table() -> None:
    RuleTeacher().check(SCIENCE[0])
    with pytest.raises(
        ConfigurationError, match=r"needs a misconception table.*teacher='retry'.*'kind': 'openai'"
    ):
        RuleTeacher().check(replace(SCIENCE[0], mistakes=()))


# -- the fixed retry prompt --------------------------------------------------------------


def test_the_retry_teacher_says_the_same_to_everyone() -> None:
    requests = [request_on(SCIENCE[0]), request_on(DRILLS[0]), request_on(SCIENCE[1], "")]
    assert run(RetryTeacher().guide(requests)) == [Guidance("Your answer is incorrect. Try again.")] * 3
    RetryTeacher().check(replace(SCIENCE[0], mistakes=()))


def test_the_ablation_without_a_teacher_uses_it() -> None:
    env = gym.make("SocraticSciKnow-NoTeacher-v0")
    env.reset(seed=0)
    *_, info = env.step("I do not know.")
    assert info["guidance"] == RETRY_PROMPT
    env.close()
