"""What an update leaves out without changing it: masks of packed rows, waiting, passes made twice."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_learner import CONFIG, dialogues
from test_scorer import made

from agents.learning import learner as learning
from agents.learning.learner import Learner
from agents.learning.rows import Rows, Scorer, log_probabilities, micro_batches
from agents.learning.samples import Sampling
from agents.options import PolicyLoss
from agents.policies.transformers_policy import TransformersPolicy

# -- packed rows, each by itself -------------------------------------------------------------------


def rows(packed):
    rng = np.random.default_rng(0)
    prompts, responses = (
        [rng.integers(3, 97, n).tolist() for n in lengths] for lengths in ((3, 1, 9, 5), (4, 12, 20, 2))
    )
    return Rows.of(prompts, responses, 0, packed=packed)


def scored(model, attention, packed):
    """(logps, gradient)."""
    model.set_attn_implementation(attention)
    model.zero_grad()
    (logps_N,) = Scorer(model)(rows(packed), partial(log_probabilities, temperature=1.0))
    logps_N.sum().backward()
    return logps_N.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("again", [False, True], ids=["kept", "computed again"])
@pytest.mark.parametrize("name", ["Qwen3", "Llama", "Cohere2"])  # the last one with a sliding window of 8
def test_packed_rows_by_themselves_are_what_they_are_side_by_side(name, again):
    model = made(name).train()
    if again:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    beside = scored(model, "sdpa", False)
    for found, expected in zip(scored(model, "rows", True), beside, strict=True):
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)
    assert all(torch.equal(*pair) for pair in zip(scored(model, "rows", False), beside, strict=True))


def test_no_mask_of_all_pairs_is_made(monkeypatch):
    """No attention of a packed pass sees a mask, or more tokens than a row has."""
    seen = []

    def watched(query, key, value, attn_mask=None, **options):
        seen.append((query.shape[2], attn_mask))
        return own(query, key, value, attn_mask=attn_mask, **options)

    own = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    scored(made("Qwen3"), "rows", True)
    assert {length for length, _ in seen} == set(rows(True).lengths_R.tolist())
    assert all(mask is None for _, mask in seen)


def test_sampling_by_the_same_model_stays_as_it_is():
    model = made("Qwen3")
    policy = TransformersPolicy(model, [2], 0, 128)
    prompts, said = [[5, 6, 7], [9], [11, 12, 13, 14, 15]], []
    for attention in ("sdpa", "rows"):
        model.set_attn_implementation(attention)
        said.append(policy.generate(prompts, Sampling(max_tokens=12), seed=1))
    assert said[0] == said[1]


# -- several processes -----------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(30, 200), st.booleans(),
    st.integers(1, 5),
)  # fmt: skip
def test_groups_for_several_processes_hold_every_row_once_within_the_budget(
    lengths, most, packing, processes
):
    groups = micro_batches(lengths, most, packing, processes)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    costs = [sum(lengths[i] for i in g) if packing else len(g) * max(lengths[i] for i in g) for g in groups]
    assert all(cost <= most or len(group) == 1 for cost, group in zip(costs, groups, strict=True))
    # No process passes the model more often than it would with groups filled one after the other.
    alone = micro_batches(lengths, most, packing)
    assert -(-len(groups) // processes) <= -(-len(alone) // processes)


def test_packed_groups_keep_all_processes_busy():
    rng = np.random.default_rng(0)
    lengths = np.minimum(16000, rng.lognormal(7, 0.8, 64)).astype(int).tolist()

    def useful(groups):
        costs = [sum(lengths[i] for i in group) for group in groups]
        return sum(costs) / (4 * sum(max(costs[i : i + 4]) for i in range(0, len(costs), 4)))

    assert useful(micro_batches(lengths, 32768, True)) < 0.9 < useful(micro_batches(lengths, 32768, True, 4))


FORWARD = Learner._forward

# -- one optimizer step -----------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [
    {},
    {"packing": True, "attention": "rows"},
    {"lora_rank": 4, "gradient_checkpointing": True},
    {"loss": PolicyLoss(entropy=0.1, kl=0.1)},
    {"internalise": 1.0, "dtype": "bfloat16"},
], ids=str)  # fmt: skip
def test_the_only_step_of_a_batch_needs_no_passes_before_it(tiny_student, monkeypatch, settings):
    """Weights and metrics are the same bit for bit, and the model is passed half as often."""
    config = replace(
        CONFIG, questions_per_minibatch=8, questions_per_step=8, micro_batch_tokens=90, **settings
    )
    given_ = [replace(s, correct=s.attempt > 1, reward=0.5) for s in dialogues()]
    found = []
    for repeatable in (True, False):
        monkeypatch.setattr(Learner, "_repeatable", repeatable)
        model = copy.deepcopy(tiny_student[0])
        learner = Learner(model, 0, config)
        passes = []
        monkeypatch.setattr(
            learning.Learner,
            "_forward",
            lambda self, scorer, rows, read, own=FORWARD, passes=passes: (
                passes.append(scorer is self.scorer),
                own(self, scorer, rows, read),
            )[1],
        )
        metrics = [learner.update(given_, np.linspace(-1, 1, len(given_))) for _ in range(2)]
        found.append((metrics, [p.detach() for p in model.parameters()], sum(passes)))
    (one, weights, few), (other, same, many) = found
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_array_equal([*a.values()], [*b.values()])
    assert all(torch.equal(*pair) for pair in zip(weights, same, strict=True))
    assert few < many


def test_passes_before_are_made_where_they_say_something_else(tiny_student):
    model = copy.deepcopy(tiny_student[0])
    assert Learner(model, 0, CONFIG)._repeatable
    assert not Learner(model, 0, replace(CONFIG, loss_function="test_updates:own_loss"))._repeatable
    model.config.attention_dropout = 0.1
    assert not Learner(model, 0, CONFIG)._repeatable


def own_loss(models, rows, config):
    (logps_N,) = models.student(rows, partial(log_probabilities, temperature=1.0))
    return -logps_N * rows.logps_old_N, logps_N


# -- warm-up -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "rates"), [("step", [0.3, 0.5]), ("batch", [0.2, 0.3])])
def test_warm_up_counts_mini_batches_or_batches(tiny_student, by, rates):
    """Two batches of two mini-batches; the rate after each is that of the next step."""
    config = replace(CONFIG, lr=1.0, warmup=10, warmup_by=by, questions_per_minibatch=2)
    learner = Learner(copy.deepcopy(tiny_student[0]), 0, config)
    learner.optimizer.step = lambda: None
    given_ = [replace(s, group=s.row // 2) for s in dialogues(8)]
    advantages_B = np.linspace(-1, 1, len(given_))
    assert [learner.update(given_, advantages_B)["lr"] for _ in rates] == pytest.approx(rates)
