"""The learner's log-probabilities and the model's own forward, where models change logits."""

from functools import partial

import pytest
import torch
import transformers

from agents.learning import rows as rows_of
from agents.learning.rows import Rows, Scorer, check_scored, logps_of, statistics
from socratic_env.errors import ConfigurationError

SHAPE = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 128,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
CAPPED = {
    "Gemma2": {"final_logit_softcapping": 2.0, "query_pre_attn_scalar": 16},
    "Cohere": {"logit_scale": 0.25},
    "Cohere2": {"logit_scale": 0.25, "sliding_window": 8},
    "Granite": {"logits_scaling": 8.0},
    "GraniteMoe": {"logits_scaling": 8.0, "num_local_experts": 2, "num_experts_per_tok": 1},
    "Gemma3Text": {"final_logit_softcapping": 2.0, "query_pre_attn_scalar": 16},
    "Qwen3": {},
    "Llama": {},
    "Mixtral": {"num_local_experts": 2, "num_experts_per_tok": 1, "output_router_logits": True},
    "GPT2": {},
}
PROMPTS, RESPONSES = [[5, 6, 7], [9]], [[8, 11, 3, 2], [4, 50, 60]]


def made(name, **more):
    settings = {**SHAPE, **CAPPED[name], **more}
    if name == "GPT2":
        settings = {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    config = getattr(transformers, f"{name}Config")(**settings)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():  # logits far from 0, so that a cap or a scale shows
        model.get_output_embeddings().weight.mul_(30)
    return model


def own_logits(model):
    """Of each target, by the model's own forward, row by row."""
    found = []
    for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
        whole = torch.tensor([prompt + response])
        found.append(model(input_ids=whole).logits[0, len(prompt) - 1 : -1].float())
    return torch.cat(found)


@pytest.mark.parametrize("name", CAPPED)
def test_log_probabilities_are_those_of_the_models_own_forward(name, monkeypatch):
    model = made(name)
    rows = Rows.of(PROMPTS, RESPONSES, pad=0)
    logits_NV = own_logits(model).detach()
    logps_N = (logits_NV / 0.7).log_softmax(-1).gather(-1, rows.targets_N[:, None])[:, 0]
    torch.testing.assert_close(logps_of(model, rows, 0.7), logps_N, atol=1e-4, rtol=1e-4)
    if name not in ("Qwen3", "Llama", "Mixtral", "GPT2"):  # the head alone would be wrong
        head_NV = model.get_output_embeddings()(Scorer(model).hidden(rows)).detach()
        assert (head_NV.log_softmax(-1) - logits_NV.log_softmax(-1)).abs().max() > 0.05
    monkeypatch.setattr(rows_of, "MOST_LOGITS", 2 * 97)  # in parts
    torch.testing.assert_close(logps_of(model, rows, 0.7), logps_N, atol=1e-4, rtol=1e-4)
    check_scored(model, PROMPTS[0] + RESPONSES[0])
    assert "forward" not in vars(model.get_decoder())


@pytest.mark.parametrize("name", ["Gemma2", "Cohere", "Granite", "Qwen3"])
@pytest.mark.parametrize("most", [2**27, 2 * 97])
def test_gradients_are_those_of_the_models_own_forward(name, most, monkeypatch):
    monkeypatch.setattr(rows_of, "MOST_LOGITS", most)
    model, rows = made(name), Rows.of(PROMPTS, RESPONSES, pad=0)
    targets = rows.targets_N[:, None]
    own_logits(model).log_softmax(-1).gather(-1, targets).sum().backward()
    own = {key: weight.grad.clone() for key, weight in model.named_parameters()}
    model.zero_grad()
    Scorer(model)(rows, partial(statistics, temperature=1.0))[0].sum().backward()
    for key, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, own[key], atol=1e-3, rtol=1e-3)


def test_a_model_that_the_scorer_gets_wrong_is_refused():
    model = made("Qwen3")
    inner, own = model.get_decoder(), model.forward

    def forward(*inputs, **options):
        """Changes logits only where the decoder has run."""
        scored = "forward" in vars(inner)
        output = own(*inputs, **options)
        if not scored:
            output.logits = output.logits * 3
        return output

    model.forward = forward
    with pytest.raises(ConfigurationError, match="the learner scores Qwen3ForCausalLM wrongly"):
        check_scored(model, PROMPTS[0] + RESPONSES[0])
