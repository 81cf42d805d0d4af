"""What a viewpoint is worth: U(v) = mean score with it in the student's context, minus without (paper 3.3).

The score is that of the first attempt, without a teacher. Both sides of a pair have the same probe and the
same chance (rollout), and all candidates share one baseline. On a probe to which a viewpoint does not apply
the student is asked the same thing on both sides: such a probe is played once, and its difference is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np

from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, StudentError, check_count, check_seed
from socratic_env.evaluation.intervals import (
    RESAMPLES,
    Counted,
    Floats,
    Picks,
    compared,
    means,
    resamples_of,
    value,
)
from socratic_env.evaluation.probes import probes_digest
from socratic_env.evaluation.scores import BATCH, Play, Scores
from socratic_env.students import Student
from socratic_env.types import Question
from socratic_env.verifiers import VerifierSpec, verifier_from_spec
from socratic_env.viewpoints import InContext, Utility, Viewpoint, leaking, with_viewpoints

MARGIN = 0.03
"""A smaller |U| is taken for no effect: a viewpoint that does nothing gets there by chance, and single
intervals of such ones leave 0 out too often to go by them."""
ALPHA, POWER = 0.05, 0.8
"""Level of the one-sided tests, and the chance to find an effect that the needed number of probes is for."""
FEWEST = 5
"""Wins without a loss that the sign test needs at that level (1 / 32)."""

Probes: TypeAlias = "Sequence[Question] | Callable[[Viewpoint], Sequence[Question]]"
"""The same questions for all candidates, or a function that gives those of each (targeted probes)."""


@dataclass(frozen=True)
class Measured:
    """What was found of one candidate.

    utility: None if it was vetoed. vetoed: why ("": it was not).
    without, with_: mean scores of the two sides (nan if vetoed).
    applies: on how many of the probes it was shown. open: pairs of which a side is unknown, since the student
        gave no reply; they count against the value's interval in both directions.
    better, worse: p-values of the one-sided sign tests.
    needed: probes like these for a chance of 80 % to find an effect of this size (None: no effect was seen).
    """

    viewpoint: Viewpoint
    utility: Utility | None
    vetoed: str = ""
    without: float = math.nan
    with_: float = math.nan
    applies: int = 0
    open: int = 0
    better: float = 1.0
    worse: float = 1.0
    needed: int | None = None

    @property
    def verdict(self) -> str:
        """ "vetoed"; "none": within the margin; "helps" or "harms": beyond it, and by the sign test;
        "unclear": beyond it, but too few probes say so."""
        if self.utility is None:
            return "vetoed"
        if abs(self.utility.value) < MARGIN:
            return "none"
        if min(self.better, self.worse) > ALPHA:
            return "unclear"
        return "helps" if self.utility.value > 0 else "harms"

    def as_json(self) -> dict[str, Any]:
        """As plain data, nan as None."""
        sides = {"without": self.without, "with": self.with_}
        found = self.utility
        return {
            "id": self.viewpoint.id,
            "kind": self.viewpoint.kind,
            "trigger": self.viewpoint.trigger,
            "text": self.viewpoint.text,
            "verdict": self.verdict,
            "vetoed": self.vetoed,
            "utility": None if found is None else found.value,
            "interval": None if found is None or found.interval is None else list(found.interval),
            **{name: side if math.isfinite(side) else None for name, side in sides.items()},
            "probes": 0 if found is None else found.n,
            "applies": self.applies,
            "wins": 0 if found is None else found.wins,
            "losses": 0 if found is None else found.losses,
            "open": self.open,
            "p_better": self.better,
            "p_worse": self.worse,
            "probes_needed": self.needed,
        }


def utilities(student: Student, probes: Probes, *args: Any, **kwargs: Any) -> list[Measured]:
    """`measure`, run to its end from synchronous code."""
    return run(measure(student, probes, *args, **kwargs))


async def measure(
    student: Student,
    probes: Probes,
    active: Iterable[Viewpoint] = (),
    candidates: Sequence[Viewpoint] = (),
    seed: int = 0,
    *,
    version: str = "",
    samples: int = 1,
    sources: Sequence[Question] = (),
    verifier: VerifierSpec = None,
    scores: Scores | None = None,
    resamples: int = RESAMPLES,
    batch: int = BATCH,
    on_planned: Callable[[int], None] = lambda _: None,
    on_played: Callable[[int], None] = lambda _: None,
) -> list[Measured]:
    """The utility of each candidate beside the active viewpoints, in their order.

    Args:
        student: who is taught, of any kind (`socratic_env.students`).
        probes: P questions, or a function that gives those of a candidate: see `evaluation.probes`.
        active: V. An active candidate is measured against V without it.
        candidates: the viewpoints to be measured. One that gives the answer of a probe away, or of a
            question that it came from, is vetoed and not played.
        seed: of the chances of the probes (rollouts seed * samples .. + samples - 1) and of the resampling.
        version: of the student, for `scores` and the record; "": unknown, and nothing is kept.
        samples: attempts on each probe, on either side.
        sources: questions that candidates came from (`probes.source_questions`), beside the probes.
        verifier: as of the environments.
        scores: where scores are kept; None: for this call alone.
        batch: dialogues that the student is given at once.
        on_planned, on_played: told how many different attempts there are, and how many more are done.

    Raises StudentError if the student gives no replies, ConfigurationError for unusable arguments.
    """
    check_seed(seed)
    for name, given in (("samples", samples), ("resamples", resamples), ("batch", batch)):
        check_count(name, given)
    judge = verifier_from_spec(verifier)
    beside = tuple(active)
    sides = [_Sides.of(one, beside, _of(probes, one), sources) for one in candidates]
    rollouts = range(seed * samples, (seed + 1) * samples)
    plays = [
        Play(question, rollout)
        for side in sides
        if not side.vetoed
        for question in (*side.without, *side.with_)
        for rollout in rollouts
    ]
    on_planned(len(set(plays)))
    kept = Scores() if scores is None else scores
    found = await kept.of(student, version, plays, judge, on_played, batch)
    drawn: dict[int, Picks] = {}
    results = []
    for side in sides:
        if side.vetoed:
            results.append(Measured(side.viewpoint, None, side.vetoed))
            continue
        count = len(side.without)
        picks = drawn.setdefault(count, resamples_of(count, resamples, seed))
        scored = [
            np.array([[_nan(found[Play(question, r)]) for r in rollouts] for question in asked])
            for asked in (side.without, side.with_)
        ]
        results.append(_measured(side, scored[0], scored[1], picks, version))
    return results


def accepted(measured: Iterable[Measured]) -> list[Viewpoint]:
    """The viewpoints that help, with what they were found to be worth, the best in front."""
    helpful = [one for one in measured if one.verdict == "helps" and one.utility is not None]
    helpful.sort(key=lambda one: -one.utility.value if one.utility is not None else 0.0)
    return [replace(one.viewpoint, utility=one.utility) for one in helpful]


# -- the two sides of the pairs ------------------------------------------------------------


@dataclass(frozen=True)
class _Sides:
    """What is asked of a candidate: each probe without it, and with it, in the same order."""

    viewpoint: Viewpoint
    without: tuple[Question, ...]
    with_: tuple[Question, ...]
    vetoed: str
    probes: str
    beside: tuple[str, ...]

    @classmethod
    def of(
        cls,
        viewpoint: Viewpoint,
        active: Sequence[Viewpoint],
        probes: Sequence[Question],
        sources: Sequence[Question],
    ) -> _Sides:
        others = [one for one in active if one.id != viewpoint.id]
        ids = tuple(one.id for one in others)
        own = {trace.question_id for trace in viewpoint.traces}
        asked = [*(one for one in sources if one.id in own), *probes]
        vetoed = viewpoint.vetoed or leaking(viewpoint, asked)
        if vetoed:
            return cls(viewpoint, (), (), vetoed, probes_digest(probes), ids)
        # An active one keeps its place in V, any other comes last: as the student would be asked.
        joined = active if len(others) < len(active) else [*others, viewpoint]
        less, more = InContext(others), InContext(joined)
        without = tuple(with_viewpoints(probe, less.on(probe)) for probe in probes)
        with_ = tuple(with_viewpoints(probe, more.on(probe)) for probe in probes)
        return cls(viewpoint, without, with_, "", probes_digest(probes), ids)


def _of(probes: Probes, viewpoint: Viewpoint) -> Sequence[Question]:
    questions = probes(viewpoint) if callable(probes) else probes
    if not questions:
        raise ConfigurationError(f"viewpoint {viewpoint.id} has no probes; give at least one question")
    return questions


# -- statistics ---------------------------------------------------------------------------


def sign_test(wins: int, losses: int) -> float:
    """The chance of at least so many wins were both equally likely: the one-sided p-value, without ties."""
    trials = wins + losses
    return sum(math.comb(trials, k) for k in range(wins, trials + 1)) / 2**trials


def probes_needed(differences_Q: Floats) -> int | None:
    """How many probes like these a one-sided paired test at level `ALPHA` needs to find their mean difference
    with the chance `POWER`: ((z_alpha + z_power) sd / mean)^2, at least `FEWEST`; None if it is 0."""
    known = differences_Q[np.isfinite(differences_Q)]
    mean = float(known.mean()) if len(known) else 0.0
    if not mean:
        return None
    z = NormalDist().inv_cdf(1 - ALPHA) + NormalDist().inv_cdf(POWER)
    return max(FEWEST, math.ceil((z * float(known.std()) / mean) ** 2))


def _nan(score: float | None) -> float:
    return math.nan if score is None else score


def _measured(side: _Sides, without_QN: Floats, with_QN: Floats, picks: Picks, version: str) -> Measured:
    more, less = _counted(with_QN), _counted(without_QN)
    interval = compared(more, less, picks)["difference_interval"]
    differences = with_QN.mean(axis=1) - without_QN.mean(axis=1)  # nan where a side is unknown
    known = differences[np.isfinite(differences)]
    if not len(known):
        raise StudentError(f"the student left no pair of viewpoint {side.viewpoint.id} with both replies")
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    utility = Utility(
        float(known.mean()),
        None if interval is None else (interval[0], interval[1]),
        len(differences),
        wins,
        losses,
        version,
        side.probes,
        side.beside,
    )
    return Measured(
        side.viewpoint,
        utility,
        without=value(less.lower),
        with_=value(more.lower),
        applies=sum(a.system != b.system for a, b in zip(side.without, side.with_, strict=True)),
        open=int(np.isnan(differences).sum()),
        better=sign_test(wins, losses),
        worse=sign_test(losses, wins),
        needed=probes_needed(differences),
    )


def _counted(scores_QN: Floats) -> Counted:
    """The mean score over probes, of which some may be unknown."""
    unknown = int(np.isnan(scores_QN).sum())
    least = means(np.nan_to_num(scores_QN, nan=0.0).mean(axis=1))
    if not unknown:
        return Counted.known(least)
    return Counted(least, means(np.nan_to_num(scores_QN, nan=1.0).mean(axis=1)), unknown)
