"""TRL's GRPOTrainer trains a tiny student with a teacher in its rollouts, on the CPU.

Run: python examples/trl_grpo.py   (from a checkout, with the extras trl and agent; half a minute)
"""

from __future__ import annotations

import os
import tempfile

import gymnasium as gym
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig

from agents.warm_start.tiny import (
    TinyStudent,
    WarmStart,
    make_model,
    make_tokenizer,
    sample_texts,
    warm_start,
)
from socratic_env.adapters.trl import SocraticGRPOTrainer, episode_reward, rollout_func
from socratic_env.questions import load_questions


def main() -> None:
    """Make a student that knows the form of a reply, then let TRL train it."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # TRL warns of every rollout_func
    concepts = load_questions("concepts")
    questions = load_questions([concepts[i] for i in range(8)])
    shape = TinyStudent()
    tokenizer = make_tokenizer(sample_texts(concepts, 500, seed=0), shape.vocabulary)
    model = make_model(shape, tokenizer, seed=0)
    warm_start(model, tokenizer, questions, WarmStart(steps=100), seed=0)

    env = gym.make_vec("SocraticConcepts-v0", num_envs=64, questions=questions)
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=64,  # the environment's num_envs
            num_generations=8,
            max_completion_length=48,
            max_steps=15,
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            use_cpu=True,
            bf16=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = SocraticGRPOTrainer(
            model,
            episode_reward,
            config,
            Dataset.from_list([{"prompt": questions[i].id} for i in range(len(questions))]),
            processing_class=tokenizer,
            rollout_func=rollout_func(env),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    env.close()
    for log in trainer.state.log_history:
        if "reward" in log:
            print(f"step {log['step']:2}: reward {log['reward']:.3f}, loss {log['loss']:+.4f}")


if __name__ == "__main__":
    main()
