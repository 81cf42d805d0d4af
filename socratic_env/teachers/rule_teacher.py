"""The rule-based teacher: diagnoses the mistake by the question's misconception table."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from socratic_env.errors import ConfigurationError, VerifierError
from socratic_env.numbers import close_enough, read_number
from socratic_env.teachers.teacher import Teacher, TeacherRequest
from socratic_env.types import AnswerKind, Attempt, Guidance, Mistake, Question
from socratic_env.verifiers.code_verifier import first_alike, outcomes, unit_tests

UNREADABLE = "No answer could be read from your reply: {reason}. Give it once, in the form asked for."
UNKNOWN_MISTAKE = "Your answer is incorrect. Check every step again, one at a time."


def _worked(question: Question, attempt: Attempt) -> list[str]:
    """The words of what the student worked out: its reasoning, or an answer that is a working itself."""
    text = attempt.text
    start = text.find("<reasoning>")
    end = text.find("</reasoning>", start)
    if start >= 0 and end >= 0:
        return text[start + len("<reasoning>") : end].split()
    return (attempt.verdict.answer or "").split() if question.kind is AnswerKind.TEXT else []


def diagnose(question: Question, attempt: Attempt) -> Mistake | None:
    """The first mistake of the table that the attempt shows: by its reasoning up to the line in
    which the mistake happens, else by the answer that the mistake leads to."""
    words = _worked(question, attempt)
    for mistake in question.mistakes:
        *before, line = mistake.reasoning.split("\n")[: mistake.wrong_line + 1]
        shown = " ".join([*before, mistake.sign or line]).split()
        if shown and words[: len(shown)] == shown:  # a mistake without a working is known by its answer
            return mistake
    given = attempt.verdict.answer
    if given is None:
        return None
    value = read_number(given, question.unit)
    for mistake in question.mistakes:
        if mistake.answer == given:
            return mistake
        theirs = read_number(mistake.answer, question.unit)
        if value is None or theirs is None:
            continue
        if close_enough(value, theirs, question.abs_tol, question.rel_tol):
            return mistake
    return None


async def diagnose_code(question: Question, attempt: Attempt) -> Mistake | None:
    """The first mistake of the table whose code does what the attempt's code does, in every test; both are
    run in the verifier's sandbox."""
    if attempt.verdict.answer is None:
        return None
    tests = unit_tests(question.id, question.tests)
    sources = [attempt.verdict.answer, *(mistake.answer for mistake in question.mistakes)]
    try:
        own, *others = await asyncio.gather(*(outcomes(tests, source) for source in sources))
    except VerifierError:  # the verifier says so itself; a general hint is no fault of the teacher
        return None
    place = None if isinstance(own, str) else first_alike(own, others)
    return None if place is None else question.mistakes[place]


def hint(question: Question, mistake: Mistake, strength: str) -> str:
    """What is said of a mistake, by a name of `HINT_STRENGTHS`. "answer" gives the answer away."""
    if strength == "answer":
        return f"The answer is: {question.answer}"
    if strength == "all_steps":
        return question.method or mistake.next_step
    said: str = getattr(mistake, strength)
    return said


class RuleTeacher(Teacher):
    """Names the mistake and hints at the way out, never the letter or the value (unless told to).

    Which hints it gives is the protocol's `rule_hints`.
    """

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        """Guidance from the table; a general hint where the mistake is not in it."""
        return [await self._guide_one(request) for request in requests]

    async def _guide_one(self, request: TeacherRequest) -> Guidance:
        attempt = request.dialogue.attempts[-1]
        mistake = diagnose(request.dialogue.question, attempt)
        if mistake is None and request.dialogue.question.tests:
            mistake = await diagnose_code(request.dialogue.question, attempt)
        if mistake is not None:
            question = request.dialogue.question
            hints = [hint(question, mistake, strength) for strength in request.protocol.rule_hints]
            return Guidance(" ".join(hints), mistake=mistake.name)
        if attempt.verdict.answer is None:
            return Guidance(UNREADABLE.format(reason=attempt.verdict.reason))
        return Guidance(UNKNOWN_MISTAKE)

    def check(self, question: Question) -> None:
        """Refuse questions without a misconception table."""
        if not question.mistakes:
            raise ConfigurationError(
                f"teacher 'rule' needs a misconception table, and question {question.id!r} has none; "
                "use teacher='retry', or a language model: teacher={'kind': 'openai', "
                "'base_url': ..., 'model': ...}"
            )
