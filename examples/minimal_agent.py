"""SocraticPO on one page: environment, sampling, decayed rewards, REINFORCE++, the update.

Run: python examples/minimal_agent.py                        # makes the small student first (minutes)
     python examples/minimal_agent.py --student FOLDER       # any chat model in transformers' format
     python examples/minimal_agent.py --env SocraticArithmetic-v0 --teacher retry --steps 100

A step plays a batch of 32 questions x 8 episodes. Every wrong answer gets the teacher's guidance and a second
attempt, inside `envs.step`, which pays what reward decay leaves: a corrected attempt earns the mean reward of
the first ones (eqs 17-19). Each attempt is a row of its own for the learner, and its advantage is its own
reward, whitened over the batch (eq 20).

What `agents/` adds: vLLM, episodes that do not wait for each other, importance weights between sampler and
learner, exact resume, other estimators and losses, several GPUs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import transformers

import socratic_env  # noqa: F401 - registers the ids

QUESTIONS, ROLLOUTS, MINIBATCHES = 32, 8, 4
CLIP_LOW, CLIP_HIGH = 0.2, 0.28
MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class Attempts:
    """B attempts as tensors of T ids: prompts padded on the left, responses on the right.

    response_BT: True at the tokens that the student wrote. rewards_B: what each attempt earned.
    """

    ids_BT: torch.Tensor
    mask_BT: torch.Tensor
    response_BT: torch.Tensor
    rewards_B: torch.Tensor

    def __getitem__(self, rows: torch.Tensor) -> Attempts:
        return Attempts(self.ids_BT[rows], self.mask_BT[rows], self.response_BT[rows], self.rewards_B[rows])


class Student:
    """A chat model of transformers: it answers dialogues, and says how likely it finds an answer."""

    def __init__(self, folder: str) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")

    @torch.no_grad()
    def answer(self, chats: Sequence[list[dict[str, str]]]) -> tuple[list[str], Attempts]:
        """A sampled reply to each chat, as text and as ids (without rewards yet)."""
        prompts = self.tokenizer.apply_chat_template(
            list(chats), add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        ).to(self.model.device)
        ids_BT = self.model.generate(
            **prompts, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=MAX_NEW_TOKENS
        )
        start = prompts["input_ids"].shape[1]
        ended_BT = (ids_BT[:, start:] == self.tokenizer.eos_token_id).long().cumsum(1)
        written_BT = (ended_BT == 0) | (ended_BT.diff(dim=1, prepend=ended_BT[:, :1] * 0) == 1)
        response_BT = torch.cat([torch.zeros_like(prompts["input_ids"]).bool(), written_BT], dim=1)
        mask_BT = torch.cat([prompts["attention_mask"].bool(), written_BT], dim=1)
        # All other control tokens may be part of what was said.
        silent = {self.tokenizer.eos_token_id, self.tokenizer.pad_token_id}
        said = [[number for number in row if number not in silent] for row in ids_BT[:, start:].tolist()]
        texts = self.tokenizer.batch_decode(said, skip_special_tokens=False)
        return texts, Attempts(ids_BT, mask_BT, response_BT, torch.zeros(len(texts)))

    def logps(self, attempts: Attempts) -> torch.Tensor:
        """logps_BT: log-probability of every token after the first, given those before it."""
        positions_BT = (attempts.mask_BT.long().cumsum(1) - 1).clamp(min=0)
        logits_BTV = self.model(
            input_ids=attempts.ids_BT, attention_mask=attempts.mask_BT.long(), position_ids=positions_BT
        ).logits[:, :-1]
        return torch.log_softmax(logits_BTV, -1).gather(-1, attempts.ids_BT[:, 1:, None]).squeeze(-1)


def rollout(envs: Any, student: Student, seed: int) -> tuple[list[Attempts], dict[str, Any]]:
    """One batch of episodes to its end: the attempts of each round, and the batch's counts (Algorithm 1)."""
    _, infos = envs.reset(seed=seed)
    active, rounds = np.arange(envs.num_envs), []
    while len(active):
        texts, attempts = student.answer([infos["messages"][row] for row in active])
        actions = [""] * envs.num_envs
        for row, text in zip(active, texts, strict=True):
            actions[row] = text
        _, rewards, terminated, truncated, infos = envs.step(actions)
        rounds.append(
            Attempts(
                attempts.ids_BT,
                attempts.mask_BT,
                attempts.response_BT,
                torch.tensor(rewards[active], dtype=torch.float32, device=attempts.ids_BT.device),
            )
        )
        active = active[~(terminated | truncated)[active]]
    return rounds, infos["batch"]


def minibatches(rounds: Sequence[Attempts]) -> Iterator[list[tuple[int, torch.Tensor]]]:
    """The attempts of all rounds in random parts of equal share, as (round, rows) pairs."""
    orders = [torch.randperm(len(part.rewards_B)).chunk(MINIBATCHES) for part in rounds]
    for number in range(MINIBATCHES):
        yield [(k, parts[number]) for k, parts in enumerate(orders) if number < len(parts)]


def update(student: Student, optimizer: torch.optim.Optimizer, rounds: Sequence[Attempts]) -> float:
    """One pass of clipped policy gradient over all attempts; the mean loss."""
    rewards_N = torch.cat([part.rewards_B for part in rounds])
    mean, deviation = rewards_N.mean(), rewards_N.std(correction=0) + 1e-8  # each attempt counts once (eq 20)
    if deviation < 1e-6:
        return 0.0  # all earned the same: there is no direction
    with torch.no_grad():
        old = [student.logps(part) for part in rounds]
    losses = []
    for chosen in minibatches(rounds):
        tokens = sum(int(rounds[k][rows].response_BT.sum()) for k, rows in chosen)
        optimizer.zero_grad()
        for k, rows in chosen:  # rounds differ in length, so each is a forward pass of its own
            part = rounds[k][rows]
            advantage_B1 = ((part.rewards_B - mean) / deviation)[:, None]
            ratio_BT = (student.logps(part) - old[k][rows]).exp()
            clipped_BT = ratio_BT.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH)
            loss_BT = torch.maximum(-advantage_B1 * ratio_BT, -advantage_B1 * clipped_BT)
            loss = (loss_BT * part.response_BT[:, 1:]).sum() / tokens
            loss.backward()
            losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(student.model.parameters(), 1.0)
        optimizer.step()
    return sum(losses) / MINIBATCHES


def main() -> None:
    """Train, and print what each step was worth."""
    parser = argparse.ArgumentParser(description="SocraticPO on one page")
    parser.add_argument("--student", default="runs/student", help="model folder; made if it is missing")
    parser.add_argument("--env", default="SocraticConcepts-v0", help="id of the environment")
    parser.add_argument("--teacher", default="rule", help="as for gym.make")
    parser.add_argument("--steps", type=int, default=40, help="batches of episodes")
    parser.add_argument("--lr", type=float, default=3e-4, help="learning rate of AdamW")
    options = parser.parse_args()
    if not Path(options.student, "config.json").exists():
        subprocess.run([sys.executable, "-m", "agents.warm_start", options.student], check=True)

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    student = Student(options.student)
    optimizer = torch.optim.AdamW(student.model.parameters(), lr=options.lr)
    make = {"num_envs": QUESTIONS * ROLLOUTS, "rollouts_per_question": ROLLOUTS, "teacher": options.teacher}
    envs = gym.make_vec(options.env, **make)
    held_out = gym.make_vec(options.env, split="test", **make)

    def told(name: str, batch: dict[str, Any]) -> str:
        first, solved, all_solved = batch["attempts"][0], batch["solved"][0], sum(batch["solved"])
        return f"{name}: unassisted {solved / first:.3f}, guided {all_solved / first:.3f}"

    print(told("held out, before", rollout(held_out, student, seed=0)[1]))
    for step in range(options.steps):
        rounds, batch = rollout(envs, student, seed=1000 * step)
        loss = update(student, optimizer, rounds)
        print(
            f"{told(f'step {step + 1:3d}', batch)}, mu_1 {batch['mu'][1]:.3f}, loss {loss:+.4f}", flush=True
        )
    print(told("held out, after", rollout(held_out, student, seed=0)[1]))


if __name__ == "__main__":
    main()
