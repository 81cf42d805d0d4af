"""Questions of reasoning-gym: its generators ask, its own scorers judge what stands in the answer block.

Run with reasoning-gym 0.1.25. A generator and its settings are one spec, from which any process makes the
same item and scores an answer to it, so that a question carries no more than the spec and its number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from socratic_env.errors import QuestionError, unknown
from socratic_env.questions.question_set import QuestionSet, text_system
from socratic_env.questions.reasoning_gym.scorer_process import WORKER, WorkerStopped
from socratic_env.types import AnswerKind, Question, Verdict
from socratic_env.verifiers.answer_block import answer_block, wrong

SCORE_SECONDS = 5.0
"""How long a scorer may take over one answer; then the answer is wrong and the process is ended."""
ITEM_SECONDS = 300.0
"""How long a generator may take over one item."""
LONGEST = 2000
"""Characters of an answer that is scored, or twice those of the question's own where that is longer."""
TEST_SEED = 2**30
"""The seed that the test split adds."""
LARGEST = 2**25
"""Items of a split: with all that may stand for them, the training split ends before the test split
begins."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


@cache
def names() -> tuple[str, ...]:
    """The names of all generators. Raises QuestionError if the package is missing."""
    return tuple(WORKER.ask({"do": "names"}, ITEM_SECONDS)["names"])


def check_name(name: object) -> None:
    """Refuse what is no generator's name, with those that are close."""
    if name not in names():
        raise unknown("reasoning-gym dataset", name, names())


@dataclass(frozen=True)
class Scored:
    """The verifier of one question: the score of its generator's own scorer, kept in the verdict's reason.

    spec: what `scorer_child.dataset` makes, as JSON. index: the item there. threshold: the score that is
    right.
    """

    spec: str
    index: int
    threshold: float

    def __call__(self, question: Question, reply: str) -> Verdict:
        """Right from the threshold on. What the scorer cannot judge, or takes too long over, is wrong."""
        inside = answer_block(reply)
        if isinstance(inside, Verdict):
            return inside
        answer, longest = inside.strip(), max(LONGEST, 2 * len(question.answer))
        if not answer:
            return wrong("the answer block is empty")
        if len(answer) > longest:
            return wrong(f"the answer block is longer than {longest} characters")
        request = {"do": "score", "spec": self.spec, "index": self.index, "answer": answer}
        try:
            scored = WORKER.ask(request, ITEM_SECONDS, SCORE_SECONDS)
        except WorkerStopped as stopped:
            return Verdict(False, answer, f"the scorer gave no verdict: {stopped}")
        if "refused" in scored:
            raise QuestionError(f"question {question.id!r} cannot be scored: {scored['refused']}")
        if scored["trouble"]:
            return Verdict(False, answer, f"the scorer cannot read the answer ({scored['trouble']})")
        score, needed = scored["score"], self.threshold
        if score >= needed:
            return Verdict(True, answer, "correct" if score == 1 else f"correct (scored {score:.3g})")
        return Verdict(False, answer, f"scored {score:.3g}, and {needed:g} is needed")


class ReasoningGymQuestions(QuestionSet):
    """The items 0..size-1 of a generator, or of several mixed, made when they are asked for.

    asked: what `scorer_child.dataset` makes, and "threshold", the score from which an answer is right.
    """

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._spec = json.dumps(asked, sort_keys=True)
        self._size: int = asked["size"]
        self._threshold: float = asked["threshold"]
        self.name: str = asked["dataset"] or "composite"
        self._prefix = f"reasoning-gym/{asked['split']}/{self.name}/"
        self[0]  # settings that cannot be used are refused here

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Question:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} is none of 0..{len(self) - 1}")
        return self._made(index)

    def find(self, question_id: str) -> Question:
        """The question of an id such as "reasoning-gym/train/leg_counting/7"."""
        number = question_id.removeprefix(self._prefix) if isinstance(question_id, str) else ""
        if question_id != self._prefix + number or not re.fullmatch("0|[1-9][0-9]{0,9}", number):
            raise QuestionError(f"no question {question_id!r}; ids look like {self._prefix}0")
        if int(number) >= len(self):
            raise QuestionError(f"no question {question_id!r}; the last one is {self._prefix}{len(self) - 1}")
        return self._made(int(number))

    def _made(self, index: int) -> Question:
        try:
            found = WORKER.ask({"do": "item", "spec": self._spec, "index": index}, ITEM_SECONDS)
        except WorkerStopped as stopped:
            raise QuestionError(
                f"reasoning-gym {self.name} made no item {index}: {stopped}; choose easier settings"
            ) from None
        if "refused" in found:
            raise QuestionError(f"reasoning-gym {self.name}: {found['refused']}")
        answer = found["answer"]
        return Question(
            id=f"{self._prefix}{index}",
            domain="reasoning-gym",
            # A number is told apart from words by the leak detector; the scorer judges both.
            kind=AnswerKind.NUMERIC if _NUMBER.fullmatch(answer) else AnswerKind.TEXT,
            statement=found["question"].strip("\n"),
            answer=answer,
            system=text_system(),
            subtask=found["dataset"],
            verifier=Scored(self._spec, found["index"], self._threshold),
        )
