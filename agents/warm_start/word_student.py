"""Students of small worlds: one token for each word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agents.options import TinyStudent
from agents.warm_start.tiny import make_model

SYSTEM, USER, STUDENT = "<|system|>", "<|user|>", "<|student|>"
END, PAD, UNKNOWN = "<|end|>", "<|pad|>", "<|unknown|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ {'assistant': '<|student|>', 'system': '<|system|>'}.get(message['role'], '<|user|>') }}"
    "{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|student|>{% endif %}"
)


def word_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of these words, which stand with blanks between them."""
    special = [PAD, UNKNOWN, USER, STUDENT, END, SYSTEM]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*special, *words]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in special])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, unk_token=UNKNOWN
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_student(shape: TinyStudent, tokenizer: Any) -> Any:
    """A student before its warm start: the same weights for all of a shape."""
    model = make_model(shape, tokenizer, seed=0, heads=2, kv_heads=2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # wider than usual: a small model then learns the operations in half the steps
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.normal_(0, 0.06, generator=generator)
    return model
