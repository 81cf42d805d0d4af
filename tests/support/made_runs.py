"""Run folders without a training, as the training loop writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.runs.log import RunLog
from agents.runs.metric_table import SECTIONS
from agents.runs.presets import PRESETS
from socratic_env.errors import TeacherTimeout
from socratic_env.evaluation.results import result_of
from socratic_env.evaluation.statistics import Evaluation, Standing
from socratic_env.types import Attempt, Episode, Guidance, Question, StopReason, Verdict
from support.scripted import choice_question, right, wrong


def all_metrics(kind: str, step: int) -> dict[str, float]:
    """A value of every metric of a kind that there is."""
    values: dict[str, float] = {}
    panels = [panel for panels in SECTIONS.values() for panel in panels if panel.kind == kind]
    for place, name in enumerate(metric.name for panel in panels for metric in panel.metrics):
        words = ("physics", "biology") if name.endswith(("assisted_*", "guided_*")) else ("1", "2")
        for word in words:
            values[name.replace("*", word)] = 0.5 + 0.4 * math.sin(0.1 * step + place)
    values |= {f"{key}_low": v - 0.05 for key, v in values.items() if key.endswith("_unassisted")}
    values |= {f"{key[:-4]}_high": v + 0.1 for key, v in values.items() if key.endswith("_low")}
    if kind == "train":
        values |= {"skipped": 0.0, "seconds": 2.5, "teacher_cost": 0.25, "response_tokens": 48_360.0}
    return values


def episodes(question: Question, text: str = "Look again at line 2.") -> list[Episode]:
    """Solved at once; solved with help; a leak; a fault."""
    yes, no = Verdict(True, question.answer, "correct"), Verdict(False, "A", "wrong option")
    good, bad = right(question), wrong(question)
    helped = Attempt(bad, no, Guidance(text, mistake="slipped"))
    leaked = Attempt(bad, no, Guidance(text, leaks=("letter",), blocked=True))
    failed = Attempt(bad, no, Guidance(fault=TeacherTimeout(f"nothing came back: {text}")))
    again, done = Attempt(bad, no), Attempt(good, yes)
    return [
        Episode(question, (done,), (1.0,), StopReason.SOLVED),
        Episode(question, (helped, done), (0.0, 0.25), StopReason.SOLVED),
        Episode(question, (leaked, again), (0.0, 0.0), StopReason.OUT_OF_ATTEMPTS),
        Episode(question, (failed,), (0.0,), StopReason.TEACHER_FAILED),
    ]


def made_run(folder: Path, steps: int, planned: int | None = None, batch: Iterable[Episode] = ()) -> Path:
    """A run folder of so many finished steps, with an evaluation before and after."""
    log = RunLog(
        folder, replace(PRESETS["tiny"], steps=steps if planned is None else planned, run_dir=folder)
    )
    rng = np.random.default_rng(0)
    for step in range(steps + 1):
        if step:
            log.metrics("train", step, all_metrics("train", step))
            log.episodes(step, list(batch) or episodes(choice_question()))
        if step in (0, planned or steps):
            asked = [
                replace(choice_question(f"q{i}"), domain=domain, subtask=subtask)
                for i, (domain, subtask) in enumerate([("physics", "motion"), ("biology", "cells")] * 8)
            ]
            for way, samples in (("sampled", 4), ("greedy", 1)):
                first, second = rng.random((2, 16, samples)) < 0.3 + 0.1 * step
                standings = [
                    Standing(1 if at_once else 2, bool(at_once | later), open=False, told=1)
                    for at_once, later in zip(first.ravel(), second.ravel(), strict=True)
                ]
                result = Evaluation.of(standings, samples, 2)
                told = {"open": {"episodes": 0, "why": {}}, "warnings": []}
                log.evaluation(step, way, result, result_of(result, asked, asked) | told)
            log.metrics("eval", step, all_metrics("eval", step))
    log.close()
    return folder
