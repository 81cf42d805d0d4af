"""The policy loss: pure functions on one-dimensional tensors of N response tokens.

Golden values stand in the tests. Inputs stay as they are; weights are computed once for the
whole mini-batch and passed in, so that the micro-batch size cannot change the gradient.
"""

from __future__ import annotations

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
    logps_old_N: torch.Tensor, logps_rollout_N: torch.Tensor, attempt_N: torch.Tensor, clip: float
) -> torch.Tensor:
    """min(exp(sum of logp_old - logp_rollout over an attempt), clip) at each of its tokens, detached."""
    _, index_N = attempt_N.unique(return_inverse=True)
    sums_B = torch.zeros(int(index_N.max()) + 1, dtype=logps_old_N.dtype, device=logps_old_N.device)
    sums_B.index_add_(0, index_N, (logps_old_N - logps_rollout_N).detach())
    return truncated_importance_weights(sums_B, torch.zeros_like(sums_B), clip)[index_N]


def k3_divergence(logps_N: torch.Tensor, logps_base_N: torch.Tensor) -> torch.Tensor:
    """exp(d) - 1 - d for each token, d = logp_base - logp: its mean over samples of the policy is
    KL(policy || base)."""
    away_N = (logps_base_N - logps_N).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return away_N.exp() - 1 - away_N


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


def token_weights(attempt_N: torch.Tensor, settings: PolicyLoss) -> torch.Tensor:
    """weights_N: the share of each token's loss in that of a whole mini-batch, by the attempt it belongs to.

    token-mean: 1 / all tokens; seq-mean-token-mean: 1 / (attempts * the attempt's tokens);
    seq-mean-token-sum: 1 / attempts; constant: 1 / `settings.constant`.
    """
    _, index_N, lengths_B = attempt_N.unique(return_inverse=True, return_counts=True)
    if settings.aggregation == "seq-mean-token-mean":
        return 1 / (len(lengths_B) * lengths_B[index_N].float())
    divisors = {
        "token-mean": len(attempt_N), "seq-mean-token-sum": len(lengths_B), "constant": settings.constant,
    }  # fmt: skip
    return torch.full(attempt_N.shape, 1 / divisors[settings.aggregation], device=attempt_N.device)


def policy_token_losses(
    logps_N: torch.Tensor,
    logps_old_N: torch.Tensor,
    logps_rollout_N: torch.Tensor,
    advantages_N: torch.Tensor,
    settings: PolicyLoss,
    attempt_N: torch.Tensor | None = None,
) -> torch.Tensor:
    """The clipped loss of each token times its truncated importance weight. Only `logps_N` has a gradient.

    attempt_N: the attempt of each token, for weights of whole attempts (`settings.rollout_is` "sequence").
    """
    losses_N = clipped_token_losses(logps_N, logps_old_N, advantages_N, settings)
    cap = settings.rollout_is_clip
    if cap is None:
        return losses_N
    if settings.rollout_is == "sequence" and attempt_N is not None:
        return losses_N * sequence_importance_weights(logps_old_N, logps_rollout_N, attempt_N, cap)
    return losses_N * truncated_importance_weights(logps_old_N, logps_rollout_N, cap)


def policy_loss(
    logps_N: torch.Tensor,
    logps_old_N: torch.Tensor,
    logps_rollout_N: torch.Tensor,
    advantages_N: torch.Tensor,
    weights_N: torch.Tensor,
    settings: PolicyLoss,
) -> torch.Tensor:
    """Sum of the token losses times `weights_N`, the weights of the aggregation."""
    losses_N = policy_token_losses(logps_N, logps_old_N, logps_rollout_N, advantages_N, settings)
    return (losses_N * weights_N).sum()
