"""The policy loss against golden numbers."""

import json
import math
from pathlib import Path

import pytest
import torch

from agents.losses import (
    clipped_token_losses,
    policy_loss,
    sequence_importance_weights,
    token_weights,
    truncated_importance_weights,
)
from agents.options import PolicyLoss

GOLDEN = json.loads((Path(__file__).parent / "golden" / "reward_decay.json").read_text())["losses"]


def test_truncated_importance_weights():
    golden = GOLDEN["tis_token"]
    differences = torch.tensor(golden["log_ratio_old_minus_rollout"], dtype=torch.float64)
    zeros = torch.zeros_like(differences)
    weights = truncated_importance_weights(differences, zeros, golden["rho"])
    torch.testing.assert_close(weights, torch.tensor(golden["weights"], dtype=torch.float64))


def test_sequence_importance_weights():
    golden = GOLDEN["tis_sequence"]
    row = torch.tensor(golden["log_ratios"], dtype=torch.float64)
    old = torch.cat([row, torch.tensor([-0.5, 0.2, 30.0], dtype=torch.float64)])
    attempts = torch.tensor([0] * 3 + [1] * 2 + [2])
    weights = sequence_importance_weights(old, torch.zeros_like(old), attempts, clip=2.0)[[0, 3, 5]]
    assert weights[0].item() == pytest.approx(golden["weight"])
    assert weights[1].item() == pytest.approx(math.exp(-0.3))
    assert weights[2].item() == 2.0
    unclipped = sequence_importance_weights(old, torch.zeros_like(old), attempts, clip=math.inf)
    assert unclipped[[0, 3, 5]].tolist() == pytest.approx([math.exp(0.7), math.exp(-0.3), math.exp(20.0)])


@pytest.mark.parametrize("row", GOLDEN["ppo_clip_higher_dual"]["rows"], ids=str)
def test_clip_higher_with_dual_clip(row):
    golden = GOLDEN["ppo_clip_higher_dual"]
    settings = PolicyLoss(golden["eps_low"], golden["eps_high"], dual_clip=golden["c"])
    logps = torch.tensor([math.log(row["ratio"])], dtype=torch.float64)
    loss = clipped_token_losses(logps, torch.zeros(1), torch.tensor([row["adv"]]), settings)
    assert loss.item() == pytest.approx(row["loss"], abs=1e-6)


def test_without_dual_clip_a_bad_token_is_unbounded():
    loss = clipped_token_losses(
        torch.tensor([math.log(10.0)]), torch.zeros(1), torch.tensor([-1.0]), PolicyLoss()
    )
    assert loss.item() == pytest.approx(10.0, rel=1e-5)


def test_extreme_ratios_stay_finite():
    loss = clipped_token_losses(torch.tensor([500.0]), torch.zeros(1), torch.tensor([-1.0]), PolicyLoss())
    assert torch.isfinite(loss).all()


def test_token_mean_and_importance_weights():
    logps = torch.log(torch.tensor([1.1, 0.9, 2.0]))
    old, advantages = torch.zeros(3), torch.tensor([1.0, -1.0, 1.0])
    rollout = -torch.log(torch.tensor([1.0, 0.5, 4.0]))  # weights 1, 0.5 and 4, the last cut to 2
    weights = torch.full((3,), 1 / 3)
    loss = policy_loss(logps, old, rollout, advantages, weights, PolicyLoss())
    assert loss.item() == pytest.approx((-1.1 + 0.5 * 0.9 - 2 * 1.28) / 3, rel=1e-5)
    plain = policy_loss(logps, old, rollout, advantages, weights, PolicyLoss(rollout_is_clip=None))
    assert plain.item() == pytest.approx((-1.1 + 0.9 - 1.28) / 3, rel=1e-5)


def test_only_the_new_log_probabilities_carry_a_gradient():
    tensors = [torch.randn(4, requires_grad=True) for _ in range(3)]
    policy_loss(*tensors, torch.randn(4), torch.ones(4), PolicyLoss(clip_low=0.9, clip_high=9.0)).backward()
    assert tensors[0].grad is not None
    assert tensors[0].grad.abs().sum() > 0
    # The old ones stand in the ratio, so the learner passes them without a graph; the rollout's
    # weight is detached here.
    assert tensors[2].grad is None


@pytest.mark.parametrize(
    ("aggregation", "name"),
    [
        ("token-mean", "token_mean"),
        ("seq-mean-token-mean", "seq_mean_token_mean"),
        ("seq-mean-token-sum", "seq_mean_token_sum"),
        ("constant", "seq_mean_token_sum_norm_L8"),
    ],
)
def test_golden_aggregations(aggregation, name):
    golden = GOLDEN["loss_aggregation"]
    rows = golden["token_losses"]
    attempts = torch.tensor([i for i, row in enumerate(rows) for _ in row])
    weights = token_weights(attempts, PolicyLoss(aggregation=aggregation, constant=8.0))
    losses = torch.tensor([loss for row in rows for loss in row])
    assert float((weights * losses).sum()) == pytest.approx(golden[name], rel=1e-6)
