"""Where a viewpoint applies: its trigger against what is said of a question."""

from __future__ import annotations

from socratic_env.types import Question
from socratic_env.viewpoints.viewpoint import Viewpoint, normalised, normalised_trigger


def labels(question: Question) -> frozenset[str]:
    """What a trigger can name of a question: its domain, sub-task, level, the names of the mistakes that can
    be made in it, and their places ("Look again at the sum in the brackets." is the place "the sum in the
    brackets"). Without case, and with a blank for `_`."""
    said = [question.domain, question.subtask, question.level]
    for mistake in question.mistakes:
        said += [mistake.name, mistake.locate.strip().removeprefix("Look again at ")]
    return frozenset(filter(None, (normalised(label.replace("_", " ")) for label in said)))


def applies(viewpoint: Viewpoint, question: Question, said: frozenset[str] | None = None) -> bool:
    """Whether a viewpoint applies to a question: each part of its trigger is one of the question's labels.

    said: the labels, where they are at hand.
    """
    trigger = normalised_trigger(viewpoint.trigger)
    return not trigger or (labels(question) if said is None else said).issuperset(trigger.split(" / "))
