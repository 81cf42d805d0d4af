"""Batches that are played during the update before them: how old they are, and what runs at the same time."""

import itertools
import threading
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from support.short_runs import run, same_runs
from test_rollout import Scripted

from agents.config import TrainConfig
from agents.options import PolicyLoss
from agents.trainer import train
from socratic_env.errors import ConfigurationError, StudentError
from socratic_env.models.chat import Chat
from socratic_env.records.run_folder import read_lines

CONFIG = TrainConfig(steps=4, questions_per_step=4, rollouts_per_question=4, questions_per_minibatch=2)


class Watched(Scripted):
    """A policy that says when it begins to play a batch, and what it was given last."""

    def __init__(self, env, tokenizer, events):
        turns = itertools.cycle([True, False, False])
        super().__init__(env, tokenizer, lambda question, attempt: next(turns))
        self.events, self.held, self.begun = events, 0, threading.Semaphore(0)
        self.fails_at = None

    def generate(self, prompts, sampling, seed):
        if self.tokenizer.decode(prompts[0]).count("<|im_start|>assistant") == 1:
            self.events.append(("play", self.held))
            self.begun.release()
        return super().generate(prompts, sampling, seed)

    def load_weights(self, weights):
        (self.held,) = [number for _, number in weights]
        self.events.append(("sync", self.held))
        if self.held == self.fails_at:
            raise StudentError("the server is gone")


class Counting:
    """A learner whose weights are the number of its updates. Where `waits`, an update ends once the policy
    plays another batch."""

    def __init__(self, events, policy, waits):
        self.events, self.policy, self.waits, self.made, self.versions = events, policy, waits, 0, []

    def update(self, samples, advantages_B):
        self.made += 1
        self.versions.append({sample.version for sample in samples})
        if self.waits and self.made < CONFIG.steps:
            for _ in range(1 + (self.made == 1)):
                assert self.policy.begun.acquire(timeout=60)
        self.events.append(("update", self.made))
        return {"loss": 0.0, "trained_tokens": 1.0}

    def sampler_weights(self):
        return [("number", self.made)]


class Log:
    def __init__(self):
        self.metrics_of, self.written = {}, []

    def metrics(self, kind, step, values):
        self.metrics_of[step] = values

    def episodes(self, step, episodes, details=None):
        self.written.append(step)


@pytest.fixture
def parts(tiny_student):
    env = gym.make_vec("SocraticConcepts-v0", num_envs=16, rollouts_per_question=4, max_attempts=2)

    def make(staleness):
        events = []
        policy = Watched(env, tiny_student[1], events)
        learner, log = Counting(events, policy, waits=bool(staleness)), Log()
        config = replace(CONFIG, staleness=staleness)
        return train(config, env, policy, Chat(tiny_student[1]), learner, log), policy, learner, log, events

    yield make
    env.close()


def test_without_staleness_each_batch_is_of_the_newest_weights(parts):
    going, _, learner, _, events = parts(0)
    assert [m["staleness"] for m in going] == [0, 0, 0, 0]
    assert learner.versions == [{0}, {1}, {2}, {3}]
    assert [held for name, held in events if name == "play"] == [0, 1, 2, 3]


def test_a_batch_is_played_during_the_update_before_it_and_is_one_update_old(parts):
    going, _, learner, _, events = parts(1)
    assert [m["staleness"] for m in going] == [0, 1, 1, 1]
    assert learner.versions == [{0}, {0}, {1}, {2}]
    assert [held for name, held in events if name == "play"] == [0, 0, 1, 2]
    # No weights change under a batch, and none is played beyond the last step.
    order = [name for name, _ in events]
    assert order == ["play", *["play", "update", "sync"] * 3, "update", "sync"]


def test_nothing_runs_while_a_step_is_looked_at(parts):
    going, _, _, _, events = parts(1)
    next(going)
    seen = list(events)
    assert seen[-1] == ("sync", 1)
    going.close()
    assert events == seen


def test_a_step_whose_weights_cannot_be_sent_is_written_down(parts):
    going, policy, learner, log, _ = parts(0)
    policy.fails_at = 2
    assert len([next(going), next(going)]) == 2
    with pytest.raises(StudentError, match="the server is gone"):
        next(going)
    assert (learner.made, log.written) == (2, [1, 2])


def ones(batch):
    """An advantage for every attempt, so that every step makes an update."""
    return np.ones(len(batch.rewards_N))


def test_a_run_that_overlaps_is_repeatable(tmp_path, tiny_student):
    options = ["--policy", "transformers", "--student", str(tiny_student[2]), "--staleness", "1"]
    options += ["--estimator", "test_overlap:ones"]
    for name in ("one", "two"):
        assert run(tmp_path / name, "--steps", "3", "--lr", "0.01", *options) == 0
    same_runs(tmp_path / "one", tmp_path / "two")
    train_ = [m for m in read_lines(tmp_path / "one" / "metrics.jsonl") if m["kind"] == "train"]
    assert [m["staleness"] for m in train_] == [0, 1, 1]
    # Fresh samples have the learner's own log-probabilities, older ones do not.
    assert train_[0]["rollout_mismatch"] < 1e-3 < train_[2]["rollout_mismatch"]


def test_staleness_without_importance_weights_is_refused():
    with pytest.raises(ConfigurationError, match="staleness is 1 and would have no effect"):
        TrainConfig(staleness=1, loss=PolicyLoss(rollout_is_clip=None))
