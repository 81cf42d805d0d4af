"""PPO of stable-baselines3 on choices and features; items and scores are those of tianshou_ppo.py.

Run: python examples/sb3_ppo.py   (with the extra sb3; less than a minute)
"""

from __future__ import annotations

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

import socratic_env  # noqa: F401 - registers the ids
from socratic_env.questions.procedural import TEMPLATES

ENVS, STEPS, EPISODES = 16, 18_432, 400


def environments(split: str, items: int) -> VecEnv:
    """Environments on the easy items of one template; the splits share no parameters."""
    drawn = [TEMPLATES["procedural"]["rotation_period"].item(split, n) for n in range(3 * items)]
    questions = [item for item in drawn if item.level == "easy"]
    # "full": the reward of a late success does not depend on the policy, as decayed rewards do.
    # make_vec_env asks for pictures unless it is told a render mode.
    arguments = {"questions": questions, "reward": "full", "max_attempts": 2, "render_mode": None}
    return make_vec_env("SocraticSciKnow-Discrete-v0", n_envs=ENVS, seed=0, env_kwargs=arguments)


def train(steps: int = STEPS) -> tuple[float, float]:
    """Mean reward of an episode on held-out items before and after training."""
    torch.set_num_threads(1)
    held_out = environments("test", EPISODES)
    ppo = PPO(
        "MlpPolicy",
        environments("train", 2000),
        gamma=0.0,  # each attempt's reward stands alone: a success does not pay for the failure before it
        n_steps=2048 // ENVS,
        batch_size=128,
        learning_rate=1e-3,
        ent_coef=0.01,
        policy_kwargs={"net_arch": [256, 256], "activation_fn": torch.nn.ReLU},
        seed=0,
        device="cpu",
    )

    def score() -> float:
        rewards, _ = evaluate_policy(ppo, held_out, EPISODES, return_episode_rewards=True)
        return sum(rewards) / len(rewards)

    before = score()
    ppo.learn(steps)
    return before, score()


if __name__ == "__main__":
    before, after = train()
    print(f"before {before:.2f}, after {after:.2f}, best achievable 1.00")
