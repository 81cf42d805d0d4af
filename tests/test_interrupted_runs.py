"""Full disks, kills and changed settings: nothing is lost, and one error says what to do."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch
from support.few_questions import few_questions
from support.short_runs import SMALL, run, same_runs, without_times
from transformers import AutoTokenizer

from agents import train
from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.options import TinyStudent
from agents.runs.assembly import load_student
from agents.runs.checkpoint import CheckpointError, latest_checkpoint, save_checkpoint, save_model
from agents.runs.log import LogError, RunLog
from agents.runs.resume import check_unchanged
from agents.warm_start.tiny import make_model
from socratic_env.errors import ConfigurationError
from socratic_env.records.run_folder import read_lines


@contextmanager
def full_disk(most):
    """No file can grow past so many bytes: writing fails as on a full disk, only with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def small(folder, tiny_student, *options):
    return run(folder, "--policy", "transformers", "--student", str(tiny_student[2]), *options)


@pytest.fixture(scope="module")
def one_step(tmp_path_factory, tiny_student):
    """Folder of a finished run of one step."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert small(folder, tiny_student, "--steps", "1") == 0
    return folder


@pytest.fixture
def finished(one_step, tmp_path):
    return shutil.copytree(one_step, tmp_path / "run")


def refused(capsys, status, *options):
    """The one error of a command line that is refused with a status."""
    assert train.main([*map(str, options)]) == status
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return said


# -- full disks ------------------------------------------------------------------------------


def test_a_full_disk_at_resume_keeps_the_run(finished, capsys):
    files = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    with full_disk(500):
        said = refused(capsys, 1, "--resume", finished, "--steps", "2")
    assert "config.json cannot be written: File too large; free some space" in said
    assert {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()} == files
    assert train.main(["--resume", str(finished), "--steps", "2"]) == 0
    assert [m["step"] for m in read_lines(finished / "metrics.jsonl")] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("most", [100_000, 600_000], ids=["model", "optimizer"])
def test_a_full_disk_within_a_run_is_one_error(tmp_path, tiny_student, capsys, most):
    with full_disk(most):
        assert small(tmp_path / "run", tiny_student, "--steps", "1") == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "step-000000 cannot be written" in said
    assert "free some space" in said
    assert not list((tmp_path / "run").rglob("*.part"))
    assert train.main(["--resume", str(tmp_path / "run")]) == 0
    assert small(tmp_path / "whole", tiny_student, "--steps", "1") == 0
    same_runs(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("most", [1_000, 100_000, 600_000], ids=["tokenizer", "model", "optimizer"])
def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, tiny_student, most):
    model, tokenizer, _ = tiny_student
    kept = save_checkpoint(tmp_path, 1, model, tokenizer)
    with full_disk(most), pytest.raises(CheckpointError, match=r"step-000002 cannot be written: .*space"):
        save_checkpoint(tmp_path, 2, model, tokenizer, Grown())
    assert list(tmp_path.iterdir()) == [kept]
    assert latest_checkpoint(tmp_path) == kept


class Grown:
    """A learner whose state is larger than its model."""

    config = TrainConfig()

    def weights(self):
        return {}

    def state(self):
        return {"optimizer": torch.zeros(1_000_000)}


def test_a_full_disk_leaves_no_half_a_model(tmp_path, tiny_student):
    model, tokenizer, _ = tiny_student
    with full_disk(100_000), pytest.raises(CheckpointError, match="free some space"):
        save_model(tmp_path / "student", model, tokenizer)
    assert not list(tmp_path.iterdir())


def test_weights_that_were_cut_off_are_named(tmp_path, tiny_student):
    folder = shutil.copytree(tiny_student[2], tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigurationError, match=r"cut holds no model .*; copy or make it again"):
        load_student(folder)


@pytest.mark.parametrize(
    ("file", "named"),
    [("tokenizer_config.json", "tokenizer_config.json"), ("chat_template.jinja", "chat_template")],
)
def test_a_tokenizer_that_lost_a_file_is_named(tmp_path, tiny_student, file, named):
    folder = shutil.copytree(tiny_student[2], tmp_path / "lost")
    (folder / file).unlink()
    with pytest.raises(ConfigurationError, match=f"lost has no {named}"):
        load_student(folder)


def test_a_tokenizer_with_several_templates_is_saved(tmp_path, tiny_student):
    model, tokenizer, folder = tiny_student
    several = AutoTokenizer.from_pretrained(folder)
    several.chat_template = {"default": tokenizer.chat_template, "tool_use": "other"}
    save_model(tmp_path / "student", model, several)
    assert load_student(tmp_path / "student")[1].chat_template == several.chat_template


def test_a_log_on_a_full_disk_keeps_whole_lines(tmp_path):
    log = RunLog(tmp_path, TrainConfig())

    def fill():
        for step in range(100):
            log.metrics("train", step, {"loss": 1.0})

    with full_disk(2000):
        with pytest.raises(LogError, match=r"cannot be written: File too large; free .*--resume"):
            fill()
        log.close()
    kept = read_lines(tmp_path / "metrics.jsonl")
    assert [record["step"] for record in kept] == list(range(len(kept)))
    log = RunLog(tmp_path, TrainConfig(), len(kept) - 1)
    log.metrics("train", len(kept), {"loss": 1.0})
    log.close()
    assert len(read_lines(tmp_path / "metrics.jsonl")) == len(kept) + 1


# -- kills -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_killed_in_its_warm_start_starts_over(tmp_path):
    options = [*SMALL, "--policy", "transformers", "--steps", "0", "--tiny.hidden", "32", "--warm.steps", "3"]
    options += ["--questions", str(few_questions(tmp_path / "questions"))]
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.train", *options, "--warm.steps", "100000", "--run-dir", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (folder / "tensorboard").is_dir():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (folder / "checkpoints").exists()
    # As if it had had few steps of warm start, so that they can be made here; and half a student.
    config = json.loads((folder / "config.json").read_text())
    config["warm"]["steps"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("student", "student.part"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{")
    assert train.main(["--resume", str(folder)]) == 0
    assert train.main([*options, "--run-dir", str(tmp_path / "whole")]) == 0
    same_runs(folder, tmp_path / "whole")
    assert not (folder / "student.part").exists()


def test_a_run_killed_within_its_first_evaluation_makes_it_again(tmp_path, tiny_student):
    for name in ("whole", "killed"):
        assert small(tmp_path / name, tiny_student, "--steps", "0") == 0
    folder = tmp_path / "killed"
    (folder / "metrics.jsonl").write_text("")
    lines = (folder / "evaluations.jsonl").read_text().splitlines(keepends=True)
    (folder / "evaluations.jsonl").write_text(lines[0])  # the greedy one was under way
    assert train.main(["--resume", str(folder)]) == 0
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        assert without_times(folder / name) == without_times(tmp_path / "whole" / name)
    # One that was not interrupted is not made again.
    before = (folder / "evaluations.jsonl").read_bytes()
    assert train.main(["--resume", str(folder)]) == 0
    assert (folder / "evaluations.jsonl").read_bytes() == before


def test_a_folder_with_nothing_but_half_a_configuration_is_new(tmp_path, tiny_student):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.part").write_text("{")
    assert small(folder, tiny_student, "--steps", "0") == 0


def test_a_run_whose_checkpoints_were_removed_keeps_its_log(finished, capsys):
    shutil.rmtree(finished / "checkpoints")
    before = (finished / "metrics.jsonl").read_bytes()
    assert "no checkpoint to resume from" in refused(capsys, 2, "--resume", finished)
    assert (finished / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluations.jsonl", "episodes.jsonl"])
def test_a_foreign_line_in_a_log_is_named(finished, capsys, name):
    text = "not of this run\n" + (finished / name).read_text()
    (finished / name).write_text(text)
    assert f"{name} has a line that no run wrote: 'not of" in refused(capsys, 1, "--resume", finished)
    assert (finished / name).read_text() == text


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluations.jsonl"])
def test_a_run_whose_log_was_removed_keeps_the_rest(finished, capsys, name):
    (finished / name).unlink()
    files = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    assert f"{name} is missing" in refused(capsys, 2, "--resume", finished)
    assert {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()} == files


# -- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lr", "0.5"], ["its lr is 0.0001, not 0.5"]),
        (["--algorithm", "sdpo"], ["algorithm is 'socratic', not 'sdpo'"]),
        (["--lora-rank", "4"], ["lora_rank is 0, not 4"]),
        (["--student", "tiny"], ["student is ", ", not 'tiny'"]),
        (["--eval-seed", "7"], ["eval_seed is 0, not 7"]),
        (["--loss.clip-low", "0.1", "--seed", "3"], ["seed is 0, not 3", "loss.clip_low is 0.2, not 0.1"]),
        (["--eval-questions", "9"], ["eval_questions is 8, not 9"]),
        (["--preset", "smollm2"], ["preset is 'tiny', not 'smollm2'"]),
        (["--run-dir", "elsewhere"], ["--run-dir elsewhere", "leave --run-dir out"]),
    ],
)
def test_a_run_does_not_go_on_with_other_settings(finished, capsys, options, words):
    files = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    said = refused(capsys, 2, "--resume", finished, *options)
    assert all(word.removeprefix("its ") in said for word in words), said
    assert "leave" in said
    assert {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()} == files


def test_what_does_not_change_the_learning_may_change(finished):
    options = ["--steps", "2", "--eval-every", "1", "--micro-batch-tokens", "500", "--packing"]
    assert train.main(["--resume", str(finished), "--preset", "tiny", *options]) == 0
    assert json.loads((finished / "config.json").read_text())["packing"]


def test_a_teacher_may_move_but_not_change():
    def config(**spec):
        teacher = {"kind": "openai", "base_url": "http://a/v1", "model": "m"} | spec
        return TrainConfig(teacher=json.dumps({"kind": "guarded", "teacher": teacher}))

    check_unchanged(config(), config(base_url="http://b/v1", retries=9))
    with pytest.raises(ConfigurationError, match=r"teacher is .*'m'.*, not .*'n'"):
        check_unchanged(config(), config(model="n"))


@pytest.mark.parametrize(
    ("hidden", "settings", "named"),
    [
        (64, {"algorithm": "sdpo"}, "algorithm is sdpo"),
        (64, {"lora_rank": 2}, "lora_rank is 2"),
        (32, {}, "weight model.embed_tokens.weight is [512, 32]"),
    ],
)
def test_a_state_of_another_run_is_refused(finished, tmp_path, tiny_student, capsys, hidden, settings, named):
    tokenizer = tiny_student[1]
    model = make_model(TinyStudent(hidden=hidden), tokenizer, seed=0)
    learner = Learner(model, tokenizer.pad_token_id, TrainConfig(**settings))
    other = save_checkpoint(tmp_path / "other", 1, model, tokenizer, learner)
    shutil.copy(other / "trainer.pt", latest_checkpoint(finished / "checkpoints") / "trainer.pt")
    before = (finished / "metrics.jsonl").read_bytes()
    said = refused(capsys, 2, "--resume", finished, "--steps", "3")
    assert f"trainer.pt is of another run: its {named}, this run's is " in said
    assert (finished / "metrics.jsonl").read_bytes() == before
