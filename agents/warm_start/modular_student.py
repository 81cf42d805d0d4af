"""A student for arithmetic modulo 7 that reads viewpoints: one token a word, and a warm start in two parts.

Schooling teaches the form of a working, every way to go on (each equally likely), and to do what a relevant
viewpoint says, right or wrong: one model for all. Then each student's misconceptions follow: the mistakes
that it holds and makes wherever they can be made, unless a viewpoint says otherwise.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from agents.learning.fit import fit
from agents.learning.rows import Rows
from agents.options import ModularStudent
from agents.warm_start.schooling import schooled
from agents.warm_start.word_student import END, STUDENT, SYSTEM, USER, word_tokenizer
from socratic_env.questions import modular
from socratic_env.questions.modular import MISCONCEPTIONS, MODULUS, ModularQuestions, moves, spaced, told
from socratic_env.viewpoints import KINDS

RIGHTLY, NOTHING = "rightly", "anyhow"
"""What a viewpoint can say beside the name of a mistake: do it rightly, and nothing."""
RULES = (RIGHTLY, *MISCONCEPTIONS, NOTHING)
PLACE_WORDS = tuple(dict.fromkeys(" ".join(one.place for one in MISCONCEPTIONS.values()).split()))
_NAMED = {one.place: name for name, one in MISCONCEPTIONS.items()}
SLOTS = 4
"""Most viewpoints that a student is schooled to read at once."""
OPEN, CLOSE = "<answer>", "</answer>"


@dataclass(frozen=True)
class Words:
    """A viewpoint in the student's four words: kind, two words of a place, and what to do there."""

    kind: str
    place: str
    rule: str

    @property
    def text(self) -> str:
        """As the student reads it."""
        return f"{self.kind} {self.place} {self.rule}"

    @property
    def trigger(self) -> str:
        """The misconception whose place it speaks of; "": none has it, and it stands before all questions."""
        return _NAMED.get(self.place, "")


def words_of(text: str) -> Words:
    """The viewpoint that a text is. Raises ValueError with what is wrong."""
    words = text.split()
    if len(words) != 4:
        raise ValueError(f"a viewpoint has four words, and {text!r:.60} has {len(words)}")
    kind, first, second, rule = words
    for word, known in ((kind, KINDS), (first, PLACE_WORDS), (second, PLACE_WORDS), (rule, RULES)):
        if word not in known:
            raise ValueError(f"{word!r} is none of {', '.join(known)}")
    return Words(kind, f"{first} {second}", rule)


def principle(name: str, kind: str = "principle", rule: str = RIGHTLY) -> Words:
    """What to do (rightly, unless another rule is named) where a mistake could be made."""
    return Words(kind, MISCONCEPTIONS[name].place, rule)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each word of the world and of its viewpoints."""
    return word_tokenizer([OPEN, CLOSE, *map(str, range(MODULUS)), *"+-*()=", *KINDS, *PLACE_WORDS, *RULES])


class Dialogues:
    """Freshly drawn workings, as token ids.

    held: the misconceptions; None: schooling, in which every way to go on is as likely as another.
    """

    def __init__(
        self, tokenizer: Any, student: ModularStudent, held: Sequence[str] | None, seed: int
    ) -> None:
        self._student, self._held = student, held
        self._rng = random.Random(seed)
        self._pad = tokenizer.pad_token_id
        self._id: dict[str, int] = dict(tokenizer.get_vocab())
        self._questions = ModularQuestions("train")

    def rows(self, count: int) -> Rows:
        """One row for each working; the student's own words are the targets."""
        return Rows.of_pieces([self._piece(i) for i in range(count)], self._pad, range(count), packed=False)

    def _piece(self, number: int) -> list[tuple[int, list[int], bool]]:
        expression = self._questions.expression(self._rng)
        shown = self._shown(expression)
        words = [SYSTEM, *" ".join(one.text for one in shown).split(), END] if shown else []
        asked = [*words, USER, *spaced(expression).split(), END, STUDENT]
        said = [OPEN, *told(self.work(expression, shown)).split(), CLOSE, END]
        return [(number, self._ids(asked), False), (number, self._ids(said), True)]

    def _shown(self, expression: str) -> list[Words]:
        rng = self._rng
        if rng.random() >= self._student.with_viewpoints:
            return []
        places = list(dict.fromkeys(self._places(expression)))
        rng.shuffle(places)
        found = []
        for _ in range(rng.randint(1, SLOTS)):
            if places and rng.random() < self._student.relevant:
                rule = RIGHTLY if rng.random() < 0.5 else rng.choice(list(MISCONCEPTIONS))
                found.append(principle(places.pop(), rng.choice(KINDS), rule))
            else:
                found.append(self._any())
        return found

    def _any(self) -> Words:
        rng = self._rng
        return Words(
            rng.choice(KINDS), f"{rng.choice(PLACE_WORDS)} {rng.choice(PLACE_WORDS)}", rng.choice(RULES)
        )

    def _places(self, expression: str) -> list[str]:
        names: list[str] = []
        while not expression.isdecimal():
            options = moves(expression)
            names += filter(None, options)
            expression = options[""]
        return names

    def work(self, expression: str, shown: Sequence[Words]) -> list[str]:
        """The lines of a student with these viewpoints before it, drawn."""
        lines = []
        while not expression.isdecimal():
            expression = self._next(moves(expression), shown)
            lines.append(expression)
        return lines

    def _next(self, options: Mapping[str, str], shown: Sequence[Words]) -> str:
        rng, student = self._rng, self._student
        comply = 1.0 if self._held is None else student.comply
        mistakes = [name for name in options if name]
        for one in shown:
            name = _NAMED.get(one.place)
            if name not in options or one.rule == NOTHING or rng.random() >= comply:
                continue
            if one.rule in options:
                return options[one.rule]
            if one.rule == RIGHTLY and name in mistakes:
                mistakes.remove(name)
        if self._held is None:
            return options[rng.choice(["", *mistakes])]
        held = [name for name in mistakes if name in self._held]
        if held and rng.random() < student.hold:
            return options[rng.choice(held)]
        if mistakes and rng.random() >= student.right:
            return options[rng.choice(mistakes)]
        return options[""]

    def _ids(self, words: Sequence[str]) -> list[int]:
        return [self._id[word] for word in words]


Progress = Callable[[int, float], None]


def school(
    model: Any, tokenizer: Any, student: ModularStudent, cache: Path | None, progress: Progress | None = None
) -> None:
    """The first part, the same for all students: schooling, or what was schooled before."""

    def lessons() -> None:
        dialogues = Dialogues(tokenizer, student, None, seed=0)
        steps = student.schooling_steps
        fit(model, lambda: dialogues.rows(student.schooling_batch), steps, student.lr, progress)

    parts = ("schooling_steps", "schooling_batch", "lr", "with_viewpoints", "relevant")
    settings = [getattr(student, name) for name in parts]
    schooled(model, settings, (sys.modules[__name__], modular), cache, lessons)


def warm_start(
    model: Any,
    tokenizer: Any,
    student: ModularStudent,
    seed: int,
    cache: Path | None,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """School a student, or take over what was schooled before, and give it the misconceptions of its seed.

    cache: folder of schooled weights. progress: called with (steps made of both parts, loss).

    Returns the misconceptions.
    """
    school(model, tokenizer, student, cache, progress)
    held = misconceptions(student, seed)
    known = Dialogues(tokenizer, student, held, seed)

    def advance(step: int, loss: float) -> None:
        if progress is not None:
            progress(student.schooling_steps + step, loss)

    fit(model, lambda: known.rows(student.batch), student.steps, student.misconception_lr, advance)
    return held


def misconceptions(student: ModularStudent, seed: int) -> tuple[str, ...]:
    """Those that the student of a seed holds."""
    return tuple(random.Random(f"{seed}/misconceptions").sample(list(MISCONCEPTIONS), student.held))
