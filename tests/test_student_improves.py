"""The main job, shortened: SocraticPO really teaches a small student what it did not know."""

import pytest

from agents import train
from socratic_env.records.run_folder import read_lines


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_unassisted_accuracy_rises_sampled_and_greedy(tmp_path):
    options = ["--steps", "30", "--eval-every", "30", "--warm.steps", "450", "--seed", "1"]
    assert train.main(["--preset", "tiny", "--run-dir", str(tmp_path / "run"), *options]) == 0
    metrics = read_lines(tmp_path / "run" / "metrics.jsonl")
    before, after = (m for m in metrics if m["kind"] == "eval")
    for way in ("sampled", "greedy"):
        start, end = before[f"{way}_unassisted"], after[f"{way}_unassisted"]
        assert 0.25 <= start <= 0.5
        assert end - start >= 0.15
        assert after[f"{way}_unassisted_low"] > before[f"{way}_unassisted_high"]
    # Hints help from the start: the student was warm-started to use them.
    assert before["sampled_guided"] > before["sampled_unassisted"] + 0.1
