"""Variants side by side: the same questions, rollouts and chances through each of them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from socratic_env.dialogue import Dialogue, messages
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import TEACHERS, await_on
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.envs.batch import SocraticBatch
from socratic_env.errors import ConfigurationError, StudentContextError, TeacherUnusable, check_seed
from socratic_env.evaluation.statistics import (
    RESAMPLES,
    Ratio,
    estimate,
    interval,
    number,
    resampled,
    resamples_of,
    value,
)
from socratic_env.protocols import TeachingProtocol
from socratic_env.questions import QuestionSet
from socratic_env.students import Student, StudentRequest
from socratic_env.teachers import TeacherSpec
from socratic_env.types import Episode, Question, StopReason, Usage

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
) -> Run:
    """All episodes of one variant; `on_step` is told how many rows each step has ended."""
    interaction = GuidedInteraction(
        EnvArguments(teacher=teacher, protocol=protocol, max_attempts=max_attempts)
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
            for row, text in zip(active, replies, strict=True):
                if text is None:
                    batch.cut(row)
                else:
                    batch.answer(row, text)
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


async def _answer(student: Student, request: StudentRequest) -> str | None:
    """A reply; None for a dialogue that leaves the student no room for one."""
    try:
        (text,) = await student.answer([request])
    except StudentContextError:
        return None
    return text


def _check_usable(dialogues: Iterable[Dialogue]) -> None:
    """Raise the first fault of a teacher that every other request would meet too."""
    for dialogue in dialogues:
        guidance = dialogue.attempts[-1].guidance if dialogue.attempts else None
        if guidance is not None and isinstance(guidance.fault, TeacherUnusable):
            raise guidance.fault


def _numbers(usage: Usage) -> tuple[Any, ...]:
    return tuple(getattr(usage, name) for name in Usage.__dataclass_fields__)


def ratios(run: Run, max_attempts: int) -> dict[str, Ratio]:
    """Every metric of a run as sums by question.

    Episodes that a teacher's fault ended count for the first attempt only.
    """
    names = ["first_attempt_accuracy", *(f"correction_rate_{k}" for k in range(2, max_attempts + 1))]
    names += ["guided_accuracy", "leakage_rate", "shown_leakage_rate", "guidance_chars"]
    sums = {name: np.zeros((2, len(run.episodes) // run.rollouts)) for name in names}
    for row, episode in enumerate(run.episodes):
        place = row // run.rollouts

        def add(name: str, value: float, place: int = place) -> None:
            sums[name][:, place] += (value, 1.0)

        add(names[0], bool(episode.attempts) and episode.attempts[0].verdict.correct)
        for k, attempt in enumerate(episode.attempts[1:], 2):
            add(f"correction_rate_{k}", attempt.verdict.correct)
        if episode.stop is not StopReason.TEACHER_FAILED:
            add("guided_accuracy", episode.stop is StopReason.SOLVED)
        for attempt in episode.attempts:
            if attempt.guidance is not None and attempt.guidance.fault is None:
                add("leakage_rate", bool(attempt.guidance.leaks))
                add("shown_leakage_rate", bool(attempt.guidance.leaks) and not attempt.guidance.blocked)
                add("guidance_chars", len(attempt.guidance.text))
    return {name: (both[0], both[1]) for name, both in sums.items()}


def bootstrap(ratio: Ratio, base: Ratio, picks_RQ: NDArray[np.int_]) -> dict[str, Any]:
    """Value, interval, difference to a baseline and its paired interval (questions resampled together).

    A value is None where nothing was counted, such as a correction rate without a second attempt.
    """
    low, high = interval(resampled(ratio, picks_RQ) - resampled(base, picks_RQ))
    return {
        **estimate(ratio, picks_RQ),
        "difference": number(value(ratio) - value(base)),
        "difference_interval": None if math.isnan(low) else [low, high],
    }


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
    counted: Mapping[str, dict[str, Ratio]] = {run.protocol.name: ratios(run, max_attempts) for run in runs}
    if len(counted) < len(runs):
        raise ConfigurationError("two runs are of protocols of one name; give each a name of its own")
    if baseline not in counted:
        raise ConfigurationError(f"baseline {baseline!r} is none of the variants: {', '.join(counted)}")
    questions = len(runs[0].episodes) // runs[0].rollouts
    picks = resamples_of(questions, resamples, seed)
    said = {run.protocol.name: _guidance(run) for run in runs}
    variants = []
    for run in runs:
        name, guided = run.protocol.name, sum(map(len, said[run.protocol.name]))
        same = [other for other, texts in said.items() if other != name and guided and texts == said[name]]
        calls = run.teacher.calls
        variants.append(
            {
                "name": name,
                "summary": run.protocol.summary,
                "indistinguishable_from": same,
                "metrics": {
                    metric: bootstrap(ratio, counted[baseline][metric], picks)
                    for metric, ratio in counted[name].items()
                },
                "episodes": len(run.episodes),
                "guidances": guided,
                "teacher_failures": sum(e.stop is StopReason.TEACHER_FAILED for e in run.episodes),
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
    }


def _guidance(run: Run) -> list[list[str]]:
    """What the student was told, by row and attempt."""
    return [
        [a.guidance.text for a in episode.attempts if a.guidance is not None and a.guidance.fault is None]
        for episode in run.episodes
    ]
