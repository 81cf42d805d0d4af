"""Distillation (Socratic-RL, section 3.4): what a student does with viewpoints, taught to do without them.

Three ways, each from traces of the student on training questions: to clone the distribution of the student
that is shown the viewpoints (`kl`), to prefer right workings to wrong ones (`dpo`), or to learn from verified
right workings (`instruction`). All three change the model in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from agents.learning.divergence import full_kl
from agents.learning.fit import descend, likelihood
from agents.learning.preferences import Pair, prefer
from agents.learning.rows import Rows, Scorer
from agents.learning.samples import RolloutBatch, Sampling
from agents.learning.sdpo import shortened, shortlist
from agents.policies.policy import Policy
from agents.socratic_rl.program import ViewpointDistillation
from socratic_env.dialogue import Rules, answer, messages, open_dialogue
from socratic_env.errors import SocraticError
from socratic_env.models.chat import Chat
from socratic_env.questions import QuestionSet
from socratic_env.types import Question
from socratic_env.viewpoints import InContext, Viewpoint


class NothingToLearn(SocraticError):
    """The workings have nothing that a distillation could use."""


@dataclass(frozen=True)
class Worked:
    """One working of a training question.

    informed, plain: the prompt's ids as it was sampled (with the viewpoints that apply), and without any.
    response: what the student wrote, as ids. correct: its verdict.
    """

    question: Question
    informed: list[int]
    plain: list[int]
    response: list[int]
    correct: bool


def workings(batch: RolloutBatch, questions: QuestionSet, chat: Chat) -> list[Worked]:
    """The first attempts of a batch. questions: the set that the batch's are of."""
    found = []
    for sample in batch.samples:
        if sample.attempt == 1:
            question = questions.find(batch.episodes[sample.row].question.id)
            plain = chat.prompt(messages(open_dialogue(question)))
            found.append(Worked(question, sample.prompt, plain, sample.response, sample.correct))
    return found


def instructions(worked: Sequence[Worked], shown: Sequence[Viewpoint], chat: Chat) -> list[dict[str, str]]:
    """Verified right workings with viewpoints as rows for instruction tuning elsewhere (the paper's section
    3.4): {"instruction": the viewpoints, "input": the question, "output": the working, "id"}.

    shown: the active viewpoints; those that apply to a question are its instruction.
    """
    found, active = [], InContext(shown)
    for one in worked:
        said = active.on(one.question)
        if one.correct and said:
            found.append(
                {
                    "instruction": "\n".join(viewpoint.text for viewpoint in said),
                    "input": one.question.text,
                    "output": chat.text(one.response),
                    "id": one.question.id,
                }
            )
    return found


def without_viewpoints(
    worked: Sequence[Worked], policy: Policy, chat: Chat, sampling: Sampling, rules: Rules, seed: int
) -> list[Worked]:
    """The same questions worked again, without viewpoints."""
    completions = policy.generate([one.plain for one in worked], sampling, seed)
    found = []
    for one, completion in zip(worked, completions, strict=True):
        ended = answer(open_dialogue(one.question), chat.text(completion.ids), rules)
        right = ended.attempts[0].verdict.correct
        found.append(replace(one, informed=one.plain, response=completion.ids, correct=right))
    return found


def distil(
    model: Any,
    pad: int,
    settings: ViewpointDistillation,
    informed: Sequence[Worked],
    plain: Sequence[Worked],
    seed: int,
) -> dict[str, float]:
    """Teach a student what it does with viewpoints, in place.

    informed: workings with the viewpoints. plain: of the same questions in the same order, without them; only
        dpo looks at them.

    Returns what was used: {"workings", "loss"}, and of kl the divergence "kl_before" and "kl_after" in nats
    for each token. Raises NothingToLearn.
    """
    return METHODS[settings.method](model, pad, settings, informed, plain, np.random.default_rng(seed))


# -- instruction tuning ----------------------------------------------------------------------


def _instruction(
    model: Any, pad: int, settings: ViewpointDistillation, informed: Sequence[Worked], _plain: Any, rng: Any
) -> dict[str, float]:
    right = [one for one in informed if one.correct]
    _check(right, "of the workings with viewpoints none is right")

    def batch() -> Rows:
        drawn = [right[place] for place in rng.integers(len(right), size=settings.batch)]
        prompts, responses = [one.plain for one in drawn], [one.response for one in drawn]
        return Rows.of(prompts, responses, pad).to(model.device)

    loss = descend(model, batch, likelihood, settings.steps, settings.lr)
    return {"workings": len(right), "loss": loss}


# -- KL --------------------------------------------------------------------------------------


def _kl(
    model: Any, pad: int, settings: ViewpointDistillation, informed: Sequence[Worked], _plain: Any, rng: Any
) -> dict[str, float]:
    _check(informed, "there are no workings with viewpoints")
    taught = Rows.of([one.plain for one in informed], [one.response for one in informed], pad)
    again = Rows.of([one.informed for one in informed], [one.response for one in informed], pad)
    number_N = torch.arange(len(taught.targets_N))
    taught, again = (replace(rows, number_N=number_N).to(model.device) for rows in (taught, again))
    teacher_NK, index_NK = _distribution(model, again, settings.top_k)

    def loss_of(scorer: Scorer, parts: Sequence[Rows]) -> torch.Tensor:
        away = [_divergence(scorer, part, teacher_NK, index_NK) for part in parts]
        return torch.cat(away).mean()

    def batch() -> list[Rows]:
        chosen = torch.as_tensor(rng.integers(len(informed), size=settings.batch))
        replayed = torch.as_tensor(rng.random(settings.batch) < settings.replay)
        parts = ((taught, chosen[~replayed].unique()), (again, chosen[replayed].unique()))
        return [rows.select(places.to(model.device)) for rows, places in parts if len(places)]

    before = _mean_divergence(model, taught, teacher_NK, index_NK)
    loss = descend(model, batch, loss_of, settings.steps, settings.lr)
    after = _mean_divergence(model, taught, teacher_NK, index_NK)
    return {"workings": len(informed), "loss": loss, "kl_before": before, "kl_after": after}


@torch.no_grad()
def _distribution(model: Any, rows: Rows, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(logps_NK, index_NK): the old student's distribution at every token, in one pass."""
    model.eval()

    def read(logits_NV: torch.Tensor, _targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logps_NV = torch.log_softmax(logits_NV, dim=-1)
        index_NK = shortlist(logps_NV, top_k)
        return shortened(logps_NV, index_NK), index_NK

    logps_NK, index_NK = Scorer(model)(rows, read)
    return logps_NK, index_NK


def _divergence(scorer: Scorer, rows: Rows, teacher_NK: torch.Tensor, index_NK: torch.Tensor) -> torch.Tensor:
    """KL(old with v || new) at every token, in nats (the paper's L_distill)."""

    def read(logits_NV: torch.Tensor, number_N: torch.Tensor) -> tuple[torch.Tensor]:
        student_NK = shortened(torch.log_softmax(logits_NV, dim=-1), index_NK[number_N])
        return (full_kl(teacher_NK[number_N], student_NK),)

    (away_N,) = scorer(replace(rows, targets_N=rows.number_N), read)
    return away_N


@torch.no_grad()
def _mean_divergence(model: Any, rows: Rows, teacher_NK: torch.Tensor, index_NK: torch.Tensor) -> float:
    model.eval()
    return float(_divergence(Scorer(model), rows, teacher_NK, index_NK).mean())


# -- DPO -------------------------------------------------------------------------------------


def _dpo(
    model: Any,
    pad: int,
    settings: ViewpointDistillation,
    informed: Sequence[Worked],
    plain: Sequence[Worked],
    rng: Any,
) -> dict[str, float]:
    pairs = [
        Pair(good.plain, good.response, bad.response)
        for good, bad in zip(informed, plain, strict=True)
        if good.correct and not bad.correct
    ]
    _check(pairs, "on no question was the working with viewpoints right and that without them wrong")
    one = settings
    loss = prefer(model, pad, pairs, one.beta, one.steps, one.batch, one.lr, rng, likelihood=one.sft)
    return {"workings": len(pairs), "loss": loss}


Method = Callable[
    [Any, int, ViewpointDistillation, Sequence[Worked], Sequence[Worked], Any], dict[str, float]
]
METHODS: Mapping[str, Method] = {"instruction": _instruction, "kl": _kl, "dpo": _dpo}


def _check(found: Sequence[Any], why: str) -> None:
    if not found:
        raise NothingToLearn(f"{why}; use more questions, or better viewpoints")
