"""Episodes that come one by one: the rules, the rolling rewards, and how they are shared."""

import asyncio
import random

import pytest
from scripted import Coach, right, says, wrong

from socratic_env import SocraticEnv
from socratic_env.dialogue import cut
from socratic_env.errors import ConfigurationError, QuestionError, StepError
from socratic_env.questions import load_questions
from socratic_env.stream import EpisodeStream, rows, shared_stream
from socratic_env.types import StopReason

QUESTIONS = load_questions("procedural")


def play(stream, question, solved_at):
    async def episode():
        dialogue = stream.open(question.id)
        while dialogue.stop is None:
            attempt = len(dialogue.attempts) + 1
            dialogue = await stream.step(dialogue, says(question, attempt == solved_at))
        return dialogue

    return asyncio.run(episode())


def test_rewards_are_those_of_a_lone_environment():
    rng = random.Random(0)
    stream, env = EpisodeStream(max_attempts=3), SocraticEnv(max_attempts=3)
    for number in range(60):
        question, solved_at = QUESTIONS[number], rng.randint(1, 4)
        dialogue = play(stream, question, solved_at)
        env.reset(options={"question_id": question.id})
        paid = [env.step(attempt.text)[1] for attempt in dialogue.attempts]
        assert stream.settle(dialogue) == pytest.approx(paid, abs=1e-12)


def test_schedules_without_decay():
    for spec, expected in (("full", [0.0, 1.0]), ("constant:0.5", [0.0, 0.5])):
        stream = EpisodeStream(reward=spec)
        assert stream.settle(play(stream, QUESTIONS[0], 2)) == expected


def test_metrics_tell_at_which_attempt():
    stream = EpisodeStream(max_attempts=3)
    seen = [stream.metrics(play(stream, QUESTIONS[0], at)) for at in (1, 2, 3, 4)]
    assert [m["attempts"] for m in seen] == [1, 2, 3, 3]
    assert [[m[f"solved_within_{k}"] for k in (1, 2, 3)] for m in seen] == [
        [1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]
    ]  # fmt: skip
    assert all(m["truncated"] == 0 for m in seen)


def test_a_teacher_that_fails_ends_the_episode():
    stream = EpisodeStream(teacher=Coach(lambda *_: True), max_attempts=3)
    dialogue = play(stream, QUESTIONS[0], 3)
    assert dialogue.stop is StopReason.TEACHER_FAILED
    assert stream.settle(dialogue) == [0.0]
    assert stream.metrics(dialogue)["truncated"] == 1.0


def test_settling_waits_for_the_end():
    stream = EpisodeStream()
    dialogue = asyncio.run(stream.step(stream.open(QUESTIONS[0].id), wrong(QUESTIONS[0])))
    with pytest.raises(StepError, match="goes on"):
        stream.settle(dialogue)
    assert stream.settle(cut(dialogue)) == [0.0]
    assert stream.settle(cut(stream.open(QUESTIONS[0].id))) == []


def test_episodes_that_are_given_up_count_with_their_attempts():
    """As those that a lone environment leaves by `reset`."""
    stream, env = EpisodeStream(max_attempts=2), SocraticEnv(max_attempts=2)
    stream.settle(play(stream, QUESTIONS[0], 1))
    env.reset(options={"question_id": QUESTIONS[0].id})
    env.step(right(QUESTIONS[0]))
    for question in (QUESTIONS[n] for n in range(1, 9)):
        dialogue = asyncio.run(stream.step(stream.open(question.id), wrong(question)))
        left = stream.give_up(dialogue)
        assert (left.stop, stream.give_up(left)) == (StopReason.CONTEXT_LIMIT, left)
        stream.give_up(stream.open(question.id))
        env.reset(options={"question_id": question.id})
        env.step(wrong(question))
    late = play(stream, QUESTIONS[9], 2)
    env.reset(options={"question_id": QUESTIONS[9].id})
    paid = [env.step(attempt.text)[1] for attempt in late.attempts]
    assert stream.settle(late) == paid == [0.0, pytest.approx(0.1)]


def test_unknown_questions_arguments_and_counts_are_refused():
    with pytest.raises(ConfigurationError, match=r"unknown argument 'techer'; use one of: .*teacher"):
        EpisodeStream(techer="rule")
    stream = EpisodeStream()
    with pytest.raises(QuestionError, match="no question 'x'"):
        stream.open("x")
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


def test_equal_settings_share_a_stream():
    assert shared_stream({"max_attempts": 3, "teacher": {"kind": "retry"}}) is shared_stream(
        {"teacher": {"kind": "retry"}, "max_attempts": 3}
    )
    assert shared_stream({"max_attempts": 3}) is not shared_stream({"max_attempts": 4})
    with pytest.raises(ConfigurationError, match=r"cannot be shared: .*Coach"):
        shared_stream({"teacher": Coach()})


def test_correct_replies_need_no_teacher():
    coach = Coach()
    stream = EpisodeStream(teacher=coach)
    dialogue = asyncio.run(stream.step(stream.open(QUESTIONS[0].id), right(QUESTIONS[0])))
    assert dialogue.stop is StopReason.SOLVED
    assert coach.calls == []
