"""The study of Socratic-RL, fixed before it ran: what is compared, on which seeds, and with which gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents.socratic_rl.program import PRESETS, SocraticRLConfig
from agents.socratic_rl.program import ViewpointDistillation as Settings
from agents.teaching.teach_config import TeachConfig

SEEDS = tuple(range(200, 208))
TEACHING_SEEDS = tuple(range(210, 218))
"""Of the teachers that learn, and of the poisoned ones: students that nothing was tried on."""
LATER = ("instruction, always",)
"""Arms that were added after results of the others had been seen."""
STEPS = 30
"""Batches of 96 episodes in a run: 2880 episodes."""
TARGETS = (0.8, 0.9)
"""Held-out accuracies without viewpoints whose episodes and tokens are counted."""
_BASE = PRESETS["modular"]


@dataclass(frozen=True)
class Arm:
    """A run: settings that differ from the preset "modular"."""

    name: str
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = SEEDS

    def config(self, seed: int) -> SocraticRLConfig:
        """The configuration; the student's misconceptions and all chances are of the seed."""
        config = replace(_BASE, seed=seed, steps=STEPS, **self.settings)
        assert isinstance(config, SocraticRLConfig)
        return config


def _method(method: str, **more: Any) -> dict[str, Any]:
    return {"distil": Settings(method=method, every=4, **more), "reinforce": False}  # type: ignore[arg-type]


_ALONE: dict[str, Any] = {
    "reflect": False,
    "distil": Settings(every=2 * STEPS),  # never
    "save_every": 2 * STEPS,
    "eval_every": 2 * STEPS,
}
ARMS = {
    arm.name: arm
    for arm in (
        Arm("reinforce++", "REINFORCE++ alone", _ALONE),
        Arm("grpo", "GRPO alone", _ALONE | {"algorithm": "grpo"}),
        Arm("right traces", "learning from verified right traces, without viewpoints",
            {"reflect": False} | _method("instruction")),
        Arm("instruction", "viewpoints, distilled by instruction tuning", _method("instruction")),
        Arm("instruction, always", "the same, and from right workings alone where no viewpoint is active",
            _method("instruction", always=True)),
        Arm("kl", "viewpoints, distilled by KL", _method("kl")),
        Arm("dpo", "viewpoints, distilled by DPO", _method("dpo", steps=20, lr=3e-4)),
        Arm("instruction and reinforce++", "both: viewpoints by instruction tuning, and REINFORCE++"),
    )
}  # fmt: skip
VIEWPOINT_ARM, BASELINE = "instruction and reinforce++", "reinforce++"


@dataclass(frozen=True)
class Method:
    """A distillation: settings of phase 4."""

    name: str
    what: str
    settings: Settings
    informed: bool = True
    """Whether the workings are those with viewpoints; False: the control."""
    seeds: tuple[int, ...] = SEEDS


WORKINGS = 768
"""Training questions that are worked for each distillation."""
METHODS = {
    one.name: one
    for one in (
        Method("instruction", "verified right workings with viewpoints", Settings("instruction")),
        Method("right traces", "verified right workings without (control)", Settings("instruction"), False),
        Method("kl", "clone of the student with viewpoints", Settings("kl")),
        Method("kl with replay", "the same, half of each batch with viewpoints", Settings("kl", replay=0.5)),
        Method("dpo", "preference, 20 steps", Settings("dpo", steps=20, lr=3e-4)),
        Method("dpo, 80 steps", "preference, 80 steps", Settings("dpo", steps=80, lr=3e-4)),
        Method("dpo with likelihood", "preference, 80 steps, and the likelihood of what is preferred",
               Settings("dpo", steps=80, lr=3e-4, sft=1.0)),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Lesson:
    """A teacher that learns: settings of `agents.teaching`."""

    name: str
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = TEACHING_SEEDS

    def config(self, seed: int, student: str) -> TeachConfig:
        """The configuration; student: its folder."""
        return TeachConfig(student=student, seed=seed, **self.settings)


LESSONS = {
    one.name: one
    for one in (
        Lesson("policy gradient", "each viewpoint rewarded with its utility on 2 targeted probes"),
        Lesson("policy gradient, KL .05", "the same, held nearer to the teacher as it was", {"kl": 0.05}),
        Lesson("policy gradient, no KL", "the same, not held", {"kl": 0.0}),
        Lesson(
            "dpo", "pairs of viewpoints on a trace, the more useful preferred", {"method": "dpo", "probes": 8}
        ),
    )
}


@dataclass(frozen=True)
class Ensemble:
    """The loop with several reflecting teachers, `poisoned` of `teachers` of which say of every mistake that
    the questions invite to make it."""

    name: str
    what: str
    teachers: int
    poisoned: int
    gate: bool = True
    votes: int = 1
    seeds: tuple[int, ...] = TEACHING_SEEDS


ENSEMBLES = {
    one.name: one
    for one in (
        Ensemble("clean, gate", "three teachers, none poisoned", 3, 0),
        Ensemble("one of three, gate", "one of three poisoned", 3, 1),
        Ensemble(
            "one of three, no gate", "the same, and what two speak of is taken unmeasured", 3, 1, False, 2
        ),
        Ensemble("two of five, gate", "two of five poisoned, who say the same", 5, 2),
        Ensemble("two of five, no gate", "the same, and what three speak of is taken", 5, 2, False, 3),
    )
}
ENSEMBLE_STEPS = 8
"""Batches of the loop with an ensemble, with a distillation after each four."""

GATES = (
    (
        "loop",
        "with viewpoints .8 is reached in fewer episodes than by REINFORCE++ on at least 7 of 8 seeds",
    ),
    ("loop", "of what was right before (greedy), less than 5 points are lost at the end"),
    ("distillation", "instruction tuning recovers at least .9 of the uplift"),
    ("distillation", "instruction tuning keeps at least .95 of what was right before"),
    ("distillation", "KL recovers at least .9 of the uplift"),
    ("teaching", "held-out utility rises by policy gradient: the interval over seeds lies above 0"),
    ("teaching", "the same by DPO"),
    ("ensemble", "with one of three poisoned, behind the gate, within 2 points of the clean ensemble"),
)
"""Of means over the seeds; reported as met or missed, never adjusted."""
