"""The settings of Socratic-RL, beside those of `agents.train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents.config import TrainConfig
from agents.options import PolicyLoss
from agents.runs.programs import Program
from agents.settings import group, setting
from socratic_env.errors import ConfigurationError
from socratic_env.plugins import spec_of


@dataclass(frozen=True)
class ViewpointDistillation:
    """How viewpoints become part of a student (phase 4)."""

    method: Literal["instruction", "kl", "dpo"] = "instruction"
    """instruction: learn from verified right workings; kl: clone the student that is shown the viewpoints
    (the paper's default); dpo: prefer a right working with viewpoints to a wrong one without."""
    every: int = setting(5, at_least=1)
    """Batches between distillations."""
    always: bool = False
    """instruction: also where no viewpoint is active, from the right workings alone."""
    steps: int = setting(40, at_least=0)
    """Optimizer steps."""
    batch: int = setting(96, at_least=1)
    """Workings, or pairs of them, in a step."""
    lr: float = setting(1e-3, at_least=0)
    """Peak learning rate."""
    replay: float = setting(0.0, at_least=0, at_most=1)
    """kl: share of each batch that keeps the viewpoints before the new student too, so that it goes on
    reading viewpoints."""
    top_k: int = setting(64, at_least=1)
    """kl: tokens of the old student's distribution that are kept at each place, all others as one."""
    beta: float = setting(0.3, above=0)
    """dpo: how far the student may go from the one that it was; the smaller, the farther."""
    sft: float = setting(0.0, at_least=0)
    """dpo: weight of the likelihood of the preferred workings, beside the preference."""


@dataclass(frozen=True)
class SocraticRLConfig(TrainConfig):
    """Socratic-RL training of a student (the second paper's Algorithm 1)."""

    reflect: bool = True
    """Whether a teacher reflects on the traces; without it phase 4 learns from right workings alone."""
    reinforce: bool = False
    """Whether `algorithm` updates the student after each batch too (phase 1)."""
    reflector: str = "rule"
    """The reflecting teacher: "rule", "module:name" or a JSON spec such as
    '{"kind": "openai", "base_url": ..., "model": ...}'."""
    probes: int = setting(32, at_least=1)
    """Training questions on which a viewpoint's utility is measured, all of them such that it applies to."""
    cap: int = setting(8, at_least=1)
    """Most viewpoints that are active at once."""
    distil: ViewpointDistillation = group(ViewpointDistillation)
    """Phase 4."""

    def _check_effect(self) -> None:
        super()._check_effect()
        if not self.reflect and self.distil.method != "instruction":
            raise ConfigurationError(
                f"distil.method is {self.distil.method!r}, and without reflection there are no viewpoints to "
                "distil; use instruction, or leave --no-reflect out"
            )
        if self.distil.always and self.distil.method != "instruction":
            raise ConfigurationError(
                f"distil.always is set, and distil.method is {self.distil.method!r}, which has nothing to "
                "learn from without viewpoints; use instruction, or leave it out"
            )
        for name in ("curriculum", "resample_batches", "staleness"):
            if getattr(self, name):
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)!r}, and Socratic-RL asks each step's questions once, in "
                    "the order of the data; leave it out"
                )
        for name in ("save_every", "eval_every"):
            if getattr(self, name) % self.distil.every:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)} and distil.every is {self.distil.every}; checkpoints "
                    "and evaluations must not fall between two distillations: give a multiple"
                )

    def reflector_spec(self) -> str | Mapping[str, Any]:
        """The reflecting teacher as `socratic_env.reflection.from_spec` takes it."""
        return spec_of(self.reflector, "reflector")


PRESETS: Mapping[str, TrainConfig] = {
    # Learns on one CPU core in a minute or two, once its student is schooled.
    "modular": SocraticRLConfig(
        student="modular",
        questions="modular",
        teacher="retry",
        reflector="agents.socratic_rl.modular_reflector:ModularReflector",
        algorithm="reinforce++",
        reinforce=True,
        cap=4,
        distil=ViewpointDistillation(every=4),
        policy="transformers",
        steps=20,
        questions_per_step=24,
        rollouts_per_question=4,
        questions_per_minibatch=24,
        max_response_tokens=24,
        max_model_len=96,
        loss=PolicyLoss(rollout_is_clip=None),  # the sampler is the learner's own model
        lr=1e-3,
        weight_decay=0.0,
        save_every=4,
        eval_every=4,
        eval_questions=512,
        eval_samples=1,
    ),
}
PROGRAM = Program(
    "python -m agents.socratic_rl", SocraticRLConfig, PRESETS, "agents.socratic_rl.run_steps:steps"
)
