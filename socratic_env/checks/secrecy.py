"""Does an environment show its student the truth?"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from socratic_env.checks.steps import INFO, EnvProbe
from socratic_env.leakage import detect
from socratic_env.types import Question

_SEEDS = range(32)
_UNLIKELY = 1e-4
"""The chance below which values that go with the answers one to one are no accident."""

Seen = list[tuple[Question, Any]]
"""What was seen at each question, in the order of the episodes."""


def check_secrecy(probe: EnvProbe) -> None:
    """Neither the solution nor the mistakes' reasoning is shown; neither the text around the question nor
    a further key of info tells the answer, in words or as a value that goes with it one to one. (What
    teachers write is not looked at: their leaks are recorded.)"""
    around: Seen = []
    told: defaultdict[tuple[str, int], Seen] = defaultdict(list)
    for seed in _SEEDS:
        observation, info = probe.reset(seed=seed)
        question = probe.question
        around.append((question, _without(observation, question)))
        advised, *_, later = probe.step("I do not know.")
        texts = (
            observation,
            advised,
            *_leaves(info),
            *_leaves(later),
            repr(probe.env),
            repr(probe.env.unwrapped),
        )
        _check_hidden(probe, question, texts)
        for attempt, moment in enumerate((info, later)):
            for path, value in _entries({key: moment[key] for key in moment.keys() - INFO.keys()}):
                told[path, attempt].append((question, value))
    if _tells(around) or _goes_with(around):
        probe.fail("the observation after reset tells the right answer; show the question and nothing of it")
    for (path, _), seen in told.items():
        if len({repr(value) for _, value in seen}) == 1:
            continue  # a constant tells nothing
        if _tells([(question, list(_leaves(value))) for question, value in seen]) or _goes_with(seen):
            probe.fail(
                f"info{path} tells the right answer; leave it out, info is what the student's side sees"
            )


def _check_hidden(probe: EnvProbe, question: Question, texts: Sequence[str]) -> None:
    hidden = {"the solution": question.solution or "", **{
        f"the reasoning of mistake {mistake.name!r}": mistake.reasoning for mistake in question.mistakes
    }}  # fmt: skip
    for what, text in hidden.items():
        if len(text) > 8 and any(text in shown for shown in texts):
            probe.fail(f"the student is shown {what} of question {question.id!r}; keep it to yourself")


def _without(observation: str, question: Question) -> list[str]:
    """The observation after reset without the question's own text."""
    for own in filter(None, (question.text, question.system)):
        observation = observation.replace(own, "\n")
    return [observation]


def _entries(told: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of all entries of an info, those of mappings within it too."""
    for key, value in told.items():
        yield f"{path}[{key!r}]", value
        if isinstance(value, Mapping):
            yield from _entries(value, f"{path}[{key!r}]")


def _leaves(told: Any) -> Iterator[str]:
    """All texts in an info, and its other values as texts."""
    if isinstance(told, Mapping):
        for key, value in told.items():
            yield from (str(key), *_leaves(value))
    elif isinstance(told, list | tuple):
        for value in told:
            yield from _leaves(value)
    else:
        yield str(told)


def _tells(seen: Seen) -> bool:
    """Whether texts name the right answer at half of the questions or more. They do not if they name
    another question's answer where the right one is not named, as an example of the form does."""
    answers = {question.answer for question, _ in seen}

    def holds(question: Question, texts: list[str]) -> bool:
        return texts == [question.answer] or bool(detect(question, "\n".join(texts)))

    def named(question: Question, texts: list[str]) -> bool:
        others = (
            replace(question, answer=letter) for letter in question.letters if letter != question.answer
        )
        return holds(question, texts) and not any(holds(other, texts) for other in others)

    right = [named(question, texts) for question, texts in seen]
    if 2 * sum(right) < len(seen):
        return False
    missed = [pair for pair, is_right in zip(seen, right, strict=True) if not is_right]
    return not any(named(replace(q, answer=answer), texts) for q, texts in missed for answer in answers)


def _goes_with(seen: Seen) -> bool:
    """Whether each value stands for one answer and each answer for one value, at so many questions that
    values shuffled among them would hardly do so."""
    pairs = {(repr(value), question.answer) for question, value in seen}
    values, answers = {value for value, _ in pairs}, {answer for _, answer in pairs}
    if not len(values) == len(answers) == len(pairs) > 1:
        return False
    counts = Counter({question.id: question.answer for question, _ in seen}.values()).values()
    orders = math.factorial(len(counts)) * math.prod(map(math.factorial, counts))
    return orders / math.factorial(sum(counts)) < _UNLIKELY
