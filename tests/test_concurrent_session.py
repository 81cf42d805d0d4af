"""Episodes that come one by one: the rules, the rolling rewards, and how they are shared."""

import asyncio
import random

import pytest
from support.scripted import Coach, right, says, wrong

from socratic_env import SocraticEnv
from socratic_env.dialogue import cut
from socratic_env.engine.concurrent import ConcurrentSession, rows, shared_session
from socratic_env.errors import ConfigurationError, QuestionError, StepError
from socratic_env.questions import load_questions
from socratic_env.types import StopReason

QUESTIONS = load_questions("procedural")


def play(session, question, solved_at):
    async def episode():
        dialogue = session.open(question.id)
        while dialogue.stop is None:
            attempt = len(dialogue.attempts) + 1
            dialogue = await session.step(dialogue, says(question, attempt == solved_at))
        return dialogue

    return asyncio.run(episode())


def test_rewards_are_those_of_a_lone_environment():
    rng = random.Random(0)
    session, env = ConcurrentSession(max_attempts=3), SocraticEnv(max_attempts=3)
    for number in range(60):
        question, solved_at = QUESTIONS[number], rng.randint(1, 4)
        dialogue = play(session, question, solved_at)
        env.reset(options={"question_id": question.id})
        paid = [env.step(attempt.text)[1] for attempt in dialogue.attempts]
        assert session.settle(dialogue) == pytest.approx(paid, abs=1e-12)


def test_schedules_without_decay():
    for spec, expected in (("full", [0.0, 1.0]), ("constant:0.5", [0.0, 0.5])):
        session = ConcurrentSession(reward=spec)
        assert session.settle(play(session, QUESTIONS[0], 2)) == expected


def test_metrics_tell_at_which_attempt():
    session = ConcurrentSession(max_attempts=3)
    seen = [session.metrics(play(session, QUESTIONS[0], at)) for at in (1, 2, 3, 4)]
    assert [m["attempts"] for m in seen] == [1, 2, 3, 3]
    assert [[m[f"solved_within_{k}"] for k in (1, 2, 3)] for m in seen] == [
        [1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]
    ]  # fmt: skip
    assert all(m["truncated"] == 0 for m in seen)


def test_a_teacher_that_fails_ends_the_episode():
    session = ConcurrentSession(teacher=Coach(lambda *_: True), max_attempts=3)
    dialogue = play(session, QUESTIONS[0], 3)
    assert dialogue.stop is StopReason.TEACHER_FAILED
    assert session.settle(dialogue) == [0.0]
    assert session.metrics(dialogue)["truncated"] == 1.0


def test_settling_waits_for_the_end():
    session = ConcurrentSession()
    dialogue = asyncio.run(session.step(session.open(QUESTIONS[0].id), wrong(QUESTIONS[0])))
    with pytest.raises(StepError, match="goes on"):
        session.settle(dialogue)
    assert session.settle(cut(dialogue)) == [0.0]
    assert session.settle(cut(session.open(QUESTIONS[0].id))) == []


def test_episodes_that_are_given_up_count_with_their_attempts():
    """As those that a lone environment leaves by `reset`."""
    session, env = ConcurrentSession(max_attempts=2), SocraticEnv(max_attempts=2)
    session.settle(play(session, QUESTIONS[0], 1))
    env.reset(options={"question_id": QUESTIONS[0].id})
    env.step(right(QUESTIONS[0]))
    for question in (QUESTIONS[n] for n in range(1, 9)):
        dialogue = asyncio.run(session.step(session.open(question.id), wrong(question)))
        left = session.give_up(dialogue)
        assert (left.stop, session.give_up(left)) == (StopReason.CONTEXT_LIMIT, left)
        session.give_up(session.open(question.id))
        env.reset(options={"question_id": question.id})
        env.step(wrong(question))
    late = play(session, QUESTIONS[9], 2)
    env.reset(options={"question_id": QUESTIONS[9].id})
    paid = [env.step(attempt.text)[1] for attempt in late.attempts]
    assert session.settle(late) == paid == [0.0, pytest.approx(0.1)]


def test_unknown_questions_arguments_and_counts_are_refused():
    with pytest.raises(ConfigurationError, match=r"unknown argument 'techer'; use one of: .*teacher"):
        ConcurrentSession(techer="rule")
    session = ConcurrentSession()
    with pytest.raises(QuestionError, match="no question 'x'"):
        session.open("x")
    for count in (0, "3", 1.5, True):
        with pytest.raises(ConfigurationError, match=f"count is {count!r}; give a whole number"):
            rows(QUESTIONS, count)
    with pytest.raises(ConfigurationError, match="count is 2; this set has 1 questions to give"):
        rows([QUESTIONS[0]], 2)


def test_rows_hold_the_prompt_and_no_truth():
    made = rows(QUESTIONS, 20, env_class="socratic")
    assert [row["question_id"] for row in made] == [QUESTIONS[i].id for i in range(20)]
    for row, question in zip(made, (QUESTIONS[i] for i in range(20)), strict=True):
        assert row.keys() == {"prompt", "question_id", "env_class"}
        assert row["prompt"][-1] == {"role": "user", "content": question.text}
        assert question.solution not in str(row)


def test_equal_settings_share_a_session():
    assert shared_session({"max_attempts": 3, "teacher": {"kind": "retry"}}) is shared_session(
        {"teacher": {"kind": "retry"}, "max_attempts": 3}
    )
    assert shared_session({"max_attempts": 3}) is not shared_session({"max_attempts": 4})
    with pytest.raises(ConfigurationError, match=r"cannot be shared: .*Coach"):
        shared_session({"teacher": Coach()})


def test_correct_replies_need_no_teacher():
    coach = Coach()
    session = ConcurrentSession(teacher=coach)
    dialogue = asyncio.run(session.step(session.open(QUESTIONS[0].id), right(QUESTIONS[0])))
    assert dialogue.stop is StopReason.SOLVED
    assert coach.calls == []
