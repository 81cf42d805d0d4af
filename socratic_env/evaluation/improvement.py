"""A better prompt for a teacher: changed texts of a protocol, judged by what they do for a student.

Socratic-RL's teacher that learns to teach, for teachers whose weights nobody has: proposals by a language
model that sees failures and successes, or by a grammar of changes; successive halving on training questions;
and the winner against the original on held-out ones.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from socratic_env.errors import ConfigurationError, check_count, check_seed
from socratic_env.evaluation.comparison import Run, counted, report, run_variant
from socratic_env.evaluation.intervals import value
from socratic_env.evaluation.statistics import faults_of
from socratic_env.protocols import TeachingProtocol
from socratic_env.students import Student
from socratic_env.teachers import TeacherSpec
from socratic_env.types import Episode, Question, Usage

INSTRUCTIONS = (
    "- Name the first line that is wrong, and why it is.",
    "- Say which rule decides that step, and leave its use to the student.",
    "- Ask one question whose answer leads to the mistake.",
    "- Tell the student what to do next in one sentence.",
    "- Say which part of the answer was right, so that it is kept.",
    "- Never name, exclude or hint at an option or a value.",
    "- Use at most two sentences.",
)
"""Lines that the grammar adds to a prompt."""
HINTS = (("locate",), ("ask",), ("explain",), ("next_step",), ("explain", "next_step"), ("all_steps",))
"""What the grammar lets the rule-based teacher say; never the answer."""


@dataclass(frozen=True)
class Candidate:
    """A changed protocol. parent: the name of what was changed ("" for the original). change: in words."""

    protocol: TeachingProtocol
    parent: str = ""
    change: str = ""


@dataclass(frozen=True)
class Trial:
    """What a candidate was found to do on so many training questions: see `score`."""

    name: str
    round: int
    questions: int
    score: float
    gain: float
    leaks: float
    open: int


@dataclass(frozen=True)
class Improvement:
    """What came of it.

    winner: the best candidate; the original itself where nothing was better. candidates: all, the original
    first. trials: in order. held_out: `comparison.report` of the winner against the original, on questions
    that none was judged by; None if the original won. faults: proposals that came to nothing, and why.
    spent: tokens of teacher and student in all trials, and of the proposals.
    """

    winner: Candidate
    candidates: tuple[Candidate, ...]
    trials: tuple[Trial, ...]
    held_out: dict[str, Any] | None
    faults: tuple[str, ...]
    spent: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "winner": self.winner.protocol.name,
            "original": self.candidates[0].protocol.name,
            "candidates": [
                {
                    "name": one.protocol.name,
                    "parent": one.parent,
                    "change": one.change,
                    "prompt": one.protocol.prompt,
                    "rule_hints": list(one.protocol.rule_hints),
                }
                for one in self.candidates
            ],
            "trials": [trial.__dict__ for trial in self.trials],
            "held_out": self.held_out,
            "faults": list(self.faults),
            "spent": self.spent,
        }


Propose: TypeAlias = Callable[
    [TeachingProtocol, Sequence[Episode], int, int], Awaitable[tuple[list[tuple[TeachingProtocol, str]], Any]]
]
"""(what is to be changed, its episodes, how many, seed) -> ([(changed, what changed)], (faults, usage))."""


@dataclass(frozen=True)
class Search:
    """How it is searched.

    rounds: generations; each changes the best so far. candidates: changes in each. questions: training
        questions of the first comparison of a round, doubled while more than two are left.
    rollouts: episodes on each question. max_attempts: K. leak_penalty: what a share of 1 of leaking guidance
        costs, in accuracy. seed: of questions, chances and the grammar.
    """

    rounds: int = 2
    candidates: int = 8
    questions: int = 32
    rollouts: int = 2
    max_attempts: int = 2
    leak_penalty: float = 1.0
    seed: int = 0

    def check(self) -> None:
        """Raise ConfigurationError for a setting that cannot be used."""
        for name in ("rounds", "candidates", "questions", "rollouts"):
            check_count(name, getattr(self, name))
        if self.max_attempts < 2:
            raise ConfigurationError(
                f"max_attempts is {self.max_attempts}; give at least 2, or no guidance is ever used"
            )
        check_seed(self.seed)

    @property
    def largest(self) -> int:
        """Training questions of the last comparison of a round."""
        return self.questions * 2 ** max(0, (self.candidates + 1).bit_length() - 2)


@dataclass
class _Spent:
    teacher: Usage = field(default_factory=Usage)
    student: Usage = field(default_factory=Usage)
    proposals: Usage = field(default_factory=Usage)

    def add(self, run: Run) -> None:
        self.teacher += run.teacher
        self.student += run.student

    def told(self) -> dict[str, int]:
        return {
            name: usage.prompt_tokens + usage.completion_tokens
            for name, usage in (
                ("teacher", self.teacher),
                ("student", self.student),
                ("proposals", self.proposals),
            )
        }


async def improve(
    original: TeachingProtocol,
    propose: Propose,
    student: Student,
    teacher: TeacherSpec,
    training: Sequence[Question],
    held_out: Sequence[Question],
    search: Search | None = None,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> Improvement:
    """Search for a protocol with a higher `score`.

    training: at least `Search.largest` questions. held_out: others.

    Raises TeacherError or StudentError of a teacher or student that cannot be used at all.
    """
    search = search or Search()
    search.check()
    if len(training) < search.largest:
        raise ConfigurationError(
            f"{len(training)} training questions are too few for {search.candidates} candidates; give at "
            f"least {search.largest}, or ask for fewer"
        )
    if {q.id for q in training} & {q.id for q in held_out}:
        raise ConfigurationError(
            "training and held-out questions overlap; take the second from another split"
        )
    best = Candidate(original)
    known, trials, faults, spent = [best], list[Trial](), list[str](), _Spent()

    async def play(protocol: TeachingProtocol, questions: Sequence[Question]) -> Run:
        run = await run_variant(protocol, questions, student, teacher, search.rollouts, search.max_attempts)
        spent.add(run)
        return run

    for number in range(search.rounds):
        seen = await play(best.protocol, training[: search.questions])
        made, (failed, usage) = await propose(
            best.protocol, seen.episodes, search.candidates, search.seed + number
        )
        spent.proposals += usage
        faults += failed
        fresh = []
        for changed, what in made:
            if all(_content(changed) != _content(one.protocol) for one in known):
                name = f"{original.name}-{len(known)}"
                fresh.append(Candidate(replace(changed, name=name), best.protocol.name, what))
                known.append(fresh[-1])
        alive, count = [best, *fresh], search.questions
        while len(alive) > 1:
            scored = []
            for one in alive:
                trial = _trial(await play(one.protocol, training[:count]), number, count, search)
                trials.append(trial)
                on_trial(trial)
                scored.append((trial.score, one))
            scored.sort(key=lambda pair: -pair[0])  # stable: of equals the earlier one stays
            alive = [one for _, one in scored[: len(alive) // 2]]
            count *= 2
        best = alive[0]
    compared = None
    if best.protocol is not original:
        runs = [await play(one, held_out) for one in (original, best.protocol)]
        compared = report(runs, original.name, search.max_attempts, seed=search.seed)
    return Improvement(best, tuple(known), tuple(trials), compared, tuple(faults), spent.told())


def score(run: Run, max_attempts: int, leak_penalty: float) -> tuple[float, float, float]:
    """(score, gain, leaks). The gain is guided minus first-attempt accuracy, open episodes unsolved; the
    score is that minus the penalty for the share of shown guidance that gives the answer away."""
    found = counted(run, max_attempts)
    gain = value(found["guided_accuracy"].lower) - value(found["first_attempt_accuracy"].lower)
    leaks = value(found["shown_leakage_rate"].lower)
    leaks = 0.0 if leaks != leaks else leaks  # without any guidance nothing leaked
    return gain - leak_penalty * leaks, gain, leaks


def _trial(run: Run, number: int, questions: int, search: Search) -> Trial:
    total, gain, leaks = score(run, search.max_attempts, search.leak_penalty)
    opened = sum(faults_of(run.episodes).values())
    return Trial(run.protocol.name, number + 1, questions, total, gain, leaks, opened)


def _content(protocol: TeachingProtocol) -> TeachingProtocol:
    return replace(protocol, name="", summary="")


# -- proposals -----------------------------------------------------------------------------


async def by_grammar(
    protocol: TeachingProtocol, _episodes: Sequence[Episode], count: int, seed: int
) -> tuple[list[tuple[TeachingProtocol, str]], tuple[list[str], Usage]]:
    """Up to `count` different changes: a line of the prompt less, a line more, the whole dialogue instead of
    the last answer, other hints of the rule-based teacher."""
    lines = protocol.prompt.splitlines()
    bullets = [place for place, line in enumerate(lines) if line.startswith("- ")]
    changes: list[tuple[TeachingProtocol, str]] = []
    for place in bullets:
        without = "\n".join([*lines[:place], *lines[place + 1 :]])
        changes.append((replace(protocol, prompt=without), f"without {lines[place]!r}"))
    at = bullets[-1] + 1 if bullets else 1
    for line in INSTRUCTIONS:
        if line not in lines:
            more = "\n".join([*lines[:at], line, *lines[at:]])
            changes.append((replace(protocol, prompt=more), f"with {line!r}"))
    other = "whole" if protocol.dialogue == "last" else "last"
    changes.append((replace(protocol, dialogue=other), f"dialogue: {other}"))
    hints = [
        (replace(protocol, rule_hints=each), f"rule_hints: {', '.join(each)}")
        for each in HINTS
        if each != protocol.rule_hints
    ]
    rng = random.Random(seed)
    rng.shuffle(changes)
    rng.shuffle(hints)
    mixed = [each for pair in zip(hints, changes, strict=False) for each in pair]
    return [*mixed, *changes[len(hints) :]][:count], ([], Usage())
