"""Runs whose teacher fails: they stop and go on with nothing lost, or say aloud what they cannot know."""

import json
import re
import warnings
from itertools import accumulate

import gymnasium as gym
import pytest
from support.misbehaving_server import GUIDANCE, MisbehavingServer
from support.scripted import wrong
from support.short_runs import run, same_runs

import socratic_env  # noqa: F401
from agents import train
from agents.learning.samples import RolloutBatch
from agents.rollout import check_teacher
from agents.runs.checkpoint import latest_checkpoint
from socratic_env.errors import (
    TeacherContextError,
    TeacherDown,
    TeacherFaultWarning,
    TeacherTimeout,
    TeacherUnavailable,
)
from socratic_env.records.run_folder import read_lines
from socratic_env.types import Attempt, Episode, Guidance, StopReason, Verdict

pytestmark = pytest.mark.filterwarnings("ignore::socratic_env.errors.TeacherFaultWarning")


@pytest.fixture(scope="module")
def server():
    running = MisbehavingServer()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def command(server, tiny_student):
    """The status of a short run with the served teacher."""
    teacher = {"kind": "openai", "base_url": server.url, "model": "scripted", "retries": 0}

    def go(folder, *options):
        fixed = ["--policy", "transformers", "--student", str(tiny_student[2]), "--steps", "3"]
        return run(folder, *fixed, "--teacher", json.dumps(teacher), *options)

    return go


# -- stopping ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory, server, command):
    """(folder of a run whose teacher never fails, calls before evaluation 0, step 1, step 2, ..)."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    server.script = lambda body: GUIDANCE
    assert command(folder) == 0
    calls = [int(record["teacher_calls"]) for record in read_lines(folder / "metrics.jsonl")]
    assert min(calls) > 0
    return folder, [0, *accumulate(calls)]


@pytest.mark.parametrize(("part", "step"), [
    pytest.param(0, 0, id="first evaluation", marks=pytest.mark.slow),
    pytest.param(2, 1, id="step between checkpoints"),
    pytest.param(3, 2, id="later evaluation", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_run_whose_teacher_goes_down_stops_and_loses_nothing(
    tmp_path, capsys, server, command, whole, part, step
):
    folder, end = tmp_path / "run", len(server.requests) + whole[1][part]
    server.script = lambda body: 400 if len(server.requests) > end else GUIDANCE
    assert command(folder) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (error,) = re.findall(r"^error: (.*)$", said, re.MULTILINE)
    assert f"stopped after step {step}" in error
    assert re.search(r"the teacher failed (\d+) of \1 requests", error)
    assert "max_teacher_faults=0.5" in error
    assert "--resume" in error
    assert latest_checkpoint(folder / "checkpoints").name == f"step-{step:06d}"
    assert (folder / "report.html").is_file()
    server.script = lambda body: GUIDANCE
    assert train.main(["--resume", str(folder)]) == 0
    same_runs(whole[0], folder)


def test_a_run_may_go_on_without_its_teacher_and_says_what_it_does_not_know(
    tmp_path, capsys, server, command
):
    """All calls refused: guided is the unassisted accuracy, and up to 1; metrics of one run agree."""
    server.script = lambda body: 400
    assert command(tmp_path / "run", "--max-teacher-faults", "1", "--steps", "2") == 0
    printed = capsys.readouterr()
    (row,) = re.findall(r"^guided, 2 attempts .*$", printed.out, re.MULTILINE)
    assert row.count("up to 1.000 [") == 2
    assert row.count(", 1.000]") == 2
    assert len(re.findall(r"WARNING: .*episodes are open \(\d+ TeacherUnavailable\)", printed.out)) == 4
    assert "WARNING: training: faults of the teacher left" in printed.out
    assert "up to 1.000" in printed.err
    assert "WARNING: sampled:" in printed.err
    page = (tmp_path / "run" / "report.html").read_text()
    assert "TeacherUnavailable): nobody knows" in page
    assert "up to 1.000" in page
    for record in read_lines(tmp_path / "run" / "metrics.jsonl"):
        for way in ("sampled_", "greedy_") if record["kind"] == "eval" else ("",):
            assert record[f"{way}open"] > 0
            assert record[f"{way}guided"] == record[f"{way}unassisted"] < 1
            assert record[f"{way}guided_upper"] == 1.0
            assert (record[f"{way}correction_rate"], record[f"{way}correction_rate_upper"]) == (0.0, 1.0)
    for record in read_lines(tmp_path / "run" / "evaluations.jsonl"):
        guided = record["all"]["guided"]["2"]
        assert guided["lower"] == record["all"]["unassisted"]["value"] < guided["upper"] == 1.0
        assert guided["open"] == record["open"]["episodes"] == record["open"]["why"]["TeacherUnavailable"]


# -- the share -----------------------------------------------------------------------------


def batch_of(question, *faults, policy="truncate"):
    """A batch of one wrong attempt for each fault (None: guidance came)."""
    attempts = [
        Attempt("A", Verdict(False, "A", "wrong option"), Guidance("Look again.", stands_for=fault)
                if policy == "retry_prompt" else Guidance("" if fault else "Look again.", fault))
        for fault in faults
    ]  # fmt: skip
    episodes = [Episode(question, (attempt,), (0.0,), StopReason.OUT_OF_ATTEMPTS) for attempt in attempts]
    return RolloutBatch([], episodes, [], [], [])


@pytest.mark.parametrize(("failing", "most", "stops"), [
    (0, 0.0, False), (1, 0.0, True), (2, 0.5, False), (3, 0.5, True), (4, 1.0, False), (4, 0.99, True),
])  # fmt: skip
@pytest.mark.parametrize("policy", ["truncate", "retry_prompt"])
def test_more_than_the_share_stops(failing, most, stops, policy):
    faults = [TeacherTimeout("late"), *[TeacherUnavailable("gone")] * 3][:failing] + [None] * (4 - failing)
    batch = batch_of(None, *faults, policy=policy)
    if not stops:
        check_teacher(batch, most)
        return
    with pytest.raises(TeacherDown, match=rf"failed {failing} of 4 requests .*1 TeacherTimeout"):
        check_teacher(batch, most)


def test_a_full_context_is_no_outage_and_no_request_is_none():
    check_teacher(batch_of(None, TeacherContextError("too long"), TeacherContextError("too long")), 0.0)
    check_teacher(batch_of(None), 0.0)


# -- what the warning says -----------------------------------------------------------------


def test_the_warning_of_a_fault_names_where_the_others_are_told(server):
    teacher = {"kind": "openai", "base_url": server.url, "model": "status:400", "retries": 0}
    env = gym.make("SocraticSciKnow-v0", teacher=teacher, max_attempts=3)
    env.reset(seed=0)
    with pytest.warns(TeacherFaultWarning, match=r"its episode ends.*info\['teacher_fault'\]"):
        *_, info = env.step(wrong(env.unwrapped.question))
    assert info["teacher_fault"].startswith("TeacherUnavailable: ")
    env.reset(seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        *_, truncated, info = env.step(wrong(env.unwrapped.question))
    assert truncated
    assert info["teacher_fault"].startswith("TeacherUnavailable: ")
    env.close()
