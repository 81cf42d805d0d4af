"""The learner: log-probabilities, gradients that no batching changes, an actual improvement."""

import copy
import importlib.util
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from agents.learning import rows as row_module
from agents.learning.learner import Learner, NonFiniteError
from agents.learning.rows import Rows, Scorer, chains, logps_of, micro_batches, statistics
from agents.learning.samples import Sample
from agents.options import Distillation
from agents.runs.assembly import load_student
from agents.runs.checkpoint import save_checkpoint
from agents.runs.metric_table import definition
from agents.runs.presets import PRESETS
from socratic_env.errors import ConfigurationError

CONFIG = replace(PRESETS["tiny"], questions_per_minibatch=2, warmup=1)


def samples(count=8, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        prompt = rng.integers(5, 200, size=rng.integers(3, 20)).tolist()
        response = rng.integers(5, 200, size=rng.integers(1, 12)).tolist()
        made.append(Sample(i, i // 4, 1, prompt, response, [-5.0] * len(response), False, 0.0))
    return made


def rows_of(given, packed=False):
    return Rows.of([s.prompt for s in given], [s.response for s in given], pad=0, packed=packed)


def with_own_logps(model, given):
    """The same samples with the model's own log-probabilities as the sampler's."""
    made = []
    for sample in given:
        made.append(replace(sample, logps=logps_of(model.eval(), rows_of([sample])).tolist()))
    return made


def test_log_probabilities_are_those_of_single_unpadded_rows(tiny_student):
    model, _, _ = tiny_student
    given = samples()
    with torch.no_grad():
        read = partial(statistics, temperature=0.7)
        together, entropies = Scorer(model.eval())(rows_of(given), read)
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


def dialogues(count=6, seed=1):
    """Episodes of one to three attempts, each of which extends the one before; by turns."""
    rng = np.random.default_rng(seed)
    made = []
    for row in range(count):
        prompt = rng.integers(5, 200, size=rng.integers(3, 20)).tolist()
        for attempt in range(1, 2 + row % 3):
            response = rng.integers(5, 200, size=rng.integers(2, 12)).tolist()
            logps = rng.normal(-5.0, 0.3, len(response)).tolist()
            made.append(Sample(row, row // 2, attempt, prompt, response, logps, False, 0.0))
            prompt = [*prompt, *response, *rng.integers(5, 200, size=6).tolist()]
    return made


def alone(given):
    """The same attempts, each as an episode of its own, so that no row is shared."""
    return [replace(sample, row=i, attempt=1) for i, sample in enumerate(given)]


def gradient_of(model, given, **settings):
    """(metrics, gradient) of one optimizer step on all of them."""
    twin = copy.deepcopy(model)
    config = replace(CONFIG, questions_per_minibatch=1000, questions_per_step=1000, grad_clip=1e9, **settings)
    learner = Learner(twin, pad=0, config=config)
    found = {}
    learner.optimizer.step = lambda: found.update(
        {n: p.grad.clone() for n, p in twin.named_parameters() if p.grad is not None}
    )
    return learner.update(given, np.linspace(-1, 1, len(given))), found


def same_gradients(one, other, tolerance=2e-6):
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        torch.testing.assert_close(gradient, other[name], atol=tolerance, rtol=1e-3, msg=name)


def test_attempts_that_extend_each_other_share_a_row_and_others_do_not():
    given = dialogues()
    assert [len(chain) for chain in chains(given)] == [1, 2, 3, 1, 2, 3]
    assert chains([given[5], given[3]]) == [[1, 0]]  # attempts 1 and 3: the last holds both
    cut = [replace(s, prompt=s.prompt[1:]) if s.attempt == 2 else s for s in given]
    assert all(len(chain) == 1 for chain in chains(cut))
    rows = Rows.of_attempts(given[1:3], pad=0)
    first, second = given[1:3]
    assert rows.ids_RT.tolist() == [second.prompt + second.response]
    assert rows.targets_N.tolist() == first.response + second.response
    assert rows.attempt_N.tolist() == [0] * len(first.response) + [1] * len(second.response)
    assert rows.logps_rollout_N.tolist() == pytest.approx(first.logps + second.logps)
    assert not rows.predicts_RT[0, len(first.prompt) + len(first.response)]


def test_selected_rows_are_those_rows():
    given = dialogues()
    rows = Rows.of_attempts(given, pad=0)
    rows = replace(rows, advantages_N=rows.attempt_N.float())
    chosen = torch.tensor([4, 1])
    part, members = rows.select(chosen), [chains(given)[i] for i in (1, 4)]
    whole = Rows.of_attempts([given[i] for chain in members for i in chain], pad=0)
    for name in ("ids_RT", "lengths_R", "predicts_RT", "group_R", "row_N", "targets_N", "logps_rollout_N"):
        assert getattr(part, name).tolist() == getattr(whole, name).tolist(), name
    owners = [float(i) for chain in members for i in chain for _ in given[i].response]
    assert part.advantages_N.tolist() == owners
    kept = rows.with_targets(rows.attempt_N % 2 == 0)
    assert kept.targets_N.tolist() == [t for i, s in enumerate(given) if i % 2 == 0 for t in s.response]
    assert int(kept.predicts_RT.sum()) == len(kept.targets_N)


@pytest.mark.parametrize("packing", [False, True])
def test_shared_and_packed_rows_change_neither_loss_nor_gradient(tiny_student, packing):
    model, given = tiny_student[0], dialogues()
    separate, expected = gradient_of(model, alone(given))
    together, found = gradient_of(model, given, packing=packing, micro_batch_tokens=150)
    same_gradients(expected, found)
    for name in ("loss", "entropy", "rollout_mismatch", "ratio_mean", "grad_norm"):
        assert together[name] == pytest.approx(separate[name], rel=1e-4, abs=1e-6)
    lengths = [len(s.prompt) + len(s.response) for s in given]
    assert separate["trained_tokens"] == sum(lengths)
    assert together["trained_tokens"] == sum(lengths[i] for i in (0, 2, 5, 6, 8, 11))  # the last attempts
    assert sum(lengths) > sum(len(s.response) for s in given)
    assert "prompts included" in definition("trained_tokens")
    assert "prompts included" in definition("tokens_per_second_trained")


@pytest.mark.parametrize("cap", [2.0, None])
def test_ratios_of_learner_and_sampler_are_counted_token_by_token(tiny_student, cap):
    """The sampler said a third, and five times, of the probability for all tokens of two responses."""
    model = copy.deepcopy(tiny_student[0])
    given = with_own_logps(model, samples())
    for i, factor in ((0, 3.0), (5, 0.2)):
        given[i] = replace(given[i], logps=[logp - math.log(factor) for logp in given[i].logps])
    ratios = np.concatenate(
        [np.full(len(s.logps), {0: 3.0, 5: 0.2}.get(i, 1.0)) for i, s in enumerate(given)]
    )
    config = replace(CONFIG, loss=replace(CONFIG.loss, rollout_is_clip=cap))
    metrics = Learner(model, pad=0, config=config).update(given, np.array([1.0, -1.0] * 4))
    weights = np.minimum(ratios, cap or math.inf)
    assert metrics["rollout_ratio_mean"] == pytest.approx(ratios.mean(), rel=1e-4)
    assert metrics["rollout_ratio_max"] == pytest.approx(3.0, rel=1e-4)
    assert metrics["rollout_capped"] == pytest.approx((weights < ratios).mean(), rel=1e-6)
    assert metrics["rollout_ess"] == pytest.approx(
        weights.sum() ** 2 / (weights**2).sum() / len(weights), rel=1e-4
    )


def test_packed_rows_have_no_padding_and_do_not_see_each_other(tiny_student):
    one = logps_of(tiny_student[0].eval(), rows_of(samples(), packed=True))
    other = logps_of(tiny_student[0].eval(), rows_of(samples()))
    torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)
    lengths = rows_of(samples()).sizes
    groups = micro_batches(lengths, 60, packing=True)
    assert sorted(i for group in groups for i in group) == list(range(8))
    assert all(sum(lengths[i] for i in group) <= 60 for group in groups)


@pytest.mark.parametrize("setting", [{"gradient_checkpointing": True}, {"dtype": "bfloat16"}])
def test_memory_savings_keep_the_gradient(tiny_student, setting):
    _, expected = gradient_of(tiny_student[0], dialogues())
    _, found = gradient_of(tiny_student[0], dialogues(), **setting)
    if "dtype" not in setting:
        same_gradients(expected, found)
    flat, other = (torch.cat([g.flatten() for g in gs.values()]) for gs in (expected, found))
    assert torch.cosine_similarity(flat, other, dim=0) > 0.99
    assert all(gradient.dtype == torch.float32 for gradient in found.values())


def test_the_attention_is_a_choice(tiny_student):
    folder = tiny_student[2]
    models = [load_student(folder, attention)[0] for attention in ("sdpa", "eager")]
    assert [model.config._attn_implementation for model in models] == ["sdpa", "eager"]
    one, other = (gradient_of(model, dialogues(), packing=True)[1] for model in models)
    same_gradients(one, other)
    if importlib.util.find_spec("flash_attn") is None:
        with pytest.raises(ConfigurationError, match="attention 'flash_attention_2' cannot be had here"):
            load_student(folder, "flash_attention_2")


def test_a_large_vocabulary_is_read_in_parts(tiny_student, monkeypatch):
    metrics, expected = gradient_of(tiny_student[0], dialogues())
    monkeypatch.setattr(row_module, "MOST_LOGITS", 5 * tiny_student[0].config.vocab_size)
    parts, found = gradient_of(tiny_student[0], dialogues())
    same_gradients(expected, found)
    assert parts["loss"] == pytest.approx(metrics["loss"], rel=1e-5)


def distilled(model, questions_per_minibatch=32, **settings):
    """(metrics, student, self-teacher) after SDPO's pass over a batch."""
    config = replace(
        CONFIG, algorithm="sdpo", max_attempts=1, questions_per_minibatch=questions_per_minibatch, **settings
    )
    learner = Learner(copy.deepcopy(model), pad=0, config=config)
    given = samples()
    prompts = [sample.prompt[::-1] * 3 if i % 4 else None for i, sample in enumerate(given)]
    metrics = learner.distil(given, prompts)
    states = (dict(scorer.named_parameters()) for scorer in (learner.scorer, learner.fixed))
    return metrics, *states


def test_self_distillation_reads_at_the_temperature_that_sampled(tiny_student):
    metrics, *_ = distilled(tiny_student[0], temperature=0.5)
    assert metrics["ratio_min"] == pytest.approx(1, abs=1e-4)
    assert metrics["ratio_max"] == pytest.approx(1, abs=1e-4)
    assert metrics["loss"] > 0


@pytest.mark.parametrize("top_k", [5, 10**6])
def test_self_distillation_reads_a_large_vocabulary_in_parts(tiny_student, monkeypatch, top_k):
    settings = {"distillation": Distillation(top_k=top_k)}
    metrics, *_ = distilled(tiny_student[0], **settings)
    monkeypatch.setattr(row_module, "MOST_LOGITS", 5 * tiny_student[0].config.vocab_size)
    parts, *_ = distilled(tiny_student[0], **settings)
    assert parts["loss"] == pytest.approx(metrics["loss"], rel=1e-3)
    assert parts["grad_norm"] == pytest.approx(metrics["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("packing", [False, True])
def test_the_self_teachers_longer_rows_fit_the_budget_too(tiny_student, monkeypatch, packing):
    sizes, forward = [], Learner._forward
    monkeypatch.setattr(
        Learner,
        "_forward",
        lambda self, scorer, rows, read: (
            sizes.append(sum(rows.sizes) if packing else rows.ids_RT.numel())
            or forward(self, scorer, rows, read)
        ),
    )
    distilled(tiny_student[0], micro_batch_tokens=100, packing=packing)
    assert max(sizes) <= 100


def test_the_self_teacher_moves_once_a_batch(tiny_student):
    before = dict(Scorer(tiny_student[0]).named_parameters())
    metrics, student, teacher = distilled(tiny_student[0], questions_per_minibatch=1, lr=1e-2)
    assert metrics["ratio_max"] > 1.001, "there were several steps"
    for name, weight in before.items():
        torch.testing.assert_close(teacher[name].data, torch.lerp(weight, student[name], 0.05).data, msg=name)


def test_adapters_are_all_that_lora_trains_and_exported_weights_hold_them(tiny_student, tmp_path):
    model = copy.deepcopy(tiny_student[0])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    learner = Learner(model, pad=0, config=replace(CONFIG, lora_rank=4, lr=1e-2))
    given = with_own_logps(model, samples())
    assert all(torch.equal(w, before[name]) for name, w in learner.weights().items())
    for _ in range(3):
        learner.update(given, np.array([1.0, -1.0] * 4))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all(".lora_" in name for name in trained)
    exported = learner.weights()
    assert exported.keys() == before.keys()
    changed = {name for name, w in exported.items() if not torch.equal(w, before[name])}
    assert changed == {n for n in before if ".layers." in n and n.endswith("_proj.weight")}
    # A plain model with the exported weights says what the adapted one says.
    plain = copy.deepcopy(tiny_student[0])
    plain.load_state_dict(exported, strict=False)
    one, other = (logps_of(each.eval(), rows_of(given)) for each in (model, plain))
    torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)
    # A new learner with the state goes on as the old one.
    place = save_checkpoint(tmp_path, 1, model, tiny_student[1], learner)
    twin = Learner(copy.deepcopy(tiny_student[0]), pad=0, config=learner.config)
    twin.load(place)
    for each in (learner, twin):
        each.update(given, np.array([1.0, -1.0] * 4))
    for name, weight in learner.weights().items():
        assert torch.equal(weight, twin.weights()[name])


def test_servers_get_weights_in_the_type_of_the_passes_and_a_sampler_beside_the_learner_its_own(tiny_student):
    urls = {"policy": "server", "servers": ("http://127.0.0.1:8001",)}
    for chosen in ({"dtype": "bfloat16"}, {"dtype": "bfloat16", **urls}, urls):
        learner = Learner(copy.deepcopy(tiny_student[0]), pad=0, config=replace(CONFIG, **chosen))
        own = dict(learner.model.named_parameters())
        for name, weight in learner.sampler_weights():
            if len(chosen) == 3:
                assert torch.equal(weight, own[name].bfloat16())
            else:
                assert weight is own[name]
        assert all(weight.dtype == torch.float32 for weight in learner.weights().values())


@pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
def test_eight_bit_states_learn_alike_take_a_quarter_and_go_into_a_checkpoint(tiny_student, tmp_path):
    torch.compiler.set_stance("force_eager")  # compiled on a GPU; on a CPU that takes most of a minute
    try:
        given, advantages = samples(), np.linspace(-1, 1, 8)
        found = {}
        for optimizer in ("adamw", "adamw-8bit"):
            config = replace(CONFIG, optimizer=optimizer, lr=1e-3)
            learner = Learner(copy.deepcopy(tiny_student[0]), pad=0, config=config)
            for _ in range(3):
                learner.update(given, advantages)
            place = tmp_path / optimizer / "step-000003"
            place.mkdir(parents=True)
            torch.save({"step": 3, "form": {}, **learner.state()}, place / "trainer.pt")
            other = Learner(copy.deepcopy(learner.model), pad=0, config=config)
            other.load(place)
            for each in (learner, other):
                each.update(given, advantages)
            size = (place / "trainer.pt").stat().st_size
            found[optimizer] = parameters_of(learner), size
            torch.testing.assert_close(parameters_of(other), found[optimizer][0], atol=0, rtol=0)
    finally:
        torch.compiler.set_stance("default")
    start = parameters_of(Learner(copy.deepcopy(tiny_student[0]), pad=0, config=CONFIG))
    moved = {name: weights - start for name, (weights, _) in found.items()}
    assert torch.cosine_similarity(*moved.values(), dim=0) > 0.95
    assert found["adamw-8bit"][1] < 0.5 * found["adamw"][1]


def test_an_optimizer_whose_library_is_missing_says_what_to_install(tiny_student, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"socratic-env\[eight-bit\]"):
        Learner(tiny_student[0], pad=0, config=replace(CONFIG, optimizer="adamw-8bit"))


def test_prompt_tokens_get_no_direct_gradient(tiny_student):
    """Teacher tokens stand in prompts only: no position before the response predicts a target."""
    rows = Rows.of([[1, 2, 3, 4]], [[5, 6]], pad=0)
    assert rows.predicts_RT.tolist() == [[False, False, False, True, True, False]]
    assert rows.targets_N.tolist() == [5, 6]


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


def parameters_of(learner):
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


def test_a_minibatch_without_advantages_makes_no_step(tiny_student):
    """Two questions, each a mini-batch: all attempts on the second one earned the same."""
    given = with_own_logps(tiny_student[0], samples())
    config = replace(CONFIG, questions_per_minibatch=1, lr=1e-2)
    whole, first = (Learner(copy.deepcopy(tiny_student[0]), pad=0, config=config) for _ in range(2))
    metrics = whole.update(given, np.array([1.0, -1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0]))
    alone = first.update(given[:4], np.array([1.0, -1.0, 1.0, -1.0]))
    assert torch.equal(parameters_of(whole), parameters_of(first)), "neither momentum nor weight decay moved"
    assert metrics["minibatches_skipped"] == 1
    assert alone["minibatches_skipped"] == 0
    assert metrics["grad_norm"] == pytest.approx(alone["grad_norm"])
    assert whole.schedule.last_epoch == first.schedule.last_epoch
    before = parameters_of(whole)
    assert whole.update(given, np.zeros(8)) == {}
    assert torch.equal(parameters_of(whole), before)


def test_responses_that_were_cut_can_be_masked(tiny_student):
    given = with_own_logps(tiny_student[0], samples())
    cut = [replace(s, finished=i % 3 != 0) for i, s in enumerate(given)]
    advantages = np.linspace(-1, 1, len(given))
    ended = [i for i, sample in enumerate(cut) if sample.finished]
    masked, left_out, unmasked = (
        Learner(copy.deepcopy(tiny_student[0]), pad=0, config=replace(CONFIG, lr=1e-2, mask_cut=mask))
        for mask in (True, False, False)
    )
    masked.update(cut, advantages)
    left_out.update([cut[i] for i in ended], advantages[ended])
    unmasked.update(cut, advantages)
    torch.testing.assert_close(parameters_of(masked), parameters_of(left_out), atol=5e-5, rtol=1e-3)
    assert not torch.allclose(parameters_of(masked), parameters_of(unmasked), atol=1e-4)


def test_the_internalisation_term_is_what_it_says(tiny_student):
    """Against the loss written out: -(c / Z) sum over corrections of r log pi(response | first prompt)."""
    model, given = tiny_student[0], dialogues()
    given = [replace(s, correct=s.attempt > 1 and s.row % 2 == 1, reward=0.25 * s.attempt) for s in given]
    corrected = [s for s in given if s.correct]
    assert corrected
    config = replace(CONFIG, internalise=0.5, questions_per_minibatch=1000, questions_per_step=1000, lr=0.0)
    twin = copy.deepcopy(model)
    learner = Learner(twin, pad=0, config=config)
    learner.optimizer.step = lambda: None
    metrics = learner.update(with_own_logps_of(twin, given), np.full(len(given), 1e-9))
    first = {s.row: s.prompt for s in given if s.attempt == 1}
    tokens, expected = sum(len(s.response) for s in given), 0.0
    for sample in corrected:
        logps = logps_of(model.eval(), rows_of([replace(sample, prompt=first[sample.row])]))
        expected -= 0.5 / tokens * sample.reward * float(logps.sum())
    assert metrics["internalise_loss"] == pytest.approx(expected, rel=1e-4)
    assert metrics["loss"] == pytest.approx(expected, rel=1e-3)
    assert metrics["internalised"] == len(corrected) / (len(corrected) + 6)
    assert metrics["internalise_logp_before"] == pytest.approx(metrics["internalise_logp_after"])


def with_own_logps_of(model, given):
    """Of attempts that share rows: each attempt's tokens behind its own prompt."""
    return [replace(s, logps=logps_of(model.eval(), rows_of([s])).tolist()) for s in given]


@pytest.mark.parametrize("packing", [False, True])
def test_internalisation_raises_corrections_for_the_question_alone(tiny_student, packing):
    given = with_own_logps_of(tiny_student[0], dialogues())
    given = [replace(s, correct=s.attempt > 1, reward=float(s.attempt > 1)) for s in given]
    config = replace(CONFIG, internalise=1.0, lr=1e-3, packing=packing)
    metrics = Learner(copy.deepcopy(tiny_student[0]), pad=0, config=config).update(
        given, np.zeros(len(given))
    )
    assert metrics["internalise_logp_after"] > metrics["internalise_logp_before"]


@pytest.mark.parametrize(("setting", "sign"), [({"entropy": 1.0}, 1), ({"kl": 100.0}, 0)])
def test_terms_of_the_loss_pull_as_they_say(tiny_student, setting, sign):
    """An entropy bonus widens the policy; a heavy KL term keeps it where the run began."""
    given = with_own_logps(tiny_student[0], samples())
    advantages = np.array([1.0, -1.0] * 4)
    moved = {}
    for name, extra in (("plain", {}), ("term", setting)):
        config = replace(CONFIG, lr=1e-3, loss=replace(CONFIG.loss, **extra))
        learner = Learner(copy.deepcopy(tiny_student[0]), pad=0, config=config)
        for _ in range(4):
            metrics = learner.update(given, advantages)
        start = torch.cat([p.flatten() for p in tiny_student[0].parameters()])
        moved[name] = metrics["entropy"], float((parameters_of(learner) - start).norm())
    assert (moved["term"][0] > moved["plain"][0]) if sign else (moved["term"][1] < moved["plain"][1])


def test_a_loss_of_ones_own_is_named_by_its_module(tiny_student, tmp_path, monkeypatch):
    (tmp_path / "my_loss.py").write_text(
        "from functools import partial\n"
        "from agents.learning.rows import log_probabilities\n"
        "def likelihood(models, rows, config):\n"
        "    (logps_N,) = models.student(rows, partial(log_probabilities, temperature=1.0))\n"
        "    return -rows.advantages_N * logps_N, logps_N\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = with_own_logps(tiny_student[0], samples())
    config = replace(CONFIG, loss_function="my_loss:likelihood")
    metrics = Learner(copy.deepcopy(tiny_student[0]), pad=0, config=config).update(given, np.ones(8))
    tokens = [logp for sample in given for logp in sample.logps]
    assert metrics["loss"] == pytest.approx(-np.mean(tokens), rel=0.2)
    for wrong, says in (
        ("my_loss:nothing", "my_loss has no nothing"),
        ("hinge", "unknown loss 'hinge'"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            Learner(tiny_student[0], pad=0, config=replace(CONFIG, loss_function=wrong))
