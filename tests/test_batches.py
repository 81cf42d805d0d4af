"""Which questions a step asks, and which of their attempts are learnt from and how they are paid."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.few_questions import few_questions
from support.short_runs import run, same_runs
from test_rollout import Scripted

from agents import train
from agents.batches.curriculum import Curriculum, other_questions
from agents.batches.step_batch import joined, mixed_groups, of_mixed_groups, play_step, with_length_penalty
from agents.config import TrainConfig
from agents.learning.samples import RolloutBatch, Sample, Sampling
from socratic_env.errors import ConfigurationError
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.rewards import BatchStatistics, schedule
from socratic_env.types import Attempt, Episode, Question, StopReason, Verdict

GRPO = TrainConfig(
    algorithm="grpo", drop_uniform_groups=True, resample_batches=2, questions_per_step=4,
    questions_per_minibatch=2, rollouts_per_question=4,
)  # fmt: skip


def sample(group, reward, length=1, row=0):
    return Sample(row, group, 1, [0], [1] * length, [0.0] * length, reward > 0, reward)


# -- uniform questions ---------------------------------------------------------------------------


@pytest.fixture
def env():
    made = gym.make_vec("SocraticConcepts-v0", num_envs=16, rollouts_per_question=4, max_attempts=1)
    yield made
    made.close()


class Luck(Scripted):
    """Solves every other rollout of the questions it is unsure of, and all of the others."""

    def __init__(self, env, tokenizer, unsure):
        self.asked = -1
        super().__init__(env, tokenizer, self.decide)
        self.unsure = unsure

    def decide(self, question, attempt):
        self.asked += 1
        return question.id not in self.unsure or self.asked % 2 == 0


def test_further_batches_are_played_until_enough_can_be_learnt_from(env, tiny_student):
    questions = env.questions
    ids = [questions[i].id for i in range(4)]
    second = other_questions(questions, ids, 4, [GRPO.seed, 0, 1])
    policy = Luck(env, tiny_student[1], {ids[0], *second[:3]})
    batch = play_step(GRPO, env, policy, Chat(tiny_student[1]), Sampling(), 0, ids)
    assert len(policy.prompts) == 2  # the first batch had one of four, both together have four
    assert [e.question.id for e in batch.episodes[::4]] == ids + second
    assert mixed_groups(batch.samples) == [0, 4, 5, 6]
    assert {s.group for s in of_mixed_groups(batch.samples, 3)} == {0, 4, 5}
    assert all(batch.episodes[s.row].question.id == (ids + second)[s.group] for s in batch.samples)
    assert (batch.made, batch.solved) == ([32], [24])


def test_no_more_than_the_further_batches_allowed(env, tiny_student):
    policy = Luck(env, tiny_student[1], set())
    ids = [env.questions[i].id for i in range(4)]
    batch = play_step(GRPO, env, policy, Chat(tiny_student[1]), Sampling(), 0, ids)
    assert len(policy.prompts) == 3
    assert len({e.question.id for e in batch.episodes}) == 12


QUESTION = Question(id="q", domain="physics", kind="choice", statement="?", answer="A")


def batch_of(outcomes, K):
    """A batch whose rows have these verdicts."""
    statistics = BatchStatistics(K, len(outcomes))
    for verdicts in outcomes:
        for k, right in enumerate(verdicts, start=1):
            statistics.record(k, right)
        statistics.close(len(verdicts)) if not verdicts[-1] else None
    mu, episodes, samples = statistics.means(), [], []
    for row, verdicts in enumerate(outcomes):
        attempts = tuple(Attempt("-", Verdict(right, "A", "-")) for right in verdicts)
        rewards = tuple(mu[k] * right for k, right in enumerate(verdicts))
        episodes.append(Episode(QUESTION, attempts, rewards, StopReason.SOLVED))
        samples += [
            Sample(row, row // 2, k + 1, [0], [1], [0.0], right, rewards[k])
            for k, right in enumerate(verdicts)
        ]
    return RolloutBatch(samples, episodes, statistics.attempts, statistics.solved, mu)


runs = st.lists(st.sampled_from([(True,), (False, True), (False, False)]), min_size=2, max_size=8)


@given(runs, runs)
def test_two_batches_are_paid_as_one(one, two):
    together = joined(batch_of(one, 2), batch_of(two, 2), schedule("decay"))
    whole = batch_of(one + two, 2)
    assert (list(together.made), list(together.solved)) == (whole.made, whole.solved)
    assert together.mu == pytest.approx(whole.mu)
    assert [s.reward for s in together.samples] == pytest.approx([s.reward for s in whole.samples])
    assert [s.row for s in together.samples] == [s.row for s in whole.samples]
    assert [e.rewards for e in together.episodes] == [pytest.approx(e.rewards) for e in whole.episodes]


# -- long responses ------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(0, 20), st.floats(0, 2))
def test_the_penalty_on_length_is_a_line_that_ends_at_its_full_size(length, buffer, penalty):
    config = replace(TrainConfig(), max_response_tokens=20, overlong_buffer=buffer, overlong_penalty=penalty)
    given_ = [sample(0, 1.0, length)]
    (paid,) = with_length_penalty(given_, config)
    over = max(0, length - (20 - buffer))
    assert paid.reward == pytest.approx(1 - (penalty * over / buffer if buffer else 0))
    assert given_[0].reward == 1.0


def test_settings_without_effect_are_refused():
    with pytest.raises(ConfigurationError, match="resample_batches is 2 and would have no effect"):
        TrainConfig(resample_batches=2)
    with pytest.raises(ConfigurationError, match="overlong_buffer=65 is more than max_response_tokens=64"):
        TrainConfig(overlong_buffer=65)


# -- the curriculum --------------------------------------------------------------------------------


def test_questions_solved_half_the_time_are_drawn_most_often():
    concepts = load_questions("concepts")
    questions = load_questions([concepts[i] for i in range(30)])
    names = [questions[i].id for i in range(30)]
    curriculum = Curriculum.of(questions, 10)
    for _ in range(4):
        curriculum.saw((name, True) for name in names[:10] for _ in range(8))
        curriculum.saw((name, False) for name in names[10:20] for _ in range(8))
        curriculum.saw((name, i % 2 == 0) for name in names[20:] for i in range(8))
    drawn = [name for seed in range(50) for name in curriculum.draw(10, [seed])]
    shares = [np.mean([name in names[i : i + 10] for name in drawn]) for i in (0, 10, 20)]
    assert shares[2] > 2 * max(shares[:2]) > 0
    assert len(set(curriculum.draw(10, [0]))) == 10
    assert curriculum.draw(10, [3]) == curriculum.draw(10, [3])
    assert curriculum.weights().max() == pytest.approx(1.0)


def test_other_questions_are_none_that_were_asked():
    concepts = load_questions("concepts")
    questions = load_questions([concepts[i] for i in range(8)])
    asked = [questions[i].id for i in range(4)]
    others = other_questions(questions, asked, 4, [0])
    assert sorted(asked + others) == sorted(questions[i].id for i in range(8))
    assert other_questions(questions, asked, 5, [0]) == []


def test_a_curriculum_needs_questions_that_come_again():
    concepts = load_questions("concepts")
    few = load_questions([concepts[i] for i in range(8)])
    with pytest.raises(ConfigurationError, match="9 to 100000 questions, and there are 8; leave it out"):
        Curriculum.of(few, 9)


def test_a_run_with_a_curriculum_goes_on_where_it_was(tmp_path, tiny_student):
    options = ["--policy", "transformers", "--student", str(tiny_student[2]), "--curriculum"]
    options += ["--questions", str(few_questions(tmp_path / "few", 12))]
    assert run(tmp_path / "whole", "--steps", "4", *options) == 0
    assert run(tmp_path / "parts", "--steps", "2", *options) == 0
    assert train.main(["--resume", str(tmp_path / "parts"), "--steps", "4"]) == 0
    same_runs(tmp_path / "whole", tmp_path / "parts")
