import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted import Coach, choice_question, exact_means, exact_rewards, right, says, wrong

from socratic_env import SocraticBatch, SocraticVectorEnv, StopReason
from socratic_env.errors import ActionError, ConfigurationError, StepError, TeacherError
from socratic_env.teachers.retry_teacher import RETRY_PROMPT

QUESTIONS = [choice_question(f"q{i}", answer="ABCD"[i % 4]) for i in range(16)]
LIMIT = 5000
"""Characters that a plain dialogue never reaches, and a rambling reply does."""

unhurried = settings(deadline=None, max_examples=60)

SOLVES, FAILS, FAULT, RAMBLES, CUT = "solves", "fails", "fault", "rambles", "cut"


@st.composite
def plans(draw):
    """(K, a plan for each row): what happens at each attempt; the last one ends the episode."""
    k = draw(st.integers(1, 4))
    count = draw(st.integers(1, 8))

    def plan(length, end):
        return [FAILS] * (length - 1) + [end if length < k or end == SOLVES else FAILS]

    ends = st.sampled_from([SOLVES, SOLVES, FAULT, RAMBLES, CUT])
    to_the_end = st.just([FAILS] * k)
    plan_of_row = st.builds(plan, st.integers(1, k), ends) | to_the_end
    return k, draw(st.lists(plan_of_row, min_size=count, max_size=count))


def verdicts(plan):
    return tuple(what == SOLVES for what in plan)


def text(question, what):
    if what == SOLVES:
        return right(question)
    return wrong(question) + "x" * (LIMIT if what == RAMBLES else 0)


def coach_of(plan_of_rows, pause=0.0):
    """A teacher that fails where the plans say so."""
    by_question = {question.id: plan for question, plan in zip(QUESTIONS, plan_of_rows, strict=False)}
    return Coach(lambda question, attempt: by_question[question][attempt - 1] == FAULT, pause)


def open_batch(k, rows, **kwargs):
    kwargs = {"teacher": coach_of(rows), "max_context_chars": LIMIT} | kwargs
    return SocraticBatch(QUESTIONS[: len(rows)], max_attempts=k, **kwargs)


async def take(batch, row, what):
    """One attempt of a row as planned."""
    result = await batch.step(row, text(QUESTIONS[row], what))
    if what == CUT:
        batch.cut(row)
    return result


def turns_of(rows, draw_order):
    """A random order of arrival: (row, what) with each row's own attempts in order."""
    waiting = [iter(plan) for plan in rows]
    order = draw_order([row for row, plan in enumerate(rows) for _ in plan])
    return [(row, next(waiting[row])) for row in order]


def lockstep(k, rows):
    """The rewards of the vector environment, step by step, for the same plans."""
    env = SocraticVectorEnv(
        len(rows), questions=QUESTIONS, teacher=coach_of(rows), max_attempts=k, max_context_chars=LIMIT
    )
    env.reset(options={"question_ids": [question.id for question in QUESTIONS[: len(rows)]]})
    paid = [[] for _ in rows]
    for step in range(max(map(len, rows))):
        whats = [plan[step] if step < len(plan) else None for plan in rows]
        actions = [text(q, what) if what else "" for q, what in zip(QUESTIONS, whats, strict=False)]
        rewards = env.step(actions)[1]
        env.cut([row for row, what in enumerate(whats) if what == CUT])
        for row, what in enumerate(whats):
            if what:
                paid[row].append(float(rewards[row]))
    return paid, [list(episode.rewards) for episode in env.episodes()]


# -- settlement --------------------------------------------------------------------------


@unhurried
@given(plans(), st.data())
def test_settlement_is_exact_in_any_order_of_arrival(plan, data):
    k, rows = plan
    batch = open_batch(k, rows)

    async def arrive():
        for row, what in turns_of(rows, lambda order: data.draw(st.permutations(order))):
            await take(batch, row, what)

    asyncio.run(arrive())
    outcomes = [verdicts(plan) for plan in rows]
    assert batch.done
    for settled, exact in zip(batch.settle(), exact_rewards(k, outcomes), strict=True):
        assert settled == pytest.approx(exact, abs=1e-12)
    assert batch.tracker.means() == pytest.approx([float(mu) for mu in exact_means(k, outcomes)], abs=1e-12)


@pytest.mark.filterwarnings("ignore:a batch of")
@unhurried
@given(plans(), st.randoms(use_true_random=False))
def test_settlement_is_what_the_lockstep_pays(plan, rng):
    k, rows = plan
    batch = open_batch(k, rows)

    async def arrive():
        for row, what in turns_of(rows, lambda order: rng.sample(order, len(order))):
            await take(batch, row, what)

    asyncio.run(arrive())
    paid, settled = lockstep(k, rows)
    assert batch.settle() == settled == paid


@unhurried
@given(plans(), st.data())
def test_provisional_rewards_and_bounds_bracket_the_exact_reward(plan, data):
    k, rows = plan
    batch = open_batch(k, rows)
    provisional = [[] for _ in rows]

    async def arrive():
        for row, what in turns_of(rows, lambda order: data.draw(st.permutations(order))):
            _, reward, *_, info = await take(batch, row, what)
            provisional[row].append((reward, *info["reward_bounds"]))

    asyncio.run(arrive())
    for row, settled in enumerate(batch.settle()):
        for (reward, low, high), exact in zip(provisional[row], settled, strict=True):
            assert reward == low <= exact + 1e-12
            assert exact <= high + 1e-12
        low, high = batch.observe(row)[1]["reward_bounds"]
        assert low == high == settled[-1]


def test_a_late_arrival_raises_the_reward_of_an_early_one():
    batch = SocraticBatch(QUESTIONS[:2])

    async def arrive():
        await batch.step(0, wrong(QUESTIONS[0]))
        _, early, *_, info = await batch.step(0, right(QUESTIONS[0]))
        assert (early, info["reward_bounds"]) == (0.0, (0.0, 0.5))
        await batch.step(1, right(QUESTIONS[1]))

    asyncio.run(arrive())
    assert batch.settle() == [[0.0, 0.5], [1.0]]


@pytest.mark.parametrize(("reward", "settled"), [("full", [0.0, 1.0]), ("constant:0.5", [0.0, 0.5])])
def test_other_schedules_settle_too(reward, settled):
    batch = SocraticBatch(QUESTIONS[:1], reward=reward)

    async def arrive():
        await batch.step(0, wrong(QUESTIONS[0]))
        assert (await batch.step(0, right(QUESTIONS[0])))[1] == settled[1]

    asyncio.run(arrive())
    assert batch.settle() == [settled]


def test_finished_episodes():
    rows = [[SOLVES], [FAILS, SOLVES], [FAILS, FAILS, FAILS], [FAULT], [RAMBLES], [FAILS, CUT]]
    batch = open_batch(3, rows)

    async def arrive():
        return [[await take(batch, row, what) for what in plan] for row, plan in enumerate(rows)]

    results = asyncio.run(arrive())
    episodes = batch.episodes()
    assert [episode.stop for episode in episodes] == [
        StopReason.SOLVED,
        StopReason.SOLVED,
        StopReason.OUT_OF_ATTEMPTS,
        StopReason.TEACHER_FAILED,
        StopReason.CONTEXT_LIMIT,
        StopReason.CONTEXT_LIMIT,
    ]
    assert [len(episode.attempts) for episode in episodes] == [len(plan) for plan in rows]
    assert [list(episode.rewards) for episode in episodes] == batch.settle()
    assert [episode.question for episode in episodes] == QUESTIONS[:6]
    ends = [result[-1][2:4] for result in results]
    assert ends == [(True, False)] * 3 + [(False, True)] * 2 + [(False, False)]
    assert episodes[3].attempts[0].guidance.fault.args == ("no guidance on q3",)


def test_a_row_may_be_cut_before_its_first_attempt():
    batch = SocraticBatch(QUESTIONS[:2], max_attempts=2)
    batch.cut(0)
    asyncio.run(batch.step(1, right(QUESTIONS[1])))
    assert batch.settle() == [[], [1.0]]
    assert batch.tracker.bounds(2) == (1.0, 1.0)


# -- concurrency -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_rows_advance_together_while_the_teacher_sleeps(seed):
    """All rows at once, each at its own pace: the same rewards as in lockstep."""
    rng = random.Random(seed)
    k, rows = 3, []
    for _ in range(16):
        length = rng.randint(1, 3)
        end = rng.choice([SOLVES, SOLVES, FAULT, RAMBLES] if length < 3 else [SOLVES, FAILS])
        rows.append([FAILS] * (length - 1) + [end])
    coach = coach_of(rows, pause=0.001)
    batch = open_batch(k, rows, teacher=coach)

    async def episode(row):
        await asyncio.sleep(rng.random() / 200)
        for what in rows[row]:
            observation, *_, info = await take(batch, row, what)
            assert info["question_id"] == QUESTIONS[row].id
            assert wrong(QUESTIONS[row])[:20] in observation or what == SOLVES

    async def arrive():
        await asyncio.gather(*(episode(row) for row in rng.sample(range(16), 16)))

    asyncio.run(arrive())
    assert coach.peak > 1, "calls overlap: no row waits for another's guidance"
    assert batch.settle() == lockstep(k, rows)[1]


def test_a_row_that_waits_for_guidance_takes_no_answer():
    batch = SocraticBatch(QUESTIONS[:1], teacher=Coach(pause=0.01))

    async def twice():
        return await asyncio.gather(
            *(batch.step(0, wrong(QUESTIONS[0])) for _ in range(2)), return_exceptions=True
        )

    first, second = asyncio.run(twice())
    assert first[-1]["attempt"] == 1
    assert isinstance(second, StepError)
    assert batch.tracker.attempts == [1, 0]


def test_a_cancelled_step_keeps_its_verdict_and_can_be_taken_up_again():
    batch = SocraticBatch(QUESTIONS[:1], teacher=Coach(pause=0.05))

    async def cancelled():
        step = asyncio.create_task(batch.step(0, wrong(QUESTIONS[0])))
        await asyncio.sleep(0.01)
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
        with pytest.raises(StepError, match="waits for guidance"):
            await batch.step(0, right(QUESTIONS[0]))
        await batch.advise([0])
        await batch.step(0, right(QUESTIONS[0]))

    asyncio.run(cancelled())
    assert batch.tracker.attempts == [1, 1]
    assert batch.episodes()[0].stop is StopReason.SOLVED


# -- teachers that fail ------------------------------------------------------------------


def test_one_fault_stops_one_row_only():
    batch = SocraticBatch(QUESTIONS[:8], teacher=Coach(lambda question, _: question == "q2"))

    async def arrive():
        return await asyncio.gather(*(batch.step(row, wrong(QUESTIONS[row])) for row in range(8)))

    truncated = [result[3] for result in asyncio.run(arrive())]
    assert truncated == [row == 2 for row in range(8)]


def test_the_policies_on_faults():
    def first_step(policy):
        batch = SocraticBatch(QUESTIONS[:1], teacher=Coach(lambda *_: True), on_teacher_failure=policy)
        return asyncio.run(batch.step(0, wrong(QUESTIONS[0])))

    assert first_step("truncate")[2:4] == (False, True)
    assert first_step("retry_prompt")[-1]["guidance"] == RETRY_PROMPT
    with pytest.raises(TeacherError, match="no guidance on q0"):
        first_step("raise")


# -- errors ------------------------------------------------------------------------------


def test_settling_before_the_end_is_an_error():
    batch = SocraticBatch(QUESTIONS[:3])
    asyncio.run(batch.step(0, right(QUESTIONS[0])))
    assert not batch.done
    for call in (batch.settle, batch.episodes):
        with pytest.raises(StepError, match=r"2 rows have not ended yet \(the first is row 1\)"):
            call()


def test_stepping_a_row_that_has_ended():
    batch = SocraticBatch(QUESTIONS[:2])
    asyncio.run(batch.step(0, right(QUESTIONS[0])))
    with pytest.raises(StepError, match=r"ended \(solved\)"):
        asyncio.run(batch.step(0, right(QUESTIONS[0])))
    with pytest.raises(StepError, match=r"ended \(solved\) and cannot be cut"):
        batch.cut(0)
    assert batch.tracker.attempts == [1, 0]


@pytest.mark.parametrize("row", [2, -1, 99])
def test_an_unknown_row_is_named(row):
    batch = SocraticBatch(QUESTIONS[:2])
    for call in (lambda: batch.dialogue(row), lambda: batch.observe(row), lambda: batch.cut(row)):
        with pytest.raises(ConfigurationError, match=rf"row {row} is none of the rows 0\.\.1"):
            call()
    with pytest.raises(ConfigurationError, match=rf"row {row} is none"):
        asyncio.run(batch.step(row, "text"))


def test_an_empty_batch_is_refused():
    with pytest.raises(ConfigurationError, match="at least one question"):
        SocraticBatch([])


def test_an_action_that_is_no_text_counts_for_nothing():
    batch = SocraticBatch(QUESTIONS[:1])
    with pytest.raises(ActionError, match="must be a str"):
        asyncio.run(batch.step(0, None))
    assert batch.tracker.attempts == [0, 0]
    assert asyncio.run(batch.step(0, says(QUESTIONS[0], True)))[1] == 1.0
