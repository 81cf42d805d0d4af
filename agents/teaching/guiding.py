"""Guidance: student and teacher in the PettingZoo environment; the teacher learns, and is measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agents.learning.samples import Sample, Sampling
from agents.options import ChainStudent, TinyStudent
from agents.policies.transformers_policy import TransformersPolicy
from agents.rollout import mixed_seed
from agents.runs.assembly import cache_folder, load_student
from agents.teaching.gradient import policy_gradient, sample_of
from agents.teaching.guided_turns import Speaker, Turn, Turns
from agents.teaching.teach_config import GuideConfig
from agents.teaching.teaching_run import TeachingRun, change, chat_of
from agents.warm_start import chain_guide, chain_student
from agents.warm_start.word_student import make_student
from socratic_env.errors import ConfigurationError, SocraticError
from socratic_env.plugins import spec_of
from socratic_env.questions import load_questions
from socratic_env.questions.chains import ChainQuestions, World


def teach(config: GuideConfig, run: TeachingRun) -> dict[str, Any]:
    """The whole run; what was found: the correction rate on held-out questions, before and after."""
    student, words = _student(config)
    model, own = _teacher(config)
    pupil = _speaker(config, student, words, 1.0, config.max_response_tokens)
    guide = _speaker(config, model, own, config.temperature, config.max_teacher_tokens)
    training, held = Turns(config, pupil, guide, "train"), Turns(config, pupil, guide, "test")

    def play(step: int) -> tuple[list[Sample], dict[str, float]]:
        ids = training.places(config.questions_per_step, mixed_seed(config.seed, step, 4))
        turns = training.play(ids, config.texts_per_question, mixed_seed(config.seed, step, 5))
        samples = [sample_of(i, t.group, t.prompt, t.completion, t.reward) for i, t in enumerate(turns)]
        if not turns:
            return [], {}
        return samples, _told(turns) | {"reward": float(np.mean([t.reward for t in turns]))}

    def measure(step: int) -> list[Turn]:
        ids = held.places(config.eval_questions, mixed_seed(config.seed, 6))
        turns = held.play(ids, 1, mixed_seed(config.seed, 7))
        if not turns:
            raise SocraticError(
                f"the student gets all of {len(ids)} held-out questions right: nothing is to be taught"
            )
        run.line("eval", step, _told(turns) | {"guided": float(len(turns))})
        told = _told(turns)
        run.say(
            f"step {step:4d}  held-out  correction rate {told['correction_rate']:.3f}  "
            f"leaked {told['leaked']:.3f}  ({len(turns)} wrong answers)"
        )
        return turns

    first = last = measure(0)
    steps = policy_gradient(
        config, config.questions_per_step, config.texts_per_question, play, guide.policy,
        guide.chat.pad, model,
    )  # fmt: skip
    for done, metrics in enumerate(steps, 1):
        run.line("train", done, metrics)
        if done % config.eval_every == 0 or done == config.steps:
            last = measure(done)
    training.close()
    held.close()
    # The student and its first attempts are the same each time, so that the wrong ones are.
    before, after = (np.array([float(turn.corrected) for turn in turns]) for turns in (first, last))
    found = {
        "correction_rate": change(before, after, share=True),
        "leaked": [_told(turns)["leaked"] for turns in (first, last)],
    }
    run.keep(model, own, found)
    return {"correction rate": found["correction_rate"]}


def _told(turns: list[Turn]) -> dict[str, float]:
    return {
        "correction_rate": float(np.mean([turn.corrected for turn in turns])),
        "leaked": float(np.mean([turn.leaked for turn in turns])),
        "blank": float(np.mean([turn.blank for turn in turns])),
        "distinct": float(len({tuple(turn.completion.ids) for turn in turns})),
    }


def _speaker(config: GuideConfig, model: Any, words: Any, temperature: float, longest: int) -> Speaker:
    chat = chat_of(model, words)
    policy = TransformersPolicy(model, chat.ends, chat.pad, config.max_model_len)
    return Speaker(policy, chat, Sampling(temperature, max_tokens=longest))


def _student(config: GuideConfig) -> tuple[Any, Any]:
    if config.student != "chain":
        return load_student(Path(config.student))
    world = _world(config, "student")
    words = chain_student.make_tokenizer(world)
    model = make_student(TinyStudent(), words)
    chain_student.warm_start(model, words, world, ChainStudent(), config.seed, cache_folder())
    return model, words


def _teacher(config: GuideConfig) -> tuple[Any, Any]:
    if config.teacher != "chain":
        return load_student(Path(config.teacher))
    world = _world(config, "teacher")
    return chain_guide.make_guide(TinyStudent(), ChainStudent(), world, config.seed, cache_folder())


def _world(config: GuideConfig, who: str) -> World:
    questions = load_questions(spec_of(config.questions, "questions"))
    if not isinstance(questions, ChainQuestions):
        raise ConfigurationError(
            f"{who} is 'chain', and questions is {config.questions!r}, which are no chains; give --{who} a "
            "folder"
        )
    return questions.world
