"""What a teacher learns from: traces of a student's failures, viewpoints written on them, and their worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.learning.samples import Completion, Sampling
from agents.policies.policy import Policy
from agents.teaching.forms import Form
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.probes import generic_probes, targeted_probes
from socratic_env.evaluation.scores import Scores
from socratic_env.evaluation.utilities import utilities
from socratic_env.models.chat import Chat
from socratic_env.questions import QuestionSet
from socratic_env.students import Student
from socratic_env.traces import InteractionTrace
from socratic_env.types import Question
from socratic_env.viewpoints import Viewpoint


@dataclass(frozen=True)
class Written:
    """A teacher's words on a trace. viewpoint: None if they are none, and then `why`."""

    trace: InteractionTrace
    prompt: list[int]
    completion: Completion
    viewpoint: Viewpoint | None
    why: str = ""


@dataclass(frozen=True)
class Writer:
    """A teacher model that writes viewpoints. policy: its sampler."""

    policy: Policy
    chat: Chat
    form: Form
    sampling: Sampling

    def write(self, traces: Sequence[InteractionTrace], each: int, seed: int) -> list[Written]:
        """So many viewpoints on each trace, one trace after the other."""
        asked = [trace for trace in traces for _ in range(each)]
        prompts = [self.chat.prompt(self.form.ask(trace)) for trace in asked]
        room = self.policy.max_model_len - self.sampling.max_tokens
        longest = max(map(len, prompts), default=0)
        if longest > room:
            raise ConfigurationError(
                f"a trace makes a prompt of {longest} tokens for the teacher, and max_model_len leaves "
                f"{room}; raise it"
            )
        completions = self.policy.generate(prompts, self.sampling, seed)
        return [self._read(*each) for each in zip(asked, prompts, completions, strict=True)]

    def _read(self, trace: InteractionTrace, prompt: list[int], completion: Completion) -> Written:
        try:
            viewpoint = self.form.read(self.chat.text(completion.ids), trace)
        except ValueError as error:
            return Written(trace, prompt, completion, None, str(error))
        return Written(trace, prompt, completion, viewpoint)


class Worth:
    """What viewpoints are worth to a student that stays as it is: utilities, each first attempt played once.

    Args:
        questions: the set that probes are taken from.
        active: viewpoints beside which they are measured.
    """

    def __init__(self, student: Student, questions: QuestionSet, active: Sequence[Viewpoint] = ()) -> None:
        self._student, self._questions, self._active = student, questions, tuple(active)
        self._scores = Scores()

    @property
    def played(self) -> int:
        """First attempts of the student so far."""
        return self._scores.played

    def of(
        self, viewpoints: Sequence[Viewpoint | None], probes: int, seed: int, targeted: bool = True
    ) -> list[float]:
        """The utility of each, in the student's mean score; 0 where there is none, and of a vetoed one, which
        would not be shown.

        probes: questions for each, the same for all of a trigger. targeted: such that it applies to; else the
            same ones for all.
        """
        chosen: dict[str, list[Question]] = {}

        def of_trigger(viewpoint: Viewpoint) -> list[Question]:
            key = viewpoint.trigger if targeted else ""
            if key not in chosen:
                found = (
                    targeted_probes(self._questions, probes, seed, viewpoint)
                    if targeted
                    else generic_probes(self._questions, probes, seed)
                )
                chosen[key] = found
            return chosen[key]

        candidates = list({one.id: one for one in viewpoints if one is not None}.values())
        if not candidates:
            return [0.0] * len(viewpoints)
        found = utilities(
            self._student, of_trigger, self._active, candidates, seed,
            version="as it is", scores=self._scores, resamples=1,
        )  # fmt: skip
        worth = {one.viewpoint.id: 0.0 if one.utility is None else one.utility.value for one in found}
        return [0.0 if one is None else worth[one.id] for one in viewpoints]


def drawn(traces: Sequence[InteractionTrace], count: int, seed: Sequence[int]) -> list[InteractionTrace]:
    """So many of the traces, all different while there are enough."""
    rng = np.random.default_rng(list(seed))
    return [traces[int(i)] for i in rng.choice(len(traces), count, replace=len(traces) < count)]
