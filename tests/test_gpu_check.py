"""`benchmarks/gpu/check.py` in small on the CPU."""

import json

import pytest

from benchmarks.gpu.check import main


def found_by(tmp_path, *arguments):
    assert main(["--small", "--out", str(tmp_path), *arguments]) == 0
    said = json.loads((tmp_path / "check.json").read_text())
    table = (tmp_path / "check.md").read_text()
    assert table.count("\n| ") == 1 + len(said["records"])
    assert "none: CPU" in table
    return said["records"]


def test_updates_and_sync_are_measured_beside_the_plan(tmp_path, capsys):
    records = found_by(tmp_path, "--parts", "update", "sync")
    measured = [r for r in records if "measured_gib" in r]
    assert {r["what"] for r in measured} >= {"padded, sdpa", "packed, sdpa", "padded, LoRA 64"}
    for record in measured:
        if record["what"] != "padded, 8-bit states":  # its steps are not compiled here
            assert record["planned_over_measured"] == pytest.approx(1, abs=0.15), record
        assert record["tokens_per_second"] > 0
    for record in records:
        if record["part"] == "update" and record not in measured:
            assert record["skipped"]
            assert "flash" in record["what"] or "flex" in record["what"] or "8-bit" in record["what"]
    assert records[-1]["part"] == "sync"
    assert records[-1]["gib"] > 0


def test_what_would_begin_too_late_is_left_out(tmp_path):
    records = found_by(tmp_path, "--seconds", "-1")
    assert {r["part"] for r in records} == {"update", "sync", "demo"}
    assert all("had passed" in r["skipped"] for r in records)


@pytest.mark.slow
def test_the_small_demo_runs(tmp_path):
    (record,) = found_by(tmp_path, "--parts", "demo")
    assert record["device"] == "cpu", record
