"""Makespan of a batch under simulated latencies: rollouts that do not wait, and in lockstep.

The real rollout code, environment and rewards; only the student's and the teacher's replies are
made up, and take as long as a lognormal variable says. The bound is what no schedule can beat:
max(longest episode, student's work / its slots, teacher's work / its slots).

    python benchmarks/bench_schedule.py
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from typing import Any

import gymnasium as gym
import numpy as np

import socratic_env  # noqa: F401  (registers the ids)
from agents.learning.samples import Completion, Sampling
from agents.rollout import mixed_seed, play_freely, play_in_lockstep
from agents.warm_start.tiny import make_tokenizer, sample_texts
from socratic_env.engine.background import run
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.teachers import Teacher
from socratic_env.types import Guidance, reply


class Clock:
    """Durations by lot, keyed by row and place in the episode, and what they add up to."""

    def __init__(self, seed: int, unit_s: float, slots: int, kind: int) -> None:
        self.seed, self.unit_s, self.kind = seed, unit_s, kind
        self.slots = slots
        self.free = asyncio.Semaphore(slots)
        self.spent: dict[int, float] = defaultdict(float)

    async def work(self, row: int, attempt: int) -> None:
        """Wait for a slot and for the work itself."""
        rng = np.random.default_rng(mixed_seed(self.seed, self.kind, row, attempt))
        seconds = self.unit_s * rng.lognormal(0.0, 1.0)
        self.spent[row] += seconds
        async with self.free:
            await asyncio.sleep(seconds)


class SlowTeacher(Teacher):
    """Says a fixed text after a while, each request by itself."""

    def __init__(self) -> None:
        self.clock: Any = None

    async def guide(self, requests: Any) -> list[Guidance]:
        async def one(request: Any) -> Guidance:
            await self.clock.work(ROWS[request.dialogue.question.id, request.dialogue.rollout], 1)
            return Guidance("Look again.")

        return list(await asyncio.gather(*map(one, requests)))


ROWS: dict[tuple[str, int], int] = {}


class SlowPolicy:
    """Right at the first attempt with probability `knows`, at a later one with .5."""

    max_model_len = 4096

    def __init__(self, env: Any, tokenizer: Any, clock: Clock, seed: int) -> None:
        self.env, self.tokenizer, self.clock, self.seed = env, tokenizer, clock, seed
        # A request is known by its seed, which play_freely makes of these.
        self.rows = {mixed_seed(seed, k, row): row for row in range(env.num_envs) for k in (1, 2)}

    def generate(self, prompts: Any, sampling: Sampling, seed: int) -> list[Completion]:
        batch = self.env.batch
        rows = [row for row in range(len(batch)) if batch.dialogue(row).stop is None]

        async def all_of_them() -> list[Completion]:
            return list(await asyncio.gather(*map(self._answer, rows)))

        return run(all_of_them())

    async def _answer(self, row: int) -> Completion:
        dialogue = self.env.batch.dialogue(row)
        attempt = len(dialogue.attempts) + 1
        await self.clock.work(row, attempt)
        luck = np.random.default_rng(mixed_seed(self.seed, 9, row, attempt)).random()
        question = dialogue.question
        wrong = reply(question.mistakes[0].reasoning, question.mistakes[0].answer)
        right = reply(question.solution or "", question.answer)
        text = right if luck < (0.4, 0.5)[attempt > 1] else wrong
        ids = [*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id]
        return Completion(ids, [0.0] * len(ids), True)

    async def complete(self, prompt: list[int], sampling: Sampling, seed: int) -> Completion:
        return await self._answer(self.rows[seed])

    def load_weights(self, weights: Any) -> None: ...

    def close(self) -> None: ...


def measure(free: bool, seed: int, options: argparse.Namespace, tokenizer: Any) -> dict[str, float]:
    teacher = SlowTeacher()
    env = gym.make_vec(
        "SocraticConcepts-v0", num_envs=options.episodes, rollouts_per_question=8, teacher=teacher
    )
    env.reset(seed=seed)
    batch = env.batch
    ROWS.clear()
    for row in range(len(batch)):
        ROWS[batch.dialogue(row).question.id, batch.dialogue(row).rollout] = row
    student = Clock(seed, options.unit, options.student_slots, 0)
    teacher.clock = Clock(seed, options.unit, options.teacher_slots, 1)
    policy = SlowPolicy(env, tokenizer, student, seed)
    chat, sampling = Chat(tokenizer), Sampling()
    start = time.perf_counter()
    if free:
        run(play_freely(batch, policy, chat, sampling, seed))
    else:
        play_in_lockstep(env, policy, chat, sampling, seed)
    seconds = time.perf_counter() - start
    rewards = batch.settle()
    env.close()
    episodes = [student.spent[row] + teacher.clock.spent[row] for row in range(options.episodes)]
    clocks = (student, teacher.clock)
    bound = max(max(episodes), *(sum(clock.spent.values()) / clock.slots for clock in clocks))
    return {"seconds": seconds, "bound": bound, "reward": float(sum(map(sum, rewards)))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=256)
    parser.add_argument("--student-slots", type=int, default=64)
    parser.add_argument("--teacher-slots", type=int, default=32)
    parser.add_argument("--unit", type=float, default=0.1, help="median latency in seconds")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    questions = load_questions("concepts")
    tokenizer = make_tokenizer(sample_texts(questions, 2000, 0), 512)
    print("seed   bound   free  /bound   lockstep  /bound")
    ratios = []
    for seed in range(options.seeds):
        free, lockstep = (measure(way, seed, options, tokenizer) for way in (True, False))
        assert free["reward"] == lockstep["reward"], "the schedule changed a reward"
        ratios.append([way["seconds"] / way["bound"] for way in (free, lockstep)])
        print(
            f"{seed:4d} {free['bound']:6.2f}s {free['seconds']:5.2f}s {ratios[-1][0]:7.2f} "
            f"{lockstep['seconds']:9.2f}s {ratios[-1][1]:7.2f}",
            flush=True,
        )
    median = np.median(ratios, axis=0)
    within = np.mean([ratio[0] <= 1.15 for ratio in ratios])
    print(
        f"median: free {median[0]:.2f}, lockstep {median[1]:.2f}; free within 1.15: {within:.0%} of the seeds"
    )


if __name__ == "__main__":
    main()
