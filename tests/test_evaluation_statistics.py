"""Statistics of evaluations: hand-computed cases, brute force, coverage."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import choice_question

from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.statistics import (
    Evaluation,
    bootstrap_interval,
    default_pass_k,
    estimate,
    grouped,
    interval,
    pass_at_k,
    resampled,
    resamples_of,
    shares,
    summary,
)
from socratic_env.types import Attempt, Episode, StopReason, Verdict

RIGHT, WRONG = Attempt("a", Verdict(True, "B", "")), Attempt("a", Verdict(False, "A", ""))


def evaluation(made, solved, unfinished=None, k=3):
    made, solved = np.array(made), np.array(solved, dtype=bool)
    unfinished = np.zeros_like(solved) if unfinished is None else np.array(unfinished, dtype=bool)
    return Evaluation(made, solved, unfinished, k)


@st.composite
def evaluations(draw, faults=True):
    questions, samples, k = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 4))

    def episode():
        kind = draw(st.sampled_from(["solved", "failed", "open"] if faults else ["solved", "failed"]))
        made = k if kind == "failed" else draw(st.integers(0 if kind == "open" else 1, k - (kind == "open")))
        return made, kind == "solved", kind == "open"

    rows = [[episode() for _ in range(samples)] for _ in range(questions)]
    return evaluation(*([[one[i] for one in row] for row in rows] for i in range(3)), k=k)


# -- pass@k ------------------------------------------------------------------------------


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 8))
def test_pass_at_k_is_the_mean_over_all_subsets(verdicts, k):
    found = pass_at_k(len(verdicts), sum(verdicts), k)
    if k > len(verdicts):
        assert math.isnan(found)
        return
    subsets = list(itertools.combinations(verdicts, k))
    assert found == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


@given(st.integers(1, 300), st.data())
def test_pass_at_k_grows_from_the_mean_to_any(samples, data):
    right = data.draw(st.integers(0, samples))
    values = [pass_at_k(samples, right, k) for k in range(1, samples + 1)]
    assert values[0] == pytest.approx(right / samples)
    assert values == sorted(values)
    assert values[-1] == (right > 0)


def test_pass_at_k_is_unbiased():
    """Its mean over many draws of n samples is 1 - (1 - p)^k."""
    rng, p, k = np.random.default_rng(0), 0.3, 4
    draws = rng.binomial(8, p, size=40_000)
    assert np.mean([pass_at_k(8, int(c), k) for c in draws]) == pytest.approx(1 - (1 - p) ** k, abs=0.01)


def test_the_default_ks():
    assert [default_pass_k(n) for n in (1, 2, 5, 16)] == [[1], [1, 2], [1, 2, 4, 5], [1, 2, 4, 8, 16]]


# -- by hand -----------------------------------------------------------------------------


def test_a_case_by_hand():
    """Two questions, four samples, K = 3."""
    result = evaluation([[1, 2, 3, 3], [1, 1, 3, 2]], [[1, 1, 1, 0], [1, 1, 0, 1]])
    found = summary(result, pass_k=[1, 2, 4], resamples=200)
    values = {name: {k: m["value"] for k, m in found[name].items()} for name in ("pass_at", "guided")}
    assert found["unassisted"]["value"] == (1 / 4 + 2 / 4) / 2
    assert values["guided"] == {"1": 0.375, "2": (2 / 4 + 3 / 4) / 2, "3": 0.75}
    assert values["pass_at"] == pytest.approx({"1": 0.375, "2": (1 / 2 + 5 / 6) / 2, "4": 1.0})
    corrected = {k: m["value"] for k, m in found["correction_rate"].items()}
    assert corrected == {"2": 2 / 5, "3": 1 / 3}  # 5 episodes reach attempt 2, 3 reach attempt 3
    assert (found["questions"], found["episodes"]) == (2, 8)


def test_open_episodes_count_with_the_attempts_they_made():
    """One question: solved at 1; failed 1 and then a fault; nothing known; solved at 2."""
    result = evaluation([[1, 1, 0, 2]], [[1, 0, 0, 1]], [[0, 1, 1, 0]], k=2)
    assert result.accuracy() == pytest.approx(1 / 3)
    assert result.accuracy(2) == 1.0
    assert result.correction_rate() == 1.0
    assert result.pass_at(3)[0] == 1.0
    assert math.isnan(result.pass_at(4)[0])
    found = summary(result, resamples=10)
    assert found["episodes"] == 2
    assert found["pass_at"]["4"] == {"value": None, "interval": None}


def test_a_question_of_which_nothing_is_known_is_left_out():
    result = evaluation([[0, 0], [1, 1]], [[0, 0], [1, 0]], [[1, 1], [0, 0]], k=1)
    assert result.accuracy() == 0.5
    assert estimate(shares(result.per_question()), resamples_of(2))["interval"] is None


def test_episodes_become_arrays():
    ends = [
        ((RIGHT,), StopReason.SOLVED),
        ((WRONG, RIGHT), StopReason.SOLVED),
        ((WRONG,), StopReason.TEACHER_FAILED),
        ((WRONG,), StopReason.CONTEXT_LIMIT),
    ]
    question = choice_question()
    episodes = [Episode(question, made, (0.0,) * len(made), stop) for made, stop in ends]
    result = Evaluation.of(episodes, samples=2, max_attempts=2)
    assert result.within(1).tolist() == [[1, 0], [0, 0]]
    assert np.array_equal(result.within(2), [[1, 1], [np.nan, 0]], equal_nan=True)
    assert result.select([1]).accuracy(2) == 0.0


@given(evaluations())
def test_invariants(result):
    found = summary(result, resamples=20)
    guided = [result.within(k) for k in range(1, result.max_attempts + 1)]
    for earlier, later in itertools.pairwise(guided):
        known = np.isfinite(later)
        assert (earlier[known] <= later[known]).all()
    for metric in (*found["guided"].values(), *found["pass_at"].values(), *found["correction_rate"].values()):
        assert metric["value"] is None or 0 <= metric["value"] <= 1
        if metric["interval"] is not None:
            low, high = metric["interval"]
            assert 0 <= low <= high <= 1
    assert found["unassisted"]["value"] == pytest.approx(found["pass_at"]["1"]["value"])


@given(evaluations(faults=False), st.randoms())
def test_the_order_of_questions_and_samples_changes_nothing(result, random):
    rows = list(range(len(result.made_QN)))
    random.shuffle(rows)
    columns = list(range(result.made_QN.shape[1]))
    random.shuffle(columns)
    other = result.select(rows)
    other = evaluation(other.made_QN[:, columns], other.solved_QN[:, columns], k=result.max_attempts)
    one, two = summary(result, resamples=5), summary(other, resamples=5)
    for name in ("pass_at", "guided", "correction_rate"):
        for k, metric in one[name].items():
            assert metric["value"] == pytest.approx(two[name][k]["value"])


@given(evaluations(faults=False))
def test_guided_accuracy_never_falls(result):
    values = [result.accuracy(k) for k in range(1, result.max_attempts + 1)]
    assert values == sorted(values)


def test_a_k_beyond_the_samples_is_refused():
    with pytest.raises(ConfigurationError, match="pass@3 needs k from 1 to the 2 samples"):
        summary(evaluation([[1, 1]], [[1, 0]]), pass_k=[3])


# -- intervals ---------------------------------------------------------------------------


def test_intervals_shrink_and_leave_unknown_questions_out():
    rng = np.random.default_rng(0)
    narrow, wide = rng.random(1000), rng.random(20)
    (low, high), (wide_low, wide_high) = bootstrap_interval(narrow), bootstrap_interval(wide)
    assert low < narrow.mean() < high
    assert high - low < (wide_high - wide_low) / 3
    gaps = np.concatenate([narrow, np.full(50, np.nan)])
    assert bootstrap_interval(gaps) == pytest.approx((low, high), abs=0.01)
    assert all(map(math.isnan, bootstrap_interval([math.nan, math.nan])))


def test_intervals_cover_as_often_as_they_say():
    """95 % intervals of the mean over 60 questions of 4 samples, whose abilities differ."""
    rng, covered = np.random.default_rng(1), 0
    picks = resamples_of(60, 400)
    for _ in range(300):
        ability = rng.beta(0.6, 0.9, size=60)
        values = rng.binomial(4, ability) / 4
        low, high = interval(resampled(shares(values), picks))
        covered += low <= 0.4 <= high
    assert 0.90 <= covered / 300 <= 0.985


def test_blocks_of_a_large_bootstrap_change_nothing(monkeypatch):
    values, picks = np.random.default_rng(0).random(50), resamples_of(50, 100)
    whole = resampled(shares(values), picks)
    monkeypatch.setattr("socratic_env.evaluation.statistics._AT_ONCE", 120)
    assert resampled(shares(values), picks).tolist() == whole.tolist()


def test_groups_keep_the_order_of_their_members():
    assert grouped(["b", "a", "b"]) == {"a": [1], "b": [0, 2]}
    assert list(grouped(["b", "a"])) == ["a", "b"]
