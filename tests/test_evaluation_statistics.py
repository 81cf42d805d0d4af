"""Statistics of evaluations: hand-computed cases, brute force, what open episodes leave unknown."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.scripted import choice_question

from socratic_env.errors import ConfigurationError, TeacherTimeout, TeacherUnavailable
from socratic_env.evaluation.intervals import divided, value
from socratic_env.evaluation.statistics import (
    Evaluation,
    Standing,
    default_pass_k,
    faults_of,
    grouped,
    pass_at_k,
    summary,
)
from socratic_env.evaluation.warnings import warnings_of
from socratic_env.types import Attempt, Episode, Guidance, StopReason, Verdict

RIGHT, WRONG = Attempt("a", Verdict(True, "B", "")), Attempt("a", Verdict(False, "A", ""))


def evaluation(made, solved, unfinished=None, k=3):
    made, solved = np.array(made), np.array(solved, dtype=bool)
    unfinished = np.zeros_like(solved) if unfinished is None else np.array(unfinished, dtype=bool)
    rows = zip(made.ravel().tolist(), solved.ravel().tolist(), unfinished.ravel().tolist(), strict=True)
    return Evaluation.of([Standing(*row) for row in rows], made.shape[1], k)


def outcomes(result):
    """Every way in which the open episodes could have gone on."""
    k = result.max_attempts
    places = list(zip(*np.nonzero(result.open_QN), strict=True))
    ends = [[(at, True) for at in range(result.made_QN[place] + 1, k + 1)] + [(k, False)] for place in places]
    for chosen in itertools.product(*ends):
        made, solved = result.made_QN.copy(), result.solved_QN.copy()
        for place, (at, right) in zip(places, chosen, strict=True):
            made[place], solved[place] = at, right
        yield evaluation(made, solved, k=k)


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


def test_open_episodes_count_as_unsolved_and_their_doubt_is_shown():
    """One question: solved at 1; failed 1 and then a fault; nothing known; solved at 2."""
    result = evaluation([[1, 1, 0, 2]], [[1, 0, 0, 1]], [[0, 1, 1, 0]], k=2)
    found = summary(result, resamples=10)
    assert (found["episodes"], found["open"]) == (2, 2)
    for metric, lower, upper, unknown in (
        (found["unassisted"], 1 / 4, 2 / 4, 1),
        (found["guided"]["2"], 2 / 4, 4 / 4, 2),
        (found["correction_rate"]["2"], 1 / 3, 3 / 3, 2),
        (found["pass_at"]["2"], pass_at_k(4, 1, 2), pass_at_k(4, 2, 2), 1),
        (found["pass_at"]["4"], 1.0, 1.0, 1),
    ):
        assert (metric["value"], metric["lower"], metric["upper"], metric["open"]) == pytest.approx(
            (lower, lower, upper, unknown)
        )
        low, high = metric["interval"]
        assert low < lower
        assert upper <= high


@given(evaluations())
def test_lower_and_upper_are_the_least_and_the_most_of_all_outcomes(result):
    assume(result.open <= 5)
    every = list(outcomes(result))
    for metric_of in (
        lambda one: one.solved_within(1),
        lambda one: one.solved_within(one.max_attempts),
        lambda one: one.pass_at(2 if one.made_QN.shape[1] > 1 else 1),
        lambda one: one.corrections(min(2, one.max_attempts)),
    ):
        found = metric_of(result)
        values = [value(metric_of(one).lower) for one in every]
        told = [one for one in values if math.isfinite(one)]
        if not told:
            assert math.isnan(value(found.lower))
            continue
        assert value(found.lower) == pytest.approx(min(told))
        assert value(found.upper) == pytest.approx(max(told))
        assert (found.open > 0) or value(found.lower) == value(found.upper)


@pytest.mark.parametrize("failing", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_a_failing_teacher_never_raises_the_headline_and_the_truth_is_always_inside(failing):
    """Half of the questions are right at once; guidance never helps: the truth is 0.5."""
    rng = np.random.default_rng(3)
    first = np.arange(400).reshape(100, 4) % 2 == 0
    down = ~first & (rng.random(first.shape) < failing)
    result = evaluation(np.where(first | down, 1, 2), first, down, k=2)
    guided = summary(result, resamples=400)["guided"]["2"]
    assert guided["value"] == guided["lower"] == 0.5
    assert guided["upper"] == pytest.approx(0.5 + down.mean())
    assert guided["open"] == down.sum()
    low, high = guided["interval"]
    assert low <= 0.5 <= guided["upper"] <= high


def test_all_in_doubt_is_said_to_be_all_in_doubt():
    found = summary(evaluation([[0, 0]], [[0, 0]], [[1, 1]], k=1), resamples=10)["unassisted"]
    assert found == {"value": 0.0, "interval": [0.0, 1.0], "lower": 0.0, "upper": 1.0, "open": 2}


def test_episodes_become_arrays():
    ends = [
        ((RIGHT,), StopReason.SOLVED),
        ((WRONG, RIGHT), StopReason.SOLVED),
        ((replace(WRONG, guidance=Guidance(fault=TeacherTimeout("late"))),), StopReason.TEACHER_FAILED),
        ((WRONG,), StopReason.CONTEXT_LIMIT),
    ]
    question = choice_question()
    episodes = [Episode(question, made, (0.0,) * len(made), stop) for made, stop in ends]
    result = Evaluation.of_episodes(episodes, samples=2, max_attempts=2)
    assert faults_of(episodes) == {"TeacherTimeout": 1}
    assert result.within(1).tolist() == [[1, 0], [0, 0]]
    assert np.array_equal(result.within(2), [[1, 1], [np.nan, 0]], equal_nan=True)
    assert result.select([1]).accuracy(2) == 0.0


@given(evaluations())
def test_invariants(result):
    found = summary(result, resamples=20)
    guided = [result.within(k) for k in range(1, result.max_attempts + 1)]
    assert np.array_equal(divided(result.solved_within(1).lower), result.per_question(1)[0])
    for earlier, later in itertools.pairwise(guided):
        known = np.isfinite(later)
        assert (earlier[known] <= later[known]).all()
    for metric in (*found["guided"].values(), *found["pass_at"].values(), *found["correction_rate"].values()):
        assert metric["value"] is None or 0 <= metric["value"] <= 1
        if metric["interval"] is not None:
            low, high = metric["interval"]
            assert 0 <= low <= metric["lower"] <= metric["upper"] <= high <= 1
            assert low < high
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


# -- replies -------------------------------------------------------------------------------


def test_replies_that_broke_off_or_are_empty_are_counted_where_it_is_known():
    def attempt(text, finished):
        return Attempt(text, Verdict(False, None, "no answer"), finished=finished)

    question = choice_question()
    episodes = [
        Episode(question, (attempt("", False), attempt("B", True)), (0, 0), StopReason.OUT_OF_ATTEMPTS),
        Episode(
            question, (attempt(" \n", None), attempt("cut he", False)), (0, 0), StopReason.OUT_OF_ATTEMPTS
        ),
    ]
    found = summary(Evaluation.of_episodes(episodes, 1, 2), resamples=10)
    assert found["replies"]["cut"]["value"] == pytest.approx(2 / 3)
    assert found["replies"]["empty"]["value"] == 2 / 4
    cut, empty = warnings_of(found, {}, "--max-tokens 8")
    assert "67% of the student's replies did not end by themselves" in cut
    assert "--max-tokens 8" in cut
    assert "50% of the student's replies are empty" in empty
    silent = [
        replace(one, attempts=tuple(replace(a, finished=None) for a in one.attempts)) for one in episodes
    ]
    assert summary(Evaluation.of_episodes(silent, 1, 2), resamples=10)["replies"]["cut"]["value"] is None


def test_few_of_them_get_no_warning():
    made = [Standing(1, True, False, cut=int(i < 2), told=1, empty=int(i < 2)) for i in range(20)]
    assert warnings_of(summary(Evaluation.of(made, 1, 1), resamples=10), {}, "its limit") == []


def test_the_open_line_counts_kinds_of_faults():
    faults = [TeacherTimeout("late"), TeacherUnavailable("gone"), TeacherUnavailable("gone")]
    episodes = [
        Episode(
            choice_question(),
            (replace(WRONG, guidance=Guidance(fault=f)),),
            (0.0,),
            StopReason.TEACHER_FAILED,
        )
        for f in faults
    ]
    found = summary(Evaluation.of_episodes(episodes, 1, 2), resamples=10)
    (line,) = warnings_of(found, faults_of(episodes), "its limit")
    assert line.startswith("3 of 3 episodes are open (2 TeacherUnavailable, 1 TeacherTimeout)")
    assert "count as unsolved" in line


# -- parts ---------------------------------------------------------------------------------


def test_groups_keep_the_order_of_their_members():
    assert grouped(["b", "a", "b"]) == {"a": [1], "b": [0, 2]}
    assert list(grouped(["b", "a"])) == ["a", "b"]
