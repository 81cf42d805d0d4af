"""`python -m agents.kl --student DIR --teacher DIR`: how far a student is from a teacher (Figure 6)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import transformers
import tyro

import socratic_env  # noqa: F401 - registers the ids
from agents.learning.divergence import NAMES, TeacherDistance
from agents.learning.samples import Sampling
from agents.policies.transformers_policy import TransformersPolicy
from agents.rollout import check_prompts_fit, rollout
from agents.runs.assembly import load_student
from socratic_env.errors import ConfigurationError, SocraticError
from socratic_env.evaluation.html import shares
from socratic_env.evaluation.runner import evaluation_questions
from socratic_env.evaluation.statistics import estimate, resamples_of
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions


@dataclass(frozen=True)
class Measure:
    """KL(student || teacher) on answers that the student samples, with intervals over questions."""

    student: Path
    """Folder of the student, in transformers' format."""
    teacher: Path
    """Folder of the teacher, with the same tokenizer."""
    questions: str = "procedural"
    """A family of questions, "sciknoweval", or a path."""
    domain: str | None = None
    """One domain only."""
    split: str = "test"
    """Which split: train or test."""
    number: int = 64
    """Different questions, drawn by the seed; where there are fewer, all of them."""
    samples: int = 4
    """Answers to each of them."""
    temperature: float = 1.0
    """Of the sampling, and of both models' log-probabilities."""
    max_response_tokens: int = 512
    """Longest answer."""
    max_model_len: int = 4096
    """Most tokens of prompt and answer; a longer prompt is left out."""
    micro_batch_tokens: int = 8192
    """Most padded tokens in one forward pass."""
    seed: int = 0
    """Of the questions and the sampling."""
    json: bool = False
    """Print JSON for machines."""


def measure(options: Measure) -> dict[str, Any]:
    """{"kl_k1": {"value", "interval"}, ..., "tokens", "answers"} and the settings."""
    if not options.temperature > 0:
        raise ConfigurationError(
            f"temperature is {options.temperature}; give one above 0, since greedy answers are no sample"
        )
    for name in ("number", "samples"):
        if getattr(options, name) < 1:
            raise ConfigurationError(f"--{name} is {getattr(options, name)}; give at least 1")
    found = load_questions(options.questions, options.domain, options.split)
    _, asked = evaluation_questions(found, options.number, options.seed)
    model, tokenizer = load_student(options.student)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    distance = TeacherDistance.load(
        str(options.teacher), model, tokenizer, options.temperature, options.micro_batch_tokens
    )
    env: Any = gym.make_vec(
        "SocraticSciKnow-v0",
        num_envs=len(asked) * options.samples,
        rollouts_per_question=options.samples,
        questions=asked,
        teacher="retry",
        max_attempts=1,
    )
    policy = TransformersPolicy(model, tokenizer.eos_token_id, tokenizer.pad_token_id, options.max_model_len)
    sampling = Sampling(options.temperature, max_tokens=options.max_response_tokens)
    batch = rollout(env, policy, Chat(tokenizer), sampling, options.seed, [q.id for q in asked])
    env.close()
    check_prompts_fit(batch, sampling, options.max_model_len)
    sums_B3, lengths_B = distance.sums(batch.samples)
    tops_Q3, bottoms_Q = np.zeros((len(asked), 3)), np.zeros(len(asked))
    groups = [sample.group for sample in batch.samples]
    np.add.at(tops_Q3, groups, sums_B3)
    np.add.at(bottoms_Q, groups, lengths_B)
    picks = resamples_of(len(asked), seed=options.seed)
    distances = {name: estimate((tops_Q3[:, i], bottoms_Q), picks) for i, name in enumerate(NAMES)}
    folders = {"student": str(options.student), "teacher": str(options.teacher)}
    settings = {**asdict(options), **folders, "number": len(asked)}
    return {**settings, **distances, "answers": len(batch.samples), "tokens": int(lengths_B.sum())}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0: fine, 2: unusable arguments."""
    transformers.utils.logging.disable_progress_bar()
    options = tyro.cli(Measure, args=arguments, prog="python -m agents.kl")
    try:
        found = measure(options)
    except SocraticError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        for name in NAMES:
            print(f"{name:<8} {shares(found[name], 4)} nats per token")
        print(
            f"{found['answers']} answers to {found['number']} questions, {found['tokens']} tokens; brackets: "
            "95 % bootstrap intervals over questions"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
