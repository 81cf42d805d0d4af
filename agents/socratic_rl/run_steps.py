"""The steps of `python -m agents.socratic_rl` within the job of a run."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from agents.config import TrainConfig
from agents.learning.learner import Learner
from agents.learning.samples import Sampling
from agents.policies.policy import Policy
from agents.runs.log import RunLog
from agents.runs.preflight import Environments
from agents.socratic_rl.events import Events, cut_base
from agents.socratic_rl.loop import Measure, socratic_rl
from agents.socratic_rl.policy_student import PolicyStudent
from agents.socratic_rl.program import SocraticRLConfig
from socratic_env.engine.background import run as wait_for
from socratic_env.evaluation.probes import targeted_probes
from socratic_env.evaluation.utilities import Measured, utilities
from socratic_env.models.chat import Chat
from socratic_env.questions import QuestionSet
from socratic_env.reflection import from_spec
from socratic_env.types import Question
from socratic_env.viewpoints import KnowledgeBase, Viewpoint


def steps(
    config: TrainConfig,
    environments: Environments,
    policy: Policy,
    chat: Chat,
    learner: Learner,
    log: RunLog,
    first: int,
) -> Generator[dict[str, float]]:
    """Algorithm 1, with its knowledge base and event log in the run's folder."""
    assert isinstance(config, SocraticRLConfig)
    teacher = from_spec(config.reflector_spec())
    events = Events(log, first)
    with KnowledgeBase(cut_base(log.folder, first), cap=config.cap) as base:
        env = environments.make(
            "train", config.questions_per_step, config.rollouts_per_question, viewpoints=base
        )
        measure, _ = measured(config, policy, chat, env.questions)
        try:
            yield from socratic_rl(config, env, policy, chat, learner, events, base, teacher, measure, first)
        finally:
            env.close()
            wait_for(teacher.close())


def measured(
    config: SocraticRLConfig, policy: Policy, chat: Chat, questions: QuestionSet
) -> tuple[Measure, PolicyStudent]:
    """Utilities on fresh training questions, of the student as it is when they are asked for; and that
    student, which counts what they cost."""
    sampling = Sampling(config.temperature, max_tokens=config.max_response_tokens)
    student = PolicyStudent(policy, chat, sampling, config.seed)

    def measure(
        candidates: Sequence[Viewpoint], active: Sequence[Viewpoint], seed: int
    ) -> Sequence[Measured]:
        def probes(viewpoint: Viewpoint) -> Sequence[Question]:
            return targeted_probes(questions, config.probes, seed, viewpoint)

        return utilities(student, probes, active, candidates, seed)

    return measure, student
