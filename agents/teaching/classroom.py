"""Viewpoints: a student, its traces, and a teacher; then it learns, and is measured again."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from agents.learning.divergence import TeacherDistance
from agents.learning.preferences import margins
from agents.learning.samples import Sample, Sampling
from agents.options import ModularStudent, TinyStudent
from agents.policies.transformers_policy import TransformersPolicy
from agents.rollout import mixed_seed, rollout
from agents.runs.assembly import cache_folder, load_student
from agents.socratic_rl.policy_student import PolicyStudent
from agents.teaching.forms import form_of
from agents.teaching.gradient import policy_gradient, sample_of
from agents.teaching.lessons import Worth, Writer, Written, drawn
from agents.teaching.preference import direct_preference, pairs_of
from agents.teaching.teach_config import TeachConfig
from agents.teaching.teaching_run import TeachingRun, change, chat_of
from agents.warm_start import modular_student, modular_teacher
from agents.warm_start.word_student import make_student
from socratic_env.errors import SocraticError
from socratic_env.models.chat import Chat
from socratic_env.plugins import spec_of
from socratic_env.questions import load_questions
from socratic_env.traces import InteractionTrace, traces_of
from socratic_env.viewpoints import Viewpoint, diversity

_ASIDE = 64
"""Held-out traces on which pairs for the implicit-reward accuracy are made."""


@dataclass(frozen=True)
class Classroom:
    """A student that stays as it is, and a teacher before it; traces and probes of training and held out."""

    writer: Writer
    teacher: Any
    tokenizer: Any
    traces: Mapping[str, list[InteractionTrace]]
    worth: Mapping[str, Worth]


@dataclass(frozen=True)
class Held:
    """Utilities of one viewpoint on each of T held-out traces, on all kinds of probes and on targeted ones;
    the share of traces on which none could be read; the divergence from the teacher that the run began with,
    in nats for each token of these viewpoints (nan: not measured)."""

    generic_T: np.ndarray
    targeted_T: np.ndarray
    unreadable: float
    kl: float = math.nan


def classroom(config: TeachConfig) -> Classroom:
    """Make or load student and teacher, and have the student work the questions of its traces."""
    student, words = _student(config)
    chat = chat_of(student, words)
    policy = TransformersPolicy(student, chat.ends, chat.pad, config.max_model_len)
    sampling = Sampling(max_tokens=config.max_response_tokens)
    form = form_of(config.prompt)
    traces, worth = {}, {}
    for split in ("train", "test"):
        found = _traces(config, policy, chat, sampling, split)
        traces[split] = [trace for trace in found if form.wants(trace)]
        if not traces[split]:
            raise SocraticError(
                f"none of {config.workings} workings of {split} questions is a trace that the prompt "
                f"{config.prompt!r} asks about; take more, or another student"
            )
        questions = load_questions(spec_of(config.questions, "questions"), split=split)
        worth[split] = Worth(PolicyStudent(policy, chat, sampling, config.seed), questions)
    teacher, own_words = _teacher(config)
    own = chat_of(teacher, own_words)
    sampler = TransformersPolicy(teacher, own.ends, own.pad, config.max_model_len)
    writer = Writer(sampler, own, form, Sampling(config.temperature, max_tokens=config.max_teacher_tokens))
    return Classroom(writer, teacher, own_words, traces, worth)


def _student(config: TeachConfig) -> tuple[Any, Any]:
    if config.student != "modular":
        return load_student(Path(config.student))
    words = modular_student.make_tokenizer()
    model = make_student(TinyStudent(), words)
    modular_student.warm_start(model, words, ModularStudent(), config.seed, cache_folder())
    return model, words


def _teacher(config: TeachConfig) -> tuple[Any, Any]:
    if config.teacher != "modular":
        return load_student(Path(config.teacher))
    return modular_teacher.make_teacher(TinyStudent(), ModularStudent(), config.seed, cache_folder())


def _traces(
    config: TeachConfig, policy: TransformersPolicy, chat: Chat, sampling: Sampling, split: str
) -> list[InteractionTrace]:
    """First attempts of the student on random questions of a split."""
    env: Any = gym.make_vec(
        "SocraticSciKnow-v0", num_envs=config.workings, questions=spec_of(config.questions, "questions"),
        split=split, teacher="retry", max_attempts=1,
    )  # fmt: skip
    seed = mixed_seed(config.seed, len(split))
    questions = env.unwrapped.questions
    places = np.random.default_rng(seed).integers(len(questions), size=config.workings)
    batch = rollout(env, policy, chat, sampling, seed, [questions[int(place)].id for place in places])
    env.close()
    return [trace for episode in batch.episodes for trace in traces_of(episode)]


def learn(
    config: TeachConfig,
    room: Classroom,
    log: Callable[[int, Mapping[str, float]], None],
    measured: Callable[[int, Held], None],
) -> dict[str, Any]:
    """Teach the teacher; what was found on held-out traces before and after.

    log: told each step's metrics. measured: told each measurement.
    """
    reference = copy.deepcopy(room.teacher).eval()
    distance = TeacherDistance(
        room.teacher, reference, room.writer.chat.pad, config.temperature, micro_batch_tokens=8192
    )
    first = held_out(config, room, distance)
    measured(0, first)
    last, done = first, 0
    method, train = METHODS[config.method], (room.traces["train"], room.worth["train"])
    for done, metrics in enumerate(method(config, room.writer, *train, room.teacher), 1):
        log(done, metrics)
        if done % config.eval_every == 0 and done < config.steps and config.method != "dpo":
            measured(done, held_out(config, room, distance))
    if done:
        last = held_out(config, room, distance)
        measured(config.steps, last)
    return {
        **{name: change(getattr(first, name), getattr(last, name)) for name in ("generic_T", "targeted_T")},
        "unreadable": [first.unreadable, last.unreadable],
        "kl": last.kl,
        "implicit_accuracy": implicit_accuracy(config, room, reference),
        "probe_episodes": room.worth["train"].played,
    }


def held_out(config: TeachConfig, room: Classroom, distance: TeacherDistance) -> Held:
    """The utility of one viewpoint of the teacher on each held-out trace, and how far it has gone."""
    written = held_out_words(config, room)
    said = [sample_of(i, i, one.prompt, one.completion, 0.0) for i, one in enumerate(written)]
    found = measured_on(config, room, [one.viewpoint for one in written])
    return replace(found, kl=distance(said)["kl_full"])


def held_out_traces(config: TeachConfig, room: Classroom) -> list[InteractionTrace]:
    """The traces of every measurement."""
    return drawn(room.traces["test"], config.eval_traces, (config.seed, 11))


def held_out_words(config: TeachConfig, room: Classroom) -> list[Written]:
    """What the teacher writes on them, with the same chances each time."""
    return room.writer.write(held_out_traces(config, room), 1, mixed_seed(config.seed, 12))


def measured_on(config: TeachConfig, room: Classroom, viewpoints: Sequence[Viewpoint | None]) -> Held:
    """The utilities of viewpoints on held-out traces, one each."""
    seed = mixed_seed(config.seed, 13)
    generic, targeted = (
        np.array(room.worth["test"].of(viewpoints, config.eval_probes, seed, targeted=narrow))
        for narrow in (False, True)
    )
    return Held(generic, targeted, sum(one is None for one in viewpoints) / len(viewpoints))


def implicit_accuracy(config: TeachConfig, room: Classroom, reference: Any) -> dict[str, Any]:
    """On pairs of viewpoints on held-out traces, written by the teacher as it was: how often the teacher has
    become likelier to write the more useful one, beside the other."""
    before = Writer(
        TransformersPolicy(reference, room.writer.chat.ends, room.writer.chat.pad, config.max_model_len),
        room.writer.chat,
        room.writer.form,
        room.writer.sampling,
    )
    seed = mixed_seed(config.seed, 14)
    pairs = pairs_of(config, before, room.traces["test"], room.worth["test"], _ASIDE, seed)
    gains = margins(room.teacher, reference, room.writer.chat.pad, pairs)
    right = sum(gain > 0 for gain in gains) + sum(gain == 0 for gain in gains) / 2
    return {"pairs": len(pairs), "share": right / len(pairs) if pairs else None}


def by_gradient(
    config: TeachConfig, writer: Writer, traces: list[InteractionTrace], worth: Worth, model: Any
) -> Iterator[dict[str, float]]:
    """Policy gradient: the reward of a viewpoint is its utility (Socratic-RL, 3.3)."""
    each = config.viewpoints_per_trace

    def play(step: int) -> tuple[list[Sample], dict[str, float]]:
        chosen = drawn(traces, config.traces_per_step, (config.seed, step))
        written = writer.write(chosen, each, mixed_seed(config.seed, step, 1))
        said = [one.viewpoint for one in written]
        # Fresh probes each time: a teacher must not learn what helps on some questions alone.
        rewards = worth.of(said, config.probes, mixed_seed(config.seed, step, 2))
        samples = [
            sample_of(i, i // each, one.prompt, one.completion, reward)
            for i, (one, reward) in enumerate(zip(written, rewards, strict=True))
        ]
        return samples, {
            "reward": float(np.mean(rewards)),
            "unreadable": sum(one is None for one in said) / len(said),
            **diversity(one for one in said if one is not None),
        }

    return policy_gradient(config, config.traces_per_step, each, play, writer.policy, writer.chat.pad, model)


def teach(config: TeachConfig, run: TeachingRun) -> dict[str, Any]:
    """The whole run; what was found."""
    room = classroom(config)

    def measured(step: int, held: Held) -> None:
        generic, targeted = float(held.generic_T.mean()), float(held.targeted_T.mean())
        told = {"utility": generic, "targeted": targeted, "unreadable": held.unreadable, "kl": held.kl}
        run.line("eval", step, told)
        run.say(
            f"step {step:4d}  held-out utility {generic:+.3f}, on targeted probes {targeted:+.3f}, "
            f"KL {held.kl:.3f} nats a token"
        )

    found = learn(config, room, lambda step, metrics: run.line("train", step, metrics), measured)
    run.keep(room.teacher, room.tokenizer, found)
    return {"utility": found["generic_T"], "on targeted probes": found["targeted_T"]}


METHODS = {"policy-gradient": by_gradient, "dpo": direct_preference}
