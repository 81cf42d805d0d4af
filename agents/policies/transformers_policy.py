"""Rollouts by transformers in the learner's process: slow, simple, and bit for bit repeatable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from agents.learning.samples import Completion, Sampling
from agents.policies.policy import NamedWeights

MOST_TOKENS = 16384
"""Of prompts and responses in one forward pass."""


class TransformersPolicy:
    """Samples from its own copy of a model, or from the learner's model itself.

    Args:
        model: a causal language model of transformers.
        ends: token ids of which any ends a response.
        pad: the id that fills short prompts.
        max_model_len: most tokens of prompt and response together.
    """

    def __init__(self, model: Any, ends: Sequence[int], pad: int, max_model_len: int) -> None:
        self.model, self.ends, self.pad, self.max_model_len = model, tuple(ends), pad, max_model_len

    def generate(self, prompts: Sequence[list[int]], sampling: Sampling, seed: int) -> list[Completion]:
        """One response for each prompt, prompts of like length together."""
        generator = torch.Generator(device=self.model.device).manual_seed(seed)
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        done: dict[int, Completion] = {}
        was_training = self.model.training
        self.model.eval()
        longest = max(map(len, prompts), default=0) + sampling.max_tokens
        rows = max(1, MOST_TOKENS // longest)
        for start in range(0, len(order), rows):
            chosen = order[start : start + rows]
            completions = self._generate([prompts[i] for i in chosen], sampling, generator)
            done |= dict(zip(chosen, completions, strict=True))
        self.model.train(was_training)
        return [done[i] for i in range(len(prompts))]

    def load_weights(self, weights: NamedWeights) -> None:
        """Copy new weights in place; nothing to do where they are the model's own."""
        own = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, tensor in weights:
                if own[name] is not tensor:
                    own[name].copy_(tensor)

    def close(self) -> None:
        """Nothing is held."""

    @torch.no_grad()
    def _generate(
        self, prompts: list[list[int]], sampling: Sampling, generator: torch.Generator
    ) -> list[Completion]:
        width = max(map(len, prompts))
        device = self.model.device
        ids = torch.full((len(prompts), width), self.pad, device=device)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):  # padded on the left
            ids[i, width - len(prompt) :] = torch.tensor(prompt, device=device)
            mask[i, width - len(prompt) :] = 1
        tokens, logps = [], []
        live = torch.ones(len(prompts), dtype=torch.bool, device=device)
        ends = torch.tensor(self.ends, device=device)
        cache = None
        for _ in range(sampling.max_tokens):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            out = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            token, logp = _draw(out.logits[:, -1].float(), sampling, generator)
            tokens.append(token)
            logps.append(logp)
            live &= ~torch.isin(token, ends)
            if not live.any():
                break
            ids = token[:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        sampled = zip(torch.stack(tokens, 1).tolist(), torch.stack(logps, 1).tolist(), strict=True)
        return [self._ended(*row) for row in sampled]

    def _ended(self, ids: list[int], logps: list[float]) -> Completion:
        """The response up to its end; what was drawn after it, while others went on, counts for nothing."""
        place = next((i for i, token in enumerate(ids) if token in self.ends), None)
        length = len(ids) if place is None else place + 1
        return Completion(ids[:length], logps[:length], place is not None)


def _draw(
    logits_BV: torch.Tensor, sampling: Sampling, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """(token_B, logp_B), the log-probability at the temperature, before any top-p cut."""
    greedy = sampling.temperature == 0
    logps_BV = torch.log_softmax(logits_BV / (1.0 if greedy else sampling.temperature), dim=-1)
    if greedy:
        token = logps_BV.argmax(-1)
    else:
        probs = logps_BV.exp()
        if sampling.top_p < 1:
            ordered, index = probs.sort(descending=True)
            beyond = ordered.cumsum(-1) - ordered >= sampling.top_p
            probs = torch.zeros_like(probs).scatter(-1, index, ordered.masked_fill(beyond, 0.0))
        token = torch.multinomial(probs, 1, generator=generator).squeeze(-1)
    return token, logps_BV.gather(-1, token[:, None]).squeeze(-1)
