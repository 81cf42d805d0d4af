"""Whole runs of `python -m agents.train`, on real components."""

import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import torch

from agents import train
from agents.runlog import read_lines
from conftest import shared_data

SMALL = [
    "--tiny.warm-steps", "30", "--tiny.warm-batch", "32", "--questions-per-step", "4",
    "--rollouts-per-question", "4", "--questions-per-minibatch", "2",
    "--eval-questions", "8", "--eval-samples", "2", "--eval-every", "2",
]  # fmt: skip


def finished_run(folder):
    """(train metrics, eval metrics) of a finished run whose files are all there and usable."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    metrics = read_lines(folder / "metrics.jsonl")
    config = json.loads((folder / "config.json").read_text())
    steps = [m for m in metrics if m["kind"] == "train"]
    assert len(steps) == config["steps"]
    report = (folder / "report.html").read_text()
    assert report.count("<svg") >= 5
    assert "http" not in report.replace("http://www.w3.org/", "").replace("http://purl.org/", "").replace(
        "http://creativecommons.org/", ""
    ).replace("https://matplotlib.org/", "").replace("http://127.0.0.1", "")
    assert list((folder / "tensorboard").iterdir())
    tokenizer = AutoTokenizer.from_pretrained(folder / "checkpoint")
    model = AutoModelForCausalLM.from_pretrained(folder / "checkpoint")
    ids = tokenizer("zorin 3 5 2", return_tensors="pt")["input_ids"]
    assert torch.isfinite(model(ids).logits).all()
    return steps, [m for m in metrics if m["kind"] == "eval"]


def run(folder, *options):
    return train.main([*SMALL, "--run-dir", str(folder), *options])


@pytest.mark.parametrize("policy", ["transformers", pytest.param("vllm", marks=pytest.mark.slow)])
def test_a_run_leaves_everything_behind(tmp_path, capsys, policy):
    assert run(tmp_path / "run", "--steps", "3", "--policy", policy) == 0
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
    assert "change" in printed


def test_the_same_seed_gives_the_same_run(tmp_path):
    for name in "ab":
        assert run(tmp_path / name, "--steps", "2", "--policy", "transformers", "--seed", "5") == 0
    one, two = (finished_run(tmp_path / name)[0] for name in "ab")
    for a, b in zip(one, two, strict=True):
        timeless = {k for k in a if not k.startswith("seconds")}
        assert {k: a[k] for k in timeless} == {k: b[k] for k in timeless}


def test_reinforce_plus_plus_makes_one_attempt(tmp_path):
    assert (
        run(tmp_path / "run", "--steps", "1", "--policy", "transformers", "--algorithm", "reinforce++") == 0
    )
    assert all(len(e["attempts"]) == 1 for e in read_lines(tmp_path / "run" / "episodes.jsonl"))


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
        (["--student", "no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_input_is_one_line_that_names_it(tmp_path, capsys, options, named):
    assert run(tmp_path / "run", "--policy", "transformers", *options) in (1, 2)
    message = capsys.readouterr().err
    assert named in message
    assert "Traceback" not in message


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
    for name in ("--lr", "--loss.clip-high", "--tiny.warm-steps", "--teacher", "--seed"):
        assert name in text


# -- real rows, a real server --------------------------------------------------------------


@pytest.fixture(scope="module")
def teacher_server(tiny_student, tmp_path_factory):
    """A real vLLM OpenAI server on loopback with a tiny model."""
    _, _, folder = tiny_student
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
        "--served-model-name", "teacher", "--host", "127.0.0.1", "--port", str(port), "--enforce-eager", "--max-model-len", "4096",
        "--kv-cache-memory-bytes", str(2**27), "--dtype", "float32",
    ]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_real_rows_with_a_served_teacher(tmp_path, teacher_server):
    data = shared_data() / "sciknoweval"
    if not data.is_dir():
        pytest.skip(f"no real rows at {data}; set SOCRATIC_SHARED to their folder's parent")
    teacher = {"kind": "openai", "base_url": teacher_server, "model": "teacher", "max_tokens": 24}
    options = [
        "--steps", "2", "--policy", "transformers", "--questions", str(data), "--domain", "physics",
        "--max-model-len", "4096", "--max-response-tokens", "24", "--teacher", json.dumps(teacher),
    ]  # fmt: skip
    assert run(tmp_path / "run", *options) == 0
    steps, _ = finished_run(tmp_path / "run")
    assert sum(m["teacher_calls"] for m in steps) > 0
    assert all(m["teacher_failed"] == 0 for m in steps)
    episodes = read_lines(tmp_path / "run" / "episodes.jsonl")
    assert all(e["domain"] == "physics" for e in episodes)
    guided = [a for e in episodes for a in e["attempts"] if a["guidance"]]
    assert guided
