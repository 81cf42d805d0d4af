"""A small student, made here: tokenizer, Qwen3-architecture model, and a supervised warm start.

The warm start gives the student what reinforcement learning needs to begin with: the form of a
reply, the arithmetic, beliefs about each topic (some right, most of them one of the topic's
misconceptions), and the habit of following a hint more often than not. It is made of worked
attempts, right and mistaken, and of guided second attempts, all generated from the questions.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from agents.learning.fit import fit
from agents.learning.rows import Rows
from agents.options import TinyStudent, WarmStart
from socratic_env import dialogue as rules_of
from socratic_env.dialogue import Dialogue
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.errors import QuestionError
from socratic_env.models.chat import Chat
from socratic_env.questions import QuestionSet
from socratic_env.teachers.retry_teacher import RETRY_PROMPT
from socratic_env.teachers.rule_teacher import UNKNOWN_MISTAKE, UNREADABLE
from socratic_env.types import Question, reply

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MARKUP = (
    "<reasoning>\n", "\n</reasoning>\n<answer>\n", "\n</answer>", "user\n", "assistant\n", "system\n",
)  # fmt: skip


# -- tokenizer and model -------------------------------------------------------------------


def make_tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE learnt from texts, with one token for each piece of markup and ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKUP),
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in MARKUP])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(
    shape: TinyStudent, tokenizer: PreTrainedTokenizerFast, seed: int, heads: int = 2, kv_heads: int = 1
) -> Qwen3ForCausalLM:
    """A Qwen3-architecture model with tied embeddings and random weights."""
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=shape.hidden,
        intermediate_size=3 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=32,
        max_position_embeddings=16384,
        rope_theta=10000.0,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config)


# -- what the student believes -------------------------------------------------------------


class Beliefs:
    """Per topic (a question's subtask), how likely each way of working it is before training.

    Topics are easy, medium or hard by shares; on a hard one a single misconception dominates, so
    that greedy decoding is as wrong as sampling.
    """

    RIGHT = {"easy": 0.9, "medium": 0.5, "hard": 0.04}
    DOMINANT = 0.7

    def __init__(self, topics: Sequence[str], warm: WarmStart, seed: int) -> None:
        self._seed = seed
        order = sorted(set(topics))
        random.Random(f"{seed}/topics").shuffle(order)
        easy, medium = round(warm.easy * len(order)), round(warm.medium * len(order))
        self.level = {
            topic: "easy" if i < easy else "medium" if i < easy + medium else "hard"
            for i, topic in enumerate(order)
        }

    def attempt(self, question: Question, rng: random.Random) -> str:
        """A first attempt: worked rightly or with one of the question's mistakes."""
        right = self.RIGHT[self.level[question.subtask]]
        if not question.mistakes or rng.random() < right:
            return _right(question)
        ranked = sorted(
            question.mistakes,
            key=lambda mistake: random.Random(f"{self._seed}/{question.subtask}/{mistake.name}").random(),
        )
        mistake = ranked[0] if rng.random() < self.DOMINANT else rng.choice(ranked)
        return reply(mistake.reasoning, mistake.answer)


def _right(question: Question) -> str:
    if question.solution is None:
        raise QuestionError(
            f"question {question.id} has no worked solution; warm-start on questions that do, such as "
            "--warm-questions procedural"
        )
    return reply(question.solution, question.answer)


def worked_dialogues(
    questions: Sequence[Question], beliefs: Beliefs, comply: float, rng: random.Random
) -> list[Dialogue]:
    """Dialogues as a student with these beliefs would have them with the rule-based teacher."""
    interaction = GuidedInteraction(EnvArguments(teacher="rule", max_attempts=2))
    first = [interaction.answer(interaction.open(q), beliefs.attempt(q, rng)) for q in questions]
    failed = [i for i, dialogue in enumerate(first) if dialogue.awaits_guidance]
    advised = asyncio.run(interaction.advise([first[i] for i in failed]))
    done = list(first)
    for i, dialogue in zip(failed, advised, strict=True):
        follows = rng.random() < comply
        text = _right(dialogue.question) if follows else beliefs.attempt(dialogue.question, rng)
        done[i] = interaction.answer(dialogue, text)
    return done


# -- warm start ----------------------------------------------------------------------------


def training_row(tokenizer: PreTrainedTokenizerFast, dialogue: Dialogue) -> tuple[list[int], list[bool]]:
    """Token ids of a dialogue, and which of them are targets: the student's own replies, and their end."""
    chat = Chat(tokenizer)
    ids: list[int] = []
    targets: list[bool] = []
    end = tokenizer.convert_tokens_to_ids(END)
    for message in rules_of.messages(dialogue):
        head = f"{START}{message['role']}\n"
        before, after = tokenizer([head, "\n"], add_special_tokens=False)["input_ids"]
        said = [*chat.plain(message["content"]), end]
        ids += before + said + after
        own = message["role"] == "assistant"
        targets += [False] * len(before) + [own] * len(said) + [False] * len(after)
    return ids, targets


def warm_start(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    questions: QuestionSet,
    warm: WarmStart,
    seed: int,
    progress: Callable[[int, float], None] | None = None,
) -> float:
    """Train the model on freshly worked dialogues; the final loss per target token."""
    rng = random.Random(f"{seed}/warm")
    pool = [questions[i] for i in rng.sample(range(len(questions)), min(len(questions), 16384))]
    beliefs = Beliefs([question.subtask for question in pool], warm, seed)

    def batch() -> Rows:
        chosen = rng.sample(pool, min(warm.batch, len(pool)))
        rows = [training_row(tokenizer, d) for d in worked_dialogues(chosen, beliefs, warm.comply, rng)]
        return Rows.of_targets(rows, pad=tokenizer.pad_token_id)

    return fit(model, batch, warm.steps, warm.lr, progress)


def sample_texts(questions: QuestionSet, count: int, seed: int) -> list[str]:
    """Texts that a tokenizer should know well: questions, worked attempts and hints."""
    rng = random.Random(f"{seed}/texts")
    texts = [RETRY_PROMPT, UNKNOWN_MISTAKE, UNREADABLE] * 2
    for i in rng.sample(range(len(questions)), min(len(questions), count)):
        question = questions[i]
        texts += [question.system, question.text, question.solution or "", question.answer]
        for mistake in question.mistakes:
            texts += [mistake.reasoning, mistake.answer, mistake.explain, mistake.next_step]
            texts.append(f"{mistake.explain} {mistake.next_step}")
    return texts
