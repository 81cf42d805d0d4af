"""Socratic-RL, as the paper's Algorithm 1 has it, batch by batch.

Departures from the printed algorithm: a step is a batch of episodes, so that the teacher sees how often a
mistake is made before it speaks; a viewpoint becomes active only if its utility says so (the paper's meta-
learning signal, used at once); and reinforcement learning may go on inside phase 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from agents.batches.curriculum import batch_of_questions
from agents.learning.learner import Learner
from agents.learning.samples import Sampling
from agents.metrics import batch_metrics
from agents.policies.policy import Policy, rest
from agents.rollout import mixed_seed, rollout
from agents.socratic_rl.distillation import (
    NothingToLearn,
    Worked,
    distil,
    instructions,
    without_viewpoints,
    workings,
)
from agents.socratic_rl.program import SocraticRLConfig
from agents.trainer import Log, learn
from socratic_env.dialogue import Rules
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.errors import TeacherDown
from socratic_env.evaluation.utilities import Measured, accepted
from socratic_env.models.chat import Chat
from socratic_env.reflection import Reflection, Reflector
from socratic_env.traces import traces_of
from socratic_env.viewpoints import KnowledgeBase, Viewpoint, diversity

Measure = Callable[[Sequence[Viewpoint], Sequence[Viewpoint], int], Sequence[Measured]]
"""(candidates, V, seed) -> what was found of each candidate beside V."""
PHASES = ("interaction", "reflection", "meta-learning", "distillation")


class EventLog(Log, Protocol):
    """Where a run is written down, with what each phase did."""

    def event(self, step: int, phase: str, what: Mapping[str, Any]) -> None:
        """One entry of the event log."""
        ...

    def instructions(self, step: int, rows: Sequence[Mapping[str, str]]) -> None:
        """Verified right workings with viewpoints, as rows for instruction tuning."""
        ...


def socratic_rl(
    config: SocraticRLConfig,
    env: SocraticVectorEnv,
    policy: Policy,
    chat: Chat,
    learner: Learner,
    log: EventLog,
    base: KnowledgeBase,
    teacher: Reflector,
    measure: Measure,
    start_step: int = 0,
) -> Iterator[dict[str, float]]:
    """Train from a step on; yields the metrics of each step.

    env: of training, which shows the student the base's active viewpoints.
    teacher: reflects on every attempt. measure: what viewpoints are worth to the student as it is.
    """
    sampling = Sampling(config.temperature, max_tokens=config.max_response_tokens)
    worked: list[Worked] = []
    for step in range(start_step, config.steps):
        start = time.perf_counter()
        # Phase 1: the student interacts, with V before it; reinforcement learning may follow.
        ids = batch_of_questions(env.questions, step, config.questions_per_step, config.seed)
        batch = rollout(env, policy, chat, sampling, mixed_seed(config.seed, step), ids)
        metrics = batch_metrics(batch)
        shown = base.active
        counts = {"episodes": len(batch.episodes), "solved": sum(batch.solved)}
        log.event(step + 1, "interaction", {"viewpoints": [one.id for one in shown], **counts})
        if config.reinforce:
            rest(policy)
            metrics |= learn(batch, learner, chat, config) or {"skipped": 1.0}
            policy.load_weights(learner.sampler_weights())

        # Phase 2: the teacher reflects on the traces.
        if config.reflect:
            reflection = teacher.reflect([t for e in batch.episodes for t in traces_of(e, step=step + 1)])
            proposed = [base.propose(viewpoint) for viewpoint in reflection]
            faults = [str(fault) for fault in reflection.faults]
            what = {"proposed": [v.id for v in proposed], "unread": reflection.unread, "faults": faults}
            log.event(step + 1, "reflection", what)
            metrics["reflection_faults"] = float(len(faults))
            metrics |= {f"reflection_{name}": value for name, value in diversity(reflection).items()}
            check_reflection(reflection, config.max_teacher_faults)

            # Phase 3: what its viewpoints are worth decides which of them are active.
            taken = admit(base, proposed, measure, mixed_seed(config.seed, step, 3))
            log.event(step + 1, "meta-learning", {"accepted": [one.id for one in taken]})

        # Phase 4: the student takes in what it was shown.
        new = workings(batch, env.questions, chat)
        log.instructions(step + 1, instructions(new, shown, chat))
        worked += new
        if (step + 1) % config.distil.every == 0:
            if base.active or config.distil.always or not config.reflect:
                rules = env.interaction.rules
                found = take_in(config, learner, policy, chat, sampling, rules, worked, step)
                log.event(step + 1, "distillation", {"viewpoints": [v.id for v in base.active], **found})
                if "skipped" not in found:
                    base.distil(f"step-{step + 1}")
                    metrics |= {f"distillation_{name}": value for name, value in found.items()}
            worked = []
        metrics["viewpoints_active"], metrics["viewpoints"] = float(len(base.active)), float(len(base))
        metrics["viewpoint_events"] = float(len(base.history))
        metrics["seconds"] = time.perf_counter() - start
        log.metrics("train", step + 1, metrics)
        log.episodes(step + 1, batch.episodes)
        yield metrics


def check_reflection(reflection: Reflection, most: float) -> None:
    """Raise TeacherDown if more than this share of what the reflecting teacher gave is faults."""
    failed = len(reflection.faults)
    if failed > most * (failed + len(reflection)):
        raise TeacherDown(
            f"the reflecting teacher failed {failed} requests of one batch and gave {len(reflection)} "
            f"viewpoints, more than the share max_teacher_faults={most:g} (the last: "
            f"{reflection.faults[-1]}); see to it, then go on with --resume"
        )


def admit(base: KnowledgeBase, proposed: Sequence[Viewpoint], measure: Measure, seed: int) -> list[Viewpoint]:
    """Measure proposed viewpoints that are neither active nor vetoed, and activate those that help (Algorithm
    1, line 11, behind a gate), the best first."""
    active = {one.id for one in base.active}
    candidates = [one for one in {one.id: one for one in proposed}.values() if one.id not in active]
    candidates = [one for one in candidates if not one.vetoed]
    found = measure(candidates, base.active, seed) if candidates else []
    for one in found:
        if one.vetoed:
            base.veto(one.viewpoint.id, one.vetoed)
        elif one.utility is not None:
            base.measure(one.viewpoint.id, one.utility)
    return [base.activate(one.id) for one in accepted(found)]


def take_in(
    config: SocraticRLConfig,
    learner: Learner,
    policy: Policy,
    chat: Chat,
    sampling: Sampling,
    rules: Rules,
    worked: Sequence[Worked],
    step: int,
) -> dict[str, Any]:
    """Distil (Algorithm 1, lines 17 to 23); what was used, or {"skipped": why} where nothing could be."""
    seed = mixed_seed(config.seed, step, 4)
    plain: list[Worked] = []
    if config.distil.method == "dpo":
        plain = without_viewpoints(worked, policy, chat, sampling, rules, seed)
    stale = rest(policy)
    try:
        found = distil(learner.model, learner.pad, config.distil, worked, plain, seed)
    except NothingToLearn as error:
        if stale:
            policy.load_weights(learner.sampler_weights())
        return {"skipped": str(error)}
    policy.load_weights(learner.sampler_weights())
    return found
