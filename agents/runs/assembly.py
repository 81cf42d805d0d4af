"""The parts of a run: its first student, its sampler, and what it is measured against."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
import transformers
from rich.console import Console
from rich.progress import Progress
from safetensors import SafetensorError

from agents.learning import processes as parallel
from agents.runs.checkpoint import save_model
from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.policies.policy import Policy
from agents.warm_start.pretrained import smollm2
from agents.warm_start.tiny import make_model, make_tokenizer, sample_texts, warm_start
from agents.learning.divergence import TeacherDistance
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.errors import ConfigurationError
from socratic_env.questions import QuestionSet, load_questions
from socratic_env.teachers import Teacher

MADE = ("tiny", "smollm2")
"""Students that are warm-started in the run's folder."""


def load_student(folder: Path, attention: str = "sdpa") -> tuple[Any, Any]:
    """(model, tokenizer) of a local folder in transformers' format."""
    if not folder.is_dir():
        raise ConfigurationError(
            f"student {str(folder)!r} is neither {' nor '.join(MADE)} nor a local folder"
        )
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


def new_student(config: TrainConfig, questions: QuestionSet) -> tuple[Any, Any]:
    """(model, tokenizer) of one of the students MADE, before its warm start."""
    if config.student == "smollm2":
        return smollm2()
    tokenizer = make_tokenizer(sample_texts(questions, 4000, config.seed), config.tiny.vocabulary)
    return make_model(config.tiny, tokenizer, config.seed), tokenizer


def warm_student(
    config: TrainConfig, model: Any, tokenizer: Any, questions: QuestionSet, folder: Path, progress: Progress
) -> None:
    """Warm-start a new student and put it into a folder."""
    if config.warm.steps:
        bar = progress.add_task("warm start", total=config.warm.steps, status="")

        def advance(step: int, loss: float) -> None:
            progress.update(bar, completed=step, status=f"loss {loss:.3f}")

        warm_start(model, tokenizer, questions, config.warm, config.seed, advance)
    save_model(folder, model, tokenizer)


def warm_questions(config: TrainConfig, questions: QuestionSet, console: Console) -> QuestionSet:
    """Questions with worked solutions to warm-start on."""
    if config.warm_questions is not None:
        return load_questions(config.warm_questions, split="train")
    first = questions[0]
    if first.solution is not None and first.mistakes:
        return questions
    console.print("the questions have no worked solutions: warm start on 'procedural'", highlight=False)
    return load_questions("procedural", config.domain, "train")


def sampler(config: TrainConfig) -> str:
    """The policy that "auto" stands for here, or the one that was asked for: "vllm", "transformers" or
    "server". Raises ConfigurationError if it cannot work here."""
    has_vllm = importlib.util.find_spec("vllm") is not None
    several = parallel.size() > 1
    if config.policy == "auto":
        return "vllm" if has_vllm and not several else "transformers"
    if config.policy == "vllm" and not has_vllm:
        raise ConfigurationError(
            "policy 'vllm' needs vLLM: install socratic-env[cpu] or [gpu], or use --policy transformers"
        )
    if config.policy == "vllm" and several:
        raise ConfigurationError(
            "policy 'vllm' runs in one process of its own kind, not beside the others of torchrun; use "
            "--policy server or --policy transformers"
        )
    return config.policy


def make_policy(
    config: TrainConfig, folder: Path, learner: Learner, tokenizer: Any, progress: Progress
) -> Policy:
    """The sampler: vLLM where it is installed, else transformers, on the learner's own model where
    that is whole."""
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    chosen = sampler(config)
    if chosen == "server":
        from agents.policies.server_policy import connect

        assert config.run_dir is not None
        progress.console.print(f"sending weights to {', '.join(config.servers)}", highlight=False)
        sync_folder = config.sync_folder or config.run_dir / "sync"
        weights = learner.weights().items()
        return connect(config.servers, config.sync, sync_folder, weights, eos, config.max_model_len)
    if chosen == "vllm":
        from agents.policies.vllm_policy import VLLMPolicy

        progress.console.print("starting vLLM")
        return VLLMPolicy(folder, eos, config.max_model_len, dtype=config.dtype, seed=config.seed)
    from agents.policies.transformers_policy import TransformersPolicy

    several = parallel.size() > 1
    own = learner.model if not (several or config.lora_rank) else load_student(folder)[0].to(learner.device)
    return TransformersPolicy(own, eos, pad, config.max_model_len)


def distance_from(config: TrainConfig, model: Any, tokenizer: Any) -> TeacherDistance | None:
    """The measure of the student's divergence from the reference model, if one is given.

    Raises ConfigurationError if that cannot be measured.
    """
    if config.kl_reference is None:
        return None
    if parallel.size() > 1:
        raise ConfigurationError(
            "kl_reference needs the whole student in one process, and torchrun shards it; leave it out and "
            "measure a checkpoint with python -m agents.kl"
        )
    return TeacherDistance.load(
        config.kl_reference, model, tokenizer, config.temperature, config.micro_batch_tokens
    )


def make_env(
    config: TrainConfig, teacher: Teacher | None, split: str, questions: int, samples: int
) -> SocraticVectorEnv:
    """The vector environment of a run, through its id; teacher None: the environment's own.

    Raises ConfigurationError for an environment of another kind, and for an id whose questions would be
    replaced.
    """
    own = gym.spec(config.env).kwargs.get("questions")
    if own is not None and config.questions not in (None, own):
        raise ConfigurationError(
            f"env {config.env!r} asks {own!r}, and questions is {config.questions!r}; use --questions None "
            f"for the environment's own, or --env {TrainConfig.env}"
        )
    chosen: dict[str, Any] = {} if teacher is None else {"teacher": teacher}
    try:
        made: Any = gym.make_vec(
            config.env,
            num_envs=questions * samples,
            rollouts_per_question=samples,
            split=split,
            **config.env_kwargs(),
            **chosen,
        )
    except TypeError as error:
        raise ConfigurationError(
            f"env {config.env!r} is no vector environment of dialogues ({error}); use an id such as "
            f"{TrainConfig.env}"
        ) from error
    vector: SocraticVectorEnv = made
    return vector
