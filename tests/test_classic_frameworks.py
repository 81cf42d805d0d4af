"""Frameworks of classic RL: what the examples do not show. tests/test_examples.py runs their training."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest
from support.scripted import choice_question, gauge

from socratic_env.engine.background import run
from socratic_env.errors import ActionError
from socratic_env.students.scripted_student import StudentRequest
from socratic_env.students.student import reply_of
from socratic_env.students.vllm_student import VLLMStudent

ROOT = Path(__file__).resolve().parents[1]
ID = "SocraticSciKnow-Discrete-v0"


# -- tianshou ------------------------------------------------------------------------------


def collect(complete, questions, envs: int, episodes: int, **kwargs):
    """(statistics, buffer) of a text policy on the text environment."""
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv

    from socratic_env.adapters.tianshou import TextArrays, TextPolicy

    def make():
        return TextArrays(gym.make("SocraticSciKnow-v0", questions=questions, reward="full", **kwargs))

    venv = DummyVectorEnv([make] * envs)
    venv.seed(0)
    buffer = VectorReplayBuffer(100 * envs, envs)
    collector = Collector(TextPolicy(complete), venv, buffer)
    collector.reset()
    return collector.collect(n_episode=episodes), buffer[:]


@pytest.mark.slow
def test_a_text_policy_collects_on_the_text_environment():
    """It tries A, B, C in turn; questions of very different lengths keep every character."""
    items = {"short": ("B", 1), "long": ("C", 400), "longer": ("D", 9000)}
    questions = [
        replace(choice_question(name, answer), statement="x" * length)
        for name, (answer, length) in items.items()
    ]
    seen = []

    def complete(dialogues):
        seen.extend(dialogues)
        return [f"<answer>\n{'ABC'[dialogue.count('</answer>')]}\n</answer>" for dialogue in dialogues]

    statistics, kept = collect(complete, questions, envs=3, episodes=24, max_attempts=3)
    texts = {question.text for question in questions}
    assert {dialogue.partition("\n")[2].partition("\n\n[")[0] for dialogue in seen} == texts
    solved = {"short": (1.0, 2), "long": (1.0, 3), "longer": (0.0, 3)}
    ids = [q for q, done in zip(kept.info.question_id, kept.done, strict=True) if done]
    assert set(ids) == set(solved)
    assert sorted(zip(statistics.returns, statistics.lens, strict=True)) == sorted(solved[q] for q in ids)
    assert set(kept.obs) <= set(seen)
    assert all(type(text) is str for text in (*kept.obs, *kept.obs_next, *kept.act))
    for before, reply, after in zip(kept.obs, kept.act, kept.obs_next, strict=True):
        assert after.startswith(f"{before}\n\n[assistant]\n{reply}")


def test_a_batch_whose_first_infos_say_nothing_is_stored():
    statistics, kept = collect(lambda texts: ["?"] * len(texts), [choice_question()], 2, 4, max_attempts=1)
    assert statistics.returns.tolist() == [0.0] * 4
    assert kept.info.guidance.tolist() == [""] * 4


@pytest.mark.parametrize("wrong", [[], ["A", "B", "C"], ["A", None]])
def test_a_text_policy_wants_one_text_for_each_dialogue(wrong):
    with pytest.raises(ActionError, match=r"complete\(\) gave .* for 2 dialogues; it must give one str each"):
        collect(lambda texts: wrong, [choice_question()], 2, 2)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_a_language_model_collects(tiny_student):
    """vLLM in the process of tianshou, which loads numba."""
    engine = {"kv_cache_memory_bytes": 2**27, "block_size": 32, "enforce_eager": True}
    student = VLLMStudent(tiny_student[2], max_tokens=16, max_model_len=256, engine=engine)

    def complete(dialogues):
        asked = [[{"role": "user", "content": text}] for text in dialogues]
        said = run(student.answer([StudentRequest(choice_question(), 0, each) for each in asked]))
        return [reply_of(each).text for each in said]

    statistics, kept = collect(complete, "concepts", envs=4, episodes=8, max_attempts=1)
    run(student.close())
    assert statistics.lens.tolist() == [1] * 8
    assert all("<reasoning>" in reply for reply in kept.act)


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_hint_tags_are_learnt_from():
    """On questions that only the guidance tells apart, nothing earns more than 1/2 without it (see
    tests/test_discrete_env.py)."""
    train = example("tianshou_ppo").train
    questions = [gauge(truth) for truth in range(4)]
    _, with_hints = train(questions, questions, steps=6144)
    _, without = train(questions, questions, teacher="retry", steps=6144)
    assert with_hints > 0.9
    assert without < 0.6


# -- their own checkers --------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_the_checker_of_stable_baselines3():
    from stable_baselines3.common.env_checker import check_env

    check_env(gym.make(ID))


def test_the_checker_of_torchrl():
    from torchrl.envs import GymWrapper
    from torchrl.envs.utils import check_env_specs

    check_env_specs(GymWrapper(gym.make(ID), categorical_action_encoding=True), seed=0)
