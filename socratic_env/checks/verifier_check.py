"""Does a verifier keep its contract?"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

from socratic_env.checks.parts import Form, asked_about, wrong_answers
from socratic_env.errors import CheckError
from socratic_env.types import AnswerKind, Question, Verdict, reply
from socratic_env.verifiers import Verifier, verifier_from_spec
from socratic_env.verifiers.verdicts import blocking

_CYRILLIC = str.maketrans("ABCEHKMOPTX", "\u0410\u0412\u0421\u0415\u041d\u041a\u041c\u041e\u0420\u0422\u0425")
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_LONG = 1_000_000
_SHORTEST, _LONGEST, _MEASURABLE_S, _MOST_GROWTH = 256, 500_000, 5e-3, 3.0
_LONG_S, _MOST_AT_ONCE = 0.05, 20.0
_SHORT = [round(4 * 1.25**step) for step in range(19)]
"""Lengths up to 256, in steps that show exponential time; after a doubling the call would never return."""


def check_verifier(
    verifier: str | Verifier, questions: Sequence[Question] | None = None, *, form: Form = reply
) -> None:
    """Check that a verifier keeps its contract: right answers pass and wrong ones do not, nothing that a
    student may write crashes it or is paid by mistake, and its time is linear in the reply. Of one that is
    asynchronous only the time of this thread is seen, so that a slow worker or model passes.

    Args:
        verifier: a function (question, text) -> Verdict, or the name of a built-in one.
        questions: what to judge replies on; None for some procedural ones of both kinds.
        form: (reasoning, answer) -> a reply in the form that the verifier reads.

    Raises:
        CheckError: what is wrong, and the remedy.
    """
    if not isinstance(verifier, str) and not callable(verifier):
        raise CheckError(f"verifier is {verifier!r:.80}; give a function (question, text) -> Verdict")
    asked = asked_about(questions)
    probe = _Probe(verifier_from_spec(verifier), form)
    for question in asked[:8]:
        _check_answers(probe, question)
        _check_secrecy(probe, question)
    for question in {question.kind: question for question in asked}.values():
        _check_time(probe, question)  # before any long reply
    for question in asked[:8]:
        _check_hostile(probe, question)


class _Probe:
    """A verifier, and judgements that are checked one by one."""

    def __init__(self, verifier: Verifier, form: Form) -> None:
        self.verifier, self.form = blocking(verifier), form
        self.name = getattr(verifier, "__name__", type(verifier).__name__)

    def fail(self, what: str) -> NoReturn:
        raise CheckError(f"{self.name}: {what}")

    def call(self, question: Question, text: str) -> Verdict:
        """What the verifier returns; an error that it raises is named."""
        try:
            return self.verifier(question, text)
        except Exception as error:  # noqa: BLE001 - whatever a user's verifier raises
            self.fail(
                f"it raised {type(error).__name__}: {error} on question {question.id!r} and the reply "
                f"{text!r:.80}; return Verdict(False, None, reason) for what it cannot read (if it does not "
                f"judge questions of kind {question.kind.value!r}, pass questions=[...] that it does)"
            )

    def judge(self, question: Question, text: str) -> Verdict:
        """The verdict: of the right shape, the same a second time, and the question left alone."""
        shown, before = f"{text!r:.80}", copy.deepcopy(question)
        verdict, again = self.call(question, text), self.call(question, text)
        if not isinstance(verdict, Verdict):
            self.fail(f"it returned {verdict!r:.60}; return socratic_env.Verdict(correct, answer, reason)")
        if not isinstance(verdict.correct, bool):
            self.fail(f"correct is {verdict.correct!r:.60}; make it a bool")
        if verdict.answer is not None and not isinstance(verdict.answer, str):
            self.fail(f"answer is {verdict.answer!r:.60}; give the text that was read, or None")
        if not isinstance(verdict.reason, str) or not verdict.reason.strip():
            self.fail(f"reason is {verdict.reason!r:.60}; say in a few words why, also of a right answer")
        if verdict != again:
            self.fail(
                f"it is not deterministic: {verdict} and then {again} on the reply {shown}; keep no state "
                "between calls and draw no random numbers"
            )
        if question != before:
            self.fail(f"it changed question {question.id!r}; work on a copy of what you want to change")
        return verdict


def _check_answers(probe: _Probe, question: Question) -> None:
    right = probe.form("I work it out.", question.answer)
    verdict = probe.judge(question, right)
    if not verdict.correct:
        probe.fail(
            f"it refuses the right answer of question {question.id!r} ({verdict.reason}) in {right!r:.120}; "
            "if it reads another form than that, pass form=, and if it does not judge questions of kind "
            f"{question.kind.value!r}, pass questions=[...] that it does"
        )
    if verdict.answer is None:
        probe.fail(f"it accepts {right!r:.80} with answer None; give what was read as Verdict.answer")
    for wrong in wrong_answers(question):
        if probe.judge(question, probe.form("I work it out.", wrong)).correct:
            probe.fail(
                f"it accepts the wrong answer {wrong!r} to question {question.id!r}; compare with its answer"
            )


def _hostile(question: Question, form: Form) -> Iterator[tuple[str, str]]:
    """(what it is, reply) that must not be paid, although some hold the right answer."""
    right, gold = form("", question.answer), question.answer
    yield "an empty reply", ""
    yield "blanks", " \n\t" * 50
    yield "NUL bytes", "\x00" * 50
    yield "a lone surrogate", "\ud800"
    yield "a reply of 1 MB without an answer", "word " * (_LONG // 5)
    yield "an empty answer", form("", "")
    yield "an answer of 1 MB", form("", "7" * _LONG)
    yield "the right answer with a NUL byte", form("", f"{gold}\x00")
    yield "the right answer with a lone surrogate", form("", f"{gold}\udc00")
    yield "the right answer with an invisible character", form("", f"{gold}\u200b")
    yield "the right answer in full-width characters", form("", gold.translate(_FULL_WIDTH))
    yield "the right answer in an unfinished thought", f"<think>\n{right}"
    yield "the right answer in a thought", f"<think>\n{right}\n</think>"
    if "```" not in right:
        yield "the right answer in a code fence, as a quoted example", f"The form is\n```\n{right}\n```"
    for wrong in wrong_answers(question)[:1]:
        other = form("", wrong)
        yield "a right answer after a wrong one", f"{other}\n{right}"
        yield "a wrong answer after a right one", f"{right}\n{other}"
    if question.options:
        yield "all letters", form("", ", ".join(question.letters))
        yield "all letters, each as an answer", "\n".join(form("", letter) for letter in question.letters)
    if gold.translate(_CYRILLIC) != gold:
        yield "the right letter in Cyrillic", form("", gold.translate(_CYRILLIC))


def _check_hostile(probe: _Probe, question: Question) -> None:
    asked = [question]
    if question.kind is AnswerKind.CHOICE:  # each letter in turn, so that look-alikes are among them
        asked += [replace(question, answer=letter) for letter in question.letters[:3]]
    for each in asked:
        for what, text in _hostile(each, probe.form):
            if probe.judge(each, text).correct:
                probe.fail(
                    f"it accepts {what}: {text!r:.100}; accept one answer, to the letter, that stands "
                    "outside of thoughts, fences and quotations (see socratic_env.verifiers.answer_block)"
                )


def _check_secrecy(probe: _Probe, question: Question) -> None:
    """Another truth, the same wrong reply: the verdict, which the student sees, must be the same."""
    if question.kind is AnswerKind.CHOICE:
        if len(question.letters) < 3:
            return
        *_, one, other = wrong_answers(question)
    else:
        one, other = "123456789", wrong_answers(question)[-1]
    replies = [probe.form("", one), probe.form("", "?"), "I do not know."]
    for text in replies:
        seen = probe.judge(question, text), probe.judge(replace(question, answer=other), text)
        if not any(verdict.correct for verdict in seen) and seen[0] != seen[1]:
            probe.fail(
                f"its verdict on a wrong reply depends on the truth ({seen[0].reason!r:.80} or "
                f"{seen[1].reason!r:.80}), and the student sees it; leave the right answer out of both"
            )


# -- time ----------------------------------------------------------------------------------


def _growing(question: Question, form: Form) -> dict[str, Callable[[int], str]]:
    """Texts of any length on which careless parsers take quadratic time."""
    head, _, tail = form("", "\x00").partition("\x00")
    right = form("", question.answer)
    return {
        "prose": lambda n: "abc def\n" * (n // 8),
        "beginnings of an answer": lambda n: head * (n // max(1, len(head))),
        "ends of an answer": lambda n: tail * (n // max(1, len(tail))),
        "answers": lambda n: right * (n // max(1, len(right))),
        "digits in the answer": lambda n: form("", "7" * n),
        "blanks in the answer": lambda n: form("", " " * n + question.answer),
        "thoughts": lambda n: "<think>" * (n // 7) + right,
        "ends of thoughts": lambda n: "</think>" * (n // 8) + right,
        "code fences": lambda n: "```\n" * (n // 4) + right,
        "brackets": lambda n: "(" * n + right,
        "blank lines": lambda n: " \n" * (n // 2) + right,
    }


def _check_time(probe: _Probe, question: Question) -> None:
    right = probe.form("", question.answer)
    for what, make in _growing(question, probe.form).items():
        longest = max(_LONG_S, _MOST_AT_ONCE * _once(probe, question, right))
        for size in _SHORT:
            spent = _once(probe, question, make(size))
            if spent >= longest and _seconds(probe, question, make(size)) >= longest:
                probe.fail(
                    f"{size} characters more ({what}) take it {spent:.2g} s; read the reply in one pass, "
                    "without regular expressions that go back"
                )
        growth = _growth(probe, question, make)
        if growth >= _MOST_GROWTH:  # once more, on a machine that was busy
            growth = min(growth, _growth(probe, question, make))
        if growth >= _MOST_GROWTH:
            probe.fail(
                f"twice as much text ({what}) takes {growth:.1f} times as long; read the reply in one pass, "
                "without regular expressions that go back"
            )


def _growth(probe: _Probe, question: Question, make: Callable[[int], str]) -> float:
    """t(2n) / t(n) at an n at which there is time to measure; 0 where even the longest takes none.

    Of each the least of some calls by turns: whatever else the machine does can only add to a time.
    """
    size = _SHORTEST
    while size < _LONGEST:
        if _seconds(probe, question, make(size)) >= _MEASURABLE_S:
            short, long = make(size), make(2 * size)
            times = [(_once(probe, question, short), _once(probe, question, long)) for _ in range(6)]
            once, twice = map(min, zip(*times, strict=True))
            return twice / once
        size *= 2
    return 0.0


def _seconds(probe: _Probe, question: Question, text: str) -> float:
    """The least of three calls."""
    return min(_once(probe, question, text) for _ in range(3))


def _once(probe: _Probe, question: Question, text: str) -> float:
    """Of this thread's processor."""
    start = time.thread_time()
    probe.call(question, text)
    return time.thread_time() - start
