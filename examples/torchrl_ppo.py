"""PPO of torchrl on choices and features; items and scores are those of tianshou_ppo.py.

Run: python examples/torchrl_ppo.py   (with the extra torchrl; less than a minute)
"""

from __future__ import annotations

import gymnasium as gym
import torch
from tensordict.nn import TensorDictModule
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.envs import ExplorationType, GymWrapper, SerialEnv, set_exploration_type
from torchrl.modules import MLP, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import socratic_env  # noqa: F401 - registers the ids
from socratic_env.questions.procedural import TEMPLATES

ENVS, STEPS, EPISODES = 16, 18_432, 400


def environments(split: str, items: int, seed: int) -> SerialEnv:
    """Environments on the easy items of one template; the splits share no parameters."""
    drawn = [TEMPLATES["procedural"]["rotation_period"].item(split, n) for n in range(3 * items)]
    questions = [item for item in drawn if item.level == "easy"]
    # "full": the reward of a late success does not depend on the policy, as decayed rewards do.
    arguments = {"questions": questions, "reward": "full", "max_attempts": 2}

    def make() -> GymWrapper:
        env = gym.make("SocraticSciKnow-Discrete-v0", **arguments)
        return GymWrapper(env, categorical_action_encoding=True)

    envs = SerialEnv(ENVS, make)
    envs.set_seed(seed)
    return envs


def train(steps: int = STEPS) -> tuple[float, float]:
    """Mean reward of an episode on held-out items before and after training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    training, held_out = environments("train", 2000, seed=0), environments("test", EPISODES, seed=1000)

    def net(outputs: int) -> MLP:
        features = training.observation_spec["observation"].shape[-1]
        return MLP(features, outputs, num_cells=[256, 256], activation_class=torch.nn.ReLU)

    logits = TensorDictModule(net(4), in_keys=["observation"], out_keys=["logits"])
    actor = ProbabilisticActor(
        logits, in_keys=["logits"], distribution_class=Categorical, return_log_prob=True
    )
    critic = ValueOperator(net(1), in_keys=["observation"])
    # gamma 0: each attempt's reward stands alone, a success does not pay for the failure before it.
    advantage = GAE(gamma=0.0, lmbda=1.0, value_network=critic)
    loss = ClipPPOLoss(actor, critic, critic_coeff=0.5, entropy_coeff=0.01, normalize_advantage=True)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)

    def score() -> float:
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            seen = held_out.rollout(2 * EPISODES // ENVS, actor, break_when_any_done=False)["next"]
        return float(seen["reward"].sum() / seen["done"].sum())

    before = score()
    collector = Collector(
        training, actor, frames_per_batch=2048, total_frames=steps, auto_register_policy_transforms=False
    )
    for batch in collector:
        for _ in range(10):
            with torch.no_grad():
                transitions = advantage(batch).reshape(-1)
            for rows in torch.randperm(len(transitions)).split(128):
                losses = loss(transitions[rows])
                optimizer.zero_grad()
                sum(losses[key] for key in ("loss_objective", "loss_critic", "loss_entropy")).backward()
                torch.nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimizer.step()
    return before, score()


if __name__ == "__main__":
    before, after = train()
    print(f"before {before:.2f}, after {after:.2f}, best achievable 1.00")
