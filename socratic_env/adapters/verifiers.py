"""verifiers: a taskset of questions, and an environment with a teacher. Run with verifiers 0.4.0.

verifiers finds environments as installed packages; `examples/verifiers_socratic` is one:

    pip install ./examples/verifiers_socratic
    vf-eval verifiers-socratic -n 16 -r 4 --model NAME --client.base-url http://127.0.0.1:8000/v1 \\
        --env.max-attempts 3 --env.student.runtime.type subprocess --no-push

It runs its chat program with uv, which the extra `verifiers` installs; without `--no-push` it uploads traces
where it finds a key of its hub.

Credit: each attempt's own reward is recorded as `attempt_k`; verifiers sums them into the reward of the
trace, so a trainer credits the whole trajectory with it. Episodes run at the same time and none knows
of a batch, so mu is the estimate of `ConcurrentSession`, shared by all episodes of a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf

from socratic_env.dialogue import cut
from socratic_env.engine.concurrent import ConcurrentSession
from socratic_env.questions import QuestionList, load_questions
from socratic_env.viewpoints import InContext


class SocraticTasksetConfig(vf.TasksetConfig):
    """Which questions, under `--env.taskset.*`; arguments of `gym.make` of the same names."""

    questions: str = "procedural"
    domain: str | None = None
    split: str = "train"
    exclude: str | None = None
    viewpoints: str | list[Any] | None = None


class SocraticTaskset(vf.Taskset[vf.Task, SocraticTasksetConfig]):
    """A task is a question without its truth; `data.id` is the question's id."""

    def __init__(self, config: SocraticTasksetConfig) -> None:
        super().__init__(config)
        self.questions = load_questions(config.questions, config.domain, config.split, config.exclude)
        self.viewpoints = InContext(config.viewpoints)
        self.INFINITE = not isinstance(self.questions, QuestionList)  # millions: verifiers asks for `-n`

    def load(self) -> Iterator[vf.Task]:
        """The questions in order."""
        for index in range(len(self.questions)):
            question = self.viewpoints.before(self.questions[index])
            data = vf.TaskData(id=question.id, prompt=question.text, system_prompt=question.system or None)
            yield vf.Task(data, self.config.task)


class SocraticEnvConfig(vf.EnvConfig):
    """The student, and arguments of `gym.make` of the same names, under `--env.*`."""

    student: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"})
    teacher: str | dict[str, Any] = "rule"
    protocol: str = "paper"
    max_attempts: int = 2
    reward: str = "decay"
    on_teacher_failure: str = "truncate"
    max_context_chars: int | None = None


class SocraticVerifiersEnv(vf.Env[SocraticEnvConfig]):
    """One episode: the student answers, the teacher guides, up to `max_attempts` times."""

    def __init__(self, config: SocraticEnvConfig) -> None:
        super().__init__(config)
        self._session = ConcurrentSession(
            questions=self.taskset.questions,
            teacher=config.teacher,
            protocol=config.protocol,
            max_attempts=config.max_attempts,
            reward=config.reward,
            on_teacher_failure=config.on_teacher_failure,
            max_context_chars=config.max_context_chars,
            viewpoints=self.taskset.viewpoints.viewpoints,
        )

    async def run(self, task: vf.Task, agents: vf.Agents) -> None:
        """Rewards `attempt_1` .. `attempt_K`, metrics of `ConcurrentSession`, on the student's trace."""
        dialogue = self._session.open(task.data.id)
        async with agents.student.interaction(task) as interaction:
            guidance: str | None = None  # the task's prompt opens the exchange
            while dialogue.stop is None:
                segment = await interaction.turn(guidance)
                if segment.terminated and interaction.trace.errors:
                    return  # verifiers keeps the failure; half an episode is no result
                if segment.terminated:  # a limit of the agent
                    dialogue = cut(dialogue)
                    break
                dialogue = await self._session.step(dialogue, segment.last_reply)
                last = dialogue.attempts[-1].guidance
                guidance = last.text if last is not None else None
            earned = self._session.settle(dialogue)
            for k in range(1, self.config.max_attempts + 1):
                interaction.trace.record_reward(f"attempt_{k}", earned[k - 1] if k <= len(earned) else 0.0)
            interaction.trace.record_metrics(self._session.metrics(dialogue))

    async def stop(self) -> None:
        """Close the teacher's connections."""
        await self._session.close()
