"""A run of `python -m agents.teaching`: student, traces, teacher; then it learns, and is measured again."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import transformers
from rich.progress import Progress

from agents.learning.preferences import margins
from agents.learning.samples import Sampling
from agents.options import ModularStudent, TinyStudent
from agents.policies.transformers_policy import TransformersPolicy
from agents.rollout import mixed_seed, rollout
from agents.runs.assembly import cache_folder, load_student
from agents.runs.checkpoint import save_model
from agents.runs.log import replacing
from agents.socratic_rl.policy_student import PolicyStudent
from agents.teaching.forms import form_of
from agents.teaching.lessons import Worth, Writer, Written, drawn
from agents.teaching.preference import pairs_of
from agents.teaching.teach_config import METHODS, TeachConfig
from agents.warm_start import modular_student, modular_teacher
from agents.warm_start.word_student import make_student
from socratic_env.errors import SocraticError
from socratic_env.evaluation.intervals import difference_of, interval_of, means, resamples_of
from socratic_env.models.chat import Chat, ends_of
from socratic_env.plugins import attribute, spec_of
from socratic_env.questions import load_questions
from socratic_env.records.run_folder import CONFIG, METRICS
from socratic_env.traces import InteractionTrace, traces_of
from socratic_env.viewpoints import Viewpoint

TEACHER, RESULT = "teacher", "result.json"
"""In a run's folder: the teacher as it has learnt, and what was found."""
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
    the share of traces on which none could be read."""

    generic_T: np.ndarray
    targeted_T: np.ndarray
    unreadable: float


def classroom(config: TeachConfig, progress: Progress) -> Classroom:
    """Make or load student and teacher, and have the student work the questions of its traces."""
    bar = progress.add_task("student", total=4, status="")
    student, words = _student(config)
    chat = _chat(student, words)
    policy = TransformersPolicy(student, chat.ends, chat.pad, config.max_model_len)
    sampling = Sampling(max_tokens=config.max_response_tokens)
    form = form_of(config.prompt)
    traces, worth = {}, {}
    for split in ("train", "test"):
        progress.advance(bar)
        found = _traces(config, policy, chat, sampling, split)
        traces[split] = [trace for trace in found if form.wants(trace)]
        if not traces[split]:
            raise SocraticError(
                f"none of {config.workings} workings of {split} questions is a trace that the prompt "
                f"{config.prompt!r} asks about; take more, or another student"
            )
        questions = load_questions(spec_of(config.questions, "questions"), split=split)
        worth[split] = Worth(PolicyStudent(policy, chat, sampling, config.seed), questions)
    progress.advance(bar)
    teacher, own_words = _teacher(config)
    own = _chat(teacher, own_words)
    sampler = TransformersPolicy(teacher, own.ends, own.pad, config.max_model_len)
    writer = Writer(sampler, own, form, Sampling(config.temperature, max_tokens=config.max_viewpoint_tokens))
    progress.advance(bar)
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


def _chat(model: Any, tokenizer: Any) -> Chat:
    return Chat(tokenizer, model_ends=ends_of(model.generation_config, model.config))


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
    first = held_out(config, room)
    measured(0, first)
    last, done = first, 0
    method = attribute("method", METHODS[config.method])
    for done, metrics in enumerate(
        method(config, room.writer, room.traces["train"], room.worth["train"], room.teacher), 1
    ):
        log(done, metrics)
        if done % config.eval_every == 0 and done < config.steps and config.method != "dpo":
            measured(done, held_out(config, room))
    if done:
        last = held_out(config, room)
        measured(config.steps, last)
    return {
        **{name: _told(getattr(first, name), getattr(last, name)) for name in ("generic_T", "targeted_T")},
        "unreadable": [first.unreadable, last.unreadable],
        "implicit_accuracy": implicit_accuracy(config, room, reference),
        "probe_episodes": room.worth["train"].played,
    }


def held_out(config: TeachConfig, room: Classroom) -> Held:
    """The utility of one viewpoint of the teacher on each held-out trace."""
    return measured_on(config, room, [one.viewpoint for one in held_out_words(config, room)])


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


def _told(before_T: np.ndarray, after_T: np.ndarray) -> dict[str, Any]:
    picks = resamples_of(len(before_T))
    return {
        "before": float(before_T.mean()),
        "before_interval": interval_of(means(before_T), picks, share=False),
        "after": float(after_T.mean()),
        "after_interval": interval_of(means(after_T), picks, share=False),
        "gain": float(after_T.mean() - before_T.mean()),
        "gain_interval": difference_of(means(after_T), means(before_T), picks, share=False),
    }


def work(config: TeachConfig, progress: Progress) -> dict[str, Any]:
    """The whole run, written down in its folder; what was found."""
    transformers.utils.logging.disable_progress_bar()
    assert config.run_dir is not None
    folder = config.run_dir
    _write(
        folder / CONFIG, {name: str(v) if isinstance(v, Path) else v for name, v in asdict(config).items()}
    )
    room = classroom(config, progress)
    bar = progress.add_task("teaching", total=config.steps, status="")
    with (folder / METRICS).open("w", encoding="utf-8") as file:

        def line(kind: str, step: int, values: Mapping[str, float]) -> None:
            file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
            file.flush()

        def log(step: int, metrics: Mapping[str, float]) -> None:
            line("train", step, metrics)
            said = f"utility {metrics['utility']:+.3f}" if "utility" in metrics else ""
            progress.update(bar, completed=step, status=said)

        def measured(step: int, held: Held) -> None:
            generic, targeted = float(held.generic_T.mean()), float(held.targeted_T.mean())
            line("eval", step, {"utility": generic, "targeted": targeted, "unreadable": held.unreadable})
            progress.console.print(
                f"step {step:4d}  held-out utility {generic:+.3f}, on targeted probes {targeted:+.3f}",
                highlight=False,
            )

        found = learn(config, room, log, measured)
    progress.update(bar, completed=config.steps)
    save_model(folder / TEACHER, room.teacher, room.tokenizer)
    _write(folder / RESULT, found)
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(content, indent=1) + "\n")
