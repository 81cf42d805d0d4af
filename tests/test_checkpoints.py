"""Which checkpoints stay, saving while training goes on, and the end of a run that gets no better."""

import json
import threading
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from support.short_runs import run, same_runs
from transformers import AutoTokenizer

from agents import train
from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.options import TinyStudent
from agents.policies.transformers_policy import TransformersPolicy
from agents.runs.best import best_step, stalled
from agents.runs.checkpoint import CheckpointError, Checkpoints, latest_checkpoint
from agents.warm_start.tiny import make_model
from socratic_env.errors import StudentError
from socratic_env.records.run_folder import read_lines


def folders(place):
    return sorted(int(path.name.removeprefix("step-")) for path in (place / "checkpoints").iterdir())


def steps_of(folder, kind):
    return [m["step"] for m in read_lines(folder / "metrics.jsonl") if m["kind"] == kind]


@pytest.fixture(scope="module")
def small(tiny_student):
    """The status of a short run; with learning rate 0 all its evaluations are the same."""

    def go(folder, *options):
        fixed = ["--policy", "transformers", "--student", str(tiny_student[2]), "--save-every", "1"]
        return run(folder, *fixed, *options)

    return go


def test_saving_and_evaluating_go_their_own_ways(tmp_path, small):
    options = ["--steps", "3", "--eval-every", "2", "--keep-last", "2", "--keep-best", "--lr", "0"]
    assert small(tmp_path / "run", *options) == 0
    assert steps_of(tmp_path / "run", "eval") == [0, 2, 3]
    assert folders(tmp_path / "run") == [0, 2, 3]  # the best one, of like ones the first; and the last two


def test_a_run_that_gets_no_better_ends_and_can_go_on(tmp_path, small, capsys):
    folder = tmp_path / "run"
    options = ["--steps", "9", "--save-every", "9", "--eval-every", "1", "--early-stopping", "2"]
    assert small(folder, "--lr", "0", *options) == 0
    assert "ended early: no better unassisted accuracy in the last 2 evaluations" in capsys.readouterr().err
    assert steps_of(folder, "train") == [1, 2]
    assert folders(folder) == [2]
    assert train.main(["--resume", str(folder)]) == 0
    assert steps_of(folder, "train") == [1, 2]
    assert train.main(["--resume", str(folder), "--early-stopping", "0", "--steps", "3"]) == 0
    assert steps_of(folder, "train") == [1, 2, 3]


def test_checkpoints_written_in_the_background_are_the_same(tmp_path, small):
    assert small(tmp_path / "at once", "--steps", "2") == 0
    assert small(tmp_path / "beside", "--steps", "2", "--save-in-background") == 0
    same_runs(tmp_path / "at once", tmp_path / "beside")
    settings = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("at once", "beside")]
    assert [each["save_in_background"] for each in settings] == [False, True]


# -- writing while training goes on ------------------------------------------------------------


class Waiting:
    """A tokenizer that is written once it may be."""

    def __init__(self, tokenizer):
        self.tokenizer, self.may = tokenizer, threading.Event()

    def save_pretrained(self, folder):
        assert self.may.wait(60)
        self.tokenizer.save_pretrained(folder)


@pytest.fixture
def saving(tmp_path, tiny_student):
    """(checkpoints, learner, tokenizer that waits)."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_student[2])
    model = make_model(TinyStudent(), tokenizer, 0)
    learner = Learner(model, tokenizer.pad_token_id, replace(TrainConfig(), save_in_background=True))
    waiting = Waiting(tokenizer)
    made = Checkpoints(tmp_path / "checkpoints", model, waiting, learner, None)
    yield made, learner, waiting
    waiting.may.set()
    made.close()


def test_what_is_saved_is_the_moment_of_saving(saving, tmp_path):
    checkpoints, learner, waiting = saving
    before = {name: tensor.clone() for name, tensor in learner.weights().items()}
    for parameter in learner.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    learner.optimizer.step()
    moments = learner.optimizer.state[next(iter(learner.model.parameters()))]["exp_avg"]
    trained = {name: tensor.clone() for name, tensor in learner.weights().items()}
    checkpoints.save(3)
    moments.zero_()
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.zero_()
    assert latest_checkpoint(tmp_path / "checkpoints") is None  # it is not whole yet
    waiting.may.set()
    checkpoints.wait()
    place = latest_checkpoint(tmp_path / "checkpoints")
    assert place == checkpoints.place
    saved = load_file(place / "model.safetensors")
    assert all(torch.equal(saved[name], trained[name]) for name in saved)
    assert any(not torch.equal(saved[name], before[name]) for name in saved)
    states = torch.load(place / "trainer.pt", weights_only=True)["optimizer"]["state"].values()
    assert all(float(state["exp_avg"].abs().sum()) > 0 for state in states)


def test_a_checkpoint_that_could_not_be_written_is_said_at_the_next(saving, tmp_path):
    checkpoints, _, waiting = saving
    waiting.may.set()
    (tmp_path / "checkpoints").write_text("no folder")
    checkpoints.save(1)
    with pytest.raises(CheckpointError, match=r"step-000001 cannot be written"):
        checkpoints.save(2)


# -- the best one ------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]), max_size=8))
def test_the_best_evaluation_is_the_first_that_none_is_better_than(scores):
    records = [{"kind": "eval", "step": 2 * i, "sampled_unassisted": score} for i, score in enumerate(scores)]
    records.insert(0, {"kind": "train", "step": 1, "sampled_unassisted": 2.0})
    known = [score for score in scores if score is not None]
    if not known:
        assert (best_step(records), stalled(records)) == (None, 0)
        return
    first = scores.index(max(known))
    assert best_step(records) == 2 * first
    assert stalled(records) == sum(score is not None for score in scores[first + 1 :])


# -- a sampler that dies -------------------------------------------------------------------------


def test_a_run_whose_sampler_dies_keeps_its_last_whole_step(tmp_path, small, capsys, monkeypatch):
    """Two attempts each: four calls of the evaluation before, two of a step; the seventh is of step 2."""
    options = ["--steps", "3", "--eval-every", "9", "--save-every", "9"]
    assert small(tmp_path / "whole", *options) == 0
    own, calls = TransformersPolicy.generate, []

    def generate(self, prompts, sampling, seed):
        calls.append(len(prompts))
        if len(calls) == 7:
            raise StudentError("http://127.0.0.1:8001 is gone")
        return own(self, prompts, sampling, seed)

    monkeypatch.setattr(TransformersPolicy, "generate", generate)
    assert small(tmp_path / "run", *options) == 1
    said = capsys.readouterr().err
    assert "error: stopped after step 1, which" in said
    assert "(go on with --resume): http://127.0.0.1:8001 is gone" in said
    assert folders(tmp_path / "run") == [1]
    assert train.main(["--resume", str(tmp_path / "run")]) == 0
    same_runs(tmp_path / "whole", tmp_path / "run")
