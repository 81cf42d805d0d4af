"""Settings of a training run that cannot be used, or would do nothing."""

from dataclasses import replace

import pytest
import torch

from agents import train
from agents.config import TrainConfig
from agents.options import TinyStudent, WarmStart
from agents.warm_start.tiny import (
    make_model,
    make_tokenizer,
    sample_texts,
    warm_start,
)
from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.questions import load_questions


@pytest.mark.parametrize(
    "given",
    [
        "eval_seed -1", "max_teacher_faults 1.5",
        "lr -1", "lr nan", "seed -1", "seed 4294967296", "eval_top_p 0", "eval_top_p 1.5", "temperature 0",
        "temperature -1", "eval_temperature -0.5", "micro_batch_tokens 0", "grad_clip 0", "warmup -1",
        "loss.clip_low 2", "loss.clip_high -1", "loss.dual_clip 1", "loss.rollout_is_clip 0",
        "distillation.alpha 2", "distillation.top_k 0", "warm.steps -1", "warm.comply 1.5", "warm.batch 0",
        "tiny.vocabulary 100", "history_tokens 1", "lora_alpha 0", "weight_decay inf",
    ],
)  # fmt: skip
def test_a_value_out_of_its_range_is_named_with_the_range(given):
    name, text = given.split()
    value = int(text) if text.lstrip("-").isdigit() else float(text)
    part, _, inner = name.rpartition(".")
    default = TrainConfig()
    changes = {part: replace(getattr(default, part), **{inner: value})} if part else {name: value}
    with pytest.raises(ConfigurationError, match=f"^{name} is {text}; it must be (at least|above) "):
        replace(default, **changes)


def test_the_command_line_refuses_such_a_value_too(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(["--run-dir", str(tmp_path / "run"), "--loss.clip-low", "2"])
    assert caught.value.code == 2
    assert "loss.clip_low is 2.0; it must be at least 0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_ends_of_the_ranges_can_be_used():
    TrainConfig(lr=0.0, seed=2**32 - 1, eval_top_p=1.0, eval_temperature=0.0, temperature=1e-3, warmup=0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("max_attempts", {"algorithm": "grpo", "max_attempts": 3}),
        ("estimator", {"algorithm": "sdpo", "estimator": "grpo"}),
        ("credit", {"algorithm": "sdpo", "credit": "trajectory"}),
        ("credit", {"algorithm": "reinforce++", "credit": "trajectory"}),
        ("credit", {"estimator": "grpo", "credit": "trajectory"}),
        ("credit", {"estimator": "reinforce++-baseline-trajectory", "credit": "trajectory"}),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(name, settings):
    with pytest.raises(ConfigurationError, match=f"^{name} is {settings[name]!r} and would have no effect"):
        TrainConfig(**settings)


def test_settings_that_do_something_are_not():
    TrainConfig(algorithm="grpo", max_attempts=1)
    TrainConfig(algorithm="grpo", estimator="reinforce++-tokens")
    TrainConfig(estimator="reinforce++-baseline", credit="trajectory", max_attempts=4)


@pytest.fixture(scope="module")
def beginner():
    """(tokenizer, maker of a model, questions) for warm starts of a few steps."""
    shape, concepts = TinyStudent(hidden=16, layers=1, vocabulary=265), load_questions("concepts")
    questions = load_questions([concepts[i] for i in range(64)])
    tokenizer = make_tokenizer(sample_texts(questions, 50, seed=0), shape.vocabulary)
    return tokenizer, lambda: make_model(shape, tokenizer, seed=0), questions


@pytest.mark.parametrize("steps", [1, 10, 11])
def test_a_warm_start_may_have_any_number_of_steps(beginner, steps):
    tokenizer, make, questions = beginner
    losses = []
    model = make()
    warm_start(model, tokenizer, questions, WarmStart(steps, batch=4), 0, lambda _, loss: losses.append(loss))
    assert len(losses) == steps
    moved = zip(model.parameters(), make().parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in moved)


def test_a_warm_start_on_questions_without_solutions_says_what_to_use(beginner):
    tokenizer, make, questions = beginner
    bare = load_questions([replace(questions[0], solution=None)])
    with pytest.raises(QuestionError, match=r"no worked solution; .*--warm-questions"):
        warm_start(make(), tokenizer, bare, WarmStart(1, batch=1, easy=1.0), 0)
