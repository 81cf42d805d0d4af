"""Metrics over questions with intervals that are honest at the edges, and about what is unknown.

Pure functions. Q questions, R resamples. Questions are the unit of all intervals: samples of one question
are not independent of each other. An interval is the percentile interval of the bootstrap over questions.
Where hardly a question differs from the others, resampling has nothing to draw from and its interval
shrinks to a point: there it is widened to Wilson's interval, with questions as its trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
FEW = 5
"""If fewer questions than this differ from the most common value, the bootstrap alone is not believed."""
_AT_ONCE = 2**22
"""Numbers of a bootstrap held at once."""

Floats = NDArray[np.float64]
Picks = NDArray[np.int_]
"""picks_RQ: indices of questions, drawn with replacement."""
Ratio = tuple[Floats, Floats]
"""(numerators_Q, denominators_Q) by question; the metric is sum / sum."""


@dataclass(frozen=True)
class Counted:
    """A metric as it was counted: the least it can be and the most, whatever the unknown turns out to be.

    lower, upper: with all that is unknown counted against it, and for it. The lower one is the headline.
    open: how many episodes (or replies) are unknown; 0: lower and upper are the same.
    share: it lies between 0 and 1; any other quantity has no bounds.
    """

    lower: Ratio
    upper: Ratio
    open: int = 0
    share: bool = True

    @classmethod
    def known(cls, ratio: Ratio, share: bool = True) -> Counted:
        """A metric of which nothing is unknown."""
        return cls(ratio, ratio, 0, share)


def means(values_Q: Sequence[float] | Floats) -> Ratio:
    """The ratio whose value is the mean over questions; those that are nan are left out."""
    values = np.asarray(values_Q, dtype=np.float64)
    there = np.isfinite(values)
    return np.where(there, values, 0.0), there.astype(np.float64)


def divided(ratio: Ratio) -> Floats:
    """Numerators over denominators, nan where a denominator is 0."""
    top, bottom = ratio
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom != 0)


def value(ratio: Ratio) -> float:
    """sum / sum, nan if nothing was counted."""
    return float(divided((np.asarray(ratio[0].sum()), np.asarray(ratio[1].sum()))))


def number(found: float) -> float | None:
    """A number for JSON: None if it is not finite."""
    return found if math.isfinite(found) else None


def resamples_of(questions: int, resamples: int = RESAMPLES, seed: int = 0) -> Picks:
    """picks_RQ of so many questions. The same picks make differences paired."""
    return np.random.default_rng(seed).integers(questions, size=(resamples, questions))


def resampled(ratio: Ratio, picks_RQ: Picks) -> Floats:
    """The ratio's value in each of R resamples."""
    rows = max(1, _AT_ONCE // max(1, picks_RQ.shape[1]))
    blocks = [picks_RQ[i : i + rows] for i in range(0, len(picks_RQ), rows)]
    return np.concatenate([divided((ratio[0][b].sum(axis=1), ratio[1][b].sum(axis=1))) for b in blocks])


def percentiles(values_R: Floats, level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of resampled values; None if none is finite."""
    finite = values_R[np.isfinite(values_R)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson(share: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share seen in so many trials. Neither has to be whole: a mean of values
    in [0, 1] varies no more than the share of as many coins."""
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    room = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return max(0.0, min(middle - room, share)), min(1.0, max(middle + room, share))


def interval_of(
    ratio: Ratio, picks_RQ: Picks, share: bool = True, level: float = LEVEL
) -> tuple[float, float] | None:
    """The interval of a metric. None where nothing was counted, and for a quantity without bounds whose
    questions all agree, or that has one question: they say nothing of its spread."""
    differ = _differing(divided(ratio)[:, None])
    if not ratio[1].any() or (differ == 0 and not share):
        return None
    found = percentiles(resampled(ratio, picks_RQ), level) or (value(ratio), value(ratio))
    if not share or differ >= FEW:
        return found
    return _hull(found, wilson(value(ratio), _trials(ratio[1]), level))


def difference_of(
    ratio: Ratio, base: Ratio, picks_RQ: Picks, share: bool = True, level: float = LEVEL
) -> tuple[float, float] | None:
    """The interval of ratio minus base on the same questions, resampled together; None as above.

    Where hardly a question differs: questions that count the same on both sides give two shares, how far
    the metric rose and how far it fell, and the interval goes from the least of the first minus the most of
    the second to the reverse. Otherwise the two Wilson intervals are joined as Newcombe does (1998).
    """
    if not (ratio[1].any() and base[1].any()):
        return None
    one, two = value(ratio), value(base)
    found = percentiles(resampled(ratio, picks_RQ) - resampled(base, picks_RQ), level)
    found = found or (one - two, one - two)
    same = np.array_equal(ratio[1], base[1])
    each, other = divided(ratio), divided(base)
    differ = _differing((each - other)[:, None] if same else np.stack([each, other], axis=1))
    if differ == 0 and not share:
        return None
    if not share or differ >= FEW:
        return found
    if same:
        rise, fall = np.maximum(ratio[0] - base[0], 0.0), np.maximum(base[0] - ratio[0], 0.0)
        trials = _trials(ratio[1])
        (least, most), (low, high) = (wilson(value((part, ratio[1])), trials, level) for part in (rise, fall))
        return _hull(found, (least - high, most - low))
    (low, high), (other_low, other_high) = (
        wilson(share_of, _trials(bottom), level) for share_of, bottom in ((one, ratio[1]), (two, base[1]))
    )
    down, up = math.hypot(one - low, other_high - two), math.hypot(high - one, two - other_low)
    return _hull(found, (max(-1.0, one - two - down), min(1.0, one - two + up)))


def estimate(metric: Counted, picks_RQ: Picks) -> dict[str, Any]:
    """{"value", "interval", "lower", "upper", "open"} for JSON.

    The value is the lower one (None: nothing was counted). The interval covers the unknown: from the low
    end of the lower value's to the high end of the upper value's; None as in `interval_of`.
    """
    low = interval_of(metric.lower, picks_RQ, metric.share)
    high = low if metric.upper is metric.lower else interval_of(metric.upper, picks_RQ, metric.share)
    lower, upper = number(value(metric.lower)), number(value(metric.upper))
    return {
        "value": lower,
        "interval": [low[0], high[1]] if low is not None and high is not None else None,
        "lower": lower,
        "upper": upper,
        "open": metric.open,
    }


def compared(metric: Counted, base: Counted, picks_RQ: Picks) -> dict[str, Any]:
    """{"difference", "difference_interval"} of a metric to another on the same questions, for JSON.

    The difference is that of the two headlines; its interval goes from the least that the unknown of both
    leaves possible to the most.
    """
    low = difference_of(metric.lower, base.upper, picks_RQ, metric.share)
    high = difference_of(metric.upper, base.lower, picks_RQ, metric.share)
    return {
        "difference": number(value(metric.lower) - value(base.lower)),
        "difference_interval": [low[0], high[1]] if low is not None and high is not None else None,
    }


def _differing(values_QD: Floats) -> int:
    """How many questions have other values than the most common ones; those without values do not count."""
    there = values_QD[np.isfinite(values_QD).all(axis=1)]
    if not len(there):
        return 0
    _, counts = np.unique(there.round(9), axis=0, return_counts=True)
    return len(there) - int(counts.max())


def _trials(weights_Q: Floats) -> float:
    """The number of equal questions that say as much as these, of these weights (Kish)."""
    return float(weights_Q.sum() ** 2 / (weights_Q**2).sum())


def _hull(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])
