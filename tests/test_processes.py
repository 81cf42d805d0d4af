"""Several processes: what they say to each other, and that they learn what one does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.short_runs import SMALL

from agents import train
from agents.runs.checkpoint import latest_checkpoint
from agents.runs.log import read_lines

ROOT = Path(__file__).resolve().parents[1]
WAITS = """
import time
from datetime import timedelta
from torch.distributed import distributed_c10d
distributed_c10d.default_pg_timeout = timedelta(seconds=4)  # half an hour for gloo, ten minutes for NCCL
from agents.learning import processes
processes.start()
if processes.rank() == 0:
    time.sleep(6)
print("said", processes.broadcast("the weather" if processes.rank() == 0 else None))
processes.stop()
"""


def torchrun(*arguments):
    """Two processes, as a user starts them."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launch, *map(str, arguments)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip


@pytest.mark.slow
def test_the_others_wait_as_long_as_the_first_plays(tmp_path):
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    done = torchrun(script)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("said the weather") == 2


SETTINGS = {"all weights": [], "self-teacher": ["--algorithm", "sdpo"], "adapters": ["--lora-rank", "4"]}
EACH = """
import json, sys
from agents import train
from agents.learning import processes
stop, processes.stop = processes.stop, lambda: None  # the same two processes make all runs
for arguments in json.loads(sys.argv[1]):
    assert train.main(arguments) == 0
stop()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_student):
    """Folder with runs `one` and `two` (processes) for each setting: two steps, then a third step by the
    other number of processes; as they were after the second in `<name> at 2`."""
    root = tmp_path_factory.mktemp("runs")
    script = root / "each.py"
    script.write_text(EACH)

    def by_two(*calls):
        done = torchrun(script, json.dumps(calls))
        assert done.returncode == 0, done.stderr[-3000:]

    def first(number, setting):
        return [
            *SMALL, "--policy", "transformers", "--student", str(tiny_student[2]), "--steps", "2",
            "--micro-batch-tokens", "500", "--questions-per-step", "16", "--questions-per-minibatch", "8",
            *SETTINGS[setting], "--run-dir", str(root / setting / number),
        ]  # fmt: skip

    def third(number, setting):
        return ["--resume", str(root / setting / number), "--steps", "3"]

    by_two(*(first("two", setting) for setting in SETTINGS))
    for setting in SETTINGS:
        assert train.main(first("one", setting)) == 0
        for number in ("one", "two"):
            shutil.copytree(root / setting / number, root / setting / f"{number} at 2")
        assert train.main(third("two", setting)) == 0
    by_two(*(third("one", setting) for setting in SETTINGS))
    return root


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("setting", SETTINGS)
def test_two_processes_learn_what_one_does(runs, setting):
    """FSDP2 over gloo: the same episodes, losses and weights, and a checkpoint that either can go on with."""
    folders = [runs / setting / f"{number} at 2" for number in ("one", "two")]
    logs = [[m for m in read_lines(f / "metrics.jsonl") if m["kind"] == "train"] for f in folders]
    assert len(logs[0]) == len(logs[1]) == 2
    for one, other in zip(*logs, strict=True):
        for name in ("unassisted", "loss", "grad_norm", "ratio_max", "entropy", "trained_tokens"):
            assert other[name] == pytest.approx(one[name], rel=2e-4, abs=1e-6), name
    weights = [load_file(latest_checkpoint(f / "checkpoints") / "model.safetensors") for f in folders]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, atol=2e-5, rtol=1e-3)
    # What two processes wrote one went on with, and what one wrote two went on with.
    last = [read_lines(runs / setting / number / "metrics.jsonl")[-1] for number in ("one", "two")]
    assert [m["step"] for m in last] == [3, 3]
    assert last[0]["sampled_unassisted"] == pytest.approx(last[1]["sampled_unassisted"], abs=0.1)


@pytest.mark.slow
def test_all_processes_fail_where_the_loss_breaks(tmp_path, tiny_student):
    done = torchrun(
        "-m", "agents.train", *SMALL, "--policy", "transformers", "--student", tiny_student[2],
        "--steps", "3", "--lr", "1e30", "--run-dir", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("error: step") == 1
    assert "exitcode: 2" not in " ".join(done.stderr.replace(":", ": ").split())
