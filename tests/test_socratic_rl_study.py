"""The study of Socratic-RL: its plan, its numbers, its page."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.socratic_rl import page
from benchmarks.socratic_rl.arms import (
    ARMS,
    BASELINE,
    ENSEMBLES,
    LESSONS,
    METHODS,
    SEEDS,
    TEACHING_SEEDS,
    VIEWPOINT_ARM,
)
from benchmarks.socratic_rl.play import JOBS, settings_of


def loop(arm, seed, reached, kept=1.0):
    curve = [[episodes, 0, 30 * episodes, 0.2 + episodes / 4000] for episodes in range(0, 2881, 192)]
    return {
        "experiment": "loop", "arm": arm, "seed": seed, "kept": kept, "probe_episodes": 64, "seconds": 30.0,
        "reached": {"0.8": reached and [reached, 0, 30 * reached], "0.9": None}, "curve": curve,
        "version": "0",
    }  # fmt: skip


def distillation(method, seed, before, after, uplift, kept=1.0):
    return {
        "experiment": "distillation", "arm": method, "seed": seed, "before": before, "unassisted": after,
        "informed": before + uplift, "uplift": uplift, "kept": kept, "kl_before": 0.1, "kl_after": None,
        "others_before": 0.7, "others_after": 0.7, "seconds": 5.0, "version": "0",
    }  # fmt: skip


def lesson(name, seed, gain):
    return {
        "experiment": "teaching", "arm": name, "seed": seed, "before": 0.0, "after": gain, "gain": gain,
        "targeted_before": 0.0, "targeted_after": gain, "names_error": 0.5, "diversity": 1.0,
        "implicit_accuracy": 0.7, "rule": 0.1, "rule_targeted": 0.2, "probe_episodes": 9, "seconds": 5.0,
        "version": "0",
    }  # fmt: skip


def ensemble(name, seed, informed):
    return {
        "experiment": "ensemble", "arm": name, "seed": seed, "before": 0.3, "informed": informed,
        "unassisted": 0.7, "taken": 2, "poison_taken": 0, "probe_episodes": 9, "seconds": 5.0, "version": "0",
    }  # fmt: skip


def records(slow=7):
    """Results in which the arm with viewpoints is ahead on `slow` seeds."""
    found = []
    for place, seed in enumerate(SEEDS):
        found.append(loop(VIEWPOINT_ARM, seed, 384, kept=0.97))
        found.append(loop(BASELINE, seed, 1920 if place < slow else 384))
        found.append(distillation("instruction", seed, 0.3, 0.5, 0.2))
        found.append(distillation("kl", seed, 0.3, 0.44, 0.2, kept=0.9))
    for place, seed in enumerate(TEACHING_SEEDS):
        found.append(lesson("policy gradient", seed, 0.15 + place / 100))
        found.append(lesson("dpo", seed, (place - 3.5) / 10))
        found.append(ensemble("clean, gate", seed, 0.6))
        found.append(ensemble("one of three, gate", seed, 0.59))
    return found


def test_every_arm_is_a_configuration_of_its_own():
    told = [repr(sorted(settings_of(arm.config(200)).items())) for arm in ARMS.values()]
    assert len(set(told)) == len(told)
    assert {name.partition("/")[2] for name in JOBS} == {*ARMS, *METHODS, *LESSONS, *ENSEMBLES}
    assert len(SEEDS) >= 8


def test_gates_are_met_or_missed_as_the_numbers_say():
    assert [row[3] for row in page.verdicts(records())] == [
        *["met"] * 4, "missed", "met", "missed", "met"
    ]  # fmt: skip
    assert page.verdicts(records(slow=6))[0][2:] == ["6 of 8", "missed"]
    some = [r for r in records() if r["seed"] < 203]
    assert all(row[3].endswith(" so far") for row in page.verdicts(some))


def test_the_median_of_what_was_not_reached_is_more_than_was_run():
    found = {seed: loop("x", seed, 384 if seed < 2 else None) for seed in range(5)}
    assert page.reached(found, 0.8, 0) == "more than was run (2 of 5)"
    assert page.reached({0: found[0], 1: found[1], 2: found[2]}, 0.8, 2) == f"{30 * 384} (2 of 3)"


def test_the_jackknife_of_a_constant_ratio_has_no_width():
    uplift = np.array([0.1, 0.3, 0.2])
    assert page.jackknife(2 * uplift, uplift) == pytest.approx((2.0, 2.0))
    low, high = page.jackknife(np.array([0.1, 0.2, 0.4]), uplift)
    assert low < 0.7 / 0.6 < high


def test_the_page_and_the_tables_follow_from_the_results(tmp_path, capsys):
    assert page.main(tmp_path / "results.jsonl", tmp_path) == 2
    assert "is not there" in capsys.readouterr().err
    (tmp_path / "README.md").write_text("a\n<!-- tables -->\nold\n<!-- end of tables -->\nb\n")
    import json

    (tmp_path / "results.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records()))
    assert page.main(tmp_path / "results.jsonl", tmp_path) == 0
    text = (tmp_path / "README.md").read_text()
    assert "old" not in text
    assert f"| {VIEWPOINT_ARM} | 8 |" in text
    assert "<svg" in (tmp_path / "page.html").read_text()


def test_the_committed_page_is_that_of_the_committed_results():
    found = page.read_lines(page.RESULTS)
    assert (page.HERE / "page.html").read_text(encoding="utf-8") == page.page(found)
    text = (page.HERE / "README.md").read_text(encoding="utf-8")
    assert page.with_tables(text, found) == text
