"""Every setting of `python -m agents.teaching`, documented beside its default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.settings import check_ranges, setting
from socratic_env.errors import ConfigurationError


@dataclass(frozen=True)
class Teaching:
    """What both ways to teach have in common."""

    run_dir: Path | None = None
    """Folder for everything the run writes, new or empty; by default runs/teaching-<date>-<time>."""
    steps: int = setting(160, at_least=0)
    """Optimizer steps."""
    kl: float = setting(0.01, at_least=0)
    """Policy gradient: coefficient of the KL divergence from the teacher that the run began with."""
    lr: float = setting(5e-4, at_least=0)
    """Learning rate of AdamW (dpo: its peak)."""
    temperature: float = setting(1.0, above=0)
    """Of the teacher's sampling."""
    max_teacher_tokens: int = setting(8, at_least=1)
    """Longest text of the teacher."""
    max_response_tokens: int = setting(24, at_least=1)
    """Longest answer of the student."""
    max_model_len: int = setting(96, at_least=2)
    """Most tokens of prompt and response, of teacher and student."""
    eval_every: int = setting(40, at_least=1)
    """Policy gradient: steps between measurements on held-out questions (one before and one after are always
    made)."""
    seed: int = setting(0, at_least=0, at_most=2**32 - 1)
    """Of the student, the questions and all sampling."""

    def __post_init__(self) -> None:
        check_ranges(self)
        for name in ("max_teacher_tokens", "max_response_tokens"):
            longest = getattr(self, name)
            if self.max_model_len <= longest:
                raise ConfigurationError(
                    f"max_model_len is {self.max_model_len} and leaves no room for a prompt beside {name} of "
                    f"{longest}; raise it"
                )


@dataclass(frozen=True)
class TeachConfig(Teaching):
    """Viewpoints: a teacher model reads traces of a student and learns to write what helps it."""

    teacher: str = "modular"
    """"modular": a small one, made here, that writes viewpoints for the student of that name; else a local
    folder in transformers' format."""
    prompt: str = "words"
    """How a teacher is asked: "words": it is shown the trace alone and writes a viewpoint in the words of the
    student "modular"; else a prompt of `envs_registry/reflections`, or the path of such a file (.md)."""
    student: str = "modular"
    """Who is taught: "modular": made here, with the misconceptions of `seed`; else a local folder."""
    questions: str = "modular"
    """What the student works on: a source, a path, "module:name", or JSON with a source's options."""
    method: Literal["policy-gradient", "dpo"] = "policy-gradient"
    """policy-gradient: group-normalised over the viewpoints on one trace (GRPO), each rewarded with its
    utility; dpo: pairs of viewpoints on one trace, the more useful one preferred, sampled before."""
    traces_per_step: int = setting(12, at_least=1)
    """Traces that are reflected on in a step."""
    viewpoints_per_trace: int = setting(8, at_least=2)
    """Viewpoints that are written on each."""
    probes: int = setting(2, at_least=1)
    """Fresh training questions on which each viewpoint is measured, all such that it applies to."""
    workings: int = setting(768, at_least=1)
    """First attempts of the student, whose failures are the traces; as many held-out ones again."""
    pairs: int = setting(768, at_least=1)
    """dpo: traces on which viewpoints are written to make pairs."""
    margin: float = setting(0.03, at_least=0)
    """dpo: by how much the utility of the preferred one is larger, at least."""
    beta: float = setting(0.1, above=0)
    """dpo: how far the teacher may go from the one that it was; the smaller, the farther."""
    eval_traces: int = setting(64, at_least=1)
    """Held-out traces of a measurement, each with one viewpoint."""
    eval_probes: int = setting(64, at_least=1)
    """Held-out questions on which each of those is measured: as many of all kinds, and as many that it
    applies to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher == "modular" and self.prompt != "words":
            raise ConfigurationError(
                f"prompt is {self.prompt!r}, and the teacher 'modular' reads 'words' only; give --teacher a "
                "folder, or leave --prompt out"
            )


@dataclass(frozen=True)
class GuideConfig(Teaching):
    """Guidance: a teacher model sees wrong answers of a student and learns to say what leads to right ones,
    turn by turn in the PettingZoo environment."""

    teacher: str = "chain"
    """"chain": a small one, made here, that names a step of a chain and an operation, any; else a local
    folder in transformers' format."""
    student: str = "chain"
    """Who is taught: "chain": made here, with the beliefs of `seed`; else a local folder."""
    questions: str = '{"kind": "chains", "seed": 0}'
    """What the student works on: a source, a path, "module:name", or JSON with a source's options."""
    protocol: str = str(Path(__file__).with_name("in_words.md"))
    """What the teacher sees and is asked: a protocol's name, or the path of its file."""
    leak_penalty: float = setting(1.0, at_least=0)
    """What guidance that gave the answer away costs."""
    questions_per_step: int = setting(32, at_least=1)
    """Questions of a step; those that the student gets right are left out."""
    texts_per_question: int = setting(8, at_least=2)
    """Guidance that is written on each wrong answer."""
    eval_questions: int = setting(512, at_least=1)
    """Held-out questions of a measurement."""
