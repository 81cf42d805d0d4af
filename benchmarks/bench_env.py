"""Speed of the environments: `make bench`, or pytest -o python_files='bench_*.py' benchmarks/bench_env.py.

The scripted student answers wrongly first and rightly then, so that each episode has a teacher call.
"""

import gymnasium as gym
import pytest

import socratic_env  # noqa: F401
from socratic_env.types import reply


@pytest.mark.parametrize("env_id", ["SocraticSciKnow-v0", "SocraticConcepts-v0"])
def test_time_of_an_episode(benchmark, env_id):
    """One lone environment: reset and two attempts."""
    env = gym.make(env_id, disable_env_checker=True)

    def episode():
        env.reset()
        question = env.unwrapped.question
        mistake = question.mistakes[0]
        env.step(reply(mistake.reasoning, mistake.answer))
        return env.step(reply(question.solution, question.answer))[2]

    env.reset(seed=0)
    assert benchmark(episode)


def test_time_of_a_batch_of_256(benchmark):
    """The vector environment: a batch of 32 questions x 8 rollouts, two attempts each."""
    envs = gym.make_vec("SocraticSciKnow-v0", num_envs=256, rollouts_per_question=8)

    def batch():
        envs.reset()
        for _ in range(2):
            done = envs.step(["<answer>\nZ\n</answer>"] * 256)
        return done[4]["batch"]["attempts"]

    envs.reset(seed=0)
    assert benchmark(batch) == [256, 256]
