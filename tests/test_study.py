"""The learning study: its arms, its numbers, its page, and a run of seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.study import page, run
from benchmarks.study.arms import ARMS, GATES, MAIN, MAIN_SEEDS, RATE_ARMS, RATE_SEEDS, UNGATED, Gate
from benchmarks.study.play import settings_of
from benchmarks.study.summary import arm_row, compare, estimate, improvement


def record(arm: str, seed: int, unassisted: float, steps: int = 100, tokens: int = 150_000) -> dict[str, Any]:
    return {
        "arm": arm, "seed": seed, "steps": steps, "student_tokens": tokens, "teacher_tokens": tokens // 4,
        "unassisted": unassisted, "greedy": unassisted, "unassisted_t0.6": unassisted, "guided": None,
        "correction_rate": None, "levels": {"easy": 1.0, "hard": unassisted}, "seconds": 60.0, "settings": {},
        "version": "0", "curve": [[0, 0, 0, 0.2], [steps, tokens, tokens // 4, unassisted]],
    }  # fmt: skip


# -- the plan --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_is_a_configuration_of_its_own(name: str) -> None:
    config = ARMS[name].config(seed=100)
    assert config.questions == '{"kind": "chains", "seed": 100}'
    assert config.steps == ARMS[name].measured[-1] >= 100
    told = [json.dumps(settings_of(arm), sort_keys=True, default=str) for arm in ARMS.values()]
    assert len(set(told)) == len(told)


def test_the_plan_names_arms_that_there_are() -> None:
    gates = (*GATES, *UNGATED)
    assert {*MAIN, *RATE_ARMS, *(g.arm for g in gates), *(g.against for g in gates)} <= set(ARMS)
    assert not set(RATE_SEEDS) & set(MAIN_SEEDS)


# -- numbers ---------------------------------------------------------------------------------


def test_a_paired_difference_is_the_t_interval_of_scipy() -> None:
    rng = np.random.default_rng(0)
    mine, theirs = rng.random(8), rng.random(8)
    records = [record("socratic", s, x) for s, x in enumerate(mine)]
    records += [record("no-teacher", s, x) for s, x in enumerate(theirs)]
    found = compare(records, Gate("socratic", "no-teacher"))
    assert found is not None
    low, high = stats.ttest_rel(mine, theirs).confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))
    assert found.difference.mean == pytest.approx((mine - theirs).mean())
    assert found.above == (mine > theirs).sum()
    assert found.met is bool(low > 0)


def test_seeds_that_only_one_arm_has_are_counted() -> None:
    records = [record("socratic", s, 0.6) for s in range(4)] + [
        record("no-teacher", s, 0.4) for s in (0, 1, 9)
    ]
    found = compare(records, Gate("socratic", "no-teacher"))
    assert found is not None
    assert (found.difference.seeds, found.missing) == (2, len(MAIN_SEEDS) - 2)
    assert compare(records, Gate("socratic", "grpo")) is None


def test_one_seed_has_no_interval_and_meets_no_gate() -> None:
    records = [record("socratic", 0, 0.9), record("no-teacher", 0, 0.1)]
    found = compare(records, Gate("socratic", "no-teacher"))
    assert found is not None
    assert found.difference.low is None
    assert not found.met
    assert str(estimate([0.5])) == "0.500 (n = 1)"


def test_at_equal_tokens_the_other_arm_has_had_at_least_as_many() -> None:
    records = [record("socratic", 0, 0.7, tokens=150_000), record("reinforce++", 0, 0.3, tokens=100_000)]
    records += [record("reinforce++", 0, x, steps, 1000 * steps) for steps, x in ((170, 0.4), (210, 0.5))]
    records += [record("socratic", 1, 0.7, tokens=250_000), record("reinforce++", 1, 0.6, tokens=100_000)]
    found = compare(records, Gate("socratic", "reinforce++", "student tokens"))
    assert found is not None
    assert found.difference.mean == pytest.approx(0.7 - 0.4)
    assert found.missing == len(MAIN_SEEDS) - 1  # on the other seed it never had so many tokens
    found = compare(records, Gate("socratic", "reinforce++", "all tokens"))
    assert found is not None
    assert found.difference.mean == pytest.approx(0.7 - 0.4)  # 187 500 with the teacher's, and 212 500


def test_the_probability_of_improvement_counts_ties_half() -> None:
    ones = np.ones(4)
    assert improvement(ones, ones) == (0.5, 0.5, 0.5)
    assert improvement(ones, 0 * ones)[0] == 1


# -- the page --------------------------------------------------------------------------------


def test_the_page_shows_what_was_not_run(tmp_path: Path) -> None:
    records = [
        record(arm, seed, 0.5 + seed / 1000) for arm in ("socratic", "reinforce++") for seed in MAIN_SEEDS
    ]
    results = tmp_path / "results.jsonl"
    results.write_text("".join(json.dumps(each) + "\n" for each in records))
    (tmp_path / "README.md").write_text("before\n<!-- tables -->\nold\n<!-- end of tables -->\nafter\n")
    assert page.main(results, tmp_path) == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "not run" in text
    assert "missed" in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("before\n")
    assert readme.endswith("after\n")
    assert "old" not in readme
    assert readme.count("| socratic | reinforce++ |") >= 2
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8").startswith("<svg")


def test_no_results_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main(tmp_path / "results.jsonl", tmp_path) == 2
    assert "is not there" in capsys.readouterr().err


def test_an_arm_without_a_second_attempt_has_no_guided_accuracy() -> None:
    cells = arm_row([record("reinforce++", 100, 0.5)], "reinforce++")
    assert cells[5:7] == ["-", "-"]


def test_the_committed_page_is_that_of_the_committed_results() -> None:
    records = page.read_lines(run.RESULTS)
    assert (run.HERE / "page.html").read_text(encoding="utf-8") == page.page(records)
    text = (run.HERE / "README.md").read_text(encoding="utf-8")
    assert page.with_tables(text, records) == text


# -- a run -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_quick_study_runs_resumes_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOCRATIC_CACHE", str(tmp_path / "cache"))
    results = tmp_path / "results.jsonl"
    arguments = ["--quick", "--arms", "internalise-1", "reinforce++", "--results", str(results)]
    arguments += ["--students", str(tmp_path / "students"), "--processes", "1"]
    assert run.main(arguments) == 0
    assert "2 runs made, 0 failed" in capsys.readouterr().out
    mine, other = page.read_lines(results)
    assert (mine["arm"], mine["seed"], mine["steps"]) == ("internalise-1", 100, 3)
    assert mine["settings"]["internalise"] == 1.0
    assert mine["curve"][0][1:3] == [0, 0]
    assert mine["curve"][0][3] == other["curve"][0][3]  # all arms begin with the same student
    assert 0 < mine["teacher_tokens"] < mine["student_tokens"]
    assert other["guided"] is None
    assert other["teacher_tokens"] == 0
    assert run.main(arguments) == 0
    assert "0 runs made, 0 failed" in capsys.readouterr().out
    assert len(page.read_lines(results)) == 2
