"""The adapter for TRL, through the real GRPOTrainer with a tiny student on the CPU."""

import copy
import importlib
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
import trl
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from agents.advantages import reinforce_plus_plus
from socratic_env.adapters import trl as adapter
from socratic_env.adapters.trl import SocraticGRPOTrainer, episode_reward, rollout_func
from socratic_env.dialogue import messages, open_dialogue
from socratic_env.errors import ConfigurationError
from socratic_env.types import StopReason, Verdict

pytestmark = pytest.mark.filterwarnings("ignore:You are using 'rollout_func'")
ROWS, TEMPERATURE, LONGEST = 16, 0.8, 8


def by_chance(question, text):
    """Two replies in five are right, whatever the student can do."""
    return Verdict(sum(text.encode()) % 5 < 2, None, "by chance")


@pytest.fixture(scope="module")
def env():
    made = gym.make_vec("SocraticConcepts-v0", num_envs=ROWS, max_attempts=3, verifier=by_chance)
    yield made
    made.close()


def make_trainer(kind, tiny_student, env, tmp_path, prompts=None, **config):
    model, tokenizer, _ = tiny_student
    prompts = prompts or [env.questions[i].id for i in range(12)]
    fixed = {"use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    fitting = {"num_generations": 4, "max_completion_length": LONGEST, "temperature": TEMPERATURE}
    return kind(
        copy.deepcopy(model),
        episode_reward,
        GRPOConfig(str(tmp_path), learning_rate=1e-2, logging_steps=1, **fixed, **fitting, **config),
        Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        Dataset.from_list([{"prompt": prompt} for prompt in prompts[:4]]),
        processing_class=tokenizer,
        rollout_func=rollout_func(env),
    )  # fmt: skip


def recorded(kind):
    """The trainer, with what was sampled, what each rollout gave and what reached the loss written down."""

    class Recorded(kind):
        def _generate_single_turn(self, prompts, *others):
            responses, logps = super()._generate_single_turn(prompts, *others)
            self.sampled.append(list(zip(copy.deepcopy(prompts), responses, strict=True)))
            return responses, logps

        def compute_loss(self, model, inputs, **others):
            loss = super().compute_loss(model, inputs, **others)
            self.losses.append(({key: value.clone() for key, value in inputs.items()}, loss.item()))
            return loss

    return Recorded


def record(trainer, env):
    """Let a recorded trainer write down its rollouts too."""
    trainer.sampled, trainer.losses, trainer.rollouts = [], [], []
    play = trainer.rollout_func

    def rollout(prompts, trainer):
        start = len(trainer.sampled)
        output = play(prompts, trainer)
        weights = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
        trainer.rollouts.append(
            SimpleNamespace(
                prompts=list(prompts),
                output=copy.deepcopy(output),
                episodes=env.episodes(),
                weights=weights,
                sampled=by_row(trainer.sampled[start:], env.episodes()),
            )
        )
        return output

    trainer.rollout_func = rollout
    return trainer


def by_row(calls, episodes):
    """For each row its (prompt, response) pairs: call k holds the rows that made an attempt k."""
    rows = [[] for _ in episodes]
    for k, call in enumerate(calls):
        active = [row for row, episode in enumerate(episodes) if len(episode.attempts) > k]
        for row, pair in zip(active, call, strict=True):
            rows[row].append(pair)
    return rows


@pytest.fixture(scope="module")
def run(env, tiny_student, tmp_path_factory):
    """Two generation batches, each of two slices gone through twice: eight steps."""
    trainer = make_trainer(
        recorded(SocraticGRPOTrainer), tiny_student, env, tmp_path_factory.mktemp("trl"),
        per_device_train_batch_size=ROWS // 2, steps_per_generation=2, num_iterations=2, max_steps=8,
    )  # fmt: skip
    record(trainer, env).train()
    assert (len(trainer.rollouts), len(trainer.losses)) == (2, 8)
    return trainer


def test_ids_are_those_that_were_sampled(run, tiny_student):
    _, tokenizer, _ = tiny_student
    for rollout in run.rollouts:
        for row, (episode, turns) in enumerate(zip(rollout.episodes, rollout.sampled, strict=True)):
            assert episode.question.id == rollout.prompts[row]
            first, last = turns[0][0], turns[-1]
            asked = messages(open_dialogue(episode.question))
            template = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)
            assert rollout.output["prompt_ids"][row] == first == template["input_ids"]
            assert first + rollout.output["completion_ids"][row] == last[0] + last[1]
            for (prompt, response), attempt, (longer, _) in zip(
                turns, episode.attempts, turns[1:], strict=False
            ):
                said = prompt + response
                assert longer[: len(said)] == said
                assert tokenizer.decode(response, skip_special_tokens=True) == attempt.text
                between = tokenizer.decode(longer[len(said) - 1 :])
                assert f"<|im_end|>\n<|im_start|>user\n{attempt.guidance.text}<|im_end|>" in between
                assert between.endswith("<|im_start|>assistant\n")
    cut = [len(response) == LONGEST for r in run.rollouts for row in r.sampled for _, response in row]
    assert any(cut)
    assert not all(cut)  # replies that ended by themselves, and others that were cut, go the same way


def test_masks_mark_the_students_own_tokens_and_a_solved_row_stops(run):
    lengths = set()
    for rollout in run.rollouts:
        for row, (episode, turns) in enumerate(zip(rollout.episodes, rollout.sampled, strict=True)):
            owners, start = rollout.output["token_attempts"][row], len(turns[0][0])
            expected = [0] * len(owners)
            for k, (prompt, response) in enumerate(turns, start=1):
                at = len(prompt) - start
                expected[at : at + len(response)] = [k] * len(response)
            assert owners == expected
            assert rollout.output["env_mask"][row] == [int(owner > 0) for owner in owners]
            right = [attempt.verdict.correct for attempt in episode.attempts]
            assert not any(right[:-1])
            assert right[-1] is (episode.stop is StopReason.SOLVED)
            assert max(owners) == len(right)
            lengths.add((len(right), right[-1]))
    assert {(1, True), (2, True), (3, False)} <= lengths


def test_log_probabilities_are_the_samplers_own(run, tiny_student):
    model = copy.deepcopy(tiny_student[0]).eval()
    for rollout in run.rollouts:
        model.load_state_dict(rollout.weights)
        for row, turns in enumerate(rollout.sampled):
            told = np.array(rollout.output["logprobs"][row])
            owners = np.array(rollout.output["token_attempts"][row])
            assert told.shape == owners.shape
            assert (told[owners == 0] == 0).all()
            for k, (prompt, response) in enumerate(turns, start=1):
                with torch.no_grad():
                    logits = model(input_ids=torch.tensor([prompt + response])).logits[0]
                logps = torch.log_softmax(logits[len(prompt) - 1 : -1].float() / TEMPERATURE, -1)
                own = logps[range(len(response)), response].numpy()
                np.testing.assert_allclose(told[owners == k], own, atol=1e-3)


def expected_advantages(rollout):
    """{(prompt, completion): one advantage for each token of the completion}, by the reference agent."""
    rewards = [episode.rewards for episode in rollout.episodes]
    assert len({reward for row in rewards for reward in row}) >= 3  # 0, 1 and a decayed one
    flat = iter(reinforce_plus_plus([reward for row in rewards for reward in row]))
    table = {}
    for row, turns in enumerate(rollout.sampled):
        prompt, completion = turns[0][0], rollout.output["completion_ids"][row]
        tokens = np.zeros(len(completion))
        for (asked, response), advantage in zip(turns, flat, strict=False):
            at = len(asked) - len(prompt)
            tokens[at : at + len(response)] = advantage
        table[tuple(prompt), tuple(completion)] = tokens
    return table


def test_the_loss_gets_the_advantage_of_each_attempt(run):
    seen = []
    for step, (inputs, _) in enumerate(run.losses):
        table = expected_advantages(run.rollouts[step // 4])
        assert inputs["advantages"].shape == inputs["completion_ids"].shape
        for row in range(ROWS // 2):
            key = tuple(
                tuple(inputs[f"{part}_ids"][row][inputs[f"{part}_mask"][row].bool()].tolist())
                for part in ("prompt", "completion")
            )
            advantages = inputs["advantages"][row].numpy()
            np.testing.assert_allclose(advantages[: len(key[1])], table[key], atol=1e-6)
            assert (advantages[len(key[1]) :] == 0).all()
            trained = (inputs["completion_mask"] * inputs["tool_mask"])[row].bool().numpy()
            assert (advantages[~trained] == 0).all()
            seen.append((step // 4, key))
    # Every row of a generation batch is learnt from in both iterations.
    assert len(seen) == 2 * 2 * ROWS
    assert {seen.count(one) % 2 for one in seen} == {0}
    # On the first step the ratios are 1: the loss is minus the mean advantage of the slice's share of tokens.
    inputs, loss = run.losses[0]
    mask = inputs["completion_mask"] * inputs["tool_mask"]
    share = inputs["num_items_in_batch"].item() / 2
    assert loss == pytest.approx(-(inputs["advantages"] * mask).sum().item() / share, abs=1e-5)


def test_training_changes_the_weights_and_logs_the_settled_rewards(run, tiny_student):
    before, after = tiny_student[0].state_dict(), run.model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    logged = [log["reward"] for log in run.state.log_history if "reward" in log]
    returns = [np.mean([sum(e.rewards) for e in rollout.episodes]) for rollout in run.rollouts]
    assert [logged[0], logged[-1]] == pytest.approx([returns[0], returns[-1]], abs=1e-6)


def test_trls_own_trainer_credits_episodes_and_evaluates(env, tiny_student, tmp_path):
    trainer = make_trainer(
        recorded(GRPOTrainer), tiny_student, env, tmp_path,
        per_device_train_batch_size=ROWS, per_device_eval_batch_size=ROWS, max_steps=1,
    )  # fmt: skip
    record(trainer, env).train()
    returns = torch.tensor([sum(e.rewards) for e in trainer.rollouts[0].episodes]).view(-1, 4)
    centred = (returns - returns.mean(1, keepdim=True)) / (returns.std(1, keepdim=True) + 1e-4)
    inputs, _ = trainer.losses[0]
    torch.testing.assert_close(inputs["advantages"].sort()[0], centred.flatten().sort()[0])
    reward = trainer.evaluate()["eval_reward"]
    assert reward == pytest.approx(np.mean([sum(e.rewards) for e in trainer.rollouts[-1].episodes]))


def test_log_probabilities_that_trl_has_are_taken(env, tiny_student, tmp_path):
    class AsWithVLLM(SocraticGRPOTrainer):
        def _generate_single_turn(self, prompts, *others):
            responses, _ = super()._generate_single_turn(prompts, *others)
            return [tuple(ids) for ids in responses], [[-float(i + 1) for i in ids] for ids in responses]

    trainer = make_trainer(AsWithVLLM, tiny_student, env, tmp_path, per_device_train_batch_size=ROWS)
    output = trainer.rollout_func([env.questions[0].id] * ROWS, trainer)
    rows = zip(output["completion_ids"], output["logprobs"], output["env_mask"], strict=True)
    for ids, logps, mask in rows:
        assert logps == [-float(i + 1) * own for i, own in zip(ids, mask, strict=True)]


@pytest.mark.parametrize(
    ("config", "prompts", "message"),
    [
        ({"per_device_train_batch_size": 8}, None, "TRL asks for 8 episodes"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, None, "which the template of .* never reads"),
        ({}, [[{"role": "user", "content": "Why?"}]] * 4, "must be ids"),
    ],
)
def test_settings_that_do_not_fit_are_named(config, prompts, message, env, tiny_student, tmp_path):
    config = {"per_device_train_batch_size": ROWS} | config
    trainer = make_trainer(SocraticGRPOTrainer, tiny_student, env, tmp_path, prompts, **config)
    with pytest.raises(ConfigurationError, match=message):
        trainer.train()


def test_another_rollout_and_another_version_are_refused(env, tiny_student, tmp_path, monkeypatch):
    trainer = make_trainer(SocraticGRPOTrainer, tiny_student, env, tmp_path, per_device_train_batch_size=ROWS)
    play, wanted = trainer.rollout_func, ("prompt_ids", "completion_ids", "logprobs")
    trainer.rollout_func = lambda *of: {key: play(*of)[key] for key in wanted}
    trainer.reward_funcs = [lambda prompts, **columns: [0.0] * len(prompts)]
    with pytest.raises(ConfigurationError, match="rollout_func"):
        trainer.train()
    monkeypatch.setattr(trl, "__version__", "1.17.0")
    with pytest.raises(ImportError, match=r"trl is 1\.17\.0"):
        importlib.reload(adapter)
