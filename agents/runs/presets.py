"""Configurations that stand for a whole setting; every option of the command line changes them."""

from __future__ import annotations

from dataclasses import replace

from agents.config import TrainConfig
from agents.options import VLLM, WarmStart

_TEACHER = (
    '{"kind": "openai", "base_url": "http://127.0.0.1:8000/v1", "model": "teacher", '
    '"temperature": 0.2, "max_tokens": 1024}'
)
_ONE_CARD = TrainConfig(
    questions="sciknoweval",
    teacher=_TEACHER,
    policy="vllm",
    questions_per_step=16,
    rollouts_per_question=8,
    questions_per_minibatch=8,
    micro_batch_tokens=6144,
    dtype="bfloat16",
    gradient_checkpointing=True,
    max_response_tokens=2048,
    max_model_len=6144,
    history_tokens=1024,
    lr=1e-6,
    eval_every=20,
    eval_questions=128,
    eval_samples=4,
    eval_temperature=0.6,
    eval_top_p=0.95,
)
"""What the presets of one GPU have in common; the teacher is served elsewhere."""

PRESETS: dict[str, TrainConfig] = {
    # Learns on two CPU cores in minutes.
    "tiny": TrainConfig(questions="concepts"),
    # SocraticPO with internalisation in the world of chains, as in the learning study (benchmarks/study).
    "chains": TrainConfig(
        student="chain",
        questions="chains",
        protocol="worked_next_step",
        policy="transformers",
        estimator="grpo-attempts",
        internalise=1.0,
        steps=60,
        max_response_tokens=8,
        max_model_len=96,
        lr=3e-4,
        weight_decay=0.0,
        eval_questions=512,
        eval_samples=2,
    ),
    # A real, weak language model; a step takes minutes on two CPU cores and seconds on a GPU.
    "smollm2": TrainConfig(
        student="smollm2",
        questions="concepts",
        warm=WarmStart(steps=40, batch=16, lr=1e-4),
        questions_per_step=8,
        rollouts_per_question=8,
        questions_per_minibatch=4,
        micro_batch_tokens=4096,
        max_response_tokens=96,
        max_model_len=1024,
        lr=1e-5,
        eval_questions=64,
        eval_samples=2,
    ),
    # Table 5. Four GPUs learn (torchrun), the student's and the teacher's vLLM servers have the others;
    # give the model's folder with --student. SDPO wants --lr 1e-5.
    "qwen3-4b": TrainConfig(
        student="Qwen3-4B-Instruct-2507",
        questions="sciknoweval",
        teacher=_TEACHER,
        max_attempts=2,
        policy="server",
        servers=("http://127.0.0.1:8001",),
        questions_per_step=32,
        rollouts_per_question=8,
        questions_per_minibatch=8,
        micro_batch_tokens=32768,
        packing=True,
        attention="rows",
        dtype="bfloat16",
        gradient_checkpointing=True,
        temperature=1.0,
        max_response_tokens=8192,
        max_model_len=16384,
        save_in_background=True,
        lr=1e-6,
        warmup=10,
        warmup_by="batch",
        weight_decay=0.01,
        grad_clip=1.0,
        # In 100 steps 20 % of all episodes; 16 samples, as in the paper, every 10 steps would be 65 %.
        eval_every=25,
        eval_questions=256,
        eval_samples=4,
        eval_temperature=0.6,
        eval_top_p=0.95,
    ),
    # Full fine-tuning on one card of 24 GB, vLLM asleep while the learner works.
    "qwen3-0.6b": replace(
        _ONE_CARD,
        student="Qwen3-0.6B",
        vllm=VLLM(cache_mib=4096, enforce_eager=False, sleep=1),
    ),
    # Adapters on one card of 24 GB; all weights, with optimizer="adamw-8bit", take one of 32 GB.
    "qwen3-1.7b": replace(
        _ONE_CARD,
        student="Qwen3-1.7B",
        lora_rank=64,
        lora_alpha=64,
        lr=1e-5,
        vllm=VLLM(cache_mib=4096, enforce_eager=False, sleep=1),
    ),
    # Adapters on one card of 80 GB.
    "qwen3-4b-lora": replace(
        _ONE_CARD,
        student="Qwen3-4B-Instruct-2507",
        lora_rank=64,
        lora_alpha=64,
        questions_per_step=32,
        micro_batch_tokens=16384,
        max_response_tokens=4096,
        max_model_len=12288,
        lr=1e-5,
        vllm=VLLM(cache_mib=24576, enforce_eager=False),
    ),
}
