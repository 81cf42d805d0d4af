"""How far a student is from its teacher (Figure 6), on the student's own response tokens.

Both models score the same ids; d = logp_S - logp_T for each token. k1 = mean d and k3 =
mean(exp(-d) - 1 + d) estimate KL(S || T) from the sampled tokens alone, k3 without negative terms; the
full form sums over the vocabulary. For that the tokens must be drawn from S at the temperature of the
log-probabilities, without a top-p cut: then the sums of all three over a response agree in expectation,
up to the mismatch of sampler and learner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.learning.rows import Rows, Scorer, micro_batches
from agents.learning.samples import Sample
from socratic_env.errors import ConfigurationError

MOST_ROWS = 256
"""Responses of an evaluation that are measured, spread evenly over all of them."""
NAMES = ("kl_k1", "kl_k3", "kl_full")


def k1(student_logps_N: torch.Tensor, teacher_logps_N: torch.Tensor) -> torch.Tensor:
    """d = logp_S - logp_T for each token; its mean over tokens drawn from S is KL(S || T)."""
    return student_logps_N - teacher_logps_N


def k3(student_logps_N: torch.Tensor, teacher_logps_N: torch.Tensor) -> torch.Tensor:
    """exp(-d) - 1 + d for each token: its mean over tokens drawn from S is KL(S || T). Never negative."""
    d_N = k1(student_logps_N, teacher_logps_N)
    return torch.expm1(-d_N) + d_N


def full_kl(p_logps_NV: torch.Tensor, q_logps_NV: torch.Tensor) -> torch.Tensor:
    """KL(P || Q) over the vocabulary, in nats, for each token."""
    return (p_logps_NV.exp() * (p_logps_NV - q_logps_NV)).sum(-1)


@dataclass(frozen=True)
class TeacherDistance:
    """Measures a student's divergence from a teacher on responses.

    Args:
        student, teacher: causal language models of transformers with one vocabulary.
        pad: the id that fills short rows.
        temperature: of both models' log-probabilities: that at which the responses were sampled, without
            a top-p cut.
        micro_batch_tokens: most padded tokens in one forward pass.
    """

    student: Any
    teacher: Any
    pad: int
    temperature: float
    micro_batch_tokens: int

    @classmethod
    def load(
        cls, folder: str, student: Any, tokenizer: Any, temperature: float, micro_batch_tokens: int
    ) -> TeacherDistance:
        """With the teacher in a local folder, in the student's number format and on its device.

        Raises ConfigurationError if the folder holds no model, or one with another vocabulary.
        """
        if not Path(folder).is_dir():
            raise ConfigurationError(f"{folder!r} is no local folder; give that of a model")
        try:
            its_tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            teacher = AutoModelForCausalLM.from_pretrained(folder, dtype=student.dtype, local_files_only=True)
        except (OSError, ValueError, SafetensorError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigurationError(f"{folder!r} holds no model for transformers: {reason}") from error
        sizes = [model.get_output_embeddings().weight.shape[0] for model in (student, teacher)]
        if its_tokenizer.get_vocab() != tokenizer.get_vocab() or sizes[0] != sizes[1]:
            raise ConfigurationError(
                f"the model in {folder!r} has another vocabulary than the student ({sizes[1]} and {sizes[0]} "
                "ids); the divergence is defined on the same ids only, so give a model with its tokenizer"
            )
        teacher = teacher.to(student.device).eval().requires_grad_(False)
        return cls(student, teacher, tokenizer.pad_token_id, temperature, micro_batch_tokens)

    def __call__(self, samples: Sequence[Sample]) -> dict[str, float]:
        """{"kl_k1", "kl_k3", "kl_full"}: means over response tokens, of at most `MOST_ROWS` responses."""
        chosen = np.linspace(0, len(samples) - 1, min(len(samples), MOST_ROWS)).round().astype(int)
        sums_B3, lengths_B = self.sums([samples[i] for i in chosen.tolist()])
        means = sums_B3.sum(axis=0) / lengths_B.sum() if lengths_B.sum() else np.full(3, np.nan)
        return dict(zip(NAMES, means.tolist(), strict=True))

    @torch.no_grad()
    def sums(self, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """(sums_B3, lengths_B): k1, k3 and full KL summed over the tokens of each response."""
        sums_B3 = np.zeros((len(samples), 3))
        lengths_B = np.array([len(sample.response) for sample in samples], dtype=int)
        widths = [len(sample.prompt) + len(sample.response) for sample in samples]
        was_training = self.student.training
        self.student.eval()
        for group in micro_batches(widths, self.micro_batch_tokens):
            tokens_N3 = self._tokens([samples[i] for i in group]).double().cpu()
            for i, part_T3 in zip(group, tokens_N3.split(lengths_B[group].tolist()), strict=True):
                sums_B3[i] = part_T3.sum(0).numpy()
        self.student.train(was_training)
        return sums_B3, lengths_B

    def _tokens(self, samples: Sequence[Sample]) -> torch.Tensor:
        """(k1, k3, full KL) of each token, as N rows of 3. The heads run in parts, as when training."""
        batch = Rows.of([s.prompt for s in samples], [s.response for s in samples], self.pad)
        batch = batch.to(self.student.device)
        scorers = Scorer(self.student), Scorer(self.teacher)
        hidden = [scorer.hidden(batch).split(scorers[0].part) for scorer in scorers]
        parts = []
        for *states, targets_N in zip(*hidden, batch.targets_N.split(scorers[0].part), strict=True):
            student_NV, teacher_NV = (
                torch.log_softmax(scorer.logits(hidden_ND) / self.temperature, dim=-1)
                for scorer, hidden_ND in zip(scorers, states, strict=True)
            )
            at_targets = [
                logps_NV.gather(-1, targets_N[:, None]).squeeze(-1) for logps_NV in (student_NV, teacher_NV)
            ]
            full_N = full_kl(student_NV, teacher_NV)
            parts.append(torch.stack([k1(*at_targets), k3(*at_targets), full_N], dim=-1))
        return torch.cat(parts)
