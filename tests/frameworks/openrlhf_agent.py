"""The adapter for OpenRLHF, run by its own multi-turn executor.

Not collected by default: `python tests/frameworks/run.py openrlhf` runs it in an environment of its own.
"""

import asyncio
import importlib.util
from itertools import pairwise
from types import SimpleNamespace

import pytest
from openrlhf.utils.agent import AgentExecutorBase, AgentInstanceBase
from support.scripted import says

from agents.options import TinyStudent
from agents.warm_start.tiny import make_tokenizer, sample_texts
from socratic_env.adapters.openrlhf import SocraticExecutor, SocraticInstance
from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.questions import load_questions

QUESTIONS = load_questions("concepts")
AGENT_FILE = """
from socratic_env.adapters.openrlhf import SocraticExecutor

class AgentExecutor(SocraticExecutor):
    def __init__(self):
        super().__init__(questions="concepts", max_attempts=3)
"""


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(sample_texts(QUESTIONS, 500, seed=0), TinyStudent().vocabulary)


class ScriptedEngine:
    """Stands for the vLLM engine: sees ids only; as vLLM's, its text lacks the end-of-reply token."""

    def __init__(self, tokenizer, question, solved_at):
        self.tokenizer, self.question, self.solved_at = tokenizer, question, solved_at
        self.calls = []

    async def generate(self, prompt_token_ids, sampling_params, multi_modal_data=None):
        said = says(self.question, len(self.calls) + 1 == self.solved_at)
        ids = [*self.tokenizer(said)["input_ids"], self.tokenizer.eos_token_id][: sampling_params.max_tokens]
        self.calls.append((list(prompt_token_ids), ids))
        logprobs = [{token: SimpleNamespace(logprob=-0.5)} for token in ids]
        text = self.tokenizer.decode([token for token in ids if token != self.tokenizer.eos_token_id])
        await asyncio.sleep(0)
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids, text=text, logprobs=logprobs)])


@pytest.fixture
def executor(tmp_path):
    """Loaded from a file as OpenRLHF loads it."""
    path = tmp_path / "agent.py"
    path.write_text(AGENT_FILE)
    spec = importlib.util.spec_from_file_location("agent_module", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AgentExecutor()


async def episode(executor, tokenizer, question, solved_at, max_length=512):
    engine = ScriptedEngine(tokenizer, question, solved_at)
    sampling = SimpleNamespace(max_tokens=8, logprobs=1)
    response = await executor.execute("any text", question.id, sampling, max_length, tokenizer, engine)
    return response, engine


def test_classes_are_those_of_openrlhf(executor):
    assert isinstance(executor, AgentExecutorBase)
    assert issubclass(SocraticInstance, AgentInstanceBase)


@pytest.mark.parametrize("solved_at", [1, 2, 3, 4])
def test_ids_are_those_that_were_sampled(executor, tokenizer, solved_at):
    response, engine = asyncio.run(episode(executor, tokenizer, QUESTIONS[0], solved_at))
    tokens, ranges = response["observation_tokens"], response["action_ranges"]
    assert len(ranges) == len(engine.calls) == min(solved_at, 3)
    assert tokens == engine.calls[-1][0] + engine.calls[-1][1]
    for (start, end), (asked, said) in zip(ranges, engine.calls, strict=True):
        assert asked == tokens[:start]
        assert said == tokens[start:end]
    chat = [{"role": "user", "content": QUESTIONS[0].text}]
    first = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert engine.calls[0][0] == first
    # What stands between two replies is the template's, with one end-of-reply token, the sampled one.
    for (_, end), (start, _) in pairwise(ranges):
        between = tokenizer.decode(tokens[end - 1 : start])
        assert between.startswith("<|im_end|>\n<|im_start|>user\n")
        assert between.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert len(response["rollout_log_probs"]) == len(tokens)


def test_the_trajectory_earns_the_decayed_reward(executor, tokenizer):
    async def batch():
        plan = [1, 1, 1, 2, 4]
        return [(await episode(executor, tokenizer, QUESTIONS[i], at))[0] for i, at in enumerate(plan)]

    responses = asyncio.run(batch())
    # Episode 4 is solved at attempt 2, when 3 of 4 first attempts were right.
    assert [response["reward"] for response in responses] == [1.0, 1.0, 1.0, pytest.approx(0.75), 0.0]
    assert [float(response["scores"]) for response in responses] == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert [response["extra_logs"]["solved_within_1"] for response in responses] == [1, 1, 1, 0, 0]
    assert [response["extra_logs"]["attempts"] for response in responses] == [1, 1, 1, 2, 3]


def test_episodes_may_overlap(executor, tokenizer):
    async def batch():
        return await asyncio.gather(
            *(episode(executor, tokenizer, QUESTIONS[i], 1 + i % 3) for i in range(12))
        )

    for index, (response, engine) in enumerate(asyncio.run(batch())):
        assert response["label"] == QUESTIONS[index].id
        assert float(response["scores"]) == 1.0
        assert len(engine.calls) == 1 + index % 3


def test_an_episode_without_room_for_another_reply_ends(executor, tokenizer):
    asyncio.run(episode(executor, tokenizer, QUESTIONS[1], 1))
    response, engine = asyncio.run(episode(executor, tokenizer, QUESTIONS[0], 3, max_length=45))
    assert 1 <= len(engine.calls) < 3
    assert response["reward"] == 0.0
    assert response["extra_logs"]["attempts"] == len(engine.calls)
    paid, _ = asyncio.run(episode(executor, tokenizer, QUESTIONS[2], 2))
    assert paid["reward"] == pytest.approx(1 / 3), "the episode that was left counts"


def test_a_label_must_be_a_question(executor, tokenizer):
    async def wrong():
        await executor.execute("", "7", SimpleNamespace(max_tokens=8, logprobs=None), 64, tokenizer, None)

    with pytest.raises(QuestionError, match="no question '7'"):
        asyncio.run(wrong())


def test_unknown_arguments_are_refused():
    with pytest.raises(ConfigurationError, match=r"unknown argument 'techer'; use one of: .*teacher"):
        SocraticExecutor(techer="rule")
