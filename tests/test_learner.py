"""The learner: log-probabilities, gradients that no batching changes, an actual improvement."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.batching import Row, micro_batches, padded, token_statistics
from agents.config import PRESETS
from agents.learner import Learner, NonFiniteError
from agents.records import Sample

CONFIG = replace(PRESETS["tiny"], questions_per_minibatch=2, warmup=1)


def samples(count=8, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        prompt = rng.integers(5, 200, size=rng.integers(3, 20)).tolist()
        response = rng.integers(5, 200, size=rng.integers(1, 12)).tolist()
        made.append(Sample(i, i // 4, 1, prompt, response, [-5.0] * len(response), False, 0.0))
    return made


def with_own_logps(model, given):
    """The same samples with the model's own log-probabilities as the sampler's."""
    made = []
    for sample in given:
        batch = padded([Row.of(sample.prompt, sample.response)], pad=0)
        with torch.no_grad():
            made.append(replace(sample, logps=token_statistics(model.eval(), batch, 1.0)[0].tolist()))
    return made


def test_log_probabilities_are_those_of_single_unpadded_rows(tiny_student):
    model, _, _ = tiny_student
    given = samples()
    with torch.no_grad():
        together, entropies = token_statistics(
            model.eval(), padded([Row.of(s.prompt, s.response) for s in given], pad=0), 0.7
        )
        expected = []
        for sample in given:
            logits = model(torch.tensor([sample.prompt + sample.response])).logits[0].float() / 0.7
            logps = logits.log_softmax(-1)[len(sample.prompt) - 1 : -1]
            expected += [logps[j, token] for j, token in enumerate(sample.response)]
    torch.testing.assert_close(together, torch.stack(expected), atol=2e-5, rtol=1e-5)
    assert (entropies > 0).all()
    assert (entropies <= np.log(model.config.vocab_size)).all()


@pytest.mark.parametrize("tokens", [32, 100, 10**6])
def test_micro_batches_hold_every_row_once_within_the_budget(tokens):
    lengths = np.random.default_rng(0).integers(1, 30, size=50).tolist()
    groups = micro_batches(lengths, tokens)
    assert sorted(i for group in groups for i in group) == list(range(50))
    assert all(len(group) * max(lengths[i] for i in group) <= tokens for group in groups)


def gradients(model, micro_batch_tokens):
    """Parameters after one plain step, which show the gradient."""
    twin = copy.deepcopy(model)
    given = with_own_logps(twin, samples())
    config = replace(CONFIG, micro_batch_tokens=micro_batch_tokens, grad_clip=1e9)
    learner = Learner(twin, pad=0, config=config)
    learner.optimizer = torch.optim.SGD(twin.parameters(), lr=1.0)
    metrics = learner.update(given, np.linspace(-1, 1, len(given)))
    return metrics, torch.cat([p.detach().flatten() for p in twin.parameters()])


def test_the_split_into_micro_batches_changes_nothing(tiny_student):
    model, _, _ = tiny_student
    metrics, one_by_one = gradients(model, 1)
    _, together = gradients(model, 10**6)
    torch.testing.assert_close(one_by_one, together, atol=2e-6, rtol=1e-4)
    assert metrics["rollout_mismatch"] < 1e-5
    assert metrics["rollout_ess"] == pytest.approx(1.0)


def test_prompt_tokens_get_no_direct_gradient(tiny_student):
    """Teacher tokens stand in prompts only: no position before the response predicts a target."""
    batch = padded([Row.of([1, 2, 3, 4], [5, 6])], pad=0)
    assert batch.predicts_BT.tolist() == [[False, False, False, True, True, False]]
    assert batch.targets_N.tolist() == [5, 6]


def test_an_update_raises_what_earned_and_lowers_what_did_not(tiny_student):
    model = copy.deepcopy(tiny_student[0])
    given = with_own_logps(model, samples())
    advantages = np.array([1.0, -1.0] * 4)
    before = [sum(s.logps) for s in given]
    learner = Learner(model, pad=0, config=replace(CONFIG, lr=1e-3))
    for _ in range(3):
        metrics = learner.update(given, advantages)
    after = [sum(s.logps) for s in with_own_logps(model, given)]
    moved = np.sign(np.array(after) - np.array(before))
    np.testing.assert_array_equal(moved, np.sign(advantages))
    assert metrics["grad_norm"] > 0


def test_a_loss_that_is_no_number_stops_the_run(tiny_student):
    model = copy.deepcopy(tiny_student[0])
    learner = Learner(model, pad=0, config=CONFIG)
    with pytest.raises(NonFiniteError, match=r"loss is nan; lower the learning rate"):
        learner.update(samples(), np.full(8, np.nan))
