"""`--seeds`: one run after another, each in its folder; the same command goes on; Ctrl-C says how."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support.short_runs import SMALL, run, same_runs

from agents import train
from socratic_env.cli import main
from socratic_env.cli.compare import folders_of


def small(tiny_student, *options):
    return ["--policy", "transformers", "--student", str(tiny_student[2]), "--steps", "1", *options]


@pytest.fixture(scope="module")
def groups(tmp_path_factory, tiny_student):
    """Folders of two groups of two seeds that differ by the learning rate."""
    folder = tmp_path_factory.mktemp("groups")
    for name, lr in (("a", "1e-4"), ("b", "3e-4")):
        assert run(folder / name, *small(tiny_student, "--lr", lr), "--seeds", "5", "6") == 0
    return folder


def test_each_seed_is_the_run_of_that_seed(groups, tmp_path, tiny_student):
    assert run(tmp_path / "one", *small(tiny_student, "--seed", "6")) == 0
    same_runs(groups / "a" / "seed-6", tmp_path / "one")
    assert json.loads((groups / "a" / "seed-5" / "config.json").read_text())["seed"] == 5


def test_groups_are_compared_by_seed(groups, capsys):
    assert folders_of(str(groups / "a")) == [groups / "a" / f"seed-{seed}" for seed in (5, 6)]
    capsys.readouterr()
    assert main(["compare", str(groups / "a"), str(groups / "b"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [side["seeds"] for side in found["sides"]] == [[5, 6], [5, 6]]
    assert found["settings"] == {"lr": [1e-4, 3e-4]}
    assert not any("one seed" in line or "differ in more" in line for line in found["warnings"])


def test_the_same_command_goes_on_and_can_add_a_seed(groups, tmp_path, tiny_student, capsys):
    group = shutil.copytree(groups / "a", tmp_path / "group")
    shutil.rmtree(group / "seed-6")
    before = (group / "seed-5" / "evaluations.jsonl").read_bytes()
    assert run(group, *small(tiny_student), "--seeds", "5", "6", "7") == 0
    assert "3 of 3 seeds are finished" in capsys.readouterr().err
    assert (group / "seed-5" / "evaluations.jsonl").read_bytes() == before
    same_runs(group / "seed-6", groups / "a" / "seed-6")
    assert (group / "seed-7" / "report.html").is_file()


def test_a_seed_that_fails_leaves_the_others(tmp_path, tiny_student, capsys):
    assert run(tmp_path / "g", *small(tiny_student, "--lr", "1e30", "--steps", "2"), "--seeds", "0", "1") == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told[:4] in ("0 of", "1 of")
    assert "go on with: python -m agents.train" in told
    assert (tmp_path / "g" / "seed-1" / "config.json").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--seeds", "once, such as"),
        ("--seeds 1 --seeds 2", "once, such as"),
        ("--seeds 1 01", "names a seed twice"),
        ("--seeds 1 x", "--seeds x: give whole numbers"),
        ("--seeds 1 4294967296", "seed is 4294967296; it must be at"),
        ("--seeds 1 2 --seed 3", "together with --seed; leave it out"),
        ("--seeds 1 2 --resume=old", "the same command as before"),
        ("--seeds 5 6 7 --lr 1", "the run's lr is 0.0001, not 1.0"),
        ("--seeds 5 --run-dir {group}/seed-5", "holds one run"),
    ],
)
def test_seeds_that_cannot_be_are_refused_before_anything_runs(groups, tiny_student, capsys, words, said):
    group = groups / "a"
    words = words.format(group=group).split()
    place = [] if "--run-dir" in words else ["--run-dir", str(group)]
    assert train.main([*SMALL, *small(tiny_student), *place, *words]) == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in group.iterdir()) == ["seed-5", "seed-6"]


def test_torchrun_makes_one_run(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert train.main(["--seeds", "0", "1"]) == 2
    assert "under torchrun use --seed" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_run_says_what_is_saved_and_how_to_go_on(tmp_path, tiny_student):
    folder = tmp_path / "group"
    options = [
        *SMALL,
        *small(tiny_student),
        "--steps",
        "100000",
        "--run-dir",
        str(folder),
        "--seeds",
        "3",
        "4",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.train", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics, deadline = folder / "seed-3" / "metrics.jsonl", time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text().count('"train"') > 1):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1].strip().splitlines()[-1]
    assert process.returncode == 130
    assert told.startswith(f"interrupted; {folder}/seed-3/checkpoints/step-")
    assert "go on with: python -m agents.train" in told
    assert told.endswith("--seeds 3 4")
    assert "Traceback" not in told
