"""Episodes that come one by one, for frameworks that keep each rollout in an object of its own."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from socratic_env.dialogue import Dialogue, cut, messages, open_dialogue
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import TEACHERS, await_on
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.errors import ConfigurationError, StepError, check_count
from socratic_env.questions import QuestionSet, load_questions
from socratic_env.rewards import RollingStatistics


class ConcurrentSession:
    """Questions, a teacher and the estimate of mu, shared by all episodes of a process.

    Episodes may overlap in any way; none knows of a batch, so mu is the estimate of a lone
    environment: eq 18 over the last 256 ended episodes and the one that ends. Where a framework
    shows the whole batch to an estimator, exact rewards are possible and better.

    Args:
        arguments: those of `EnvArguments`, as for `gym.make`.

    An episode is a `Dialogue`: `open` begins it, `step` carries it on until it has a `stop`.
    """

    def __init__(self, **arguments: Any) -> None:
        given = EnvArguments.of(arguments)
        self.questions = load_questions(given.questions, given.domain, given.split, given.exclude)
        self.interaction = GuidedInteraction(given)
        self.interaction.teacher.check(self.questions[0])
        self._rolling = RollingStatistics(self.interaction.rules.max_attempts)
        self._lock = threading.Lock()

    def open(self, question_id: str) -> Dialogue:
        """A new episode on that question. Raises QuestionError for an unknown id."""
        return self.interaction.open(self.questions.find(question_id))

    async def step(self, dialogue: Dialogue, text: str) -> Dialogue:
        """One attempt: the reply verified, and guidance after a wrong one that was not the last."""
        answered = await self.interaction.judge(dialogue, text)
        if not answered.awaits_guidance:
            return answered
        (advised,) = await self.interaction.advise([answered])
        return advised

    def settle(self, dialogue: Dialogue) -> list[float]:
        """Count an episode that has ended, once; what each of its attempts earns.

        Raises StepError if it goes on.
        """
        if dialogue.stop is None:
            raise StepError(f"the episode on {dialogue.question.id} goes on; settle it when it has a stop")
        correct = [attempt.verdict.correct for attempt in dialogue.attempts]
        with self._lock:
            for k, right in enumerate(correct, start=1):
                self._rolling.record(k, right)
            means = [self._rolling.mu(k) for k in range(len(correct))]
            self._rolling.end_episode()
        pay = self.interaction.schedule
        return [pay(k + 1, means[k]) if right else 0.0 for k, right in enumerate(correct)]

    def give_up(self, dialogue: Dialogue) -> Dialogue:
        """The episode as its framework leaves it: before the end, it is cut, and counts with the attempts
        that it made."""
        if dialogue.stop is not None:
            return dialogue
        left = cut(dialogue)
        self.settle(left)
        return left

    def metrics(self, dialogue: Dialogue) -> dict[str, float]:
        """Numbers whose means over episodes are worth a curve.

        `solved_within_k`: 1 if attempt k or an earlier one was correct, so that its mean is the
        guided accuracy at k (k = 1: unassisted). `attempts`: attempts made. `truncated`: 1 if the
        teacher or the verifier failed or the context was full.
        """
        made = len(dialogue.attempts)
        solved = made > 0 and dialogue.attempts[-1].verdict.correct
        within = range(1, self.interaction.rules.max_attempts + 1)
        return {
            "attempts": float(made),
            "truncated": float(dialogue.stop is not None and dialogue.stop.truncated),
            **{f"solved_within_{k}": float(solved and made <= k) for k in within},
        }

    async def close(self) -> None:
        """Close the teacher's connections."""
        await await_on(TEACHERS, self.interaction.teacher.close())


def rows(questions: QuestionSet, count: int, **columns: Any) -> list[dict[str, Any]]:
    """The first questions as rows of a framework's dataset: `prompt` (chat messages without ground
    truth), `question_id`, and the same further columns in each row."""
    check_count("count", count)
    if count > len(questions):
        raise ConfigurationError(f"count is {count!r}; this set has {len(questions)} questions to give")
    chosen = [questions[index] for index in range(count)]
    return [{"prompt": messages(open_dialogue(q)), "question_id": q.id, **columns} for q in chosen]


def shared_session(arguments: Mapping[str, Any]) -> ConcurrentSession:
    """The session of this process with these arguments, made at the first call.

    For frameworks that make an environment for each episode from settings. The settings must be
    plain data (JSON, or an OmegaConf node).
    """
    try:
        text = json.dumps(dict(arguments), sort_keys=True, default=_plain)
    except TypeError as error:
        raise ConfigurationError(
            f"the settings {dict(arguments)!r:.200} cannot be shared: {error}; use names, numbers and "
            "specs, as in a configuration file"
        ) from None
    with _one_maker:
        return _session(text)


_one_maker = threading.Lock()


@functools.cache
def _session(arguments: str) -> ConcurrentSession:
    return ConcurrentSession(**json.loads(arguments))


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return dict(node)
    if isinstance(node, Sequence):
        return list(node)
    raise TypeError(f"{node!r:.60} is no plain data")
