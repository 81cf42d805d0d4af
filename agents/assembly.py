"""The parts of a run: its first student, its sampler, and what it is measured against."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.progress import Progress

from agents import parallel
from agents.checkpoint import save_model
from agents.config import TrainConfig
from agents.learner import Learner
from agents.policies.base import Policy
from agents.pretrained import smollm2
from agents.students import make_model, make_tokenizer, sample_texts, warm_start
from agents.teacher_distance import TeacherDistance
from socratic_env.errors import ConfigurationError
from socratic_env.questions import QuestionSet, load_questions


def first_student(config: TrainConfig, run_dir: Path, questions: QuestionSet, progress: Progress) -> Path:
    """Folder of the student that the run begins with: a local one, or one that is put into the run's."""
    if config.student not in ("tiny", "smollm2"):
        if not Path(config.student).is_dir():
            raise ConfigurationError(
                f"student {config.student!r} is neither 'tiny', 'smollm2' nor a local folder"
            )
        return Path(config.student)
    folder = run_dir / "student"
    if not folder.is_dir():
        made = make_tiny(config, questions, progress) if config.student == "tiny" else smollm2()
        save_model(folder, *made)
    return folder


def make_tiny(config: TrainConfig, questions: QuestionSet, progress: Progress) -> tuple[Any, Any]:
    """(model, tokenizer) of the small student, made and warm-started here."""
    lessons = warm_questions(config, questions, progress)
    tokenizer = make_tokenizer(sample_texts(lessons, 4000, config.seed), config.tiny.vocabulary)
    model = make_model(config.tiny, tokenizer, config.seed)
    bar = progress.add_task("warm start", total=config.tiny.warm_steps, status="")

    def advance(step: int, loss: float) -> None:
        progress.update(bar, completed=step, status=f"loss {loss:.3f}")

    warm_start(model, tokenizer, lessons, config.tiny, config.seed, advance)
    return model, tokenizer


def load_student(folder: Path) -> tuple[Any, Any]:
    """(model, tokenizer) of a local folder in transformers' format."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{folder} holds no model in transformers' format: {error}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def warm_questions(config: TrainConfig, questions: QuestionSet, progress: Progress) -> QuestionSet:
    """Questions with worked solutions to warm-start on."""
    if config.warm_questions is not None:
        return load_questions(config.warm_questions, split="train")
    first = questions[0]
    if first.solution is not None and first.mistakes:
        return questions
    progress.console.print(
        "the questions have no worked solutions: warm start on 'procedural'", highlight=False
    )
    return load_questions("procedural", config.domain, "train")


def make_policy(
    config: TrainConfig, folder: Path, learner: Learner, tokenizer: Any, progress: Progress
) -> Policy:
    """The sampler: vLLM where it is installed, else transformers, on the learner's own model where
    that is whole."""
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if config.policy == "server":
        from agents.policies.server import connect

        assert config.run_dir is not None
        progress.console.print(f"sending weights to {', '.join(config.servers)}", highlight=False)
        sync_folder = config.sync_folder or config.run_dir / "sync"
        weights = learner.weights().items()
        return connect(config.servers, config.sync, sync_folder, weights, eos, config.max_model_len)
    has_vllm = importlib.util.find_spec("vllm") is not None
    if config.policy == "vllm" and not has_vllm:
        raise ConfigurationError(
            "policy 'vllm' needs vLLM: install socratic-env[cpu] or [gpu], or use --policy transformers"
        )
    several = parallel.size() > 1
    if config.policy == "vllm" and several:
        raise ConfigurationError(
            "policy 'vllm' runs in one process of its own kind, not beside the others of torchrun; use "
            "--policy server or --policy transformers"
        )
    if config.policy != "transformers" and has_vllm and not several:
        from agents.policies.vllm import VLLMPolicy

        progress.console.print("starting vLLM")
        return VLLMPolicy(folder, eos, config.max_model_len, dtype=config.dtype, seed=config.seed)
    from agents.policies.transformers import TransformersPolicy

    own = learner.model if not (several or config.lora_rank) else load_student(folder)[0].to(learner.device)
    return TransformersPolicy(own, eos, pad, config.max_model_len)


def distance_from(config: TrainConfig, learner: Learner, tokenizer: Any) -> TeacherDistance | None:
    """The measure of the student's divergence from the reference model, if one is given."""
    if config.kl_reference is None:
        return None
    if parallel.size() > 1:
        raise ConfigurationError(
            "kl_reference needs the whole student in one process, and torchrun shards it; leave it out and "
            "measure a checkpoint with python -m agents.kl"
        )
    return TeacherDistance.load(
        config.kl_reference, learner.model, tokenizer, config.temperature, config.micro_batch_tokens
    )
