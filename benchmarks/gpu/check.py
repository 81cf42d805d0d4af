"""Is the learner what the planner says, and how fast is it? One JSON and one table, in under eight minutes.

Needs torch and transformers, pure-Python packages and no network: models have the published shapes and random
weights, and nothing samples by vLLM. Without a GPU, or with --small, the same with small shapes.

    python benchmarks/gpu/check.py --out runs/gpu-check
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # from a checkout that is not installed

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from agents.config import TrainConfig  # noqa: E402
from agents.learning.learner import Learner  # noqa: E402
from agents.learning.samples import Sample  # noqa: E402
from agents.plan.gpus import GPUS  # noqa: E402
from agents.plan.load import Row, passes, update_flop, usual_lengths  # noqa: E402
from agents.plan.memory import learner_memory  # noqa: E402
from agents.plan.peak import peak_bytes  # noqa: E402
from agents.plan.shapes import QWEN3, Shape  # noqa: E402

Record = dict[str, Any]
SMALL = {
    "wide": Shape(128, 4, 4, 2, 32, 512, 512, tied=True, qk_norm=True),
    "wordy": Shape(64, 2, 4, 2, 32, 128, 8192, tied=True, qk_norm=True),
}
BASE = TrainConfig(dtype="bfloat16", gradient_checkpointing=True, questions_per_minibatch=32)


def settings(small: bool) -> Iterator[tuple[str, Shape, str, TrainConfig]]:
    """(model, its shape, what is tried, configuration) of every update."""
    shapes = SMALL if small else {name: QWEN3[name] for name in ("Qwen3-0.6B", "Qwen3-4B")}
    sizes = (
        {"max_response_tokens": 64, "max_model_len": 256, "micro_batch_tokens": 256}
        if small
        else {"max_response_tokens": 8192, "max_model_len": 16384, "micro_batch_tokens": 32768}
    )
    tried: dict[str, dict[str, Any]] = {
        "padded, sdpa": {},
        "packed, sdpa": {"packing": True},
        "packed, rows": {"packing": True, "attention": "rows"},
        "packed, flex": {"packing": True, "attention": "flex_attention"},
        "packed, flash 2": {"packing": True, "attention": "flash_attention_2"},
        "packed, flash 3": {"packing": True, "attention": "flash_attention_3"},
        "padded, LoRA 64": {"lora_rank": 64},
        "padded, 8-bit states": {"optimizer": "adamw-8bit"},
    }
    for model, shape in shapes.items():
        for what, chosen in tried.items():
            yield model, shape, what, replace(BASE, **{**sizes, **chosen})


def make_model(shape: Shape, attention: str, device: torch.device) -> Any:
    """A model of this shape with random weights in float32."""
    config = transformers.Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=32768,
    )
    with device:
        return transformers.AutoModelForCausalLM.from_config(
            config, attn_implementation=attention, dtype=torch.float32
        )


def make_samples(config: TrainConfig, vocabulary: int, rows: int = 8) -> list[Sample]:
    """One attempt for each of some questions, their responses spread evenly up to the longest."""
    rng = np.random.default_rng(0)
    prompt = config.max_response_tokens // 16
    return [
        Sample(
            row=i,
            group=i,
            attempt=1,
            prompt=rng.integers(vocabulary, size=prompt).tolist(),
            response=rng.integers(vocabulary, size=length).tolist(),
            logps=[-5.0] * length,
            correct=bool(i % 2),
            reward=float(i % 2),
        )
        for i, length in enumerate(usual_lengths(config, rows))
    ]


def update(shape: Shape, config: TrainConfig, device: torch.device) -> Record:
    """Two updates of one batch: the first brings the optimizer's states, the second is measured."""
    samples = make_samples(config, shape.vocabulary)
    rows = [Row(len(s.prompt) + len(s.response), len(s.response)) for s in samples]
    made = passes(rows, config)
    planned = max(sum(parts.values()) for parts in learner_memory(shape, config, made))
    there = _memory(device)
    if there is not None and planned > 0.95 * there:
        return {"skipped": f"by plan {planned / 2**30:.0f} GiB, and {there / 2**30:.0f} are there"}
    advantages = np.linspace(-1, 1, len(samples))
    seconds: list[float] = []

    def work() -> None:
        learner = Learner(make_model(shape, config.attention, device), 0, config)
        for _ in range(2):
            start = time.perf_counter()
            learner.update(samples, advantages)
            _wait(device)
            seconds.append(time.perf_counter() - start)

    measured = peak_bytes(work, device)
    needed = replace(config, gradient_checkpointing=False, attention="flash_attention_2")
    flop = sum(update_flop(shape, needed, each) for each in passes(rows, needed))
    peak = _peak_flop(device)
    return {
        "tokens": sum(row.length for row in rows),
        "seconds": seconds[1],
        "tokens_per_second": sum(row.length for row in rows) / seconds[1],
        "mfu": None if peak is None else flop / seconds[1] / peak,
        "planned_gib": planned / 2**30,
        "measured_gib": measured / 2**30,
        "planned_over_measured": planned / measured,
    }


def sync(shape: Shape, device: torch.device) -> Record:
    """The learner's weights into a sampler's bfloat16 ones beside it, and into a file for servers."""
    config = replace(BASE, policy="server", servers=("http://127.0.0.1:8001",))
    learner = Learner(make_model(shape, "sdpa", device), 0, config)
    held = {name: torch.empty_like(w, dtype=torch.bfloat16) for name, w in learner.model.named_parameters()}
    _wait(device)
    start = time.perf_counter()
    for name, weight in learner.sampler_weights():
        held[name].copy_(weight)
    _wait(device)
    beside = time.perf_counter() - start
    size = sum(w.numel() * w.element_size() for w in held.values())
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        start = time.perf_counter()
        save_file({name: w.cpu() for name, w in learner.sampler_weights()}, Path(folder) / "weights")
        filed = time.perf_counter() - start
    return {"gib": size / 2**30, "seconds": beside, "seconds_file": filed}


def demo(small: bool, device: torch.device) -> Record:
    """The tiny student from its warm start through training to the report."""
    size = ["--steps", "2", "--eval-questions", "8", "--eval-samples", "1"]
    size += ["--warm.steps", "5", "--warm.batch", "16", "--questions-per-step", "8"] if small else []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        command = [sys.executable, "-m", "agents.train", "--preset", "tiny", "--policy", "transformers"]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, *size, "--run-dir", str(place)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            return {"skipped": (done.stderr.strip().splitlines() or ["no word"])[-1]}
        assert (place / "report.html").is_file()
    return {"seconds": seconds, "device": device.type}


def check(out: Path, small: bool, parts: list[str], budget_s: float) -> list[Record]:
    """Run all parts in their order, writing what is known after each; those past the budget are left out."""
    device = torch.device("cuda" if torch.cuda.is_available() and not small else "cpu")
    plans: list[tuple[str, str, str, Callable[[], Record]]] = []
    if "update" in parts:
        plans += [
            ("update", model, what, partial(update, shape, config, device))
            for model, shape, what, config in settings(device.type == "cpu")
        ]
    if "sync" in parts:
        largest = list(SMALL.items() if device.type == "cpu" else QWEN3.items())[-1]
        plans.append(("sync", largest[0], "bfloat16", partial(sync, largest[1], device)))
    if "demo" in parts:
        plans.append(("demo", "tiny", device.type, partial(demo, device.type == "cpu", device)))
    start = time.perf_counter()
    records: list[Record] = []
    for part, model, what, work in plans:
        found: Record
        if time.perf_counter() - start > budget_s:
            found = {"skipped": f"more than {budget_s:.0f} s had passed"}
        else:
            with _eager_on(device):
                found = _said(work)
        records.append({"part": part, "model": model, "what": what, **found})
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        write(out, device, records)
    return records


def write(out: Path, device: torch.device, records: list[Record]) -> None:
    """`check.json` and `check.md` in a folder."""
    machine = {
        "card": torch.cuda.get_device_name(device) if device.type == "cuda" else "none: CPU, small shapes",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "check.json").write_text(json.dumps({"machine": machine, "records": records}, indent=1) + "\n")
    columns = ["part", "model", "what", "tokens_per_second", "mfu", "seconds", "planned_gib", "measured_gib"]
    lines = ["| " + " | ".join([*columns, "note"]) + " |", "|---" * (len(columns) + 1) + "|"]
    for record in records:
        cells = [_cell(record.get(column)) for column in columns]
        lines.append("| " + " | ".join([*cells, str(record.get("skipped", ""))]) + " |")
    said = ", ".join(f"{name} {value}" for name, value in machine.items())
    (out / "check.md").write_text(said + "\n\n" + "\n".join(lines) + "\n")


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _said(work: Callable[[], Record]) -> Record:
    """What a part found; a part that this machine cannot do says why, and the others go on."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - kernels and compilers fail in ways of their own
        return {"skipped": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}


@contextmanager
def _eager_on(device: torch.device) -> Iterator[None]:
    """On a CPU compiling takes longer than all the rest."""
    if device.type == "cpu":
        torch.compiler.set_stance("force_eager")
    try:
        yield
    finally:
        torch.compiler.set_stance("default")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory(device: torch.device) -> int | None:
    return int(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else None


def _peak_flop(device: torch.device) -> float | None:
    """A card's bfloat16 FLOP a second by its data sheet; None without a card that is known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device).lower().replace(" ", "").replace("geforce", "")
    known: Mapping[str, float] = {key.partition("-")[0]: gpu.tflops for key, gpu in GPUS.items()}
    found = [tflops for key, tflops in known.items() if key in name]
    return found[0] * 1e12 if found else None


def main(arguments: list[str] | None = None) -> int:
    """Check and print the table; 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/gpu-check"), help="folder of the results")
    parser.add_argument("--small", action="store_true", help="small shapes on the CPU")
    parser.add_argument("--parts", nargs="+", default=["update", "sync", "demo"], help="what is run")
    parser.add_argument("--seconds", type=float, default=400, help="no part begins later than this")
    options = parser.parse_args(arguments)
    check(options.out, options.small, options.parts, options.seconds)
    print((options.out / "check.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
