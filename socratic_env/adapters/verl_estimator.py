"""verl: advantages of whole episodes with exact reward decay. Run with verl 0.9.0.

`socratic_env.adapters.verl` loads it; `algorithm.adv_estimator=socratic` selects it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad
from verl.trainer.ppo.core_algos import register_adv_est

from socratic_env.errors import ConfigurationError
from socratic_env.rewards import decayed_means, whitened


@register_adv_est("socratic")
def socratic_advantages(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    config: Any = None,
    index: Any = None,  # noqa: ARG001
) -> tuple[torch.Tensor, torch.Tensor]:
    """(advantages, decayed rewards), both (B, T), of the episodes of one batch.

    An episode solved at attempt k of the batch earns mu_{k-1} for that attempt (eqs 17-19); all attempts
    of the batch are whitened together, each counting once (eq 20), and both numbers stand on all tokens of
    their attempt. verl passes an estimator no per-turn scores, and none are needed: an attempt is a run
    of ones in the mask, and only the last of an episode can have been correct.

    Args:
        token_level_rewards: (B, T); a row sums to 1 if the episode was solved, else to 0.
        response_mask: (B, T); 1 on the student's tokens, 0 on guidance and padding.
        config: verl's `algorithm` settings.
        index: what verl passes to every estimator; not used.
    """
    correction = config.get("rollout_correction") if config is not None else None
    rejection = correction.get("rollout_rs") if correction is not None else None
    if rejection:
        raise ConfigurationError(
            f"algorithm.rollout_correction.rollout_rs is {rejection!r}; leave it out: it makes holes in the "
            "mask, which read as further attempts"
        )
    mask_BT = response_mask.bool()
    begins_BT = mask_BT & ~pad(mask_BT, (1, 0))[:, :-1]
    number_BT = begins_BT.cumsum(1) * mask_BT  # the attempt of a token, from 1; 0 for none
    made_B1 = number_BT.amax(1, keepdim=True)
    score_B1 = token_level_rewards.sum(1, keepdim=True)
    solved_B1 = score_B1 == 1
    if not bool((solved_B1 | (score_B1 == 0)).all()):
        raise ConfigurationError(
            f"a row's rewards sum to {float(score_B1.max())}, not to 0 or 1; use the agent loop 'socratic' "
            "and set algorithm.use_kl_in_reward=False"
        )
    step_K = torch.arange(1, int(made_B1.max()) + 1, device=made_B1.device)
    exists_BK, right_BK = step_K <= made_B1, (step_K == made_B1) & solved_B1
    mu = decayed_means(exists_BK.sum(0).tolist(), right_BK.sum(0).tolist())
    rewards_BK = right_BK * torch.tensor(mu[:-1], dtype=torch.float64, device=made_B1.device)
    advantages_BK = torch.zeros_like(rewards_BK)
    advantages_BK[exists_BK] = torch.as_tensor(whitened(rewards_BK[exists_BK].cpu())).to(rewards_BK)
    advantages_BT, rewards_BT = (
        pad(values_BK, (1, 0)).gather(1, number_BT).to(token_level_rewards.dtype)
        for values_BK in (advantages_BK, rewards_BK)
    )
    return advantages_BT, rewards_BT
