"""The plan of a run: bytes and seconds by part, what limits it, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.config import TrainConfig
from agents.options import PlanOptions
from agents.plan.clock import Sampler, rollout_seconds, update_seconds
from agents.plan.gpus import GIB, Gpu, gpu_of
from agents.plan.load import Attempt, passes, play, read_lengths, rows_of, update_flop
from agents.plan.memory import STATE_BYTES, learner_memory
from agents.plan.shapes import Shape, shape_of
from agents.policies.transformers_policy import MOST_TOKENS
from socratic_env.errors import ConfigurationError

RUNTIME = 1.0
"""GiB of a card for CUDA's context and libraries, assumed."""
SPARE = 0.05
"""Share of a card that fragments leave unused, assumed."""
SAMPLER_SCRATCH = 2.0
"""GiB of vLLM beside weights and cache: activations of a prefill, graphs. Assumed."""
FILE = 2e9
"""Bytes a second to a memory file system, or from it, assumed."""
DISK = 1e9
"""Bytes a second to a disk, assumed."""
PAUSES = {"vllm": 0.004, "server": 0.004, "eager": 0.02, "transformers": 0.04}
"""Seconds of a decoding step beside the card's own work, assumed."""


@dataclass(frozen=True)
class Plan:
    """memory: GiB by part, each at its largest, on the kind of card that has it. cards: of each kind how many
    and the GiB needed at the widest moment (not all parts are there at once) beside what is there.
    seconds: of a step by part; evaluation and checkpoints spread over the steps between them. tokens: of a
    step. flop: of a step's update. limits: what does not fit, or takes longest."""

    gpu: str
    gpus: int
    parameters: int
    fits: bool
    limits: str
    memory: Mapping[str, float]
    cards: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, float]
    tokens: Mapping[str, float]
    flop: float
    assumed: Mapping[str, Any]


def plan(config: TrainConfig, options: PlanOptions) -> Plan:
    """The plan of a run. Raises ConfigurationError for a card, a student or a file that is none."""
    gpu, shape = gpu_of(options.gpu), shape_of(config)
    if options.gpus < 1:
        raise ConfigurationError(f"gpus is {options.gpus}; it must be at least 1")
    lengths = None if options.lengths is None else read_lengths(options.lengths)
    policy = _policy(config, options.gpus)
    servers = len(config.servers) if policy == "server" else 0
    learners = max(1, options.gpus - servers) if policy != "vllm" else 1

    eighth = max(1, config.max_model_len // 8)
    prompt = min(512, eighth) if options.prompt_tokens is None else options.prompt_tokens
    guidance = min(256, eighth) if options.guidance_tokens is None else options.guidance_tokens
    if prompt >= config.max_model_len:
        raise ConfigurationError(
            f"prompt_tokens is {prompt}, and max_model_len={config.max_model_len} leaves no room for a "
            "response"
        )

    def played(episodes: int) -> list[Attempt]:
        return play(config, episodes, lengths, prompt, guidance, options.wrong)

    attempts = played(config.questions_per_step * config.rollouts_per_question)
    rows = rows_of(attempts)
    minibatch = -(-len(rows) * config.questions_per_minibatch // config.questions_per_step)
    made = [
        each
        for i in range(0, len(rows), minibatch)
        for each in passes(rows[i : i + minibatch], config, learners)
    ]
    room = gpu.memory_gib * (1 - SPARE) - RUNTIME

    at_moments = learner_memory(shape, config, made, learners)
    learning = max(sum(parts.values()) for parts in at_moments) / GIB
    memory = {part: max(parts[part] for parts in at_moments) / GIB for part in at_moments[0]}
    memory["sync_buffers"] = _sync_buffers(shape, config, learners) / GIB
    asleep = policy == "vllm" and config.vllm.sleep > 0
    resident = memory["weights"] + memory["states"] + memory["sync_buffers"]
    bytes_each = 4 if policy == "transformers" or (policy == "vllm" and config.dtype == "float32") else 2
    longest = config.max_model_len * shape.cache_per_token(bytes_each) / GIB
    rows_at_once = max(1, MOST_TOKENS // config.max_model_len)  # of transformers' sampler
    sampling: dict[str, float] = {}
    if policy == "transformers":
        second = learners > 1 or config.lora_rank > 0
        sampling["sampler_weights"] = bytes_each * shape.parameters / GIB if second else 0.0
        sampling["cache"] = rows_at_once * longest
    else:
        sampling["sampler_weights"] = bytes_each * shape.parameters / GIB
        sampling["sampler_scratch"] = SAMPLER_SCRATCH
        if policy == "server":
            sampling["cache"] = max(0.0, 0.9 * gpu.memory_gib - sum(sampling.values()))
        elif config.vllm.cache_mib is not None:
            sampling["cache"] = config.vllm.cache_mib / 1024
        else:
            sampling["cache"] = max(0.0, config.vllm.memory_share * gpu.memory_gib - sum(sampling.values()))
    memory |= sampling

    needs: list[tuple[str, int, float, float]]
    if policy == "server":
        needs = [
            ("learner", learners, max(learning, resident), room),
            ("student server", servers, sum(sampling.values()), gpu.memory_gib),
        ]
    else:
        both = sum(sampling.values())
        at_once = max(learning, resident + both) if asleep else max(learning + both, resident + both)
        needs = [("learner and sampler", learners, at_once, room)]
    cards = [
        {"kind": kind, "count": count, "needed": needed, "there": there, "fits": needed <= there}
        for kind, count, needed, there in needs
    ]
    faults = [
        f"{card['kind']}: {card['needed']:.1f} GiB needed, {card['there']:.1f} GiB there"
        for card in cards
        if not card["fits"]
    ]
    if sampling["cache"] < longest:
        faults.append(
            f"cache: {sampling['cache']:.2f} GiB, and one dialogue of max_model_len={config.max_model_len} "
            f"tokens takes {longest:.2f} GiB"
        )
    if policy == "server" and options.gpus < servers + 1:
        faults.append(f"cards: policy 'server' takes {servers} for the student's servers and 1 to learn")
    if policy == "vllm" and options.gpus > config.vllm.tensor_parallel:
        faults.append("cards: policy 'vllm' learns on one card; more of them need --policy server")

    mean = sum(a.prompt + a.response for a in attempts) / len(attempts)
    fitting = sampling["cache"] * GIB / (shape.cache_per_token(bytes_each) * mean)
    usual = {"vllm": config.vllm.max_num_seqs, "server": 256}.get(policy, rows_at_once)
    eager = policy == "vllm" and config.vllm.enforce_eager
    sampler = Sampler(
        max(1, servers), max(1, min(usual, int(fitting))), bytes_each, PAUSES["eager" if eager else policy]
    )
    trained = shape.adapters(config.lora_rank) if config.lora_rank else shape.parameters
    moved = (12 + 2 * STATE_BYTES[config.optimizer]) * trained / learners  # weights and states both ways
    seconds = {
        "rollout": rollout_seconds(shape, gpu, sampler, attempts, options.mfu, options.mbu),
        "teacher": _teacher(config, attempts, guidance, options),
        "update": update_seconds(shape, config, gpu, learners, rows, moved, options.mfu, options.mbu),
        "sync": _sync(config, shape, gpu, policy),
    }
    asked = played(config.eval_questions * (config.eval_samples + 1))
    seconds["evaluation"] = (
        rollout_seconds(shape, gpu, sampler, asked, options.mfu, options.mbu)
        + 2 * _teacher(config, asked, guidance, options)
    ) / config.eval_every
    state = 4 * shape.parameters + STATE_BYTES[config.optimizer] * trained
    seconds["checkpoint"] = state / DISK / config.save_every
    whole = sum(seconds.values())
    slowest = max(seconds, key=lambda part: seconds[part])
    return Plan(
        gpu=options.gpu,
        gpus=options.gpus,
        parameters=shape.parameters,
        fits=not faults,
        limits="; ".join(faults) or f"{slowest} takes {seconds[slowest] / whole:.0%} of a step",
        memory=memory,
        cards=cards,
        seconds=seconds,
        tokens={
            "sampled": sum(attempt.response for attempt in attempts),
            "learnt_from": sum(row.targets for row in rows),
            "in_rows": sum(row.length for row in rows),
            "passed": sum(each.tokens for each in made),
            "sampled_in_an_evaluation": sum(attempt.response for attempt in asked),
        },
        flop=float(sum(update_flop(shape, config, each) for each in made)),
        assumed={
            "policy": policy,
            "lengths": "evenly spread" if lengths is None else str(options.lengths),
            "prompt_tokens": prompt,
            "guidance_tokens": guidance,
            "wrong": options.wrong,
            "mfu": options.mfu,
            "mbu": options.mbu,
            "teacher_tokens_per_second": options.teacher_tokens_per_second,
        },
    )


def _policy(config: TrainConfig, gpus: int) -> str:
    """What "auto" stands for where vLLM is installed."""
    if config.policy == "auto":
        return "vllm" if gpus == 1 else "transformers"
    return config.policy


def _sync_buffers(shape: Shape, config: TrainConfig, learners: int) -> int:
    """Bytes of the weights gathered for the sampler: whole tensors that the learner does not hold as such."""
    if config.policy == "server" and config.dtype == "bfloat16":
        return 2 * shape.parameters
    return 4 * shape.parameters if learners > 1 else 0  # in one process they pass one by one


def _sync(config: TrainConfig, shape: Shape, gpu: Gpu, policy: str) -> float:
    size = (2 if config.dtype == "bfloat16" else 4) * shape.parameters
    if policy != "server":
        return 2 * size / (gpu.bandwidth * 1e9)
    if config.sync == "nccl":
        return size / (gpu.link * 1e9)
    return 2 * size / FILE  # written, and read by all servers at once


def _teacher(config: TrainConfig, attempts: Sequence[Attempt], guidance: int, options: PlanOptions) -> float:
    """Seconds of guidance: all requests of a round run together at a served teacher; rules take none."""
    rounds = max(attempt.number for attempt in attempts) - 1
    spec = config.teacher_spec()
    served = isinstance(spec, dict) and spec.get("kind") in ("openai", "vllm", "ensemble")
    return rounds * guidance / options.teacher_tokens_per_second if served else 0.0
