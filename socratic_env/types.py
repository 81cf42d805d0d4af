"""The vocabulary: frozen records that every other module speaks.

Ground truth never shows in a `repr`: the fields that hold it are left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict

from socratic_env.errors import TeacherError, VerifierError

DOMAINS = ("chemistry", "physics", "biology", "material")
SPLITS = ("train", "test")
HINT_STRENGTHS = ("locate", "ask", "explain", "next_step", "all_steps", "answer")


class Message(TypedDict):
    """One chat message, as chat templates and OpenAI-compatible servers take it."""

    role: str
    content: str


class AnswerKind(StrEnum):
    """How a question is answered, and so which verifier judges it by default."""

    CHOICE = "choice"
    NUMERIC = "numeric"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a multiple-choice question."""

    letter: str
    text: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A named misconception of one question: what a student who holds it would write.

    answer: the wrong answer it leads to (a letter, or a number as text).
    name: what a learner would call it ("forgot the square root").
    reasoning: the worked, mistaken reasoning.
    wrong_line: index of the line of `reasoning` in which the mistake happens; the lines
        before it are right.
    locate, explain, next_step: hints of growing strength. None of them holds the right
        answer, its letter or its value. `ask` is `locate` as a question.
    sign: the words that the wrong line begins with wherever this mistake is made ("": all of its words).
    """

    answer: str = field(repr=False)
    name: str
    reasoning: str = field(repr=False)
    wrong_line: int = field(repr=False)
    locate: str = field(repr=False)
    explain: str = field(repr=False)
    next_step: str = field(repr=False)
    sign: str = field(default="", repr=False)

    @property
    def ask(self) -> str:
        """The place of the mistake as a question that leaves the diagnosis to the student."""
        place = self.locate.strip().rstrip(".")
        asked = place.removeprefix("Look again at ")
        if asked == place:
            return f"{place}: which rule holds there, and does your line follow it?"
        return f"Which rule gives {asked}, and does your line follow it?"


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its ground truth.

    id: unique within its set and stable ("<domain>/<split>/<row>" for rows of a file).
    statement: what is asked, without options.
    options: the options in order; empty for numeric answers.
    system: the instruction that stands before the question ("" for none).
    closing: a last line of the user's message ("" for none).
    answer: ground truth: a letter, a number as text, or words.
    subtask, level: what kind of question it is, and how hard ("" if unknown).
    unit, abs_tol, rel_tol: of a numeric answer.
    solution: worked, correct reasoning (None if the set has none).
    method: every step of the solution named, without a value: the hint "all_steps" ("" for none).
    mistakes: the misconception table (empty if the set has none).
    verifier: what judges it in place of its kind's verifier: a name, "module:name", or the function itself.
    tests: hidden tests of a question that is answered with code ("" for none), see `verifiers.code_verifier`.
    """

    id: str
    domain: str
    kind: AnswerKind
    statement: str
    answer: str = field(repr=False)
    options: tuple[Option, ...] = ()
    system: str = ""
    closing: str = ""
    subtask: str = ""
    level: str = ""
    unit: str = ""
    abs_tol: float = 0.0
    rel_tol: float = 0.0
    solution: str | None = field(default=None, repr=False)
    method: str = field(default="", repr=False)
    mistakes: tuple[Mistake, ...] = field(default=(), repr=False)
    verifier: str | Callable[[Question, str], Verdict | Awaitable[Verdict]] | None = field(
        default=None, repr=False
    )
    tests: str = field(default="", repr=False)

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters a choice may name."""
        return tuple(option.letter for option in self.options)

    @property
    def text(self) -> str:
        """The user's message: statement, options one a line, closing line."""
        parts = [self.statement]
        if self.options:
            parts.append("\n" + "\n".join(f"{o.letter}: {o.text}" for o in self.options))
        if self.closing:
            parts.append(self.closing)
        return "\n".join(parts)


def reply(reasoning: str, answer: str) -> str:
    """A student's reply in the form that the instructions ask for."""
    return f"<reasoning>\n{reasoning}\n</reasoning>\n<answer>\n{answer}\n</answer>"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's judgement of one reply. `answer` is what was read (None: nothing)."""

    correct: bool
    answer: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What calls have cost, for one role. Adds up with `+`.

    seconds: time spent in the calls (calls at the same time count each).
    cost: money, in the currency of the prices that the teacher was given (0 without prices).
    """

    calls: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.failures + other.failures,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
            self.cost + other.cost,
        )


@dataclass(frozen=True, slots=True)
class Guidance:
    """A teacher's answer to one request: text, or the fault that left none.

    stands_for: the fault in whose place the environment says this text, where its policy says so.
    mistake: the name of the misconception that was diagnosed, where the teacher knows it.
    truncated: the text was cut at the protocol's length.
    leaks: the kinds of leak found in what the teacher wrote (`socratic_env.leakage.KINDS`).
    blocked: because of these leaks the student was shown a safe hint in its place.
    usage: what the call cost; takes no part in comparisons, since times vary.
    """

    text: str = ""
    fault: TeacherError | None = None
    mistake: str | None = None
    truncated: bool = False
    leaks: tuple[str, ...] = ()
    blocked: bool = False
    stands_for: TeacherError | None = None
    usage: Usage = field(default=Usage(), compare=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One reply of the student, its verdict, and the guidance that followed (if any).

    finished: the reply ended by itself; False: it was cut at its longest length, or broken off otherwise;
    None: nobody has said.
    """

    text: str
    verdict: Verdict
    guidance: Guidance | None = None
    finished: bool | None = None


class StopReason(StrEnum):
    """Why an episode ended."""

    SOLVED = "solved"
    OUT_OF_ATTEMPTS = "out_of_attempts"
    TEACHER_FAILED = "teacher_failed"
    VERIFIER_FAILED = "verifier_failed"
    CONTEXT_LIMIT = "context_limit"

    @property
    def truncated(self) -> bool:
        """Whether Gymnasium's `truncated` is set, rather than `terminated`."""
        return self not in (StopReason.SOLVED, StopReason.OUT_OF_ATTEMPTS)


@dataclass(frozen=True, slots=True)
class Episode:
    """A finished dialogue with its rewards, one for each attempt; `fault` as of Dialogue."""

    question: Question
    attempts: tuple[Attempt, ...]
    rewards: tuple[float, ...]
    stop: StopReason
    fault: VerifierError | None = None
