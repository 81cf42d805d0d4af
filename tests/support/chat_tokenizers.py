"""Real tokenizers of several kinds, with chat templates in the manner of known models."""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "What is the mass of two moles of water? <answer> B </answer> <reasoning> because </reasoning>",
    "Think again about the units, and user or assistant or system, [INST] and so on.",
    "<|im_end|> <|im_start|>assistant <think> Perhaps </think>",
]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}"
    "{% endif %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SILENT = GEMMA.replace(
    "{{ raise_exception('System role not supported') }}", "{% set messages = messages[1:] %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ bos_token }}<<SYS>>{{ m['content'] }}<</SYS>>"
    "{% elif m['role'] == 'user' %}{{ bos_token }}[INST] {{ m['content'].strip() }} [/INST]"
    "{% else %} {{ m['content'].strip() }} {{ eos_token }}{% endif %}{% endfor %}"
)
GLM = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "<\uff5cAssistant\uff5c>{{ m['content'].split('</think>')[-1] }}<\uff5cend\uff5c>"
    "{% elif m['role'] == 'user' %}<\uff5cUser\uff5c>{{ m['content'] }}{% else %}{{ m['content'] }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<\uff5cAssistant\uff5c>{% endif %}"
)
TAGS = [f"<{slash}{tag}>" for tag in ("answer", "reasoning", "think") for slash in ("", "/")]


def byte_level(template, special, words=(), eos=None, **names):
    """A byte-level BPE; `words` are added tokens that are not special."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXTS * 3,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=list(special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    return finished(tokenizer, template, eos or special[0], **names)


def unigram(template, special, eos, **names):
    """In the manner of sentencepiece: its pieces hold the control tokens, and blanks are visible."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    alphabet = [chr(i) for i in range(33, 127)]
    tokenizer.train_from_iterator(
        TEXTS * 3,
        trainers.UnigramTrainer(
            vocab_size=260,
            special_tokens=["<unk>", *special],
            unk_token="<unk>",
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return finished(tokenizer, template, eos, unk_token="<unk>", **names)


def finished(tokenizer, template, eos, **names):
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=eos, **names)
    fast.chat_template = template
    return fast


def chatml(*more, **names):
    """ChatML whose end-of-text is another token than its end of a turn."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *more]
    return byte_level(CHATML, marks, pad_token="<|endoftext|>", **names)


KINDS = {
    "chatml": chatml,
    "gemma": lambda: byte_level(
        GEMMA, ["<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"], bos_token="<bos>"
    ),
    "gemma without a word": lambda: byte_level(
        SILENT, ["<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"], bos_token="<bos>"
    ),
    "llama 2": lambda: unigram(LLAMA_2, ["<s>", "</s>"], "</s>", bos_token="<s>"),
    "glm": lambda: byte_level(GLM, ["<eos>", "<|system|>", "<|user|>", "<|assistant|>"]),
    "deepseek": lambda: byte_level(
        DEEPSEEK, ["<\uff5cend\uff5c>", "<s>"],
        ["<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"], bos_token="<s>",
    ),
}  # fmt: skip
