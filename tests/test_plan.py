"""The planner: its memory against the allocations of real updates, its FLOP against counted ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.learning.samples import Sample
from agents.plan.clock import Sampler, rollout_seconds
from agents.plan.command import main
from agents.plan.gpus import GPUS, gpu_of
from agents.plan.load import Attempt, Row, passes, play, rows_of, update_flop
from agents.plan.memory import learner_memory
from agents.plan.peak import peak_bytes
from agents.plan.shapes import QWEN3, shape_from, shape_of
from agents.runs.presets import PRESETS

WIDE = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "vocab_size": 512}
WORDY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 8192}


def model_of(sizes, attention="sdpa"):
    config = transformers.Qwen3Config(
        **sizes,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
    )
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def samples(words, rows=8, prompt=96, response=32):
    """Attempts of one episode each; the first is a little shorter, so that attention takes a mask."""
    rng = np.random.default_rng(0)
    return [
        Sample(
            row=i,
            group=i // 2,
            attempt=1,
            prompt=rng.integers(words, size=prompt - (i == 0)).tolist(),
            response=rng.integers(words, size=response).tolist(),
            logps=[-5.0] * response,
            correct=False,
            reward=0.0,
        )
        for i in range(rows)
    ]


def rows_like(attempts):
    return [Row(len(a.prompt) + len(a.response), len(a.response)) for a in attempts]


@pytest.mark.parametrize("sizes", [WIDE, WORDY], ids=["wide", "wordy"])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"dtype": "bfloat16"},
        {"gradient_checkpointing": True},
        {"dtype": "bfloat16", "gradient_checkpointing": True},
        {"packing": True},
        {"packing": True, "attention": "rows"},
        {"questions_per_minibatch": 2},  # so that old log-probabilities have passes of their own
        {"optimizer": "adamw-8bit"},
        {"dtype": "bfloat16", "lora_rank": 8},
        {"dtype": "bfloat16", "lora_rank": 8, "gradient_checkpointing": True},
    ],
    ids=lambda chosen: "-".join(chosen) or "plain",
)
def test_planned_memory_is_what_real_updates_allocate(sizes, chosen):
    if "optimizer" in chosen:
        pytest.importorskip("torchao")
        if sizes is WORDY:
            pytest.skip("steps that are not compiled hold many copies of the largest tensor")
    config = TrainConfig(**{"micro_batch_tokens": 256, "questions_per_minibatch": 32, **chosen})
    attempts = samples(sizes["vocab_size"])
    shapes = []

    def two_updates():
        learner = Learner(model_of(sizes), 0, config)
        shapes.append(shape_from(learner.model.config.to_dict()))
        for _ in range(2):  # the optimizer's states are there from the second on
            learner.update(attempts, np.array([1.0, -1.0] * 4))

    torch.compiler.set_stance("force_eager")  # of torchao's steps, which take long to compile on a CPU
    try:
        measured = peak_bytes(two_updates)
    finally:
        torch.compiler.set_stance("default")
    moments = learner_memory(shapes[0], config, passes(rows_like(attempts), config))
    planned = max(sum(parts.values()) for parts in moments)
    assert planned == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize(
    "chosen",
    [{}, {"questions_per_minibatch": 2}, {"gradient_checkpointing": True}, {"packing": True},
     {"lora_rank": 8},
     {"lora_rank": 8, "gradient_checkpointing": True}],
    ids=lambda chosen: "-".join(chosen) or "plain",
)  # fmt: skip
def test_planned_flop_and_tokens_are_those_counted(chosen):
    config = TrainConfig(
        **{"attention": "eager", "micro_batch_tokens": 256, "questions_per_minibatch": 32, **chosen}
    )
    learner = Learner(model_of(WIDE, "eager"), 0, config)
    attempts = samples(WIDE["vocab_size"])
    shape = shape_from(learner.model.config.to_dict())
    made = passes(rows_like(attempts), config)
    with FlopCounterMode(display=False) as counted:
        metrics = learner.update(attempts, np.array([1.0, -1.0] * 4))
    planned = sum(update_flop(shape, config, each) for each in made)
    assert planned == pytest.approx(counted.get_total_flops(), rel=0.02 if config.lora_rank else 1e-6)
    assert sum(row.length for row in rows_like(attempts)) == metrics["trained_tokens"]


@pytest.mark.parametrize("name", QWEN3)
def test_the_shapes_of_published_models_have_their_number_of_parameters(name):
    shape = QWEN3[name]
    config = transformers.Qwen3Config(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden, intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim, tie_word_embeddings=shape.tied,
    )  # fmt: skip
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    assert sum(weight.numel() for weight in model.parameters()) == shape.parameters
    assert shape_from(config.to_dict()) == shape


def test_the_shape_of_the_small_student_is_its_own(tiny_student):
    model, _, folder = tiny_student
    assert shape_of(TrainConfig(student=str(folder))).parameters == sum(p.numel() for p in model.parameters())


@given(
    episodes=st.integers(1, 40),
    wrong=st.floats(0, 1),
    most=st.integers(1, 3),
    history=st.sampled_from([None, 16]),
)
@settings(max_examples=50, deadline=None)
def test_rows_hold_every_response_token_once_within_the_longest_dialogue(episodes, wrong, most, history):
    config = TrainConfig(max_attempts=most, history_tokens=history)
    attempts = play(config, episodes, None, 100, 50, wrong)
    rows = rows_of(attempts)
    assert sum(row.targets for row in rows) == sum(attempt.response for attempt in attempts)
    assert max(row.length for row in rows) <= config.max_model_len
    assert {attempt.row for attempt in attempts} == set(range(episodes))


def test_decoding_one_sequence_reads_all_weights_and_its_cache_at_each_step():
    shape, gpu = QWEN3["Qwen3-0.6B"], GPUS["l4-24"]
    sampler = Sampler(cards=1, slots=8, bytes_each=2, pause=0.0)
    seconds = rollout_seconds(shape, gpu, sampler, [Attempt(0, 1, 100, 100, 10)], mfu=1.0, mbu=0.5)
    context = sum(range(100, 110))
    read = 10 * 2 * shape.parameters + context * shape.cache_per_token()
    assert seconds == pytest.approx(read / (gpu.bandwidth * 1e9 * 0.5))


@given(responses=st.lists(st.integers(1, 200), min_size=2, max_size=30), slots=st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_more_slots_and_more_cards_are_never_slower_to_decode(responses, slots):
    shape, gpu = QWEN3["Qwen3-0.6B"], GPUS["h100-80"]
    attempts = [Attempt(i, 1, 64, 64, response) for i, response in enumerate(responses)]

    def seconds(cards, slots):
        return rollout_seconds(shape, gpu, Sampler(cards, slots, 2, 0.004), attempts, 0.3, 0.6)

    alone = seconds(1, 1)
    assert seconds(1, len(responses)) <= alone
    assert seconds(1, slots) <= alone * (1 + 1e-9)
    assert seconds(len(responses), 1) <= alone


def planned(capsys, *arguments):
    status = main([*arguments, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert status == (0 if said["fits"] else 1)
    return said


def test_the_papers_setting_fits_a_node_and_not_a_small_card(capsys):
    node = planned(capsys, "--preset", "qwen3-4b", "--gpu", "h100-80", "--gpus", "5")
    small = planned(capsys, "--preset", "qwen3-4b", "--gpu", "rtx4090-24", "--gpus", "5")
    assert node["fits"]
    assert not small["fits"]
    assert "student server" in small["limits"] or "learner" in small["limits"]
    parts = {"weights", "gradients", "states", "activations", "logits", "cache", "sync_buffers"}
    assert parts <= node["memory"].keys()
    assert node["seconds"].keys() == {"rollout", "teacher", "update", "sync", "evaluation", "checkpoint"}
    alone = planned(capsys, "--preset", "qwen3-4b", "--gpu", "h100-80")
    assert not alone["fits"]
    assert "1 to learn" in alone["limits"]


@pytest.mark.parametrize(
    ("preset", "gpu"),
    [
        ("qwen3-0.6b", "l4-24"),
        ("qwen3-1.7b", "l4-24"),
        ("qwen3-4b-lora", "a100-80"),
        ("qwen3-4b-lora", "h100-80"),
    ],
)
def test_presets_of_one_card_fit_it(capsys, preset, gpu):
    assert planned(capsys, "--preset", preset, "--gpu", gpu)["fits"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_plan(capsys, preset):
    assert main(["--preset", preset, "--gpu", "h200-141", "--gpus", "8" if "4b" in preset else "1"]) in (0, 1)
    out = capsys.readouterr().out
    assert "assumed: policy=" in out
    assert "sync_buffers" in out


def test_given_lengths_are_used(capsys, tmp_path):
    place = tmp_path / "lengths"
    place.write_text("7\n7\n")
    said = planned(capsys, "--preset", "tiny", "--gpu", "l4-24", "--lengths", str(place), "--wrong", "0")
    assert said["tokens"]["sampled"] == 7 * 32 * 8
    assert said["assumed"]["lengths"] == str(place)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "tiny", "--gpu", "h100"], "h100-80"),
        (["--preset", "tinny", "--gpu", "h100-80"], "tiny"),
        (["--preset", "tiny", "--gpu", "h100-80", "--gpus", "0"], "at least 1"),
        (["--preset", "tiny", "--gpu", "h100-80", "--student", "elsewhere"], "config.json"),
        (["--preset", "tiny", "--gpu", "h100-80", "--prompt-tokens", "512"], "no room for a response"),
        (["--preset", "tiny", "--gpu", "h100-80", "--lengths", "/nowhere"], "one response in each line"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(capsys, arguments, words):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_configuration_without_a_decoders_widths_is_refused():
    with pytest.raises(Exception, match="decoder's shape"):
        shape_from({"hidden_size": 3})


def test_a_small_cache_is_named_with_the_dialogue_that_it_cannot_hold(capsys, monkeypatch):
    config = PRESETS["smollm2"]
    few = replace(config, vllm=replace(config.vllm, cache_mib=8))
    monkeypatch.setitem(PRESETS, "few", few)
    said = planned(capsys, "--preset", "few", "--gpu", "l4-24")
    assert not said["fits"]
    assert "max_model_len=1024" in said["limits"]
    assert gpu_of("l4-24").memory_gib < 24
