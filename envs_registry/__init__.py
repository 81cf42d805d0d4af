"""Environment ids and teaching protocols, as plain data.

Imports nothing of the core: ids name their classes as strings, and a protocol is one file in `variants/`. It
makes a variant: an id that differs from the default by its protocol alone. `import socratic_env` registers
every id with Gymnasium. `reflections/` holds prompts of reflecting teachers, `constitutions/` the rules that
their viewpoints must keep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

SINGLE = "socratic_env.envs.single:SocraticEnv"
VECTOR = "socratic_env.envs.vector:SocraticVectorEnv"
DISCRETE = "socratic_env.envs.discrete:discrete"


@dataclass(frozen=True)
class EnvId:
    """One registered id: what it is for, and its arguments.

    discrete: choices and features in place of texts (`socratic_env.envs.discrete.DiscreteView`).
    """

    id: str
    summary: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    discrete: bool = False


_IDS = (
    EnvId("SocraticSciKnow-v0", "science questions of four domains, the paper's setting"),
    EnvId("SocraticChemistry-v0", "chemistry questions only", {"domain": "chemistry"}),
    EnvId("SocraticPhysics-v0", "physics questions only", {"domain": "physics"}),
    EnvId("SocraticBiology-v0", "biology questions only", {"domain": "biology"}),
    EnvId("SocraticMaterial-v0", "material science questions only", {"domain": "material"}),
    EnvId(
        "SocraticConcepts-v0",
        "short drills with a hidden rule per concept, for models of 10^5-10^6 parameters",
        {"questions": "concepts"},
    ),
    EnvId(
        "SocraticChains-v0",
        "a world of hidden rules in which teaching can show: chains of operations, every step judged",
        {"questions": "chains", "protocol": "worked_next_step"},
    ),
    EnvId(
        "SocraticArithmetic-v0",
        "arithmetic of several operations with brackets, numeric answers",
        {"questions": "arithmetic"},
    ),
    EnvId(
        "SocraticCode-v0",
        "small Python functions, judged by hidden tests in a sandbox (Linux)",
        {"questions": "code"},
    ),
    EnvId(
        "SocraticSciKnow-NoTeacher-v0",
        "ablation without teacher guidance: a fixed retry prompt after every mistake",
        {"teacher": "retry"},
    ),
    EnvId(
        "SocraticSciKnow-NoDecay-v0",
        "ablation without reward decay: any correct attempt earns 1",
        {"reward": "full"},
    ),
    EnvId(
        "SocraticSciKnow-Discrete-v0",
        "choices and features in place of texts, for classic agents; no reward decay",
        {"reward": "full"},
        discrete=True,
    ),
)


_SAME = {
    "paper": "variant: the same as SocraticSciKnow-v0, whose protocol is the paper's",
    "fixed_retry": "variant: the same as SocraticSciKnow-NoTeacher-v0, by a protocol that asks no teacher",
}
"""Protocol -> what is said of its variant, where another id is the same environment."""


def protocol_texts() -> dict[str, str]:
    """The text of every protocol file by its name, front matter included."""
    return _texts("variants", ".md")


def reflection_texts() -> dict[str, str]:
    """The text of every prompt of a reflecting teacher by its name, front matter included."""
    return _texts("reflections", ".md")


def constitution_texts() -> dict[str, str]:
    """The text of every constitution by its name."""
    return _texts("constitutions", ".yaml")


def _texts(folder: str, ending: str) -> dict[str, str]:
    return {
        file.name.removesuffix(ending): file.read_text(encoding="utf-8")
        for file in sorted((resources.files(__name__) / folder).iterdir(), key=lambda f: f.name)
        if file.name.endswith(ending)
    }


def variant_ids() -> tuple[EnvId, ...]:
    """One id for each protocol file: `worked_next_step.md` is SocraticSciKnow-WorkedNextStep-v0."""
    found = []
    for name, text in protocol_texts().items():
        summary = re.search(r"^summary: *(.+)$", text, re.MULTILINE)
        camel = "".join(word[:1].upper() + word[1:] for word in re.split(r"[_\W]+", name))
        found.append(
            EnvId(
                f"SocraticSciKnow-{camel}-v0",
                _SAME.get(name) or f"variant: {summary[1].strip() if summary else name}",
                {"protocol": name},
            )
        )
    return tuple(found)


IDS = (*_IDS, *variant_ids())


def register_ids() -> None:
    """Register every id with Gymnasium (once; known ids are left alone)."""
    import gymnasium as gym

    for entry in IDS:
        if entry.id not in gym.registry:
            gym.register(
                entry.id,
                entry_point=DISCRETE if entry.discrete else SINGLE,
                vector_entry_point=None if entry.discrete else VECTOR,  # None: SyncVectorEnv
                kwargs=dict(entry.kwargs),
            )
