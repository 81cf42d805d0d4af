"""Stored replies judged anew: by another verifier, another search for leaks, or mended questions.

Nothing is sampled, so that what would have been said otherwise is unknown. A reply that is right now ends
its episode there, and what followed is dropped; one that was right and is wrong now leaves its episode open,
unless it was the last attempt allowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from socratic_env.dialogue import heard, open_dialogue
from socratic_env.errors import VerifierError
from socratic_env.evaluation.intervals import RESAMPLES, Counted, compared, estimate, resamples_of
from socratic_env.evaluation.statistics import Standing
from socratic_env.leakage import detect
from socratic_env.records.episodes import attempts_of
from socratic_env.rewards import decayed_means, schedule
from socratic_env.types import Question, StopReason
from socratic_env.verifiers import Verifier
from socratic_env.verifiers.verdicts import Outcome, begin, finish

Detector = Callable[[Question, str], Sequence[str]]
"""(question, guidance) -> the kinds of leak found in it."""
_TOGETHER = 256
"""Episodes judged at once."""


@dataclass(frozen=True)
class Rescored:
    """One episode before and after; `changes`: of its attempts, as they stand in the report."""

    before: Mapping[str, Any]
    after: dict[str, Any]
    changes: list[dict[str, Any]]


async def rescored(
    records: Sequence[Mapping[str, Any]],
    questions: Mapping[str, Question],
    verifier: Verifier,
    max_attempts: int,
    detector: Detector = detect,
    on_judged: Callable[[int], None] = lambda _: None,
) -> list[Rescored]:
    """The episodes with verdicts and leaks as they are now; those without a question are left out. Their
    rewards are as they were: see `paid`. on_judged is told how many episodes were judged."""
    known = [record for record in records if record["question_id"] in questions]
    found: list[Rescored] = []
    for start in range(0, len(known), _TOGETHER):
        part = known[start : start + _TOGETHER]
        found += await asyncio.gather(
            *(_rescored(one, questions[one["question_id"]], verifier, max_attempts, detector) for one in part)
        )
        on_judged(len(part))
    return found


async def _rescored(
    record: Mapping[str, Any],
    question: Question,
    verifier: Verifier,
    max_attempts: int,
    detector: Detector,
) -> Rescored:
    attempts: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    stop, right = record["stop"], False
    for number, (stored, attempt) in enumerate(zip(record["attempts"], attempts_of(record), strict=True), 1):
        outcome = await _judged(question, attempt.text, verifier)
        if isinstance(outcome, VerifierError):
            stop = StopReason.VERIFIER_FAILED.value
            changes.append(_change(record, number, stored, {"correct": None, "verdict": str(outcome)}))
            break
        right = outcome.correct
        new = {name: value for name, value in stored.items() if name != "advantage"}  # of the old verdicts
        new |= {"correct": right, "answer": outcome.answer, "verdict": outcome.reason}
        if right:
            new |= {"guidance": None, "mistake": None, "leaks": [], "blocked": False, "fault": None}
        elif stored["guidance"] and not stored["blocked"]:  # of a blocked text only the safe hint is stored
            new["leaks"] = list(detector(question, stored["guidance"]))
        attempts.append(new)
        if any(new[name] != stored[name] for name in ("correct", "answer")) or (
            not right and new["leaks"] != stored["leaks"]
        ):
            changes.append(_change(record, number, stored, new))
        if right:
            stop = StopReason.SOLVED.value
            break
    else:
        if attempts and record["stop"] == StopReason.SOLVED:
            over = len(attempts) >= max_attempts
            stop = StopReason.OUT_OF_ATTEMPTS.value if over else None
    after = {**record, "attempts": attempts, "stop": stop}
    if right:
        after = {name: value for name, value in after.items() if name not in ("fault", "fault_kind")}
    return Rescored(record, after, changes)


async def _judged(question: Question, text: str, verifier: Verifier) -> Outcome:
    text, verdict = heard(open_dialogue(question), text)
    return verdict or await finish(begin(verifier, question, text))


def _change(
    record: Mapping[str, Any], attempt: int, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    shown = ("correct", "answer", "verdict", "leaks")
    place = {name: record[name] for name in ("step", "row", "sample") if name in record}
    return {
        "question_id": record["question_id"],
        **place,
        "attempt": attempt,
        "before": {name: before[name] for name in shown},
        "after": {name: after[name] for name in shown if name in after},
    }


def paid(records: Sequence[Mapping[str, Any]], max_attempts: int, reward: str) -> list[dict[str, Any]]:
    """The episodes of a training run with what their attempts earn, each step being one batch."""
    pays = schedule(reward)
    made: dict[int, np.ndarray[Any, Any]] = {}
    for record in records:
        counts = made.setdefault(record["step"], np.zeros((2, max_attempts), dtype=int))
        for k, attempt in enumerate(record["attempts"]):
            counts[:, k] += 1, bool(attempt["correct"])
    means = {step: decayed_means(*counts.tolist()) for step, counts in made.items()}
    return [
        {
            **record,
            "attempts": [
                {**attempt, "reward": pays(k, means[record["step"]][k - 1]) if attempt["correct"] else 0.0}
                for k, attempt in enumerate(record["attempts"], 1)
            ],
        }
        for record in records
    ]


def report(
    found: Sequence[Rescored], max_attempts: int, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """What has changed, plain data for JSON: {"episodes", "attempts", "verdicts", "leaks", "ended_earlier",
    "left_open", "metrics": {name: {"before", "after", "difference", "difference_interval"}}, "changes"}.

    Intervals are over questions, paired.
    """
    changes = [change for one in found for change in one.changes]
    turned = [(one["before"]["correct"], one["after"]["correct"]) for one in changes]
    leaks = [
        (bool(c["before"]["leaks"]), bool(c["after"]["leaks"])) for c in changes if "leaks" in c["after"]
    ]
    keys = list(dict.fromkeys(one.before["question_id"] for one in found))
    picks = resamples_of(len(keys), resamples, seed)
    allowed = {"unassisted": 1} | ({f"guided <= {max_attempts}": max_attempts} if max_attempts > 1 else {})
    metrics = {}
    for name, k in allowed.items():
        before, after = (
            _share(keys, [getattr(one, side) for one in found], k) for side in ("before", "after")
        )
        metrics[name] = {
            "before": estimate(before, picks),
            "after": estimate(after, picks),
            **compared(after, before, picks),
        }
    return {
        "episodes": len(found),
        "attempts": sum(len(one.after["attempts"]) for one in found),
        "verdicts": {
            "became_right": turned.count((False, True)),
            "became_wrong": turned.count((True, False)),
            "read_otherwise": sum(
                a == b and c["before"]["answer"] != c["after"]["answer"]
                for c, (a, b) in zip(changes, turned, strict=True)
            ),
            "unjudged": sum(after is None for _, after in turned),
        },
        "leaks": {"found": leaks.count((False, True)), "gone": leaks.count((True, False))},
        "ended_earlier": sum(_ends_earlier(one) for one in found),
        "left_open": sum(one.after["stop"] is None and one.before["stop"] is not None for one in found),
        "metrics": metrics,
        "changes": changes,
    }


def _ends_earlier(one: Rescored) -> bool:
    shorter = len(one.after["attempts"]) < len(one.before["attempts"])
    return shorter and one.after["stop"] == StopReason.SOLVED


def _share(keys: Sequence[str], records: Sequence[Mapping[str, Any]], attempts: int) -> Counted:
    """The share of episodes solved within so many attempts."""
    place = {key: i for i, key in enumerate(keys)}
    least, most, episodes = np.zeros((3, len(keys)))
    unknown = 0
    for record in records:
        stop = None if record["stop"] is None else StopReason(record["stop"])
        one = Standing.of(attempts_of(record), stop)
        solved, doubtful = one.solved and one.made <= attempts, one.open and one.made < attempts
        row = place[record["question_id"]]
        least[row] += solved
        most[row] += solved or doubtful
        episodes[row] += 1
        unknown += doubtful
    return Counted((least, episodes), (most, episodes), unknown)
