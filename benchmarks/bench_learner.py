"""One pass of the learner: attempts as rows of their own, beside rows that attempts share.

Every second attempt's prompt holds the whole first one, so that a row for each attempt passes the
same tokens twice. The bound of the speed-up is the ratio of the tokens. The model has random weights.

    python benchmarks/bench_learner.py
    python benchmarks/bench_learner.py --packing
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import transformers

import socratic_env  # noqa: F401  (registers the ids)
from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.learning.rows import chains, micro_batches
from agents.learning.samples import Completion, Sample, Sampling
from agents.rollout import rollout
from agents.runs.presets import PRESETS
from agents.warm_start.tiny import make_tokenizer, sample_texts
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.types import reply


class WorkedAnswers:
    """Wrong at first, with probability .6, in the question's own worked mistakes."""

    max_model_len = 8192

    def __init__(self, env: Any, tokenizer: Any) -> None:
        self.env, self.tokenizer = env, tokenizer

    def generate(self, prompts: Any, sampling: Sampling, seed: int) -> list[Completion]:
        batch, rng, out = self.env.batch, np.random.default_rng(seed), []
        for row in range(len(batch)):
            if batch.dialogue(row).stop is not None:
                continue
            question = batch.dialogue(row).question
            mistake = question.mistakes[rng.integers(len(question.mistakes))]
            wrong = reply(mistake.reasoning, mistake.answer)
            text = wrong if rng.random() < 0.6 else reply(question.solution or "", question.answer)
            ids = [*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id]
            out.append(Completion(ids, [-3.0] * len(ids), True))
        return out

    def load_weights(self, weights: Any) -> None: ...

    def close(self) -> None: ...


def make_samples(options: argparse.Namespace, tokenizer: Any) -> list[Sample]:
    env = gym.make_vec(
        "SocraticSciKnow-v0",
        num_envs=options.questions * 8,
        rollouts_per_question=8,
        max_attempts=options.attempts,
    )
    batch = rollout(env, WorkedAnswers(env, tokenizer), Chat(tokenizer), Sampling(), seed=0)
    env.close()
    return list(batch.samples)


def make_model(options: argparse.Namespace, tokenizer: Any) -> Any:
    shape = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        intermediate_size=4 * options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 32,
        num_key_value_heads=options.hidden // 32,
        head_dim=32,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )
    return transformers.AutoModelForCausalLM.from_config(shape)


def tokens_and_padding(samples: Sequence[Sample], config: TrainConfig) -> tuple[int, float]:
    rows = chains(samples)
    lengths = [len(samples[c[-1]].prompt) + len(samples[c[-1]].response) for c in rows]
    groups = micro_batches(lengths, config.micro_batch_tokens, config.packing)
    passed = sum(lengths) if config.packing else sum(len(g) * max(lengths[i] for i in g) for g in groups)
    return sum(lengths), 1 - sum(lengths) / passed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--attempts", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--micro-batch-tokens", type=int, default=8192)
    parser.add_argument("--packing", action="store_true")
    options = parser.parse_args()
    transformers.set_seed(0)
    tokenizer = make_tokenizer(sample_texts(load_questions("procedural"), 2000, 0), 1024)
    config = replace(PRESETS["tiny"], packing=options.packing, micro_batch_tokens=options.micro_batch_tokens)
    shared = make_samples(options, tokenizer)
    separate = [replace(sample, row=i) for i, sample in enumerate(shared)]
    model = make_model(options, tokenizer)
    seconds: dict[str, list[float]] = {"separate": [], "shared": []}
    ways = {"separate": separate, "shared": shared}
    learners = {name: Learner(copy.deepcopy(model), pad=0, config=config) for name in ways}
    for _ in range(options.rounds + 1):
        for name, samples in ways.items():  # by turns, so that both meet the same machine
            advantages = np.random.default_rng(0).normal(size=len(samples))
            start = time.perf_counter()
            learners[name].update(samples, advantages)
            seconds[name].append(time.perf_counter() - start)
    counts = {name: tokens_and_padding(samples, config) for name, samples in ways.items()}
    for name, samples in ways.items():
        tokens, padding = counts[name]
        median = float(np.median(seconds[name][1:]))
        print(f"{name:<9} {len(samples)} attempts, {tokens} tokens + {padding:.1%} padding: {median:.2f} s")
    bound = counts["separate"][0] / counts["shared"][0]
    reached = float(np.median(seconds["separate"][1:]) / np.median(seconds["shared"][1:]))
    print(f"speed-up {reached:.2f}, bound by tokens {bound:.2f}: {reached / bound:.0%}")


if __name__ == "__main__":
    main()
