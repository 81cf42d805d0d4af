"""Every setting of `python -m agents.teaching`, documented beside its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.settings import check_ranges, setting
from socratic_env.errors import ConfigurationError


@dataclass(frozen=True)
class TeachConfig:
    """A teacher model reads traces of a student and learns to write viewpoints that help it."""

    run_dir: Path | None = None
    """Folder for everything the run writes, new or empty; by default runs/teaching-<date>-<time>."""
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
    steps: int = setting(160, at_least=0)
    """Optimizer steps."""
    traces_per_step: int = setting(12, at_least=1)
    """Traces that are reflected on in a step."""
    viewpoints_per_trace: int = setting(8, at_least=2)
    """Viewpoints that are written on each."""
    probes: int = setting(2, at_least=1)
    """Fresh training questions on which each viewpoint is measured, all such that it applies to."""
    workings: int = setting(768, at_least=1)
    """First attempts of the student, whose failures are the traces; as many held-out ones again."""
    kl: float = setting(0.01, at_least=0)
    """policy-gradient: coefficient of the KL divergence from the teacher that the run began with."""
    pairs: int = setting(768, at_least=1)
    """dpo: traces on which viewpoints are written to make pairs."""
    margin: float = setting(0.03, at_least=0)
    """dpo: by how much the utility of the preferred one is larger, at least."""
    beta: float = setting(0.1, above=0)
    """dpo: how far the teacher may go from the one that it was; the smaller, the farther."""
    lr: float = setting(5e-4, at_least=0)
    """Learning rate of AdamW (dpo: its peak)."""
    temperature: float = setting(1.0, above=0)
    """Of the teacher's sampling."""
    max_viewpoint_tokens: int = setting(8, at_least=1)
    """Longest text of a teacher."""
    max_response_tokens: int = setting(24, at_least=1)
    """Longest answer of the student."""
    max_model_len: int = setting(96, at_least=2)
    """Most tokens of prompt and response, of teacher and student."""
    eval_every: int = setting(40, at_least=1)
    """policy-gradient: steps between measurements on held-out traces (one before and one after are always
    made)."""
    eval_traces: int = setting(64, at_least=1)
    """Held-out traces of a measurement, each with one viewpoint."""
    eval_probes: int = setting(64, at_least=1)
    """Held-out questions on which each of those is measured: as many of all kinds, and as many that it
    applies to."""
    seed: int = setting(0, at_least=0, at_most=2**32 - 1)
    """Of the student, the traces and all sampling."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.teacher == "modular" and self.prompt != "words":
            raise ConfigurationError(
                f"prompt is {self.prompt!r}, and the teacher 'modular' reads 'words' only; give --teacher a "
                "folder, or leave --prompt out"
            )
        for name, longest in (
            ("max_viewpoint_tokens", self.max_viewpoint_tokens),
            ("max_response_tokens", self.max_response_tokens),
        ):
            if self.max_model_len <= longest:
                raise ConfigurationError(
                    f"max_model_len is {self.max_model_len} and leaves no room for a prompt beside {name} of "
                    f"{longest}; raise it"
                )


METHODS: Mapping[str, str] = {
    "policy-gradient": "agents.teaching.gradient:policy_gradient",
    "dpo": "agents.teaching.preference:direct_preference",
}
"""Where each method is."""
