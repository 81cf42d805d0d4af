import copy
import itertools
import json
import math
import pickle
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.scripted import batches, exact_means, exact_rewards

from socratic_env.errors import ConfigurationError, TrackerError
from socratic_env.rewards import (
    BatchStatistics,
    RollingStatistics,
    correction_rate,
    decayed_means,
    schedule,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "reward_decay.json").read_text())
CASES = {case["id"]: case for case in GOLDEN["cases"]}
EXACT = 1e-12
"""Room for the rounding of floats; two different means of the generated batches lie 1e-6 apart."""

unhurried = settings(deadline=None, max_examples=150)


def verdicts(case):
    return [[bool(delta) for delta in row if delta is not None] for row in case["delta"]]


def recorded(k, rows, batch_size=None):
    statistics = BatchStatistics(k, batch_size)
    for row in rows:
        for attempt, correct in enumerate(row, 1):
            statistics.record(attempt, correct)
        if not any(row):
            statistics.close(len(row))
    return statistics


def rewards_of(statistics, rows):
    return [[statistics.reward(attempt, correct) for attempt, correct in enumerate(row, 1)] for row in rows]


def up_to(t, rewards):
    """All rewards of attempts at steps <= t, as one array."""
    return np.array([reward for row in rewards for reward in row[:t]])


def flat(rows):
    return [value for row in rows for value in row]


def fractions(values):
    return [float(Fraction(value)) for value in values]


# -- golden numbers ----------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("known", [True, False], ids=["known-size", "open-size"])
def test_golden_counts_means_and_rewards(case, known):
    rows = verdicts(case)
    statistics = recorded(case["K"], rows, case["M"] if known else None)
    assert statistics.attempts == case["m"]
    assert statistics.solved == case["s"]
    assert list(itertools.accumulate(statistics.attempts)) == case["N"]
    assert statistics.means() == pytest.approx(fractions(case["mu"]), abs=EXACT)
    assert [statistics.mu(k) for k in range(case["K"] + 1)] == statistics.means()
    golden = [float(Fraction(r)) for row in case["rewards"] for r in row if r is not None]
    assert flat(rewards_of(statistics, rows)) == pytest.approx(golden, abs=EXACT)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_golden_statistics_of_every_step(case):
    """The moments by the formulas over the counts, and by the rewards themselves."""
    rows = verdicts(case)
    statistics = recorded(case["K"], rows)
    rewards, means = rewards_of(statistics, rows), statistics.means()
    for key, golden in case["stats_by_t"].items():
        t = int(key)
        pooled = up_to(t, rewards)
        squares = sum(s * mu**2 for s, mu in zip(statistics.solved[:t], means[:t], strict=True))
        assert pooled.size == golden["n"]
        mean, variance = float(Fraction(golden["mean"])), float(Fraction(golden["var_pop"]))
        assert means[t] == pytest.approx(mean, abs=EXACT)
        assert pooled.mean() == pytest.approx(mean, abs=EXACT)
        assert squares / pooled.size - means[t] ** 2 == pytest.approx(variance, abs=EXACT)
        assert pooled.var() == pytest.approx(variance, abs=EXACT)
        centred = [c for row in golden["centred"]["frac"] for c in row if c is not None]
        ours = [reward - means[t] for reward in flat(rewards)]
        assert ours == pytest.approx(fractions(centred), abs=EXACT)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_golden_rewards_without_decay(case):
    pay, statistics = schedule("full"), recorded(case["K"], verdicts(case))
    golden = [float(Fraction(r)) for row in case["no_decay"]["rewards"] for r in row if r is not None]
    ours = [
        pay(attempt, statistics.mu(attempt - 1)) * correct
        for row in verdicts(case)
        for attempt, correct in enumerate(row, 1)
    ]
    assert ours == golden


def test_golden_bounds_after_every_event():
    case = GOLDEN["async_case"]
    base = CASES[case["base"]]
    statistics = BatchStatistics(base["K"], case["M_known"])
    for event in case["events"]:
        statistics.record(event["step"], bool(event["delta"]))
        bounds = [statistics.bounds(attempt) for attempt in range(1, base["K"] + 1)]
        for k, (low, high) in enumerate(bounds):
            assert low == pytest.approx(float(Fraction(event["mu_lo"][k])), abs=EXACT)
            assert high == pytest.approx(float(Fraction(event["mu_hi"][k])), abs=EXACT)
            assert statistics.reward(k + 1, True) == low
    final = [float(Fraction(r)) for row in case["final_rewards"] for r in row if r is not None]
    assert flat(rewards_of(statistics, verdicts(base))) == pytest.approx(final, abs=EXACT)


def test_golden_running_estimate_is_provisional_only():
    """Without a batch size a reward is of what is recorded: early ones differ from the exact ones."""
    golden = GOLDEN["counterexamples"]["running_estimate"]
    statistics, paid = BatchStatistics(2), []
    for attempt, correct in ((1, False), (2, True), (1, True), (1, True)):
        statistics.record(attempt, correct)
        paid.append(statistics.reward(attempt, correct))
    assert paid == golden["provisional"]
    assert np.mean(paid) == golden["mean"]
    assert paid[1] - np.mean(paid) == golden["centred_adv_of_corrected"]
    assert statistics.reward(2, True) == pytest.approx(float(Fraction(golden["exact_reward"])), abs=EXACT)
    assert statistics.mu(2) == pytest.approx(float(Fraction(golden["exact_mu2"])), abs=EXACT)


# -- properties of batches ---------------------------------------------------------------


@unhurried
@given(batches())
def test_means_are_those_of_the_rewards_themselves(batch):
    k, rows = batch
    statistics = recorded(k, rows)
    assert statistics.means() == pytest.approx([float(mu) for mu in exact_means(k, rows)], abs=EXACT)
    assert flat(rewards_of(statistics, rows)) == pytest.approx(flat(exact_rewards(k, rows)), abs=EXACT)
    assert all(0.0 <= mu <= 1.0 for mu in statistics.means())


@unhurried
@given(batches(), st.data())
def test_order_of_arrival_changes_nothing(batch, data):
    k, rows = batch
    events = [(attempt, correct) for row in rows for attempt, correct in enumerate(row, 1)]
    shuffled = BatchStatistics(k)
    for attempt, correct in data.draw(st.permutations(events)):
        shuffled.record(attempt, correct)
    assert shuffled.means() == recorded(k, rows).means()
    assert (shuffled.attempts, shuffled.solved) == (recorded(k, rows).attempts, recorded(k, rows).solved)


@unhurried
@given(batches(), st.data(), st.booleans())
def test_merging_is_pooling(batch, data, known):
    k, rows = batch
    half = data.draw(st.integers(0, len(rows)))
    assume(not known or 0 < half < len(rows))
    parts = rows[:half], rows[half:]
    a, b = (recorded(k, part, len(part) if known else None) for part in parts)
    before = copy.deepcopy(a), copy.deepcopy(b)
    whole = recorded(k, rows, len(rows) if known else None)
    assert a.merge(b) == b.merge(a) == whole
    assert a.merge(b).means() == whole.means()
    assert (a, b) == before
    a.merge(b).check_shared()  # a merge is no copy: environments may share it


def test_a_merge_with_an_open_batch_has_no_size():
    assert BatchStatistics(2, 4).merge(BatchStatistics(2)).batch_size is None
    assert BatchStatistics(2, 4).merge(BatchStatistics(2, 3)).batch_size == 7


@unhurried
@given(batches(), st.sampled_from([lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy]))
def test_copies_keep_their_counts_and_go_their_own_way(batch, copied):
    k, rows = batch
    statistics = recorded(k, rows, len(rows) + 1)
    twin = copied(statistics)
    assert twin == statistics
    assert twin.bounds(k) == statistics.bounds(k)
    twin.record(1, True)
    assert twin != statistics
    assert statistics == recorded(k, rows, len(rows) + 1)


def test_statistics_differ_by_every_count():
    def changed(change):
        statistics = BatchStatistics(3, 4)
        change(statistics)
        return statistics

    variants = [
        BatchStatistics(3, 4),
        BatchStatistics(3),
        BatchStatistics(2, 4),
        changed(lambda s: s.record(1, True)),
        changed(lambda s: s.record(1, False)),
        changed(lambda s: s.close(0)),
    ]
    for one, other in itertools.combinations(variants, 2):
        assert one != other
    assert BatchStatistics(3, 4) != "BatchStatistics"


class SlowTruth:
    """Lets other threads in while it is read as a bool, so that a lost update would show."""

    def __bool__(self):
        time.sleep(0.0005)
        return True


def test_threads_lose_no_record():
    statistics, start = BatchStatistics(2), threading.Barrier(8)

    def work():
        start.wait()
        for _ in range(25):
            statistics.record(1, SlowTruth())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statistics.attempts, statistics.solved) == ([200, 0], [200, 0])


# -- bounds of a pending batch -----------------------------------------------------------


def arrivals(draw, rows, k):
    """A random interleaving of (row, event): a verdict (attempt, correct), or the close of a drop-out."""
    events = []
    for row in rows:
        mine = [("record", attempt, correct) for attempt, correct in enumerate(row, 1)]
        if not any(row) and len(row) < k:
            mine.append(("close", len(row), False))
        events.append(mine)
    turns = draw(st.permutations([i for i, mine in enumerate(events) for _ in mine]))
    waiting = [iter(mine) for mine in events]
    return [next(waiting[i]) for i in turns]


@unhurried
@given(batches(), st.data())
def test_bounds_hold_tighten_and_meet(batch, data):
    k, rows = batch
    exact = [float(mu) for mu in exact_means(k, rows)]
    statistics = BatchStatistics(k, len(rows))
    owed = [sum(len(row) > step for row in rows) for step in range(k)]  # verdicts still to come
    unclosed = sum(not any(row) and len(row) < k for row in rows)
    before = [(0.0, 1.0)] * k
    for what, attempt, correct in [("start", 0, False), *arrivals(data.draw, rows, k)]:
        if what == "record":
            statistics.record(attempt, correct)
            owed[attempt - 1] -= 1
        elif what == "close":
            statistics.close(attempt)
            unclosed -= 1
        bounds = [statistics.bounds(step) for step in range(1, k + 1)]
        for step, (low, high) in enumerate(bounds):
            assert low <= exact[step] + EXACT
            assert exact[step] <= high + EXACT
            assert low >= before[step][0] - EXACT
            assert high <= before[step][1] + EXACT
            if not any(owed[:step]) and not unclosed:
                assert low == high == pytest.approx(exact[step], abs=EXACT)
        before = bounds
    assert bounds[0] == (1.0, 1.0)


def test_bounds_of_an_untouched_batch_are_as_wide_as_can_be():
    """lo: nobody ever solves; hi: everybody solves at once."""
    statistics = BatchStatistics(3, 5)
    assert [statistics.bounds(step) for step in (1, 2, 3)] == [(1.0, 1.0), (0.0, 1.0), (0.0, 1.0)]


def test_a_drop_out_keeps_the_bounds_apart_until_it_is_closed():
    statistics = BatchStatistics(3, 2)
    statistics.record(1, True)
    statistics.record(1, False)
    low, high = statistics.bounds(3)
    assert low == pytest.approx(1 / 3)
    assert high == pytest.approx(1 / 2)
    statistics.close(1)
    assert statistics.bounds(3) == (0.5, 0.5)


def test_closing_an_episode_after_its_last_attempt_changes_nothing():
    statistics = BatchStatistics(2, 1)
    statistics.record(1, False)
    statistics.record(2, False)
    before = copy.deepcopy(statistics)
    statistics.close(2)
    assert statistics == before


# -- Theorem 1, as it is true ------------------------------------------------------------


@unhurried
@given(batches())
def test_non_negativity_with_its_equality_condition(batch):
    """A correct attempt k has mu_{k-1} >= mu_t for t >= k; equal iff mu_{k-1} = 0 or p_k = 1."""
    k_max, rows = batch
    statistics = recorded(k_max, rows)
    means, made, solved = statistics.means(), statistics.attempts, statistics.solved
    for k in range(1, k_max + 1):
        if not solved[k - 1]:
            continue
        for t in range(k, k_max + 1):
            centred = statistics.reward(k, True) - means[t]
            assert centred >= -EXACT
            is_zero = means[k - 1] == 0.0 or made[k - 1] == solved[k - 1]
            assert (abs(centred) < 1e-9) == is_zero


def test_the_printed_direction_is_wrong():
    golden = GOLDEN["counterexamples"]["P1_t_lt_k"]
    case = next(case for case in CASES.values() if case["id"].startswith(golden["case"] + "_"))
    statistics = recorded(case["K"], verdicts(case))
    assert golden["t"] < golden["k"]
    assert statistics.solved[golden["k"] - 1] > 0
    centred = statistics.reward(golden["k"], True) - statistics.mu(golden["t"])
    assert centred == pytest.approx(float(Fraction(golden["centred"])), abs=EXACT)
    assert centred < 0


@unhurried
@given(batches())
def test_earlier_success_earns_more_unless_nobody_was_right_at_once(batch):
    k_max, rows = batch
    statistics = recorded(k_max, rows)
    steps = [k for k in range(1, k_max + 1) if statistics.solved[k - 1]]
    for k, later in itertools.combinations(steps, 2):
        early, late = statistics.reward(k, True), statistics.reward(later, True)
        if statistics.solved[0]:
            assert early > late + 1e-9
        else:
            assert early == late == 0.0


@unhurried
@given(batches())
def test_saturation(batch):
    """The centred advantage at step t is mu_{t-1} (m_t / N_t) (1 - p_t)."""
    k_max, rows = batch
    statistics = recorded(k_max, rows)
    made, solved, means = statistics.attempts, statistics.solved, statistics.means()
    for t in range(1, k_max + 1):
        if made[t - 1]:
            n, p = sum(made[:t]), solved[t - 1] / made[t - 1]
            formula = means[t - 1] * made[t - 1] / n * (1 - p)
            assert statistics.reward(t, True) - means[t] == pytest.approx(formula, abs=EXACT)


@unhurried
@given(batches())
def test_failing_first_never_pays(batch):
    """Summed over an episode, the centred advantage is largest for one solved at attempt 1."""
    k_max, rows = batch
    statistics = recorded(k_max, rows)
    mean = statistics.mu(k_max)
    at_once = 1.0 - mean
    for row, rewards in zip(rows, rewards_of(statistics, rows), strict=True):
        if any(row) and len(row) > 1:
            assert sum(reward - mean for reward in rewards) < at_once - 1e-9


@unhurried
@given(batches())
def test_population_variance(batch):
    k_max, rows = batch
    statistics = recorded(k_max, rows)
    rewards, means = rewards_of(statistics, rows), statistics.means()
    for t in range(1, k_max + 1):
        pooled = up_to(t, rewards)
        if pooled.size:
            squares = sum(s * mu**2 for s, mu in zip(statistics.solved[:t], means[:t], strict=True))
            assert squares / pooled.size - means[t] ** 2 == pytest.approx(pooled.var(), abs=EXACT)


def test_the_correction_rate_is_that_of_all_later_attempts():
    assert correction_rate([8], [3]) == correction_rate([8, 0], [8, 0]) == 0.0
    assert correction_rate([8, 5, 3], [3, 2, 1]) == 3 / 8


# -- a lone environment ------------------------------------------------------------------


def test_the_very_first_episode_pays_only_at_once():
    rolling = RollingStatistics(3)
    rolling.record(1, False)
    assert (rolling.mu(0), rolling.mu(1)) == (1.0, 0.0)
    rolling.record(2, False)
    assert rolling.mu(2) == 0.0


@unhurried
@given(batches(most_rows=12), st.integers(1, 4))
def test_the_rolling_estimate_is_that_of_its_window(batch, window):
    k, rows = batch
    rolling, ended = RollingStatistics(k, window), []
    for row in rows:
        for attempt, correct in enumerate(row, 1):
            rolling.record(attempt, correct)
            counted = [*ended[-window:], row[:attempt]]
            made = [sum(len(r) > step for r in counted) for step in range(k)]
            solved = [sum(r[step] for r in counted if len(r) > step) for step in range(k)]
            assert (rolling.attempts, rolling.solved) == (made, solved)
            assert [rolling.mu(step) for step in range(k + 1)] == decayed_means(made, solved)
        rolling.end_episode()
        if row:
            ended.append(row)


def test_the_window_holds_256_episodes():
    rolling = RollingStatistics(2)
    rolling.record(1, True)
    rolling.end_episode()
    for _ in range(255):
        rolling.record(1, False)
        rolling.end_episode()
    assert rolling.mu(1) == 1 / 256
    rolling.record(1, False)
    assert rolling.mu(1) == 1 / 257
    rolling.end_episode()
    assert rolling.mu(1) == 0.0


# -- schedules ---------------------------------------------------------------------------


@given(st.integers(1, 20), st.floats(0, 1), st.floats(0, 1))
def test_schedules(attempt, mu, factor):
    assert schedule("decay")(attempt, mu) == mu
    assert schedule("full")(attempt, mu) == 1.0
    assert schedule(f"constant:{factor!r}")(attempt, mu) == factor ** (attempt - 1)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "Decay",
        "constant",
        *(f"constant:{g}" for g in ("", "x", "-0.1", "1.1", "nan", "inf")),
        None,
        0.5,
        ["decay"],
    ],
)
def test_an_unusable_schedule_is_named_with_a_remedy(spec):
    with pytest.raises(ConfigurationError) as caught:
        schedule(spec)
    assert str(spec) in str(caught.value)
    assert "'constant:0.5'" in str(caught.value)


# -- bad input ---------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [BatchStatistics, RollingStatistics])
@pytest.mark.parametrize("k", [0, -1, 2.0, "2", None, True, math.nan])
def test_an_unusable_k_is_named(cls, k):
    with pytest.raises(
        ConfigurationError, match=r"max_attempts is .*; give a whole number of at least 1"
    ) as e:
        cls(k)
    assert repr(k) in str(e.value)


@pytest.mark.parametrize("size", [0, -3, 4.0, "4", True])
def test_an_unusable_batch_size_is_named(size):
    with pytest.raises(TrackerError, match=r"batch_size is .*; give a whole number of at least 1") as caught:
        BatchStatistics(2, size)
    assert repr(size) in str(caught.value)


@pytest.mark.parametrize("call", ["record", "reward"])
@pytest.mark.parametrize("attempt", [0, 4, -1, 1.0, "1", None, True])
def test_an_unusable_attempt_is_named(call, attempt):
    statistics = BatchStatistics(3)
    with pytest.raises(TrackerError, match=r"attempt is .*; it must be a whole number 1\.\.3") as caught:
        getattr(statistics, call)(attempt, True)
    assert repr(attempt) in str(caught.value)
    assert statistics == BatchStatistics(3)


@pytest.mark.parametrize("value", [-1, 4, 0.5, None])
@pytest.mark.parametrize("call", ["mu", "close"])
def test_an_unusable_step_is_named(call, value):
    with pytest.raises(TrackerError, match=r"whole number 0\.\.3") as caught:
        getattr(BatchStatistics(3), call)(value)
    assert repr(value) in str(caught.value)


def test_numbers_of_numpy_are_fine():
    statistics = BatchStatistics(np.int64(2), np.int32(1))
    statistics.record(np.int64(1), np.bool_(False))
    assert (statistics.attempts, statistics.solved, statistics.mu(np.int8(1))) == ([1, 0], [0, 0], 0.0)


def test_bounds_need_a_batch_size():
    with pytest.raises(TrackerError, match=r"batch_size=M"):
        BatchStatistics(2).bounds(1)


def test_bounds_of_an_impossible_attempt():
    with pytest.raises(TrackerError, match=r"attempt is 3; it must be a whole number 1\.\.2"):
        BatchStatistics(2, 1).bounds(3)


def test_more_episodes_than_the_batch_has():
    statistics = BatchStatistics(2, 2)
    statistics.record(1, True)
    statistics.record(1, False)
    with pytest.raises(TrackerError, match=r"after all 2 episodes .* open a new BatchStatistics"):
        statistics.record(1, False)
    assert statistics.attempts == [2, 0]


@pytest.mark.parametrize("mark", [lambda s: s.record(2, True), lambda s: (s.close(1), s.close(1))])
def test_contradicting_records_are_named(mark):
    statistics = BatchStatistics(2, 3)
    statistics.record(1, True)
    statistics.record(1, False)
    mark(statistics)
    statistics.record(2, True)
    with pytest.raises(TrackerError, match=r"attempt 2 is recorded .* close each episode once"):
        statistics.bounds(2)


def test_statistics_of_different_k_do_not_merge():
    with pytest.raises(TrackerError, match="max_attempts 2 and 3; both must be equal"):
        BatchStatistics(2).merge(BatchStatistics(3))


def test_a_known_batch_pays_the_lower_bound_an_open_one_the_estimate():
    known, open_ended = BatchStatistics(2, 4), BatchStatistics(2)
    for statistics in (known, open_ended):
        statistics.record(1, True)
        statistics.record(1, False)
    assert known.reward(2, True) == known.bounds(2)[0] == 0.25
    assert open_ended.reward(2, True) == 0.5
    assert known.reward(2, False) == open_ended.reward(2, False) == 0.0
