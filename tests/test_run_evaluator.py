"""Evaluation inside training: which questions it asks, how it samples, what it writes down."""

import json
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.batches.curriculum import batch_of_questions
from agents.learning.samples import Completion
from agents.runs.evaluator import Evaluator
from agents.runs.log import RunLog
from agents.runs.preflight import make_env
from agents.runs.presets import PRESETS
from socratic_env.evaluation import runner
from socratic_env.evaluation.comparison import draw_questions
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.records.run_folder import read_lines
from socratic_env.types import reply

ROWS = [
    {"id": f"q{i}", "question": f"Which one is number {i}?", "options": ["few", "some more", "many"],
     "answer": "ABC"[i % 2], "domain": ("physics", "biology")[i // 4], "subtask": ("motion", "cells")[i // 4]}
    for i in range(6)
]  # fmt: skip
"""Four of physics, two of biology; A is right for every second one."""


class AlwaysA:
    """A policy that answers A, and notes how it was asked to sample."""

    max_model_len = 2048

    def __init__(self, tokenizer):
        self.ids = tokenizer(reply("I guess.", "A"))["input_ids"] + [tokenizer.eos_token_id]
        self.asked, self.seeds = [], []

    def generate(self, prompts, sampling, seed):
        self.seeds.append(seed)
        self.asked += [(tuple(prompt), sampling) for prompt in prompts]
        return [Completion(self.ids, [-0.5] * len(self.ids), True) for _ in prompts]

    def load_weights(self, weights): ...

    def close(self): ...


@pytest.fixture
def evaluated(tmp_path, tiny_student):
    """Evaluate once on the rows; (results, evaluator, policy, run folder)."""
    tokenizer = tiny_student[1]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    opened = []

    def evaluate(distance=None, **settings):
        config = replace(
            PRESETS["tiny"], questions=str(path), teacher="retry", eval_samples=2, run_dir=tmp_path / "run"
        )
        config = replace(config, **settings)
        policy, log = AlwaysA(tokenizer), RunLog(tmp_path / "run", config)
        opened.append(log)
        evaluator = Evaluator(
            config, partial(make_env, config, config.teacher), policy, Chat(tokenizer), log, distance
        )
        opened.append(evaluator)
        return evaluator(0), policy, tmp_path / "run"

    yield evaluate
    for one in opened:
        one.close()


@pytest.mark.parametrize(("wanted", "asked"), [(256, 6), (6, 6), (4, 4)])
def test_no_question_is_asked_twice(evaluated, wanted, asked):
    results, policy, folder = evaluated(eval_questions=wanted, max_attempts=1)
    assert {way: (found["all"]["questions"], found["all"]["episodes"]) for way, found in results.items()} == {
        "sampled": (asked, 2 * asked), "greedy": (asked, asked),
    }  # fmt: skip
    for greedy, samples in ((False, 2), (True, 1)):
        prompts = [prompt for prompt, sampling in policy.asked if (sampling.temperature == 0) is greedy]
        assert sorted(Counter(prompts).values()) == [samples] * asked
    assert [len(r["accuracy"]["1"]) for r in read_lines(folder / "evaluations.jsonl")] == [asked, asked]


def test_the_held_out_questions_and_sampling_go_by_their_own_seed(tiny_student, tmp_path, monkeypatch):
    """Runs of different seeds are paired; another evaluation seed is another set."""
    monkeypatch.setattr(runner, "KNOWN", 16)
    asked = {}
    for seed, eval_seed in ((0, 0), (1000, 0), (0, 1000)):
        folder = tmp_path / f"{seed}-{eval_seed}"
        config = replace(
            PRESETS["tiny"], questions="concepts", teacher="retry", eval_questions=16, eval_samples=1,
            max_attempts=1, seed=seed, eval_seed=eval_seed, run_dir=folder,
        )  # fmt: skip
        policy, log = AlwaysA(tiny_student[1]), RunLog(folder, config)
        evaluator = Evaluator(config, partial(make_env, config, "retry"), policy, Chat(tiny_student[1]), log)
        evaluator(0)
        evaluator.close()
        log.close()
        asked[seed, eval_seed] = policy.asked, policy.seeds
    assert asked[0, 0] == asked[1000, 0]
    (one, seeds), (other, others) = asked[0, 0], asked[0, 1000]
    assert len({prompt for prompt, _ in one} & {prompt for prompt, _ in other}) < 4
    assert not set(seeds) & set(others)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from(["concepts", "procedural"]))
@settings(max_examples=5, deadline=None)
def test_training_and_held_out_questions_are_apart_whatever_the_seeds(seed, eval_seed, name):
    train, test = (load_questions(name, None, split) for split in ("train", "test"))
    trained = [train.find(i) for step in range(3) for i in batch_of_questions(train, step, 32, seed)]
    asked = draw_questions(test, 64, eval_seed)
    assert not {question.text for question in trained} & {question.text for question in asked}
    assert not {question.id for question in trained} & {question.id for question in asked}


def test_sub_tasks_stand_beside_their_best_blind_rule(evaluated):
    """As in `socratic eval`; in the metrics there are the domains only."""
    _, _, folder = evaluated(max_attempts=1)
    for record in read_lines(folder / "evaluations.jsonl"):
        parts = {part["subtask"]: part for part in record["subtasks"]}
        assert [(part["domain"], part["questions"]) for part in record["domains"]] == [
            ("biology", 2), ("physics", 4),
        ]  # fmt: skip
        for name, rows in (("cells", ROWS[4:]), ("motion", ROWS[:4])):
            right = sum(row["answer"] == "A" for row in rows) / len(rows)
            assert parts[name]["unassisted"]["value"] == right
            assert parts[name]["blind"]["accuracy"] >= right
            assert parts[name]["blind"]["chance"] == pytest.approx(1 / 3)
        assert record["all"]["unassisted"]["value"] == 0.5
    (metrics,) = read_lines(folder / "metrics.jsonl")
    assert metrics["sampled_unassisted_physics"] == 0.5
    assert not any("motion" in name for name in metrics)


def test_blind_rules_are_scored_on_questions_that_were_not_asked_too(evaluated):
    _, _, folder = evaluated(eval_questions=2, max_attempts=1)
    all_rows = {"motion": 4, "cells": 2}
    for record in read_lines(folder / "evaluations.jsonl"):
        assert record["all"]["questions"] == 2
        for part in record["subtasks"]:
            assert part["blind"]["rows"] == all_rows[part["subtask"]]


@pytest.mark.parametrize("own", [False, True], ids=["as in training", "in another way"])
def test_the_distance_is_measured_on_responses_sampled_as_in_training(evaluated, own):
    """k1 and k3 estimate the divergence at the training temperature only from tokens drawn there, uncut."""
    measured = []

    def distance(samples):
        measured.extend(samples)
        return {"kl_k1": 0.0}

    settings = {"eval_temperature": 0.6, "eval_top_p": 0.95} if own else {}
    _, policy, folder = evaluated(distance, temperature=0.9, max_attempts=1, **settings)
    drawn = [
        prompt for prompt, sampling in policy.asked if (sampling.temperature, sampling.top_p) == (0.9, 1.0)
    ]
    assert sorted(tuple(sample.prompt) for sample in measured) == sorted(drawn)
    assert len(drawn) == (6 if own else 12)
    (metrics,) = read_lines(folder / "metrics.jsonl")
    assert metrics["response_tokens"] == len(policy.asked) * len(policy.ids)
