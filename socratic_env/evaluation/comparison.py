"""Variants side by side: the same questions, rollouts and chances through each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.utils import seeding

from socratic_env.dialogue import Dialogue, messages
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import TEACHERS, await_on
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.envs.batch import SocraticBatch
from socratic_env.errors import (
    ConfigurationError,
    StudentContextError,
    TeacherUnusable,
    VerifierUnusable,
    check_seed,
)
from socratic_env.evaluation.intervals import (
    RESAMPLES,
    Counted,
    Picks,
    compared,
    estimate,
    number,
    resamples_of,
    value,
)
from socratic_env.evaluation.statistics import Evaluation, faults_of
from socratic_env.evaluation.warnings import warnings_of
from socratic_env.protocols import TeachingProtocol
from socratic_env.questions import QuestionSet
from socratic_env.students import Student, StudentReply, StudentRequest, reply_of
from socratic_env.teachers import TeacherSpec
from socratic_env.types import Episode, Question, Usage
from socratic_env.viewpoints import Viewpoints

_MOST_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Prices:
    """Money for a million tokens; 0 leaves what the teacher itself has counted."""

    teacher_prompt: float = 0.0
    teacher_completion: float = 0.0
    student_prompt: float = 0.0
    student_completion: float = 0.0

    def teacher(self, usage: Usage) -> float:
        """What the teacher cost."""
        return usage.cost or _money(usage, self.teacher_prompt, self.teacher_completion)

    def student(self, usage: Usage) -> float:
        """What the student cost."""
        return usage.cost or _money(usage, self.student_prompt, self.student_completion)


def _money(usage: Usage, prompt: float, completion: float) -> float:
    return (usage.prompt_tokens * prompt + usage.completion_tokens * completion) / 1e6


@dataclass(frozen=True, slots=True)
class Run:
    """One variant's episodes, grouped by question: rows i * rollouts .. (i + 1) * rollouts - 1.

    seconds: wall time of the whole variant. waited: of its teacher calls.
    """

    protocol: TeachingProtocol
    episodes: list[Episode]
    rollouts: int
    teacher: Usage
    student: Usage
    seconds: float
    waited: float = field(default=0.0)


def draw_questions(questions: QuestionSet, number: int, seed: int) -> list[Question]:
    """`number` different questions, as environments of seeds seed, seed + 1, .. would ask."""
    check_seed(seed)
    found: dict[str, Question] = {}
    for draw in range(_MOST_DRAWS * number):
        question = questions.draw(seeding.np_random(seed + draw)[0])
        found.setdefault(question.id, question)
        if len(found) == min(number, len(questions)):
            return list(found.values())
    raise ConfigurationError(f"found only {len(found)} different questions of {number}; ask for fewer")


async def run_variant(
    protocol: TeachingProtocol,
    questions: Sequence[Question],
    student: Student,
    teacher: TeacherSpec = "rule",
    rollouts: int = 1,
    max_attempts: int = 3,
    on_step: Callable[[int], None] = lambda _: None,
    viewpoints: Viewpoints = None,
) -> Run:
    """All episodes of one variant; `on_step` is told how many rows each step has ended."""
    interaction = GuidedInteraction(
        EnvArguments(teacher=teacher, protocol=protocol, max_attempts=max_attempts, viewpoints=viewpoints)
    )
    rows = [question for question in questions for _ in range(rollouts)]
    before, started, waited = student.usage, time.perf_counter(), 0.0
    try:
        batch = SocraticBatch.within(rows, interaction)
        active = list(range(len(rows)))
        while active:
            asked = [
                StudentRequest(rows[row], row % rollouts, messages(batch.dialogue(row))) for row in active
            ]
            replies = await asyncio.gather(*(_answer(student, request) for request in asked))
            said = {row: reply for row, reply in zip(active, replies, strict=True) if reply is not None}
            for row in active:
                if row not in said:
                    batch.cut(row)
            await asyncio.gather(*(batch.judge(row, r.text, r.finished) for row, r in said.items()))
            call = time.perf_counter()
            await batch.advise(active)
            waited += time.perf_counter() - call
            _check_usable(batch.dialogue(row) for row in active)
            left = [row for row in active if batch.dialogue(row).stop is None]
            on_step(len(active) - len(left))
            active = left
        episodes = batch.episodes()
    finally:
        if interaction.teacher is not teacher:
            await await_on(TEACHERS, interaction.teacher.close())
    spent = Usage(*(a - b for a, b in zip(_numbers(student.usage), _numbers(before), strict=True)))
    seconds = time.perf_counter() - started
    return Run(protocol, episodes, rollouts, interaction.usage["teacher"], spent, seconds, waited)


async def _answer(student: Student, request: StudentRequest) -> StudentReply | None:
    """A reply; None for a dialogue that leaves the student no room for one."""
    try:
        (said,) = await student.answer([request])
    except StudentContextError:
        return None
    return reply_of(said)


def _check_usable(dialogues: Iterable[Dialogue]) -> None:
    """Raise the first fault of a teacher or verifier that every other request would meet too."""
    for dialogue in dialogues:
        if isinstance(dialogue.fault, VerifierUnusable):
            raise dialogue.fault
        guidance = dialogue.attempts[-1].guidance if dialogue.attempts else None
        if guidance is not None and isinstance(guidance.fault, TeacherUnusable):
            raise guidance.fault


def _numbers(usage: Usage) -> tuple[Any, ...]:
    return tuple(getattr(usage, name) for name in Usage.__dataclass_fields__)


def counted(run: Run, max_attempts: int) -> dict[str, Counted]:
    """Every metric of a run; episodes that a teacher's fault ended are open."""
    result = Evaluation.of_episodes(run.episodes, run.rollouts, max_attempts)
    rates = {f"correction_rate_{k}": result.corrections(k) for k in range(2, max_attempts + 1)}
    names = ("leakage_rate", "shown_leakage_rate", "guidance_chars")
    sums = {name: np.zeros((2, len(run.episodes) // run.rollouts)) for name in names}
    for row, episode in enumerate(run.episodes):
        for attempt in episode.attempts:
            given = attempt.guidance
            if given is not None and given.fault is None:
                values = bool(given.leaks), bool(given.leaks) and not given.blocked, len(given.text)
                for name, found in zip(names, values, strict=True):
                    sums[name][:, row // run.rollouts] += (found, 1.0)
    texts = {
        name: Counted.known((both[0], both[1]), share=name != "guidance_chars") for name, both in sums.items()
    }
    return {
        "first_attempt_accuracy": result.solved_within(1),
        **rates,
        "guided_accuracy": result.solved_within(max_attempts),
        **texts,
        **{f"replies_{name}": found for name, found in result.replies().items()},
    }


def against(metric: Counted, base: Counted, picks_RQ: Picks) -> dict[str, Any]:
    """Value and interval of a metric, its difference to a baseline and that one's paired interval (questions
    resampled together), for JSON; to itself it has none in doubt."""
    difference: dict[str, Any] = {"difference": 0.0, "difference_interval": [0.0, 0.0]}
    if metric is not base or number(value(metric.lower)) is None:
        difference = compared(metric, base, picks_RQ)
    return {**estimate(metric, picks_RQ), **difference}


def report(
    runs: Sequence[Run],
    baseline: str,
    max_attempts: int,
    prices: Prices | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """{"baseline", "questions", .., "variants": [{"name", "metrics", ..}]}, plain data for JSON."""
    prices = prices or Prices()
    found: Mapping[str, dict[str, Counted]] = {run.protocol.name: counted(run, max_attempts) for run in runs}
    if len(found) < len(runs):
        raise ConfigurationError("two runs are of protocols of one name; give each a name of its own")
    if baseline not in found:
        raise ConfigurationError(f"baseline {baseline!r} is none of the variants: {', '.join(found)}")
    questions = len(runs[0].episodes) // runs[0].rollouts
    picks = resamples_of(questions, resamples, seed)
    said = {run.protocol.name: _guidance(run) for run in runs}
    variants = []
    for run in runs:
        name, guided = run.protocol.name, sum(map(len, said[run.protocol.name]))
        same = [other for other, texts in said.items() if other != name and guided and texts == said[name]]
        calls, why = run.teacher.calls, faults_of(run.episodes)
        variants.append(
            {
                "name": name,
                "summary": run.protocol.summary,
                "indistinguishable_from": same,
                "metrics": {
                    metric: against(counts, found[baseline][metric], picks)
                    for metric, counts in found[name].items()
                },
                "episodes": len(run.episodes),
                "guidances": guided,
                "open": {"episodes": sum(why.values()), "why": dict(why)},
                "teacher_tokens": [run.teacher.prompt_tokens, run.teacher.completion_tokens],
                "student_tokens": [run.student.prompt_tokens, run.student.completion_tokens],
                "teacher_cost": prices.teacher(run.teacher),
                "student_cost": prices.student(run.student),
                "latency_s": run.teacher.seconds / calls if calls else run.waited / max(1, guided),
                "wall_s": run.seconds,
            }
        )
    return {
        "baseline": baseline,
        "questions": questions,
        "rollouts": runs[0].rollouts,
        "max_attempts": max_attempts,
        "variants": variants,
        "warnings": [f"{variant['name']}: {line}" for variant in variants for line in _warnings(variant)],
    }


def _warnings(variant: Mapping[str, Any]) -> list[str]:
    metrics, left = variant["metrics"], variant["open"]
    part = {
        "open": left["episodes"],
        "episodes": variant["episodes"] - left["episodes"],
        "replies": {name: metrics[f"replies_{name}"] for name in ("cut", "empty")},
    }
    return warnings_of(part, left["why"], "their longest length")


def _guidance(run: Run) -> list[list[str]]:
    """What the student was told, by row and attempt."""
    return [
        [a.guidance.text for a in episode.attempts if a.guidance is not None and a.guidance.fault is None]
        for episode in run.episodes
    ]
