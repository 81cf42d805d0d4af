"""Cost of a checkpoint: writing it, and copying it so that it can be written while training goes on.

    python benchmarks/bench_saving.py [--hidden 1024] [--layers 4]

The student's learner with AdamW's state filled, saved to a temporary folder. What training waits for is the
whole save at once, and the copy in the background; the rest is written beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.options import TinyStudent
from agents.runs.checkpoint import Checkpoints
from agents.warm_start.tiny import make_model, make_tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--saves", type=int, default=3)
    options = parser.parse_args()
    tokenizer = make_tokenizer(["a b c"] * 100, 300)
    model = make_model(TinyStudent(options.hidden, options.layers), tokenizer, 0)
    learner = Learner(model, tokenizer.pad_token_id, TrainConfig())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    learner.optimizer.step()
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{count / 1e6:.0f} M parameters, {3 * 4 * count / 2**20:.0f} MiB of weights and moments")
    waits: dict[bool, float] = {}
    for background in (False, True):
        learner.config = replace(learner.config, save_in_background=background)
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder), model, tokenizer, learner, None)
            waited, whole = [], []
            for step in range(options.saves):
                start = time.perf_counter()
                checkpoints.save(step)
                waited.append(time.perf_counter() - start)
                checkpoints.wait()
                whole.append(time.perf_counter() - start)
            checkpoints.close()
        waits[background] = min(waited)
        name = "in the background" if background else "at once"
        print(f"{name}: training waits {min(waited):.2f} s of {min(whole):.2f} s")
    print(f"background / at once: {waits[True] / waits[False]:.2f}")


if __name__ == "__main__":
    main()
