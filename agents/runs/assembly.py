"""The parts of a run: its first student, its sampler, and what it is measured against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.progress import Progress
from safetensors import SafetensorError

from agents.config import TrainConfig
from agents.learning import processes
from agents.learning.divergence import TeacherDistance
from agents.learning.learner import Learner
from agents.policies.policy import Policy
from agents.runs.checkpoint import save_model
from agents.runs.preflight import sampler
from agents.warm_start import chain_student, modular_student
from agents.warm_start.pretrained import smollm2
from agents.warm_start.tiny import make_model, make_tokenizer, sample_texts, warm_start
from agents.warm_start.word_student import make_student
from socratic_env.errors import ConfigurationError
from socratic_env.models.chat import Chat, ends_of
from socratic_env.questions import QuestionSet
from socratic_env.questions.chains import ChainQuestions


def load_student(folder: Path, attention: str = "sdpa") -> tuple[Any, Any]:
    """(model, tokenizer) of a local folder in transformers' format."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no local folder of a model")
    if not (folder / "tokenizer_config.json").is_file():  # transformers would take another tokenizer
        raise ConfigurationError(f"{folder} has no tokenizer_config.json; copy or make it again")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation=attention
        )
    except ImportError as error:
        raise ConfigurationError(f"attention {attention!r} cannot be had here: {error}") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigurationError(
            f"{folder} holds no model in transformers' format: {error}; copy or make it again"
        ) from error
    for name in ("chat_template", "eos_token"):
        if getattr(tokenizer, name) is None:
            raise ConfigurationError(f"{folder} has no {name}; copy or make it again")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def chat_of(config: TrainConfig, model: Any, tokenizer: Any) -> Chat:
    """The student's chat format, looked at once. Raises ConfigurationError for one that cannot be used."""
    ends = ends_of(model.generation_config, model.config)
    return Chat(tokenizer, config.history_tokens, config.template_arguments(), ends)


def new_student(config: TrainConfig, questions: QuestionSet) -> tuple[Any, Any]:
    """(model, tokenizer) of one of the students MADE, before its warm start."""
    if config.student == "smollm2":
        return smollm2()
    if isinstance(questions, ChainQuestions) and config.student == "chain":
        words = chain_student.make_tokenizer(questions.world)
        return make_student(config.tiny, words), words
    if config.student == "modular":
        words = modular_student.make_tokenizer()
        return make_student(config.tiny, words), words
    tokenizer = make_tokenizer(sample_texts(questions, 4000, config.seed), config.tiny.vocabulary)
    return make_model(config.tiny, tokenizer, config.seed), tokenizer


def cache_folder() -> Path:
    """Where things are kept that many runs can use: $SOCRATIC_CACHE, or a folder of the user's."""
    return Path(os.environ.get("SOCRATIC_CACHE") or "~/.cache/socratic-env").expanduser()


def warm_student(
    config: TrainConfig, model: Any, tokenizer: Any, questions: QuestionSet, folder: Path, progress: Progress
) -> None:
    """Warm-start a new student and put it into a folder."""
    parts = {
        "chain": config.chain.schooling_steps + config.chain.steps,
        "modular": config.modular.schooling_steps + config.modular.steps,
    }
    total = parts.get(config.student, config.warm.steps)
    bar = progress.add_task("warm start", total=total, status="")

    def advance(step: int, loss: float) -> None:
        progress.update(bar, completed=step, status=f"loss {loss:.3f}")

    if isinstance(questions, ChainQuestions) and config.student == "chain":
        chain_student.warm_start(
            model, tokenizer, questions.world, config.chain, config.seed, cache_folder(), advance
        )
    elif config.student == "modular":
        modular_student.warm_start(model, tokenizer, config.modular, config.seed, cache_folder(), advance)
    elif config.warm.steps:
        warm_start(model, tokenizer, questions, config.warm, config.seed, advance)
    save_model(folder, model, tokenizer)


def make_policy(
    config: TrainConfig, folder: Path, learner: Learner, chat: Chat, progress: Progress
) -> Policy:
    """The sampler: vLLM where it is installed, else transformers, on the learner's own model where
    that is whole."""
    chosen = sampler(config)
    if chosen == "server":
        from agents.policies.server_policy import connect

        assert config.run_dir is not None
        progress.console.print(f"sending weights to {', '.join(config.servers)}", highlight=False)
        sync_folder = config.sync_folder or config.run_dir / "sync"
        weights = learner.sampler_weights()
        return connect(config.servers, config.sync, sync_folder, weights, chat.ends, config.max_model_len)
    if chosen == "vllm":
        from agents.policies.vllm_policy import VLLMPolicy

        progress.console.print("starting vLLM")
        return VLLMPolicy(folder, chat.ends, config.max_model_len, config.dtype, config.vllm, config.seed)
    from agents.policies.transformers_policy import TransformersPolicy

    several = processes.size() > 1
    apart = several or config.lora_rank or config.staleness
    own = learner.model if not apart else load_student(folder)[0].to(learner.device)
    return TransformersPolicy(own, chat.ends, chat.pad, config.max_model_len)


def distance_from(config: TrainConfig, model: Any, tokenizer: Any) -> TeacherDistance | None:
    """The measure of the student's divergence from the reference model, if one is given.

    Raises ConfigurationError if that cannot be measured.
    """
    if config.kl_reference is None:
        return None
    if processes.size() > 1:
        raise ConfigurationError(
            "kl_reference needs the whole student in one process, and torchrun shards it; leave it out and "
            "measure a checkpoint with python -m agents.kl"
        )
    return TeacherDistance.load(
        config.kl_reference, model, tokenizer, config.temperature, config.micro_batch_tokens
    )
