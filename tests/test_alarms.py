"""Alarms of a training run: each rings where its definition holds, and just short of it does not."""

import pytest

from agents.reports.summary import training_warnings
from agents.runs.alarms import ALARMS, WINDOW, alarms

CALM = {
    "skipped": 0.0, "guided": 0.5, "unassisted": 0.3, "leaked": 0.05, "entropy": 1.0, "teacher_calls": 10.0,
    "teacher_faults": 1.0, "open": 0.0, "attempts": 10.0, "replies_cut": 0.0, "replies_empty": 0.0,
}  # fmt: skip


def steps(number=WINDOW, **changed):
    return [{**CALM, **changed} for _ in range(number)]


def ringing(records):
    return list(alarms(records))


def test_a_calm_run_rings_nothing():
    for number in (0, 1, WINDOW, 3 * WINDOW):
        assert ringing(steps(number)) == []


@pytest.mark.parametrize(
    ("records", "rings"),
    [
        (steps(skipped=1.0, guided=0.0), ["learns nothing"]),
        (steps(WINDOW - 1, skipped=1.0), []),
        ([*steps(skipped=1.0), *steps(1)], []),
        ([*steps(3), *steps(skipped=1.0)], ["learns nothing"]),
        ([*steps(), *steps(guided=0.7)], ["assisted reward hacking"]),
        ([*steps(), *steps(guided=0.54)], []),
        ([*steps(), *steps(guided=0.7, unassisted=0.31)], []),
        ([*steps(), *steps(WINDOW - 1, guided=0.7)], []),
        ([*steps(), *steps(leaked=0.2)], ["leaks"]),
        ([*steps(leaked=0.9), *steps()], []),
        (steps(leaked=None), []),
        (steps(2 * WINDOW, leaked=float("nan"), entropy=float("nan"), guided=float("nan")), []),
        ([*steps(), *steps(entropy=0.09)], ["entropy collapse"]),
        ([*steps(), *steps(entropy=0.11)], []),
        ([*steps(), *steps(entropy=0.09, unassisted=0.95, guided=0.98)], []),
        (steps(2 * WINDOW, entropy=0.0), []),
        (steps(2, teacher_faults=2.0), ["teacher faults"]),
        (steps(2, teacher_calls=0.0, teacher_faults=0.0), []),
        (steps(2 * WINDOW, guided=None), []),
        ([*steps(reflection_distinct=4.0), *steps(reflection_distinct=1.0)], ["viewpoint collapse"]),
        ([*steps(reflection_distinct=4.0), *steps(WINDOW - 1, reflection_distinct=1.0), *steps(1)], []),
        ([*steps(reflection_distinct=4.0), *steps(reflection_distinct=2.0)], []),
        (steps(2 * WINDOW, reflection_distinct=1.0), []),
        (
            [
                *steps(reflection_distinct=4.0),
                *steps(reflection_distinct=1.0, unassisted=0.95, guided=0.98, entropy=1.0),
            ],
            [],
        ),
    ],
)
def test_alarms_ring_where_their_definition_holds(records, rings):
    assert ringing(records) == rings


def test_a_noisy_rise_is_none():
    noisy = [{**CALM, "guided": guided} for guided in [0.0, 1.0] * 5 + [0.0, 1.0] * 4 + [1.0, 1.0]]
    assert ringing(noisy) == []


def test_what_to_do_depends_on_what_was_solved():
    none, all_ = (alarms(steps(skipped=1.0, guided=g))["learns nothing"] for g in (0.0, 1.0))
    assert "solved nothing at all" in none
    assert "all or nothing" in all_


def test_alarms_are_among_the_warnings_of_a_run():
    (line,) = training_warnings(steps(leaked=0.2))
    assert line.startswith("training: leaks: leaks of the answer were found in 20%")
    assert all(alarm.__doc__ for alarm in ALARMS.values())
