"""Short runs of `python -m agents.train` with the smallest student, and what two of them share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from agents import train
from agents.runs.checkpoint import latest_checkpoint
from agents.runs.log import read_lines
from agents.runs.metric_table import definition

SMALL = [
    "--warm.steps", "30", "--warm.batch", "32", "--questions-per-step", "4",
    "--rollouts-per-question", "4", "--questions-per-minibatch", "2",
    "--eval-questions", "8", "--eval-samples", "2", "--eval-every", "2", "--save-every", "2",
]  # fmt: skip


def run(folder: Path, *options: str) -> int:
    """The exit status of a short run into a folder."""
    return train.main([*SMALL, "--run-dir", str(folder), *options])


def finished_run(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(train metrics, eval metrics) of a finished run whose files are all there and usable."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    metrics = read_lines(folder / "metrics.jsonl")
    config = json.loads((folder / "config.json").read_text())
    steps = [m for m in metrics if m["kind"] == "train"]
    assert len(steps) == config["steps"]
    report = (folder / "report.html").read_text()
    assert report.count("<svg") >= 5
    assert "://" not in report.replace("http://127.0.0.1", "")
    for key in {key for record in metrics for key in record} - {"kind", "step"}:
        assert definition(key.removesuffix("_low").removesuffix("_high"))
    assert list((folder / "tensorboard").iterdir())
    (checkpoint,) = (folder / "checkpoints").iterdir()
    assert checkpoint.name == f"step-{config['steps']:06d}"
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    ids = tokenizer("zorin 3 5 2", return_tensors="pt")["input_ids"]
    assert torch.isfinite(model(ids).logits).all()
    return steps, [m for m in metrics if m["kind"] == "eval"]


def without_times(path: Path) -> list[dict[str, Any]]:
    """The records of a log without what no two runs share."""
    return [{k: v for k, v in r.items() if "second" not in k} for r in read_lines(path)]


def same_runs(one: Path, two: Path) -> None:
    """Assert that two run folders hold the same history and the same weights, bit for bit."""
    for name in ("metrics.jsonl", "episodes.jsonl", "evaluations.jsonl"):
        assert without_times(one / name) == without_times(two / name), name
    places = [latest_checkpoint(folder / "checkpoints") for folder in (one, two)]
    states = [torch.load(place / "trainer.pt", weights_only=True) for place in places]
    first, second = (
        str(state).replace("(", "[").replace(")", "]") for state in states
    )  # tuples become lists
    assert first == second
    weights = [load_file(place / "model.safetensors") for place in places]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
