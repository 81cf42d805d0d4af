"""One run of the study: an arm of the loop, or a distillation, on one seed, by the package's own parts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from rich.progress import Progress

from agents.learning.learner import Learner
from agents.learning.samples import RolloutBatch, Sampling
from agents.policies.transformers_policy import TransformersPolicy
from agents.rollout import rollout
from agents.runs.assembly import load_student, new_student, warm_student
from agents.socratic_rl.distillation import distil, without_viewpoints, workings
from agents.socratic_rl.loop import socratic_rl
from agents.socratic_rl.modular_reflector import ModularReflector, misconceptions_in
from agents.socratic_rl.program import PRESETS, SocraticRLConfig
from agents.socratic_rl.run_steps import measured
from agents.teaching.classroom import Classroom, Held, classroom, held_out_traces, held_out_words, measured_on
from agents.teaching.classroom import learn as learn_to_teach
from agents.teaching.lessons import Written
from agents.teaching.teach_config import TeachConfig
from agents.warm_start.modular_student import misconceptions, principle
from benchmarks.socratic_rl.arms import (
    ARMS,
    ENSEMBLE_STEPS,
    ENSEMBLES,
    LESSONS,
    METHODS,
    TARGETS,
    WORKINGS,
    Arm,
    Ensemble,
    Lesson,
    Method,
)
from benchmarks.study.play import quiet
from socratic_env.evaluation.utilities import Measured
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.reflection import Reflection, Reflector, from_spec
from socratic_env.reflection.ensemble_reflector import EnsembleReflector
from socratic_env.traces import InteractionTrace
from socratic_env.types import Episode
from socratic_env.verifiers import text
from socratic_env.viewpoints import KnowledgeBase, Utility, Viewpoint

EVALUATION_SEED = 777
EACH = 40
"""Held-out questions of each shape (fewer where it has fewer, each then more than once)."""
CURVE_EVERY = 2
POISON_MIN_SEEN = 8
"""As the sound teachers have it."""


def make_student(seed: int, folder: Path) -> None:
    """The warm-started student of a seed, in a folder."""
    quiet()
    config = ARMS["reinforce++"].config(seed)
    questions = load_questions("modular")
    model, tokenizer = new_student(config, questions)
    warm_student(config, model, tokenizer, questions, folder, Progress(disable=True))


@dataclass
class Bench:
    """A student and what it is measured on: the same held-out questions, evenly of all shapes."""

    config: SocraticRLConfig
    model: Any
    tokenizer: Any
    chat: Chat = field(init=False)
    policy: TransformersPolicy = field(init=False)
    ids: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.chat = Chat(self.tokenizer)
        self.policy = TransformersPolicy(self.model, self.chat.ends, self.chat.pad, self.config.max_model_len)
        questions = load_questions("modular", split="test")
        shapes: dict[str, list[str]] = {}
        for question in (questions[i] for i in range(len(questions))):
            shapes.setdefault(question.subtask, []).append(question.id)
        rng = np.random.default_rng(0)
        self.ids = [str(i) for ids in shapes.values() for i in rng.choice(ids, EACH, replace=len(ids) < EACH)]

    def play(
        self, ids: Sequence[str], split: str, viewpoints: Sequence[Viewpoint] = (), temperature: float = 1.0
    ) -> RolloutBatch:
        """One attempt at each of these questions."""
        env: Any = gym.make_vec(
            "SocraticSciKnow-v0", num_envs=len(ids), questions="modular", split=split, teacher="retry",
            max_attempts=1, viewpoints=list(viewpoints) or None,
        )  # fmt: skip
        sampling = Sampling(temperature, max_tokens=self.config.max_response_tokens)
        batch = rollout(env, self.policy, self.chat, sampling, EVALUATION_SEED, ids)
        env.close()
        return batch

    def right(self, viewpoints: Sequence[Viewpoint] = (), temperature: float = 1.0) -> np.ndarray:
        """right_Q: whether each held-out question is answered rightly."""
        batch = self.play(self.ids, "test", viewpoints, temperature)
        return np.array([sample.correct for sample in batch.samples])


class Counting:
    """What the loop writes down: tokens are counted, the rest is dropped."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str]] = []

    def event(self, step: int, phase: str, what: Mapping[str, Any]) -> None:
        """Kept by name alone."""
        self.events.append((step, phase))

    def instructions(self, step: int, rows: Sequence[Mapping[str, str]]) -> None:
        """Nothing."""

    def metrics(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def episodes(self, step: int, episodes: Iterable[Episode], details: object = None) -> None:
        """Nothing."""

    def failed_batch(self, step: int, batch: RolloutBatch) -> Path:
        """A study keeps none."""
        return Path(f"none of the {len(batch.samples)} attempts of step {step} kept")


def play(arm: Arm, seed: int, student: Path, version: str) -> dict[str, Any]:
    """Train one arm on one seed; its record."""
    quiet()
    config = arm.config(seed)
    bench = Bench(config, *load_student(student))
    known = bench.right(temperature=0.0)
    base = KnowledgeBase(cap=config.cap)
    episodes = config.questions_per_step * config.rollouts_per_question
    env: Any = gym.make_vec(
        "SocraticSciKnow-v0", num_envs=episodes, rollouts_per_question=config.rollouts_per_question,
        viewpoints=base, **config.env_kwargs() | {"teacher": "retry"},
    )  # fmt: skip
    learner = Learner(bench.model, bench.tokenizer.pad_token_id, config)
    measure, probing = measured(config, bench.policy, bench.chat, env.questions)
    teacher = from_spec(config.reflector_spec())
    started = time.perf_counter()
    tokens, curve = 0, [[0, 0, 0, float(bench.right().mean())]]
    steps = socratic_rl(config, env, bench.policy, bench.chat, learner, Counting(), base, teacher, measure)
    for step, metrics in enumerate(steps, 1):
        tokens += int(metrics["response_tokens"])
        if step % CURVE_EVERY == 0:
            used = probing.usage
            curve.append(
                [step * episodes, used.calls, tokens + used.completion_tokens, float(bench.right().mean())]
            )
    env.close()
    greedy = bench.right(temperature=0.0)
    return {
        "experiment": "loop",
        "arm": arm.name,
        "seed": seed,
        "steps": config.steps,
        "student_tokens": curve[-1][2],
        "teacher_tokens": 0,
        "unassisted": curve[-1][3],
        "greedy": float(greedy.mean()),
        "guided": None,
        "correction_rate": None,
        "kept": float(greedy[known].mean()) if known.any() else None,
        "reached": {str(target): _reached(curve, target) for target in TARGETS},
        "probe_episodes": curve[-1][1],
        "viewpoints": len(base),
        "seconds": round(time.perf_counter() - started, 1),
        "settings": settings_of(config),
        "version": version,
        "curve": curve,
    }


def _reached(curve: Sequence[Sequence[float]], target: float) -> list[float] | None:
    """[episodes, probe episodes, student tokens] at the first measurement of at least the target."""
    return next((list(point[:3]) for point in curve if point[3] >= target), None)


def play_distillation(method: Method, seed: int, student: Path, version: str) -> dict[str, Any]:
    """Distil the principles of the two of a student's misconceptions that most questions invite; its
    record."""
    quiet()
    config = ARMS["instruction"].config(seed)
    bench = Bench(config, *load_student(student))
    questions = load_questions("modular")
    met = Counter(m.name for i in range(0, len(questions), 20) for m in questions[i].mistakes)
    held = sorted(misconceptions(config.modular, seed), key=lambda name: -met[name])
    taught = [Viewpoint(principle(name).text, trigger=name) for name in held[:2]]
    other = [Viewpoint(principle(name).text, trigger=name) for name in held[2:]]
    places = np.random.default_rng([seed, 5]).choice(len(questions), WORKINGS, replace=False)
    ids = [questions[int(place)].id for place in places]
    before, informed, both = bench.right(), bench.right(taught), bench.right([*taught, *other])
    known = bench.right(temperature=0.0)
    worked = workings(bench.play(ids, "train", taught if method.informed else ()), questions, bench.chat)
    rules: Any = gym.make(
        "SocraticSciKnow-v0", questions="modular", teacher="retry", max_attempts=1
    ).unwrapped
    sampling = Sampling(1.0, max_tokens=config.max_response_tokens)
    plain = without_viewpoints(worked, bench.policy, bench.chat, sampling, rules.interaction.rules, seed)
    started = time.perf_counter()
    found = distil(bench.model, bench.tokenizer.pad_token_id, method.settings, worked, plain, seed)
    seconds = time.perf_counter() - started
    after, greedy = bench.right(), bench.right(temperature=0.0)
    uplift = float(informed.mean() - before.mean())
    return {
        "experiment": "distillation",
        "arm": method.name,
        "seed": seed,
        "steps": method.settings.steps,
        "student_tokens": sum(len(one.response) for one in worked),
        "teacher_tokens": 0,
        "unassisted": float(after.mean()),
        "greedy": float(greedy.mean()),
        "guided": None,
        "correction_rate": None,
        "before": float(before.mean()),
        "informed": float(informed.mean()),
        "uplift": uplift,
        "recovered": float(after.mean() - before.mean()) / uplift if uplift > 0 else None,
        "kept": float(greedy[known].mean()) if known.any() else None,
        "others_before": float(both.mean()),
        "others_after": float(bench.right(other).mean()),
        **{name: found.get(name) for name in ("workings", "kl_before", "kl_after")},
        "seconds": round(seconds, 1),
        "settings": asdict(method.settings),
        "version": version,
    }


def play_lesson(lesson: Lesson, seed: int, student: Path, version: str) -> dict[str, Any]:
    """Teach a teacher for one student; its record, with the rule-based teacher on the same traces."""
    quiet()
    config = lesson.config(seed, str(student))
    started = time.perf_counter()
    room = classroom(config)
    last: dict[str, float] = {}
    found = learn_to_teach(
        config, room, lambda _step, metrics: last.update(metrics), lambda _step, _held: None
    )
    generic, targeted = found["generic_T"], found["targeted_T"]
    named = [named_error(one) for one in held_out_words(config, room)]
    ruled = by_rule(config, room)
    return {
        "experiment": "teaching",
        "arm": lesson.name,
        "seed": seed,
        "steps": config.steps,
        "student_tokens": None,
        "teacher_tokens": None,
        "unassisted": None,
        "greedy": None,
        "guided": None,
        "correction_rate": None,
        "before": generic["before"],
        "after": generic["after"],
        "gain": generic["gain"],
        "targeted_before": targeted["before"],
        "targeted_after": targeted["after"],
        "rule": float(ruled.generic_T.mean()),
        "rule_targeted": float(ruled.targeted_T.mean()),
        "names_error": float(np.mean(named)),
        "diversity": last.get("entropy"),
        "unreadable": found["unreadable"][1],
        "implicit_accuracy": found["implicit_accuracy"]["share"],
        "probe_episodes": found["probe_episodes"],
        "seconds": round(time.perf_counter() - started, 1),
        "settings": {k: v for k, v in asdict(config).items() if k in lesson.settings},
        "version": version,
    }


def named_error(written: Written) -> bool:
    """Whether what a teacher wrote speaks of the place of a mistake in its trace."""
    said = text(written.trace.question, written.trace.text).answer or ""
    seen = set().union(*misconceptions_in(written.trace.question.statement, said))
    return written.viewpoint is not None and written.viewpoint.trigger in seen


def by_rule(config: TeachConfig, room: Classroom) -> Held:
    """The same measurement of the teacher that knows the rules."""
    teacher = ModularReflector(min_seen=1)
    given = [teacher.reflect([trace]) for trace in held_out_traces(config, room)]
    return measured_on(config, room, [one[0] if len(one) else None for one in given])


class Poisoned(Reflector):
    """Says of every mistake that a batch's questions invite to make it; all such teachers say the same."""

    async def consider(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """Harmful viewpoints, as many as there are situations."""
        invited = Counter(mistake.name for trace in traces for mistake in trace.question.mistakes)
        return Reflection(
            tuple(
                Viewpoint(principle(name, rule=name).text, trigger=name, teacher="poisoned")
                for name, count in invited.most_common()
                if count >= POISON_MIN_SEEN
            )
        )


def play_ensemble(ensemble: Ensemble, seed: int, student: Path, version: str) -> dict[str, Any]:
    """The loop with an ensemble; its record."""
    quiet()
    config = replace(ARMS["instruction"].config(seed), steps=ENSEMBLE_STEPS)
    bench = Bench(config, *load_student(student))
    before = float(bench.right().mean())
    base = KnowledgeBase(cap=config.cap)
    env: Any = gym.make_vec(
        "SocraticSciKnow-v0", num_envs=config.questions_per_step * config.rollouts_per_question,
        rollouts_per_question=config.rollouts_per_question, viewpoints=base,
        **config.env_kwargs() | {"teacher": "retry"},
    )  # fmt: skip
    learner = Learner(bench.model, bench.tokenizer.pad_token_id, config)
    measure, probing = measured(config, bench.policy, bench.chat, env.questions)
    sound = ensemble.teachers - ensemble.poisoned
    teacher = EnsembleReflector(
        [*(ModularReflector() for _ in range(sound)), *(Poisoned() for _ in range(ensemble.poisoned))],
        ensemble.votes,
    )
    started = time.perf_counter()
    tokens, informed = 0, before
    steps = socratic_rl(
        config, env, bench.policy, bench.chat, learner, Counting(), base, teacher,
        measure if ensemble.gate else unmeasured,
    )  # fmt: skip
    for step, metrics in enumerate(steps, 1):
        tokens += int(metrics["response_tokens"])
        if step == config.distil.every - 1:
            informed = float(bench.right(base.active).mean())
    env.close()
    taken = [one for event in base.history if event.what == "activated" for one in event.ids]
    after = bench.right()
    return {
        "experiment": "ensemble",
        "arm": ensemble.name,
        "seed": seed,
        "steps": config.steps,
        "student_tokens": tokens + probing.usage.completion_tokens,
        "teacher_tokens": 0,
        "unassisted": float(after.mean()),
        "greedy": float(bench.right(temperature=0.0).mean()),
        "guided": None,
        "correction_rate": None,
        "before": before,
        "informed": informed,
        "taken": len(taken),
        "poison_taken": sum(base[one].teacher == "poisoned" for one in taken),
        "probe_episodes": probing.usage.calls,
        "seconds": round(time.perf_counter() - started, 1),
        "settings": {"teachers": ensemble.teachers, "poisoned": ensemble.poisoned, "gate": ensemble.gate},
        "version": version,
    }


def unmeasured(
    candidates: Sequence[Viewpoint], _active: Sequence[Viewpoint], seed: int
) -> Sequence[Measured]:
    """Every candidate is taken, in an order that chance decides (the later one of a situation stays)."""
    order = np.random.default_rng(seed).random(len(candidates))
    return [
        Measured(one, Utility(1 + float(chance)), better=0.0)
        for one, chance in zip(candidates, order, strict=True)
    ]


def settings_of(config: SocraticRLConfig) -> dict[str, Any]:
    """The settings of an arm that differ from the preset, without the seed."""
    own, usual = asdict(config), asdict(PRESETS["modular"])
    return {name: value for name, value in own.items() if value != usual[name] and name != "seed"}


JOBS: Mapping[str, tuple[Callable[..., dict[str, Any]], Arm | Method | Lesson | Ensemble]] = {
    **{f"loop/{name}": (play, arm) for name, arm in ARMS.items()},
    **{f"distillation/{name}": (play_distillation, method) for name, method in METHODS.items()},
    **{f"teaching/{name}": (play_lesson, lesson) for name, lesson in LESSONS.items()},
    **{f"ensemble/{name}": (play_ensemble, ensemble) for name, ensemble in ENSEMBLES.items()},
}
"""Every run of the study on a seed, by name: the function and its plan."""
