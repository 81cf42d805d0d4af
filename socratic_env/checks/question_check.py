"""Is one question sound?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NoReturn

from socratic_env.checks.parts import wrong_answers
from socratic_env.errors import CheckError
from socratic_env.leakage import detect
from socratic_env.numbers import close_enough, numbers_in, plain, read_number
from socratic_env.types import AnswerKind, Mistake, Question, reply
from socratic_env.verifiers import SyncVerifier

_SLACK = 1e-6
"""A solution may round the value that it comes to."""


def refuse(question: Question, what: str) -> NoReturn:
    """The CheckError that names the question."""
    raise CheckError(f"question {question.id!r}: {what}")


def check_question(question: Question, verifier: SyncVerifier) -> None:
    """Check the text, options, answer, solution and mistakes of one question. Raises CheckError."""
    if not question.statement.strip():
        refuse(question, "its statement is empty; say what is asked")
    try:
        f"{question.system}{question.text}".encode()
    except UnicodeEncodeError:
        refuse(question, "its text holds half of a surrogate pair; write it as Unicode")
    if question.kind is AnswerKind.CHOICE:
        _check_options(question)
    elif question.kind is AnswerKind.NUMERIC:
        _check_number(question)
    else:
        _check_words(question)
    verdict = verifier(question, reply(question.solution or "", question.answer))
    if not verdict.correct:
        refuse(
            question,
            f"its own answer {question.answer!r} does not pass the verifier ({verdict.reason}); correct the "
            "answer, keep answer tags out of the solution, or pass verifier=",
        )
    _check_secrecy(question)
    _check_solution(question)
    if detect(question, question.method):
        refuse(question, f"its method tells the answer: {question.method!r:.100}")
    for mistake in question.mistakes:
        _check_mistake(question, mistake, verifier)
    is_choice = question.kind is AnswerKind.CHOICE
    told = [mistake.answer if is_choice else mistake for mistake in question.mistakes]
    if len(set(told)) < len(told):
        refuse(question, "two of its mistakes lead to the same answer; keep one for each wrong answer")
    for wrong in wrong_answers(question):
        if verifier(question, reply("", wrong)).correct:
            refuse(
                question, f"the wrong answer {wrong!r} passes the verifier; compare with the question's own"
            )


def _check_options(question: Question) -> None:
    wanted = tuple(chr(ord("A") + i) for i in range(len(question.options)))
    if len(wanted) < 2:
        refuse(question, f"it has {len(wanted)} option; give at least 2, or make its kind numeric")
    if question.letters != wanted:
        refuse(question, f"its letters are {', '.join(question.letters)}; use {', '.join(wanted)} in order")
    if question.answer not in wanted:
        refuse(question, f"its answer {question.answer!r} is no option; name one of {', '.join(wanted)}")
    texts = [option.text.strip() for option in question.options]
    if len(set(texts)) < len(texts) or not all(texts):
        refuse(question, f"its options {texts} are not distinct or empty; make each another text")


def _check_number(question: Question) -> None:
    if question.options:
        refuse(question, "it is numeric and has options; leave them out, or make its kind a choice")
    if read_number(question.answer, question.unit) is None:
        refuse(question, f"its answer {question.answer!r} is no number; give one, with its unit or without")
    for name in ("abs_tol", "rel_tol"):
        tolerance = getattr(question, name)
        if not 0 <= tolerance < math.inf:
            refuse(question, f"{name} is {tolerance!r}; give a finite number of at least 0")


def _check_words(question: Question) -> None:
    if question.options:
        refuse(question, "it is answered in words and has options; leave them out, or make its kind a choice")
    if not question.answer.split():
        refuse(question, "its answer is empty; give its words")


def _check_secrecy(question: Question) -> None:
    """What the student reads of this very question before its first answer, beside the options. (An
    instruction may give the form by an example, "if the answer is A".)"""
    shown = f"{question.statement}\n{question.closing}"
    if question.solution and len(question.solution) > 20 and question.solution in shown:
        refuse(question, "its text holds its solution; the student would read it, so leave it out")
    # Numbers that are given are no leak. The words are left out, since quoting them would be none.
    said = plain(question.statement)
    given = "; ".join(said[number.start : number.end] for number in numbers_in(said))
    asked = replace(question, statement=given)
    leaks = [kind for kind in detect(asked, shown) if kind in ("letter", "number")]
    if leaks:
        refuse(question, f"its text tells the answer ({', '.join(leaks)}); leave that out of what is asked")


def _check_solution(question: Question) -> None:
    if question.solution is None:
        return
    if question.kind is AnswerKind.CHOICE:
        told = [
            letter
            for letter in question.letters
            if "letter" in detect(replace(question, statement="", answer=letter), question.solution)
        ]
        if told and question.answer not in told:
            refuse(
                question,
                f"its solution comes to {' and '.join(told)}, its answer is {question.answer}; correct one",
            )
        return
    if question.kind is AnswerKind.TEXT:
        said = question.solution.casefold().split()
        absent = [word for word in question.answer.casefold().split() if word not in said]
        if absent:
            refuse(
                question, f"its solution never says {' '.join(absent)!r} of its answer; correct one of them"
            )
        return
    truth = read_number(question.answer, question.unit)
    numbers = [number.value for number in numbers_in(plain(question.solution))]
    assert truth is not None
    if question.answer in question.solution or not numbers:
        return
    rel_tol = max(question.rel_tol, _SLACK)
    if not any(close_enough(abs(value), abs(truth), question.abs_tol, rel_tol) for value in numbers):
        refuse(
            question,
            f"its solution never comes to its answer {question.answer} (its last number is "
            f"{float(numbers[-1]):g}); correct one of them",
        )


def _check_mistake(question: Question, mistake: Mistake, verifier: SyncVerifier) -> None:
    place = f"mistake {mistake.name!r}"
    if not mistake.name.strip():
        refuse(question, "a mistake has no name; say in a few words what goes wrong")
    verdict = verifier(question, reply(mistake.reasoning, mistake.answer))
    if verdict.correct:
        refuse(
            question,
            f"{place} leads to {mistake.answer!r}, which is right; give the wrong answer it leads to",
        )
    if verdict.answer is None:
        refuse(
            question, f"{place}: its answer {mistake.answer!r} cannot be read ({verdict.reason}); correct it"
        )
    lines = mistake.reasoning.count("\n") + 1
    if not 0 <= mistake.wrong_line < lines:
        refuse(
            question,
            f"{place}: wrong_line is {mistake.wrong_line}; its reasoning has the lines 0..{lines - 1}",
        )
    for name in ("locate", "explain", "next_step", "ask"):
        hint = getattr(mistake, name)
        if not hint.strip():
            refuse(question, f"{place}: its hint {name!r} is empty; give a sentence")
        leaks = detect(question, hint)
        if leaks:
            refuse(
                question, f"{place}: its hint {name!r} tells the answer ({', '.join(leaks)}): {hint!r:.100}"
            )
