"""The divergence of a student from a teacher, measured on answers that the student samples."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import transformers

from agents.learning.divergence import NAMES, TeacherDistance
from agents.learning.samples import Sampling
from agents.options import KLMeasure
from agents.policies.transformers_policy import TransformersPolicy
from agents.rollout import check_prompts_fit, rollout
from agents.runs.assembly import load_student
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.intervals import Counted, estimate, resamples_of
from socratic_env.evaluation.runner import evaluation_questions
from socratic_env.models.chat import Chat, ends_of
from socratic_env.models.chat_template import template_arguments
from socratic_env.plugins import spec_of
from socratic_env.questions import load_questions


def measure(options: KLMeasure) -> dict[str, Any]:
    """{"kl_k1": {"value", "interval"}, ..., "tokens", "answers"} and the settings."""
    transformers.utils.logging.disable_progress_bar()
    if not options.temperature > 0:
        raise ConfigurationError(
            f"temperature is {options.temperature}; give one above 0, since greedy answers are no sample"
        )
    for name in ("number", "samples"):
        if getattr(options, name) < 1:
            raise ConfigurationError(f"--{name} is {getattr(options, name)}; give at least 1")
    found = load_questions(spec_of(options.questions, "--questions"), options.domain, options.split)
    _, asked = evaluation_questions(found, options.number, options.seed)
    model, tokenizer = load_student(options.student)
    arguments = template_arguments("the student", options.chat_template)
    chat = Chat(tokenizer, None, arguments, ends_of(model.generation_config, model.config))
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
    policy = TransformersPolicy(model, chat.ends, chat.pad, options.max_model_len)
    sampling = Sampling(options.temperature, max_tokens=options.max_response_tokens)
    batch = rollout(env, policy, chat, sampling, options.seed, [q.id for q in asked])
    env.close()
    check_prompts_fit(batch, sampling, options.max_model_len)
    sums_B3, lengths_B = distance.sums(batch.samples)
    tops_Q3, bottoms_Q = np.zeros((len(asked), 3)), np.zeros(len(asked))
    groups = [sample.group for sample in batch.samples]
    np.add.at(tops_Q3, groups, sums_B3)
    np.add.at(bottoms_Q, groups, lengths_B)
    picks = resamples_of(len(asked), seed=options.seed)
    distances = {
        name: estimate(Counted.known((tops_Q3[:, i], bottoms_Q), share=False), picks)
        for i, name in enumerate(NAMES)
    }
    folders = {"student": str(options.student), "teacher": str(options.teacher)}
    settings = {**asdict(options), **folders, "number": len(asked)}
    return {**settings, **distances, "answers": len(batch.samples), "tokens": int(lengths_B.sum())}
