"""Several processes: what they say to each other."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WAITS = """
import time
from datetime import timedelta
from torch.distributed import distributed_c10d
distributed_c10d.default_pg_timeout = timedelta(seconds=1)  # half an hour for gloo, ten minutes for NCCL
from agents.learning import processes
processes.start()
if processes.rank() == 0:
    time.sleep(3)
print("said", processes.broadcast("the weather" if processes.rank() == 0 else None))
processes.stop()
"""


@pytest.mark.slow
def test_the_others_wait_as_long_as_the_first_plays(tmp_path):
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launch, script], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("said the weather") == 2
