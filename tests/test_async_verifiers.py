"""Verifiers that are awaited: every face judges as with one that is not, and a fault is never paid."""

import asyncio
import threading
import warnings

import gymnasium as gym
import numpy as np
import pytest
from support.scripted import choice_question, right, wrong

import socratic_env  # noqa: F401
from socratic_env.checks import check_verifier
from socratic_env.dialogue import Rules, answer, open_dialogue
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.concurrent import ConcurrentSession
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.envs.batch import SocraticBatch
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.errors import (
    ConfigurationError,
    StepError,
    StudentError,
    VerifierError,
    VerifierFaultWarning,
    VerifierUnusable,
)
from socratic_env.evaluation.runner import play, run_episodes
from socratic_env.evaluation.scores import Play, Scores
from socratic_env.evaluation.statistics import Standing, faults_of
from socratic_env.rewards import BatchStatistics
from socratic_env.students import Student
from socratic_env.types import StopReason
from socratic_env.verifiers import choice

QUESTIONS = [choice_question(f"q{i}", "ABCD"[i]) for i in range(4)]
quiet = pytest.mark.filterwarnings("ignore::socratic_env.errors.VerifierFaultWarning")


async def slow(question, text):
    await asyncio.sleep(0)
    return choice(question, text)


async def down(question, text):
    raise VerifierError("the judge is down")


def down_at_once(question, text):
    raise VerifierError("the judge is down")


def down_later(question, text):
    """Judges first attempts alone."""
    if "again" in text:
        raise VerifierError("the judge is down")
    return choice(question, text)


class Says(Student):
    """The same text always."""

    def __init__(self, text=None):
        self.text = text

    async def answer(self, requests):
        return [self.text or right(request.question) for request in requests]


def episode(env, texts):
    seen = [env.reset(seed=3, options={"question_id": "q1"})]
    seen += [env.step(text) for text in texts]
    env.close()
    return seen


@pytest.mark.parametrize("texts", [[right(QUESTIONS[1])], [wrong(QUESTIONS[1]), right(QUESTIONS[1])]])
def test_a_single_environment_judges_alike(texts):
    plain, awaited = (
        episode(gym.make("SocraticSciKnow-v0", questions=QUESTIONS, verifier=v), texts)
        for v in (choice, slow)
    )
    assert plain == awaited
    assert awaited[-1][2]


def test_the_rows_of_a_step_are_judged_together():
    together = 0
    meeting = None

    async def all_four(question, text):
        nonlocal together, meeting
        meeting = meeting or asyncio.Event()
        together += 1
        if together == 4:
            meeting.set()
        await asyncio.wait_for(meeting.wait(), 30)
        return choice(question, text)

    env = SocraticVectorEnv(4, questions=QUESTIONS, verifier=all_four)
    env.reset(options={"question_ids": [question.id for question in QUESTIONS]})
    *_, terminated, _, _ = env.step([right(question) for question in QUESTIONS])
    assert terminated.all()


def test_a_verdict_that_is_there_makes_no_trip_to_a_loop(monkeypatch):
    def never(*_):
        raise AssertionError("an event loop was asked")

    for name in ("run", "await_on"):
        monkeypatch.setattr(f"socratic_env.verifiers.verdicts.{name}", never)
    batch = SocraticBatch(QUESTIONS, verifier=choice, teacher="retry")
    batch.answer_all([0, 1], [right(QUESTIONS[0]), wrong(QUESTIONS[1])])
    asyncio.run(batch.judge(2, right(QUESTIONS[2])))
    batch.answer(3, right(QUESTIONS[3]))
    assert [batch.dialogue(row).stop is StopReason.SOLVED for row in range(4)] == [True, False, True, True]


def test_an_asynchronous_batch_and_a_session_judge_on_their_loop():
    async def all_rows():
        batch = SocraticBatch(QUESTIONS, verifier=slow)
        await asyncio.gather(*(batch.step(row, right(question)) for row, question in enumerate(QUESTIONS)))
        session = ConcurrentSession(questions=QUESTIONS, verifier=slow)
        return batch, await session.step(session.open("q2"), right(QUESTIONS[2]))

    batch, dialogue = asyncio.run(all_rows())
    assert batch.done
    assert dialogue.stop is StopReason.SOLVED


def test_a_row_that_is_being_judged_takes_no_other_answer():
    batch = SocraticBatch(QUESTIONS[:1], verifier=slow)

    async def twice():
        return await asyncio.gather(
            *(batch.step(0, wrong(QUESTIONS[0])) for _ in range(2)), return_exceptions=True
        )

    first, second = asyncio.run(twice())
    assert first[-1]["attempt"] == 1
    assert isinstance(second, StepError)
    assert batch.tracker.attempts == [1, 0]


def test_two_agents_judge_alike_and_a_fault_pays_neither():
    pettingzoo = pytest.importorskip("pettingzoo")
    assert pettingzoo
    from socratic_env import multi_agent

    def played(verifier, last):
        env = multi_agent.env(questions=QUESTIONS, verifier=verifier)
        env.reset(seed=1, options={"question_id": "q1"})
        for text in (wrong(QUESTIONS[1]), "Think anew.", last):
            env.step(text)
        return dict(env.rewards), env.infos, dict(env.truncations)

    last = right(QUESTIONS[1])
    assert played(choice, last) == played(slow, last)
    with pytest.warns(VerifierFaultWarning):
        rewards, infos, truncations = played(down_later, f"again {last}")
    assert rewards == {"student_0": 0.0, "teacher_0": 0.0}
    assert all(truncations.values())
    assert {info["verifier_fault"] for info in infos.values()} == {"VerifierError: the judge is down"}


@pytest.mark.parametrize("verifier", [down, down_at_once])
def test_a_fault_ends_the_episode_open_and_is_told(verifier):
    tracker = BatchStatistics(2, 1)
    env = gym.make("SocraticSciKnow-v0", questions=QUESTIONS, verifier=verifier, tracker=tracker)
    env.reset(seed=0)
    with pytest.warns(VerifierFaultWarning, match=r"open.*info\['verifier_fault'\]"):
        _, reward, terminated, truncated, info = env.step(right(env.unwrapped.question))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["verifier_fault"] == "VerifierError: the judge is down"
    assert (info["stop_reason"], info["attempt"], info["correct"]) == ("verifier_failed", 0, False)
    assert tracker.attempts == [0, 0]
    assert tracker.means() == BatchStatistics(2, 1).means()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.reset(options={"tracker": BatchStatistics(2, 1)})
        env.step("once more")  # said once
    env.close()


@quiet
def test_a_row_without_a_verdict_counts_for_nothing_and_the_others_for_all():
    env = SocraticVectorEnv(4, questions=QUESTIONS, verifier=down_later)
    env.reset(options={"question_ids": [question.id for question in QUESTIONS]})
    env.step([wrong(QUESTIONS[0]), *map(right, QUESTIONS[1:])])
    _, rewards, _, truncated, infos = env.step([f"again {right(QUESTIONS[0])}", "", "", ""])
    assert truncated.tolist() == [True, False, False, False]
    assert not np.any(rewards)
    assert infos["verifier_fault"][0] == "VerifierError: the judge is down"
    episodes = env.episodes()
    assert len(episodes[0].attempts) == 1
    assert episodes[0].rewards == (0.0,)
    assert infos["batch"]["attempts"] == [4, 0]
    assert faults_of(episodes) == {"VerifierError": 1}
    assert Standing.of(episodes[0].attempts, episodes[0].stop).open


def test_a_fault_that_may_give_the_answer_away_is_told_by_its_kind():
    async def talkative(question, text):
        raise VerifierError(f"expected option {question.answer}: {question.solution}")

    env = gym.make("SocraticSciKnow-v0", questions=QUESTIONS, verifier=talkative)
    env.reset(seed=0)
    with pytest.warns(VerifierFaultWarning):
        info = env.step("x")[4]
    assert info["verifier_fault"] == "VerifierError (its text may give the answer away)"


@quiet
def test_an_evaluation_keeps_an_episode_that_nobody_could_judge_where_it_was():
    async def unusable(question, text):
        raise VerifierUnusable("no key")

    interaction = GuidedInteraction(EnvArguments(verifier=down))
    opened = interaction.open(QUESTIONS[0])
    left, fault = asyncio.run(play(opened, interaction, Says()))
    assert left is opened
    assert isinstance(fault, VerifierError)
    interaction = GuidedInteraction(EnvArguments(verifier=unusable))
    with pytest.raises(StudentError, match=r"every episode would meet this fault.*no key"):
        asyncio.run(run_episodes([opened] * 3, interaction, Says(), 1, lambda *_: None))
    interaction = GuidedInteraction(EnvArguments(verifier=slow))
    ended, fault = asyncio.run(play(interaction.open(QUESTIONS[0]), interaction, Says()))
    assert (ended.stop, fault) == (StopReason.SOLVED, None)


def test_scores_of_first_attempts_know_no_verdict_from_a_fault():
    plays = [Play(question, 0) for question in QUESTIONS]
    scores = asyncio.run(Scores().of(Says(right(QUESTIONS[1])), "", plays, slow))
    assert list(scores.values()) == [0.0, 1.0, 0.0, 0.0]
    assert set(asyncio.run(Scores().of(Says("x"), "", plays, down)).values()) == {None}


def test_the_pure_rules_refuse_what_they_cannot_await():
    def later(question, text):
        return "soon"

    with pytest.raises(ConfigurationError, match="no Verdict"):
        answer(open_dialogue(QUESTIONS[0]), "x", Rules(verifier=later))


def test_many_threads_may_judge_at_once():
    found = []

    def work():
        interaction = GuidedInteraction(EnvArguments(verifier=slow))
        found.extend(interaction.answer(interaction.open(q), right(q)).stop for q in QUESTIONS)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [StopReason.SOLVED] * 32


def test_the_check_of_verifiers_takes_one_that_is_awaited():
    async def quick(question, text):
        return choice(question, text)

    check_verifier(quick, [choice_question("a", "A", "AB")])
    with pytest.raises(Exception, match="the judge is down"):
        check_verifier(down, QUESTIONS)
