"""The policy loss: pure functions on one-dimensional tensors of N response tokens.

Golden values stand in the tests. Inputs stay as they are; weights are computed once for the
whole mini-batch and passed in, so that the micro-batch size cannot change the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from agents.options import PolicyLoss

MAX_LOG_RATIO = 20.0


def _ratio(logps: torch.Tensor, logps_base: torch.Tensor) -> torch.Tensor:
    return torch.exp((logps - logps_base).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO))


def truncated_importance_weights(
    logps_old_N: torch.Tensor, logps_rollout_N: torch.Tensor, clip: float
) -> torch.Tensor:
    """min(exp(logp_old - logp_rollout), clip) for each token, detached."""
    return _ratio(logps_old_N, logps_rollout_N).clamp(max=clip).detach()


def sequence_importance_weights(
    logps_old_N: torch.Tensor, logps_rollout_N: torch.Tensor, lengths_B: Sequence[int], clip: float
) -> torch.Tensor:
    """weights_B = min(exp(sum of logp_old - logp_rollout over a row's tokens), clip), detached: the
    sequence-level form, for B rows of these lengths one after another (N tokens in all)."""
    rows = zip(logps_old_N.split(list(lengths_B)), logps_rollout_N.split(list(lengths_B)), strict=True)
    sums_B = torch.stack([(old - rollout).sum() for old, rollout in rows])
    return truncated_importance_weights(sums_B, torch.zeros_like(sums_B), clip)


def clipped_token_losses(
    logps_N: torch.Tensor,
    logps_old_N: torch.Tensor,
    advantages_N: torch.Tensor,
    settings: PolicyLoss,
) -> torch.Tensor:
    """max(-A rho, -A clip(rho, 1 - low, 1 + high)), rho = exp(logp - logp_old), for each token.

    With `dual_clip` c, min(that, -c A) where A < 0.
    """
    ratio_N = _ratio(logps_N, logps_old_N)
    clipped_N = ratio_N.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    losses_N = torch.maximum(-advantages_N * ratio_N, -advantages_N * clipped_N)
    if settings.dual_clip is None:
        return losses_N
    bounded_N = torch.minimum(losses_N, -settings.dual_clip * advantages_N)
    return torch.where(advantages_N < 0, bounded_N, losses_N)


def token_weights(lengths_B: Sequence[int], settings: PolicyLoss) -> list[float]:
    """The weight of each token's loss, by row, for the B rows of a whole mini-batch.

    token-mean: 1 / all tokens; seq-mean-token-mean: 1 / (B * the row's tokens);
    seq-mean-token-sum: 1 / B; constant: 1 / `settings.constant`.
    """
    rows, total = len(lengths_B), sum(lengths_B)
    if settings.aggregation == "seq-mean-token-mean":
        return [1 / (rows * length) for length in lengths_B]
    divisors = {"token-mean": total, "seq-mean-token-sum": rows, "constant": settings.constant}
    return [1 / divisors[settings.aggregation]] * rows


def policy_loss(
    logps_N: torch.Tensor,
    logps_old_N: torch.Tensor,
    logps_rollout_N: torch.Tensor,
    advantages_N: torch.Tensor,
    weights_N: torch.Tensor,
    settings: PolicyLoss,
) -> torch.Tensor:
    """Sum of the token losses times `weights_N`, the weights of the aggregation.

    Each token's loss is also multiplied by its truncated importance weight. Only `logps_N`
    carries a gradient.
    """
    losses_N = clipped_token_losses(logps_N, logps_old_N, advantages_N, settings)
    if settings.rollout_is_clip is not None:
        weights = truncated_importance_weights(logps_old_N, logps_rollout_N, settings.rollout_is_clip)
        losses_N = losses_N * weights
    return (losses_N * weights_N).sum()
