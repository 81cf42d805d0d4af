"""Advantage estimators against golden numbers and the theorem of the paper."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agents.advantages import (
    ESTIMATORS,
    Attempts,
    grpo,
    reinforce_plus_plus,
    reinforce_plus_plus_baseline,
    reinforce_plus_plus_tokens,
)

CASES = json.loads((Path(__file__).parent / "golden" / "reward_decay.json").read_text())["cases"]


def rows(case, values):
    """The attempts of a case as flat arrays, sample by sample: (values, question)."""
    flat, questions = [], []
    for question, per_step in zip(case["question"], values, strict=True):
        for value in per_step:
            if value is not None:
                flat.append(value)
                questions.append(question)
    return np.array(flat, dtype=float), np.array(questions)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_golden_advantages(case):
    rewards, question = rows(case, case["rewards_decimal"])
    expected, _ = rows(case, case["adv_t_eq_K"]["pop"])
    np.testing.assert_allclose(reinforce_plus_plus(rewards), expected, atol=1e-12)
    for std, name in ((True, "grpo_rows_std"), (False, "grpo_rows_nostd")):
        expected, _ = rows(case, case["variants"][name])
        np.testing.assert_allclose(grpo(rewards, question, std=std), expected, atol=1e-9)


def attempts_of(case):
    """What the estimators see of a case."""
    sizes = [sum(v is not None for v in per_step) for per_step in case["rewards_decimal"]]
    rewards, question = rows(case, case["rewards_decimal"])
    tokens, _ = rows(case, case["tokens"])
    return Attempts(
        rewards_N=rewards,
        values_N=rewards,
        question_N=np.unique(question, return_inverse=True)[1],
        episode_N=np.repeat(np.arange(len(sizes)), sizes),
        attempt_N=np.concatenate([np.arange(1, size + 1) for size in sizes]),
        tokens_N=tokens.astype(int),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        ("reinforce++-tokens", "rfpp_token_verl"),
        ("reinforce++-baseline-tokens", "rfpp_baseline_rows_verl"),
        ("reinforce++-baseline-trajectory", "rfpp_baseline_traj_agent_r1"),
        ("reinforce++-per-step", "rfpp_per_step_verl"),
    ],
)
def test_golden_forms_of_other_stacks(case, estimator, name):
    expected, _ = rows(case, case["variants"][name])
    np.testing.assert_allclose(ESTIMATORS[estimator](attempts_of(case)), expected, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_golden_population_form(case):
    batch = attempts_of(case)
    expected, _ = rows(case, case["variants"]["rfpp_token_openrlhf"])
    actual = reinforce_plus_plus_tokens(batch.rewards_N, batch.tokens_N, unbiased=False)
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_grpo_by_name_counts_every_episode_once():
    """Two episodes of one question: 1 and 0 + 0.5. Returns 1 and 0.5, whatever the attempts."""
    batch = Attempts(
        *(np.array(v) for v in ([1.0, 0.0, 0.5], [1.0, 0.0, 0.5], [0, 0, 0], [0, 1, 1], [1, 1, 2], [3, 4, 5]))
    )
    centred = ESTIMATORS["grpo-no-std"](batch)
    np.testing.assert_allclose(centred, [0.25, -0.25, -0.25])
    np.testing.assert_allclose(ESTIMATORS["grpo"](batch), centred / (np.std([1.0, 0.5], ddof=1) + 1e-6))


def test_baseline_is_the_question_mean_then_whitened():
    rewards, question = np.array([1.0, 0.0, 0.5, 0.25, 1.0]), np.array(["a", "a", "b", "b", "c"])
    centred = np.array([0.5, -0.5, 0.125, -0.125, 1.0])  # a group of one has baseline 0
    expected = (centred - centred.mean()) / (centred.std() + 1e-8)
    np.testing.assert_allclose(reinforce_plus_plus_baseline(rewards, question), expected, atol=1e-12)


def test_a_question_with_one_episode_keeps_its_return():
    np.testing.assert_allclose(grpo([0.7], ["a"]), [0.7 / (1 + 1e-6)])


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), min_size=2, max_size=30), st.randoms())
def test_order_does_not_matter_and_inputs_stay(pairs, random):
    rewards, question = (np.array(column) for column in zip(*pairs, strict=True))
    assume(rewards.std() > 1e-3)
    order = np.array(random.sample(range(len(pairs)), len(pairs)))
    before = rewards.copy()
    for estimate in (
        lambda r, q: reinforce_plus_plus(r),
        reinforce_plus_plus_baseline,
        grpo,
    ):
        advantages = estimate(rewards, question)
        np.testing.assert_allclose(estimate(rewards[order], question[order]), advantages[order], atol=1e-6)
    np.testing.assert_array_equal(rewards, before)


@given(st.lists(st.sampled_from([(1, 0), (0, 1), (0, 0)]), min_size=2, max_size=40))
def test_a_correct_attempt_is_never_punished(episodes):
    """Theorem 1, first claim, on whole K = 2 batches: (right at 1, right at 2)."""
    first = sum(one for one, _ in episodes) / len(episodes)
    rewards, correct = [], []
    for one, two in episodes:
        rewards.append(float(one))
        correct.append(bool(one))
        if not one:
            rewards.append(first * two)
            correct.append(bool(two))
    advantages = reinforce_plus_plus(rewards)
    assert (advantages[np.array(correct)] >= -1e-9).all()
