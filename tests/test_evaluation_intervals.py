"""Intervals over questions: coverage, edges, pairs, what is unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socratic_env.evaluation import intervals
from socratic_env.evaluation.intervals import (
    Counted,
    compared,
    difference_of,
    estimate,
    interval_of,
    means,
    resampled,
    resamples_of,
    value,
    wilson,
)

SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def of_mean(values, **settings):
    return interval_of(means(values), resamples_of(len(values), 500), **settings)


def pair(after, before, share=True):
    picks = resamples_of(len(after), 500)
    return difference_of(means(after), means(before), picks, share)


# -- the usual case ------------------------------------------------------------------------


def test_intervals_shrink_and_leave_unknown_questions_out():
    rng = np.random.default_rng(0)
    narrow, wide = rng.random(1000), rng.random(20)
    (low, high), (wide_low, wide_high) = of_mean(narrow), of_mean(wide)
    assert low < narrow.mean() < high
    assert high - low < (wide_high - wide_low) / 3
    gaps = np.concatenate([narrow, np.full(50, np.nan)])
    assert of_mean(gaps) == pytest.approx((low, high), abs=0.01)
    assert of_mean([np.nan, np.nan]) is None


@pytest.mark.parametrize(("questions", "samples", "abilities"), [
    (60, 4, (0.6, 0.9)), (60, 4, (20, 0.4)), (10, 4, (8, 0.4)), (5, 4, (20, 0.4)), (3, 4, (8, 0.4)),
    (2, 1, (0.6, 0.9)), (20, 1, (20, 0.4)),
])  # fmt: skip
def test_intervals_cover_about_as_often_as_they_say(questions, samples, abilities):
    """95 % intervals over questions whose abilities differ, also where nearly all are right."""
    rng, covered = np.random.default_rng(1), 0
    picks, truth = resamples_of(questions, 300), abilities[0] / sum(abilities)
    for _ in range(300):
        values = rng.binomial(samples, rng.beta(*abilities, size=questions)) / samples
        low, high = interval_of(means(values), picks)
        covered += low <= truth <= high
    assert covered / 300 >= 0.88
    if questions >= 60:
        assert covered / 300 <= 0.99


def test_blocks_of_a_large_bootstrap_change_nothing(monkeypatch):
    values, picks = np.random.default_rng(0).random(50), resamples_of(50, 100)
    whole = resampled(means(values), picks)
    monkeypatch.setattr(intervals, "_AT_ONCE", 120)
    assert resampled(means(values), picks).tolist() == whole.tolist()


# -- edges ---------------------------------------------------------------------------------


@given(st.lists(SHARES, min_size=1, max_size=40))
def test_no_share_of_questions_is_certain(values):
    low, high = of_mean(values)
    assert 0 <= low <= np.mean(values) + 1e-12
    assert np.mean(values) - 1e-12 <= high <= 1
    assert high - low > 0.3 / (len(values) + 4)


@pytest.mark.parametrize(("values", "low", "high"), [
    ([1.0, 1.0], 0.3424, 1.0),  # Wilson: n / (n + z^2)
    ([0.0, 0.0], 0.0, 0.6576),
    ([1.0], 0.2065, 1.0),
    ([1.0] * 256, 0.9852, 1.0),
    ([0.5] * 4, 0.1500, 0.8500),
])  # fmt: skip
def test_questions_that_agree_have_wilsons_interval(values, low, high):
    assert of_mean(values) == pytest.approx((low, high), abs=2e-4)


def test_one_question_that_differs_does_not_make_a_narrow_interval():
    """The bootstrap of (1, 0.75) is [0.75, 1]: two questions cannot say so much."""
    low, high = of_mean([1.0, 0.75])
    assert low < 0.35
    assert high > 0.98


def test_a_rate_goes_by_the_questions_that_were_counted():
    """All corrected: three questions with one, one and two second attempts, among many with none."""
    made = np.array([1.0, 1, 2] + [0] * 50)
    low, high = interval_of((made, made), resamples_of(53, 200))
    assert (low, high) == pytest.approx(wilson(1.0, 16 / 6))
    assert interval_of((made * 0, made * 0), resamples_of(53, 200)) is None


def test_a_quantity_without_bounds_has_no_interval_where_all_agree():
    assert of_mean([36.0] * 5, share=False) is None
    assert of_mean([36.0], share=False) is None
    assert of_mean([36.0, 40.0], share=False) == (36.0, 40.0)


# -- differences ---------------------------------------------------------------------------


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    before = rng.random(400)
    after = np.clip(before + rng.normal(0.02, 0.01, 400), 0, 1)
    low, high = pair(after, before)
    assert 0 < low < high < 0.03, "resampled apart, the interval would be 0.08 wide"


@given(st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=30))
def test_no_difference_of_shares_is_certain(both):
    after, before = (np.array(side) for side in zip(*both, strict=True))
    low, high = pair(after, before)
    mean = (after - before).mean()
    assert -1 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    assert high - low > 0.3 / (len(both) + 4)


def test_the_same_outcome_on_all_questions_leaves_room_for_a_few_that_differ():
    same = np.tile([0.0, 1.0], 128)
    low, high = pair(same, same)
    assert (low, high) == pytest.approx((-0.0148, 0.0148), abs=1e-4)
    low, high = pair(np.ones(2), np.zeros(2))
    assert low < 0 < high == 1.0


def test_a_rise_of_the_same_size_everywhere_is_not_certain():
    base = np.random.default_rng(0).integers(0, 2, 400) * 0.5
    low, high = pair(base + 0.25, base)
    assert 0.19 < low < 0.24
    assert 0.26 < high < 0.31


def test_differences_of_rates_that_count_other_attempts():
    """Each side corrects all it makes, on other questions."""
    one, two = np.array([1.0, 2, 0, 1]), np.array([1.0, 0, 3, 1])
    low, high = difference_of((one, one), (two, two), resamples_of(4, 200))
    assert low < -0.3
    assert high > 0.3


def test_unknown_values_widen_differences_on_both_sides():
    base = Counted.known(means(np.tile([0.0, 1.0], 50)))
    doubtful = Counted(means(np.tile([0.0, 1.0], 50)), means(np.ones(100)), 50)
    picks = resamples_of(100, 300)
    found = compared(doubtful, base, picks)
    assert found["difference"] == 0
    low, high = found["difference_interval"]
    assert low < 0
    assert high > 0.5
    back = compared(base, doubtful, picks)["difference_interval"]
    assert back == pytest.approx([-high, -low], abs=0.02)
    told = estimate(doubtful, picks)
    assert (told["lower"], told["upper"], told["open"]) == (0.5, 1.0, 50)
    assert told["interval"][0] < 0.45
    assert told["interval"][1] == 1.0
    assert value(doubtful.upper) == 1.0
