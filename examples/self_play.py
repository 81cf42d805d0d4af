"""Self-play in PettingZoo: a teacher that learns which guidance to give, and not to leak.

The teacher is a softmax over six kinds of guidance, trained by REINFORCE on its reward: 1 if the
next attempt is correct, minus the penalty if the guidance gave the answer away, minus the share of
guided attempts that were correct so far (the baseline). The student is scripted: it follows hints
with stated probabilities, and copies an answer that it is told. Both teachers are then tried on
held-out questions, before and after training; the interval is a paired bootstrap over questions.

Run: python examples/self_play.py   (needs PettingZoo, no torch; a few seconds)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pettingzoo import AECEnv

from socratic_env import multi_agent
from socratic_env.evaluation.comparison import against, draw_questions
from socratic_env.evaluation.intervals import Counted
from socratic_env.questions import load_questions
from socratic_env.students.scripted_student import ScriptedStudent, StudentRequest
from socratic_env.teachers import TeacherRequest
from socratic_env.teachers.retry_teacher import RETRY_PROMPT
from socratic_env.teachers.rule_teacher import diagnose
from socratic_env.types import Question

KINDS = ("retry", "locate", "ask", "explain", "next_step", "leak")
EPISODES, HELD_OUT = 600, 300
LEARNING_RATE = 0.2


@dataclass
class LearningTeacher:
    """A softmax policy over the kinds of guidance, K of them."""

    rng: np.random.Generator
    logits_K: np.ndarray = field(default_factory=lambda: np.zeros(len(KINDS)))

    def policy(self) -> np.ndarray:
        """The probability of each kind, (K,)."""
        weights_K = np.exp(self.logits_K - self.logits_K.max())
        return weights_K / weights_K.sum()

    def choose(self) -> int:
        """A kind drawn from the policy."""
        return int(self.rng.choice(len(KINDS), p=self.policy()))

    def learn(self, kind: int, reward: float) -> None:
        """REINFORCE: the gradient of log p(kind) with respect to the logits, times the reward."""
        self.logits_K += LEARNING_RATE * reward * (np.eye(len(KINDS))[kind] - self.policy())


def say(kind: str, request: TeacherRequest) -> str:
    """Guidance of that kind on the mistake that the last attempt shows."""
    question, attempt = request.dialogue.question, request.dialogue.attempts[-1]
    if kind == "leak":
        return f"The right answer is {question.answer}."
    mistake = diagnose(question, attempt)
    return RETRY_PROMPT if kind == "retry" or mistake is None else getattr(mistake, kind)


def play(env: AECEnv, teacher: LearningTeacher, runner: asyncio.Runner) -> list[tuple[int, float]]:
    """The episode that was reset, to its end: (kind, reward) of each guidance that was paid."""
    student, given, paid = ScriptedStudent(), None, []
    for agent in env.agent_iter():
        _, reward, terminated, truncated, info = env.last()
        if agent == "teacher_0" and given is not None:
            paid.append((given, reward))
        if terminated or truncated:
            env.step(None)
        elif agent == "student_0":
            request = StudentRequest(env.unwrapped.question, 0, info["messages"])
            env.step(runner.run(student.answer([request]))[0])
        else:
            given = teacher.choose()
            env.step(say(KINDS[given], env.unwrapped.request))
    return paid


def train(penalty: float, runner: asyncio.Runner) -> LearningTeacher:
    """A teacher after all training episodes."""
    teacher = LearningTeacher(np.random.default_rng(0))
    env = multi_agent.env(max_attempts=3, leak_penalty=penalty, teacher_baseline=True)
    env.reset(seed=0)
    for _ in range(EPISODES):
        for kind, reward in play(env, teacher, runner):
            teacher.learn(kind, reward)
        env.reset()
    return teacher


def evaluate(
    logits_K: np.ndarray, penalty: float, questions: Sequence[Question], runner: asyncio.Runner
) -> Counted:
    """(rewards_Q, guidances_Q) of a fixed policy, summed by question."""
    teacher = LearningTeacher(np.random.default_rng(1), logits_K)
    env = multi_agent.env(questions=questions, max_attempts=3, leak_penalty=penalty)
    paid = []
    for question in questions:
        env.reset(options={"question_id": question.id})
        paid.append([reward for _, reward in play(env, teacher, runner)])
    sums_Q = np.array([sum(rewards) for rewards in paid]), np.array([float(len(r)) for r in paid])
    return Counted.known(sums_Q, share=False)


def main() -> None:
    """Train with and without the penalty; print what held-out questions say."""
    picks_RQ = np.random.default_rng(2).integers(HELD_OUT, size=(1000, HELD_OUT))
    held_out = draw_questions(load_questions("procedural", split="test"), HELD_OUT, seed=0)
    with asyncio.Runner() as runner:
        for penalty in (1.0, 0.0):
            before = evaluate(np.zeros(len(KINDS)), penalty, held_out, runner)
            teacher = train(penalty, runner)
            after = evaluate(teacher.logits_K, penalty, held_out, runner)
            found = against(after, before, picks_RQ)
            rise, (low, high) = found["difference"], found["difference_interval"]
            policy = ", ".join(f"{k} {p:.2f}" for k, p in zip(KINDS, teacher.policy(), strict=True))
            print(f"leak_penalty {penalty:.0f}")
            print(
                f"  held-out reward {found['value']:.2f}, by learning {rise:+.2f} [{low:+.2f}, {high:+.2f}]"
            )
            print(f"  policy: {policy}")


if __name__ == "__main__":
    main()
