"""All samplers on a real model: exact ids, log-probabilities equal to the learner's, weight sync."""

import asyncio
import copy
import importlib.util
import inspect

import pytest
import torch

from agents.learning.rows import Rows, logps_of
from agents.learning.samples import Sampling
from agents.options import VLLM
from agents.policies.policy import rest
from agents.policies.server_policy import connect
from agents.policies.transformers_policy import TransformersPolicy
from socratic_env.dialogue import messages, open_dialogue
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, StudentError
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions

CONCEPTS = load_questions("concepts", split="test")


def prompts_of(tokenizer, count=48):
    chat = Chat(tokenizer)
    made = [chat.prompt(messages(open_dialogue(CONCEPTS[i]))) for i in range(count)]
    return [p + p[: i % 7] for i, p in enumerate(made)]  # of several lengths


def mismatch(model, prompts, completions, temperature=1.0):
    """|logp of the sampler - logp of the learner| for each sampled token."""
    rows = Rows.of(prompts, [c.ids for c in completions], pad=0)
    logps = logps_of(model.eval(), rows, temperature)
    return (logps - torch.tensor([x for c in completions for x in c.logps])).abs()


@pytest.fixture(scope="module")
def transformers_policy(tiny_student):
    model, tokenizer, _ = tiny_student
    return TransformersPolicy(
        copy.deepcopy(model), [tokenizer.eos_token_id], tokenizer.pad_token_id, max_model_len=256
    )


@pytest.fixture(scope="module")
def vllm_policy(tiny_student):
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed (the extra 'agent' alone goes without)")
    from agents.policies.vllm_policy import VLLMPolicy

    _, tokenizer, folder = tiny_student
    policy = VLLMPolicy(folder, [tokenizer.eos_token_id], max_model_len=256, options=VLLM(cache_mib=128))
    yield policy
    policy.close()


@pytest.fixture(scope="module")
def server_policy(tiny_student, student_server, tmp_path_factory):
    model, tokenizer, _ = tiny_student
    policy = connect(
        [student_server],
        "folder",
        tmp_path_factory.mktemp("sync"),
        model.named_parameters(),
        [tokenizer.eos_token_id],
        max_model_len=256,
    )
    yield policy
    policy.close()


@pytest.fixture(params=["transformers", "vllm", pytest.param("server", marks=pytest.mark.slow)])
def policy(request):
    return request.getfixturevalue(f"{request.param}_policy")


def test_a_seed_gives_the_same_responses_and_another_one_others(policy, tiny_student):
    prompts = prompts_of(tiny_student[1])
    sampling = Sampling(1.0, max_tokens=24)
    first = policy.generate(prompts, sampling, seed=3)
    assert [c.ids for c in policy.generate(prompts, sampling, seed=3)] == [c.ids for c in first]
    assert [c.ids for c in policy.generate(prompts, sampling, seed=4)] != [c.ids for c in first]


def test_sampling_leaves_the_global_generator_alone(policy, tiny_student):
    state = torch.random.get_rng_state()
    policy.generate(prompts_of(tiny_student[1], 4), Sampling(1.0, max_tokens=4), seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probabilities_are_the_learners(policy, tiny_student, temperature):
    model, tokenizer, _ = tiny_student
    prompts = prompts_of(tokenizer)
    completions = policy.generate(prompts, Sampling(temperature, max_tokens=24), seed=0)
    assert mismatch(model, prompts, completions, temperature).max() < 1e-3
    for completion in completions:
        assert completion.finished == (completion.ids[-1] == tokenizer.eos_token_id)
        assert completion.finished or len(completion.ids) == 24
        assert tokenizer.eos_token_id not in completion.ids[:-1]


def test_greedy_takes_the_most_likely_token(policy, tiny_student):
    model, tokenizer, _ = tiny_student
    prompts = prompts_of(tokenizer, 6)
    for prompt, completion in zip(
        prompts, policy.generate(prompts, Sampling(0.0, max_tokens=8), 0), strict=True
    ):
        ids = list(prompt)
        for token in completion.ids:
            with torch.no_grad():
                logits = model.eval()(torch.tensor([ids])).logits[0, -1]
            assert logits[token] >= logits.max() - 1e-4
            ids.append(token)


def test_more_prompts_than_one_forward_pass_takes(policy, tiny_student):
    prompts = prompts_of(tiny_student[1], 700)
    completions = policy.generate(prompts, Sampling(1.0, max_tokens=6), seed=0)
    assert len(completions) == 700
    assert all(1 <= len(c.ids) <= 6 for c in completions)


def test_new_weights_reach_the_running_sampler_with_tied_embeddings(policy, tiny_student):
    """After a sync, mean |dlogp| < 1e-4 in float32, on a model whose embeddings are tied."""
    model, tokenizer, _ = tiny_student
    assert model.config.tie_word_embeddings
    changed = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in changed.parameters():
            weight.add_(0.1 * weight.std() * torch.randn(weight.shape, generator=generator))
    prompts = prompts_of(tokenizer)
    stale = policy.generate(prompts, Sampling(1.0, max_tokens=16), seed=1)
    assert mismatch(changed, prompts, stale).mean() > 1e-2
    policy.load_weights(changed.named_parameters())
    fresh = policy.generate(prompts, Sampling(1.0, max_tokens=16), seed=1)
    assert mismatch(changed, prompts, fresh).mean() < 1e-4
    policy.load_weights(model.named_parameters())
    back = policy.generate(prompts, Sampling(1.0, max_tokens=16), seed=1)
    assert mismatch(model, prompts, back).mean() < 1e-4


def test_top_p_draws_from_the_nucleus_only(transformers_policy, tiny_student):
    model, tokenizer, _ = tiny_student
    prompts = prompts_of(tokenizer, 16) * 8
    completions = transformers_policy.generate(prompts, Sampling(1.0, top_p=0.5, max_tokens=1), seed=0)
    for prompt, completion in zip(prompts, completions, strict=True):
        with torch.no_grad():
            probs = model.eval()(torch.tensor([prompt])).logits[0, -1].softmax(-1)
        above = probs[probs > probs[completion.ids[0]]].sum()
        assert above < 0.5 + 1e-5


def test_requests_that_are_awaited_one_by_one_join_the_running_batch(vllm_policy, tiny_student):
    prompts = prompts_of(tiny_student[1], 24)
    sampling = Sampling(1.0, max_tokens=24)

    async def staggered():
        async def one(i):
            await asyncio.sleep(0.01 * (i % 5))
            return await vllm_policy.complete(prompts[i], sampling, seed=i)

        return await asyncio.gather(*map(one, range(24)))

    async def alone():
        return [await vllm_policy.complete(prompt, sampling, i) for i, prompt in enumerate(prompts[:6])]

    together, single = run(staggered()), run(alone())
    assert [c.ids for c in together[:6]] == [c.ids for c in single]


def test_a_cancelled_request_is_aborted(vllm_policy, tiny_student):
    prompts = prompts_of(tiny_student[1], 8)

    async def cancel():
        calls = [asyncio.ensure_future(vllm_policy.complete(p, Sampling(max_tokens=400), 0)) for p in prompts]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return await vllm_policy.complete(prompts[0], Sampling(0.0, max_tokens=4), 0)

    assert run(cancel()).ids
    assert not vllm_policy._engine.llm_engine.has_unfinished_requests()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (VLLM(cache_mib=1), ["max seq len (8192)", "raise --vllm.cache-mib (1)", "--max-model-len (8192)"]),
        (VLLM(sleep=1), ["Sleep mode is not supported", "--vllm.sleep is for CUDA"]),
    ],
    ids=["small cache", "sleep without CUDA"],
)
def test_an_engine_that_cannot_start_says_what_to_change(tiny_student, options, words):
    from agents.policies.vllm_policy import VLLMPolicy

    if torch.cuda.is_available() and options.sleep:
        pytest.skip("CUDA can sleep")
    with pytest.raises(ConfigurationError) as found:
        VLLMPolicy(tiny_student[2], [0], max_model_len=8192, options=options)
    said = str(found.value)
    assert all(part in said for part in words), said
    assert "\n" not in said


class Sleeper:
    """A `vllm.LLM` that notes its calls, with the signatures of the real one."""

    def __init__(self):
        self.calls = []

    def sleep(self, level=1, mode="abort"):
        self.calls.append(f"sleep {level}")

    def wake_up(self, tags=None):
        self.calls.append("wake")

    def collective_rpc(self, method, kwargs):
        self.calls.append(method)

    def apply_model(self, function): ...

    def reset_prefix_cache(self): ...


@pytest.mark.parametrize("level", [0, 1, 2])
def test_vllm_sleeps_while_the_learner_works(monkeypatch, level):
    from agents.policies import vllm_policy as module

    engine = Sleeper()
    monkeypatch.setattr(module, "make_engine", lambda **settings: engine)
    monkeypatch.setattr(module, "EngineLoop", lambda engine: None)
    policy = module.VLLMPolicy("folder", [0], 64, options=VLLM(sleep=level))
    assert rest(policy) == (level == 2)
    assert rest(policy) == (level == 2)  # a second call changes nothing
    if level == 2:
        with pytest.raises(StudentError, match=r"--vllm\.sleep 2"):
            run(policy.complete([1], Sampling(), 0))
    policy.load_weights([])
    slept = [f"sleep {level}", "wake"] if level else []
    assert engine.calls == [*slept, "reload_weights"]


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_has_the_calls_that_put_it_to_sleep():
    from vllm import LLM

    for name in ("sleep", "wake_up"):
        ours, real = (inspect.signature(getattr(kind, name)).parameters for kind in (Sleeper, LLM))
        assert list(ours) == list(real)
        assert [p.default for p in ours.values()] == [p.default for p in real.values()]


def test_a_prompt_that_is_too_long_fails_alone(vllm_policy, tiny_student):
    good = prompts_of(tiny_student[1], 1)[0]

    async def both():
        long = good * (vllm_policy.max_model_len // len(good) + 1)
        calls = (vllm_policy.complete(p, Sampling(max_tokens=4), 0) for p in (long, good))
        return await asyncio.gather(*calls, return_exceptions=True)

    bad, fine = run(both())
    assert isinstance(bad, Exception)
    assert "256" in str(bad)
    assert fine.ids


def test_a_second_attempt_takes_its_beginning_from_the_prefix_cache(vllm_policy, tiny_student):
    prompt = prompts_of(tiny_student[1], 1)[0] * 8
    first = vllm_policy.generate([prompt], Sampling(max_tokens=32), seed=0)[0]
    second = vllm_policy.generate([prompt + first.ids + prompt[:9]], Sampling(max_tokens=4), seed=1)[0]
    assert len(prompt) - 32 <= second.cached_tokens < len(prompt + first.ids) + 9
