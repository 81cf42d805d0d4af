"""The adapter for verl, run with verl's own dataset, agent loop workers and trainer functions.

Not collected by default: `python tests/frameworks/run.py verl` runs it in an environment of its own.
"""

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
import torch
import transfer_queue
import verl
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from support.scripted import says
from transformers import PreTrainedTokenizerFast
from verl import DataProto
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.reward import extract_reward
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
from verl.utils import tensordict_utils
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn
from verl.workers.rollout.replica import TokenOutput

import socratic_env.adapters.verl  # noqa: F401 - registers the loop and the estimator
from agents.advantages import reinforce_plus_plus
from agents.options import TinyStudent
from agents.warm_start.tiny import make_model, make_tokenizer, sample_texts
from socratic_env import SocraticBatch
from socratic_env.engine.concurrent import rows
from socratic_env.errors import ConfigurationError
from socratic_env.questions import load_questions

QUESTIONS = load_questions("concepts")
COUNT, ROLLOUTS = 6, 4


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A folder with a small student's tokenizer and configuration."""
    shape, folder = TinyStudent(), tmp_path_factory.mktemp("student")
    tokenizer = make_tokenizer(sample_texts(QUESTIONS, 500, seed=0), shape.vocabulary)
    tokenizer.save_pretrained(folder)
    make_model(shape, tokenizer, seed=0).save_pretrained(folder)
    return folder


class ScriptedServer:
    """Stands for the inference servers: sees ids only, and answers right at the attempt it is told."""

    def __init__(self, tokenizer, solved_at):
        self.tokenizer, self.solved_at = tokenizer, solved_at
        self.calls = {}

    async def generate(self, request_id, *, prompt_ids, sampling_params):
        text = self.tokenizer.decode(prompt_ids)
        attempt = text.count("<|im_start|>assistant")
        index = next(i for i in range(COUNT) if f"{QUESTIONS[i].text}<|im_end|>" in text)
        rollout = sum(1 for key in self.calls if key[0] == index) if attempt == 1 else None
        if rollout is not None:
            self.calls[index, request_id] = []
        rollout = [key for key in self.calls if key[0] == index].index((index, request_id))
        said = says(QUESTIONS[index], attempt == self.solved_at(index, rollout))
        ids = self.tokenizer(said)["input_ids"] + [self.tokenizer.eos_token_id]
        ids = ids[: sampling_params["max_tokens"]]
        self.calls[index, request_id].append((list(prompt_ids), ids))
        await asyncio.sleep(0)
        steps = {"min_global_steps": 7, "max_global_steps": 6 + attempt}
        return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids), extra_fields=steps)


def settings(student, tmp_path, *overrides):
    loop = tmp_path / "loop.yaml"
    loop.write_text(
        "- name: socratic\n  _target_: socratic_env.adapters.verl.SocraticAgentLoop\n"
        "  arguments: {questions: concepts, max_attempts: 3, teacher: {kind: rule}}\n"
    )
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        return compose(
            "ppo_trainer",
            [
                f"actor_rollout_ref.model.path={student}",
                "actor_rollout_ref.rollout.name=vllm",
                "actor_rollout_ref.rollout.prompt_length=64",
                "actor_rollout_ref.rollout.response_length=256",
                "actor_rollout_ref.rollout.calculate_log_probs=True",
                f"actor_rollout_ref.rollout.agent.agent_loop_config_path={loop}",
                "data.max_prompt_length=64",
                "algorithm.adv_estimator=socratic",
                "algorithm.use_kl_in_reward=False",
                *overrides,
            ],
        )


def load(config, tokenizer, folder):
    """A batch of questions as verl's data loader gives it."""
    columns = rows(QUESTIONS, COUNT, agent_name="socratic", data_source="socratic")
    pq.write_table(pa.Table.from_pylist(columns), folder / "train.parquet")
    dataset = RLHFDataset(str(folder / "train.parquet"), tokenizer, config.data)
    uids = np.array([f"question{i}" for i in range(COUNT)], dtype=object)
    return collate_fn([dataset[i] for i in range(COUNT)]) | {"uid": uids}


def play(config, solved_at, folder):
    """A batch of episodes, and the server that was asked."""
    worker = AgentLoopWorker(config, llm_client=None)
    server = worker.llm_client = ScriptedServer(worker.tokenizer, solved_at)
    batch = DataProto.from_single_dict(load(config, worker.tokenizer, folder))
    return asyncio.run(worker.generate_sequences(batch.repeat(ROLLOUTS, interleave=True))), server


def attempts_of(mask):
    """Slices of the runs of ones in a row of the response mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.numpy(), [0]])))
    return [slice(a, b) for a, b in edges.reshape(-1, 2)]


def solved_at(index, rollout):
    return 1 + (index * 3 + rollout) % 4  # 4: never


@pytest.fixture(scope="module")
def played(student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = settings(student, folder)
    return config, *play(config, solved_at, folder)


def test_ids_are_those_that_were_sampled(played):
    config, output, server = played
    assert len(output) == COUNT * ROLLOUTS
    longest = config.actor_rollout_ref.rollout.prompt_length
    seen = []
    for row in range(len(output)):
        kept = output.batch["attention_mask"][row].bool()
        prompt = output.batch["prompts"][row][kept[:longest]].tolist()
        response = output.batch["responses"][row][kept[longest:]].tolist()
        mask = output.batch["response_mask"][row]
        calls = next(
            c for c in server.calls.values() if [*c[-1][0], *c[-1][1]] == prompt + response and c not in seen
        )
        seen.append(calls)
        spans = attempts_of(mask)
        assert len(spans) == len(calls)
        for span, (asked, said) in zip(spans, calls, strict=True):
            assert asked == prompt + response[: span.start]
            assert said == response[span]
        for before, after in pairwise(spans):
            between = server.tokenizer.decode(response[before.stop : after.start])
            assert between.startswith("\n<|im_start|>user\n")
            assert between.endswith("<|im_end|>\n<|im_start|>assistant\n")
        logps = output.batch["rollout_log_probs"][row][: len(response)]
        assert torch.equal(logps, -0.5 * mask[: len(response)])


def test_every_verdict_is_reported(played):
    _, output, _ = played
    for row, scores in enumerate(output.non_tensor_batch["turn_scores"]):
        solved = solved_at(row // ROLLOUTS, row % ROLLOUTS)
        assert scores == [0.0] * min(solved - 1, 3) + [1.0] * (solved < 4)
        assert output.batch["rm_scores"][row].sum() == scores[-1]
        assert output.non_tensor_batch["solved_within_2"][row] == float(solved <= 2)
        assert output.non_tensor_batch["attempts"][row] == len(scores)
        assert output.non_tensor_batch["__num_turns__"][row] == 2 * len(scores)
        assert output.non_tensor_batch["max_global_steps"][row] == 6 + len(scores)


def reference():
    """The same episodes in this package's own batch: exact rewards and advantages, row by attempt."""
    questions = [QUESTIONS[i] for i in range(COUNT) for _ in range(ROLLOUTS)]
    batch = SocraticBatch(questions, max_attempts=3)

    async def episodes():
        for row, question in enumerate(questions):
            attempt = 0
            while batch.dialogue(row).stop is None:
                attempt += 1
                await batch.step(row, says(question, attempt == solved_at(row // ROLLOUTS, row % ROLLOUTS)))

    asyncio.run(episodes())
    rewards = batch.settle()
    flat = iter(reinforce_plus_plus([reward for row in rewards for reward in row]))
    return rewards, [[next(flat) for _ in row] for row in rewards]


def test_advantages_are_those_of_the_reference_agent(played):
    config, output, _ = played
    output.batch["token_level_rewards"] = extract_reward(output)[0]
    output.non_tensor_batch["uid"] = np.array([row // ROLLOUTS for row in range(len(output))], dtype=object)
    data = compute_advantage(
        output, config.algorithm.adv_estimator, config=omega_conf_to_dataclass(config.algorithm)
    )
    rewards, advantages = reference()
    assert len({round(r, 9) for row in rewards for r in row}) == 4  # 0, 1, mu_1, mu_2
    for row in range(len(data)):
        spans = attempts_of(data.batch["response_mask"][row])
        for k, span in enumerate(spans):
            assert data.batch["advantages"][row][span].numpy() == pytest.approx(advantages[row][k], abs=1e-6)
            assert data.batch["returns"][row][span].numpy() == pytest.approx(rewards[row][k], abs=1e-6)
        assert torch.equal(
            data.batch["advantages"][row] * (1 - data.batch["response_mask"][row]), torch.zeros(256)
        )


def test_an_episode_ends_where_its_tokens_end(student, tmp_path):
    config = settings(student, tmp_path, "actor_rollout_ref.rollout.response_length=40")
    output, _ = play(config, lambda *_: 3, tmp_path)
    assert max(len(scores) for scores in output.non_tensor_batch["turn_scores"]) < 3
    assert output.non_tensor_batch["truncated"].max() == 1.0
    assert output.batch["rm_scores"].sum() == 0
    for row in range(len(output)):
        spans = attempts_of(output.batch["response_mask"][row])
        assert len(spans) == len(output.non_tensor_batch["turn_scores"][row])
        assert output.batch["attention_mask"][row, 64:].sum() == spans[-1].stop  # no guidance at the end


def test_a_long_question_is_refused_not_cut(student, tmp_path):
    config = settings(student, tmp_path, "actor_rollout_ref.rollout.prompt_length=4")
    with pytest.raises(ConfigurationError, match=r"more than rollout.prompt_length 4"):
        play(config, lambda *_: 1, tmp_path)


def test_settings_that_break_the_estimator_are_refused(student, tmp_path):
    estimate, mask = get_adv_estimator_fn("socratic"), torch.ones(1, 2, dtype=torch.long)
    with pytest.raises(ConfigurationError, match="use_kl_in_reward=False"):
        estimate(torch.tensor([[0.0, 0.9]]), mask)
    rejecting = settings(student, tmp_path, "algorithm.rollout_correction.rollout_rs=token_k1").algorithm
    for config in (rejecting, omega_conf_to_dataclass(rejecting)):
        with pytest.raises(ConfigurationError, match="rollout_rs is 'token_k1'"):
            estimate(torch.tensor([[0.0, 1.0]]), mask, config=config)


def test_rows_without_an_attempt_change_nothing():
    estimate = get_adv_estimator_fn("socratic")
    mask = torch.tensor([[1, 0, 1], [1, 1, 0], [1, 0, 0]])
    rewards = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    empty = torch.zeros(1, 3)
    alone, _ = estimate(rewards, mask)
    padded, _ = estimate(torch.cat([rewards, empty]), torch.cat([mask, empty.long()]))
    assert torch.equal(padded, torch.cat([alone, empty]))


@pytest.fixture
def cluster():
    """Ray and verl's TransferQueue on this machine."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    transfer_queue.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    yield
    transfer_queue.close()
    ray.shutdown()


def test_the_default_trainer_s_rollouts_give_the_same_advantages(student, tmp_path, cluster):
    """What its trainer does around `generate_sequences` and `_compute_advantage`, in a worker process."""
    config = settings(
        student,
        tmp_path,
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        "actor_rollout_ref.rollout.agent.num_workers=1",
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(student)
    batch = tensordict_utils.get_tensordict(load(config, tokenizer, tmp_path))
    tensordict_utils.assign_non_tensor_data(batch, "global_steps", 1)
    manager = AgentLoopManagerTQ.create(config, ScriptedServer(tokenizer, solved_at))
    pending = {"is_prompt": True, "status": "pending", "global_steps": 1}
    transfer_queue.kv_batch_put(keys=list(batch["uid"]), partition_id="train", tags=[pending] * COUNT)
    manager.generate_sequences(batch)
    deadline = time.monotonic() + 240
    statuses = {}
    while [statuses.get(uid) for uid in batch["uid"]] != ["finished"] * COUNT:
        assert "failure" not in statuses.values()
        assert time.monotonic() < deadline, statuses
        time.sleep(0.2)
        statuses = {key: tag.get("status") for key, tag in transfer_queue.kv_list("train")["train"].items()}
    keys = [key for key, status in statuses.items() if status == "success"]
    assert len(keys) == COUNT * ROLLOUTS

    fields = ["response_mask", "rm_scores", "extra_fields"]
    data = transfer_queue.kv_batch_get(keys=keys, partition_id="train", select_fields=fields)
    scores = [extra["turn_scores"] for extra in data.pop("extra_fields").tolist()]
    data = DataProto(batch=data.to_padded_tensor())
    data.batch["token_level_rewards"] = data.batch["rm_scores"]
    data = compute_advantage_for_multi_trajectories(data, keys, "socratic", config=config.algorithm)
    rewards, advantages = reference()
    expected = {(len(row), row[-1] > 0): values for row, values in zip(rewards, advantages, strict=True)}
    for row, verdicts in enumerate(scores):
        spans = attempts_of(data.batch["response_mask"][row])
        for span, value in zip(spans, expected[len(verdicts), verdicts[-1] > 0], strict=True):
            assert data.batch["advantages"][row][span].numpy() == pytest.approx(value, abs=1e-6)
