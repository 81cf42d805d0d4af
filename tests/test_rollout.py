"""Rollouts: exact ids from end to end, rewards from the environment, clean cuts."""

import asyncio
import random
import threading
import time
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from support.scripted import Coach, choice_question

import socratic_env  # noqa: F401
from agents.batches.curriculum import batch_of_questions
from agents.learning.samples import Completion, Sampling
from agents.metrics import batch_metrics
from agents.rollout import rollout
from agents.runs.evaluator import batch_evaluation, evaluation_metrics
from agents.runs.metric_table import BOUNDS, definition
from socratic_env.errors import StudentError, TeacherFaultWarning
from socratic_env.evaluation.intervals import value
from socratic_env.evaluation.results import result_of
from socratic_env.evaluation.statistics import Evaluation, Standing, faults_of
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.teachers.rule_teacher import RuleTeacher
from socratic_env.types import StopReason, reply


class Scripted:
    """A policy that answers from the environment's own questions; sees only ids."""

    def __init__(self, env, tokenizer, right, max_model_len=512):
        self.env, self.tokenizer, self.max_model_len, self.right = env, tokenizer, max_model_len, right
        self.prompts = []

    def generate(self, prompts, sampling, seed):
        self.prompts.append([list(prompt) for prompt in prompts])
        out = []
        for prompt in prompts:
            text = self.tokenizer.decode(prompt)
            row = next(
                d.question for d in (self.env._open().dialogue(i) for i in range(self.env.num_envs))
                if f"{d.question.text}<|im_end|>" in text
            )  # fmt: skip
            attempt = text.count("<|im_start|>assistant") - 1
            mistake = row.mistakes[0]
            wrong = reply(mistake.reasoning, mistake.answer)
            done = reply(row.solution, row.answer) if self.right(row, attempt) else wrong
            ids = self.tokenizer(done)["input_ids"] + [self.tokenizer.eos_token_id]
            out.append(Completion(ids, [-0.5] * len(ids), True))
        return out

    def load_weights(self, weights): ...

    def close(self): ...


class Free(Scripted):
    """The same, but replies arrive one by one, in an order of chance."""

    def __init__(self, *arguments, fail_at=None, **options):
        super().__init__(*arguments, **options)
        self.luck, self.answered, self.fail_at, self.cancelled = random.Random(0), 0, fail_at, 0

    async def complete(self, prompt, sampling, seed):
        try:
            await asyncio.sleep(self.luck.random() / 100)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.answered += 1
        if self.answered == self.fail_at:
            raise StudentError("the sampler is gone")
        return self.generate([prompt], sampling, seed)[0]


@pytest.fixture
def env():
    made = gym.make_vec("SocraticConcepts-v0", num_envs=16, rollouts_per_question=4, max_attempts=3)
    yield made
    made.close()


def test_prompts_extend_each_other_to_the_id(env, tiny_student):
    _, tokenizer, _ = tiny_student
    policy = Scripted(env, tokenizer, lambda question, attempt: attempt == 2)
    batch = rollout(env, policy, Chat(tokenizer), Sampling(), seed=3)
    assert len(batch.samples) == 48
    by_row = {(s.row, s.attempt): s for s in batch.samples}
    for (row, attempt), sample in by_row.items():
        if attempt > 1:
            before = by_row[row, attempt - 1]
            said = before.prompt + before.response
            assert sample.prompt[: len(said)] == said
        # What the ids say is what the environment's dialogue says.
        attempts = batch.episodes[row].attempts
        assert tokenizer.decode(sample.response, skip_special_tokens=True) == attempts[attempt - 1].text
        if attempt > 1:
            assert attempts[attempt - 2].guidance.text in tokenizer.decode(sample.prompt)
        assert sample.group == row // 4
    assert batch.made == [16, 16, 16]
    assert batch.solved == [0, 0, 16]
    assert batch.mu == [1.0, 0.0, 0.0, 0.0]


def test_prompts_are_the_chat_template_of_the_dialogue(env, tiny_student):
    _, tokenizer, _ = tiny_student
    policy = Scripted(env, tokenizer, lambda question, attempt: attempt == 1)
    rollout(env, policy, Chat(tokenizer), Sampling(), seed=5)
    _, infos = env.reset(seed=5)
    for prompt, messages in zip(policy.prompts[0], infos["messages"], strict=True):
        assert prompt == Chat(tokenizer).prompt(messages)
    guided = tokenizer.decode(policy.prompts[1][0])
    assert guided.endswith("<|im_start|>assistant\n")
    assert guided.count("<|im_end|>") == 3


def test_rewards_and_correctness_come_from_the_environment(env, tiny_student):
    _, tokenizer, _ = tiny_student

    def right(question, attempt):
        return attempt == 2 or len(question.subtask) % 2 == 0

    policy = Scripted(env, tokenizer, right)
    batch = rollout(env, policy, Chat(tokenizer), Sampling(), seed=1)
    for sample in batch.samples:
        expected = batch.mu[sample.attempt - 1] if sample.correct else 0.0
        assert sample.reward == pytest.approx(expected, abs=1e-12)
    assert sum(s.correct for s in batch.samples) == 16


def test_a_prompt_that_does_not_fit_ends_its_episode_after_its_last_verdict(env, tiny_student):
    _, tokenizer, _ = tiny_student
    room = 30  # the first prompts have 10 tokens, the second ones more than 20
    policy = Scripted(env, tokenizer, lambda question, attempt: False, max_model_len=room)
    batch = rollout(env, policy, Chat(tokenizer), Sampling(max_tokens=12), seed=0)
    assert batch.made == [16, 0, 0]
    assert {episode.stop for episode in batch.episodes} == {StopReason.CONTEXT_LIMIT}
    nothing = Scripted(env, tokenizer, lambda question, attempt: False, max_model_len=14)
    batch = rollout(env, nothing, Chat(tokenizer), Sampling(max_tokens=12), seed=0)
    assert batch.samples == []
    assert batch.made == [0, 0, 0]


def mixed(question, attempt):
    return (len(question.text) + attempt) % 3 == 0


def test_not_waiting_changes_no_episode_and_no_reward(env, tiny_student):
    _, tokenizer, _ = tiny_student
    chat = Chat(tokenizer)
    together = rollout(env, Scripted(env, tokenizer, mixed), chat, Sampling(), seed=2)
    free = rollout(env, Free(env, tokenizer, mixed), chat, Sampling(), seed=2)
    assert free.episodes == together.episodes
    assert free.mu == together.mu
    assert free.samples == sorted(together.samples, key=lambda s: (s.row, s.attempt))


class Blocking(RuleTeacher):
    """Computes in the event loop's own thread, and notes the sizes of its calls."""

    def __init__(self):
        self.calls = []

    async def guide(self, requests):
        self.calls.append(len(requests))
        time.sleep(0.02)
        return await super().guide(requests)


def test_a_teacher_that_blocks_is_asked_in_batches_and_changes_nothing(tiny_student):
    _, tokenizer, _ = tiny_student
    chat, teacher = Chat(tokenizer), Blocking()
    env = gym.make_vec(
        "SocraticConcepts-v0", num_envs=64, rollouts_per_question=4, max_attempts=3, teacher=teacher
    )
    together = rollout(env, Scripted(env, tokenizer, mixed), chat, Sampling(), seed=2)
    in_lockstep = teacher.calls[:]
    free = rollout(env, Free(env, tokenizer, mixed), chat, Sampling(), seed=2)
    assert free.episodes == together.episodes
    assert free.mu == together.mu
    assert free.samples == sorted(together.samples, key=lambda s: (s.row, s.attempt))
    one_by_one = teacher.calls[len(in_lockstep) :]
    assert sum(one_by_one) == sum(in_lockstep) > 40
    assert len(one_by_one) < sum(one_by_one) / 2, "what waits goes together"
    env.close()


def test_an_episode_reaches_its_second_attempt_while_others_make_their_first(env, tiny_student):
    _, tokenizer, _ = tiny_student
    seen = []

    class Slow(Free):
        """Row 0 answers last of all."""

        async def complete(self, prompt, sampling, seed):
            first = prompt == Chat(tokenizer).prompt(self.env.batch.observe(0)[1]["messages"])
            row_0 = first and not seen.count("first of the slow")
            if row_0:
                seen.append("first of the slow")
                await asyncio.sleep(0.5)
            seen.append(tokenizer.decode(prompt).count("<|im_start|>assistant"))
            return self.generate([prompt], sampling, seed)[0]

    rollout(env, Slow(env, tokenizer, lambda q, a: False), Chat(tokenizer), Sampling(), seed=2)
    assert seen.index(3) < len(seen) - 3
    assert seen[-3:] == [1, 2, 3]


def test_a_sampler_that_fails_stops_all_rows_and_leaves_no_request(env, tiny_student):
    _, tokenizer, _ = tiny_student
    policy = Free(env, tokenizer, mixed, fail_at=5)
    with pytest.raises(StudentError, match="the sampler is gone"):
        rollout(env, policy, Chat(tokenizer), Sampling(), seed=2)
    assert policy.cancelled + policy.answered >= 16
    assert threading.active_count() < 50
    batch = rollout(env, Scripted(env, tokenizer, mixed), Chat(tokenizer), Sampling(), seed=2)
    assert len(batch.episodes) == 16


class Wordy(Scripted):
    """First answers fill all the tokens that they may have."""

    def generate(self, prompts, sampling, seed):
        said = super().generate(prompts, sampling, seed)
        first = [self.tokenizer.decode(p).count("<|im_start|>assistant") == 1 for p in prompts]
        most = sampling.max_tokens
        return [
            Completion([*c.ids[:-1], *[7] * most][:most], [0.0] * most, False) if long else c
            for c, long in zip(said, first, strict=True)
        ]


class WordyFree(Free, Wordy):
    """The same, one by one."""


@pytest.mark.parametrize("kind", [Wordy, WordyFree])
def test_an_answer_that_fills_the_whole_budget_gets_guidance_and_a_second_attempt(env, tiny_student, kind):
    """As in Table 5: the context holds two responses, and the first one has all of its tokens."""
    _, tokenizer, _ = tiny_student
    longest = 90
    policy = kind(env, tokenizer, lambda question, attempt: attempt == 1, max_model_len=2 * longest)
    batch = rollout(env, policy, Chat(tokenizer), Sampling(max_tokens=longest), seed=3)
    assert (batch.made[:2], batch.solved[1]) == ([16, 16], 16)
    samples = {(s.row, s.attempt): s for s in batch.samples}
    for row in range(16):
        first, second = samples[row, 1], samples[row, 2]
        assert len(first.response) == len(second.prompt) == longest  # the next response has its own room
        kept = len(first.prompt) + 1
        assert second.prompt[:kept] == (first.prompt + first.response)[:kept]
        assert batch.episodes[row].attempts[0].guidance.text in tokenizer.decode(second.prompt)


def test_wrong_answers_can_be_cut_in_the_history(env, tiny_student):
    _, tokenizer, _ = tiny_student
    chat = Chat(tokenizer, history_tokens=7)
    batch = rollout(env, Scripted(env, tokenizer, lambda q, a: a == 1), chat, Sampling(), seed=3)
    first, second = batch.samples[:2]
    assert len(first.response) > 7
    kept = first.response[:3] + first.response[-4:]
    assert second.prompt[: len(first.prompt) + 7] == first.prompt + kept
    # A short answer is kept whole.
    whole = Chat(tokenizer, history_tokens=len(first.response))
    batch = rollout(env, Scripted(env, tokenizer, lambda q, a: a == 1), whole, Sampling(), seed=3)
    assert batch.samples[1].prompt[: len(first.prompt + first.response)] == first.prompt + first.response


def test_evaluation_counts_unassisted_and_guided(env, tiny_student):
    _, tokenizer, _ = tiny_student
    policy = Scripted(env, tokenizer, lambda q, a: a == 1)
    result = batch_evaluation(env, rollout(env, policy, Chat(tokenizer), Sampling(), 0))
    assert result.made_QN.shape == (4, 4)
    assert result.accuracy() == 0.0
    assert result.accuracy(2) == result.accuracy(3) == 1.0
    assert result.correction_rate() == 1.0


def test_training_and_evaluation_count_open_episodes_alike(tiny_student):
    """Half of the questions lose their teacher; the others are solved at the second attempt."""
    _, tokenizer, _ = tiny_student
    coach = Coach(faults=lambda question, attempt: question.endswith(("0", "2", "4", "6", "8")))
    env = gym.make_vec("SocraticSciKnow-v0", num_envs=16, rollouts_per_question=2, questions="concepts",
                       teacher=coach, max_attempts=2)  # fmt: skip
    policy = Scripted(env, tokenizer, lambda question, attempt: attempt == 1)
    with pytest.warns(TeacherFaultWarning):
        batch = rollout(env, policy, Chat(tokenizer), Sampling(), 0)
    metrics, result = batch_metrics(batch), batch_evaluation(env, batch)
    assert 0 < metrics["open"] < 16
    assert metrics["open"] == result.open == sum(faults_of(batch.episodes).values())
    for name, found in (
        ("unassisted", result.solved_within(1)),
        ("guided", result.solved_within(2)),
        ("correction_rate", result.corrections(2)),
    ):
        assert metrics[name] == pytest.approx(value(found.lower))
        assert metrics.get(f"{name}_upper", metrics[name]) == pytest.approx(value(found.upper))
    assert metrics["guided"] == 1 - metrics["open"] / 16
    assert metrics["guided_upper"] == 1.0
    assert "unassisted_upper" not in metrics
    env.close()


def test_every_metric_of_an_evaluation_has_a_definition_and_an_interval():
    rng = np.random.default_rng(0)
    made = rng.integers(1, 5, size=(12, 4))
    standings = [Standing(min(at, 4), at < 4, open=False, told=at) for at in made.ravel().tolist()]
    result = Evaluation.of(standings, 4, 4)
    asked = [replace(choice_question(f"q{i}"), domain=("physics", "biology")[i % 2]) for i in range(12)]
    found = evaluation_metrics("sampled", result_of(result, asked, asked))
    for name, number in found.items():
        if not name.endswith(BOUNDS):
            assert definition(name)
        if not name.endswith((*BOUNDS, "_open")):
            assert found[f"{name}_low"] <= number <= found[f"{name}_high"]
    assert found["sampled_unassisted"] == result.accuracy(1)
    assert found["sampled_within_3"] == result.accuracy(3)
    assert found["sampled_guided"] == result.accuracy(4)
    assert found["sampled_correction_rate_3"] == result.correction_rate(3)
    physics = result.select(range(0, 12, 2))
    assert found["sampled_guided_physics"] == physics.accuracy(4)
    assert found["sampled_unassisted_physics"] == physics.accuracy()
    assert {"sampled_pass_2", "sampled_pass_4", "sampled_within_2"} <= set(found)
    one = evaluation_metrics("greedy", result_of(result.select([0, 2]), asked[:3:2], asked))
    assert not any("physics" in name for name in one)


def test_questions_of_a_step_go_through_the_set_once_an_epoch():
    concepts = load_questions("concepts")
    questions = load_questions([concepts[i] for i in range(30)])
    drawn = [i for step in range(6) for i in batch_of_questions(questions, step, 10, seed=1)]
    assert sorted(drawn[:30]) == sorted(drawn[30:]) == sorted(questions[i].id for i in range(30))
    assert drawn[:30] != drawn[30:]
    assert batch_of_questions(questions, 2, 10, 1) == drawn[20:30]
    assert len(set(batch_of_questions(concepts, 0, 32, 0))) > 28
