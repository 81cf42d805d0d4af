"""PPO of tianshou on choices and features, with a teacher whose hints are features too.

Items: how long a planet's rotation takes, from its radius and its speed (level easy). Each option is
the right period times a factor that belongs to a mistake, and the guidance names the mistake: so hint
and option tried tell the right one, and the numbers of the question tell it as well. The best achievable
reward is 1 an item; a random choice earns 1 - (3/4)^2 = 0.44 in two attempts. Scores are on held-out items.

Run: python examples/tianshou_ppo.py   (with the extra tianshou; less than a minute)
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

import socratic_env  # noqa: F401 - registers the ids
from socratic_env import Question
from socratic_env.questions.procedural import TEMPLATES

ENVS, STEPS, EPISODES = 16, 18_432, 400


def items(split: str, count: int) -> list[Question]:
    """About so many easy items of one template; the splits share no parameters."""
    drawn = (TEMPLATES["procedural"]["rotation_period"].item(split, n) for n in range(3 * count))
    return [item for item in drawn if item.level == "easy"]


def environments(questions: list[Question], seed: int, teacher: str) -> DummyVectorEnv:
    """A batch of environments that draw from the questions."""
    # "full": the reward of a late success does not depend on the policy, as decayed rewards do.
    arguments = {"questions": questions, "reward": "full", "max_attempts": 2, "teacher": teacher}
    envs = DummyVectorEnv([lambda: gym.make("SocraticSciKnow-Discrete-v0", **arguments)] * ENVS)
    envs.seed(seed)
    return envs


def train(
    questions: list[Question], held_out_questions: list[Question], teacher: str = "rule", steps: int = STEPS
) -> tuple[float, float]:
    """Mean reward of an episode on held-out questions before and after training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # tianshou draws its minibatches there
    training = environments(questions, 0, teacher)
    held_out = environments(held_out_questions, 1000, teacher)
    actions, shape = training.action_space[0], training.observation_space[0].shape

    def net() -> Net:
        return Net(state_shape=shape, hidden_sizes=[256, 256])

    actor = DiscreteActor(preprocess_net=net(), action_shape=actions.n, softmax_output=False)
    ppo = PPO(
        policy=DiscreteActorPolicy(actor=actor, action_space=actions, deterministic_eval=True),
        critic=DiscreteCritic(preprocess_net=net()),
        optim=AdamOptimizerFactory(lr=1e-3),
        gamma=0.0,  # each attempt's reward stands alone: a success does not pay for the failure before it
        max_grad_norm=0.5,
    )

    def score() -> float:
        collector = Collector(ppo, held_out)
        collector.reset()
        return float(collector.collect(n_episode=EPISODES).returns.mean())

    before = score()
    collector = Collector(ppo, training, VectorReplayBuffer(4096, ENVS))
    collector.reset()
    ppo.run_training(
        OnPolicyTrainerParams(
            training_collector=collector,
            max_epochs=1,
            epoch_num_steps=steps,
            collection_step_num_env_steps=2048,
            update_step_num_repetitions=10,
            batch_size=128,
            verbose=False,
            show_progress=False,
        )
    )
    return before, score()


if __name__ == "__main__":
    before, after = train(items("train", 2000), items("test", EPISODES))
    print(f"before {before:.2f}, after {after:.2f}, best achievable 1.00")
