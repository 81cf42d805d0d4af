"""SDPO, the self-distillation baseline (Algorithms, section 4): pure functions.

A student's own response is scored by a slowly moving copy of itself (the self-teacher) whose prompt
also shows a sibling's correct solution; the student is drawn to that distribution, token by token.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch

from agents.learning.divergence import full_kl
from agents.learning.samples import Sample
from agents.losses import MAX_LOG_RATIO
from socratic_env.types import Message, Question

_MOST_WEIGHT = 2.0

SECTION = (
    "Here is a correct solution of another student:\n{solution}\n\n"
    "Now solve the original question yourself, in the form asked for."
)


def demonstrations(samples: Sequence[Sample], texts: Sequence[str]) -> list[str | None]:
    """For each sample the text of a successful sibling of the same question, never its own
    (None: it has none, and its row is masked out). The next one in order is taken, in a circle."""
    by_group: dict[int, list[int]] = {}
    for i, sample in enumerate(samples):
        if sample.correct:
            by_group.setdefault(sample.group, []).append(i)
    chosen: list[str | None] = []
    for i, sample in enumerate(samples):
        others = [j for j in by_group.get(sample.group, []) if j != i]
        later = [j for j in others if j > i]
        chosen.append(texts[(later or others)[0]] if others else None)
    return chosen


def teacher_messages(question: Question, solution: str) -> list[Message]:
    """The self-teacher's prompt: the question, and the sibling's solution."""
    out: list[Message] = []
    if question.system:
        out.append({"role": "system", "content": question.system})
    content = f"{question.text}\n\n{SECTION.format(solution=solution)}"
    return [*out, {"role": "user", "content": content}]


def shortlist(logps_NV: torch.Tensor, top_k: int) -> torch.Tensor:
    """index_NK: the `top_k` most likely tokens of each row; all where there are no more."""
    return logps_NV.detach().topk(min(top_k, logps_NV.shape[-1]), dim=-1).indices


def shortened(logps_NV: torch.Tensor, index_NK: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the tokens in the shortlist and, last, of all others together, if any."""
    kept = logps_NV.gather(-1, index_NK)
    if index_NK.shape == logps_NV.shape:
        return kept
    smallest = torch.finfo(logps_NV.dtype).tiny
    tail = (1 - kept.exp().sum(-1, keepdim=True)).clamp(min=smallest).log()
    return torch.cat([kept, tail], dim=-1)


def divergence(student_NK: torch.Tensor, teacher_NK: torch.Tensor, alpha: float) -> torch.Tensor:
    """D_N = (1 - alpha) KL(S || M) + alpha KL(T || M), M = (1 - alpha) S + alpha T, for each token.

    alpha = 0 gives KL(T || S), alpha = 1 gives KL(S || T). The log-probabilities are over all tokens,
    or over the same `shortlist`. No gradient goes through T.
    """
    student, teacher = student_NK, teacher_NK.detach()
    if alpha == 0.0:
        return full_kl(teacher, student)
    if alpha == 1.0:
        return full_kl(student, teacher)
    mixture = torch.logaddexp(student + math.log(1 - alpha), teacher + math.log(alpha))
    return (1 - alpha) * full_kl(student, mixture) + alpha * full_kl(teacher, mixture)


def sdpo_weights(logps_N: torch.Tensor, logps_old_N: torch.Tensor) -> torch.Tensor:
    """min(exp(logp - logp_old), 2) for each token, detached: what its divergence is multiplied by."""
    ratio_N = (logps_N - logps_old_N).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    return ratio_N.clamp(max=_MOST_WEIGHT).detach()


@torch.no_grad()
def move_average(teacher: Iterable[torch.Tensor], student: Iterable[torch.Tensor], rate: float) -> None:
    """teacher <- (1 - rate) teacher + rate student, in place."""
    for held, new in zip(teacher, student, strict=True):
        held.lerp_(new.to(held), rate)
