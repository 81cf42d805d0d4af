"""check_verifier passes the built-in ones, and names what a broken verifier must mend."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from support.scripted import choice_question, numeric_question

from socratic_env import Question, Verdict
from socratic_env.checks import check_verifier
from socratic_env.errors import CheckError, ConfigurationError
from socratic_env.questions import load_questions
from socratic_env.types import AnswerKind
from socratic_env.verifiers import KINDS, by_kind, choice, numeric

pytestmark = pytest.mark.timeout(120)
CHOICES = [choice_question("b"), choice_question("e", "E", "ABCDE"), choice_question("a", "A", "AB")]
NUMBERS = [
    numeric_question("10", unit="m", rel_tol=0.01),
    replace(numeric_question("-2.5e-3", abs_tol=1e-4), id="small"),
    replace(numeric_question("0"), id="zero"),
    load_questions("arithmetic")[3],
]


def bracket(question: Question, text: str) -> Verdict:
    """A sound verifier of another form: the whole reply is [[B]]."""
    letter = text[2:-2] if text.startswith("[[") and text.endswith("]]") else None
    if letter not in question.letters:
        return Verdict(False, None, "no letter in double brackets")
    right = letter == question.answer
    return Verdict(right, letter, "right" if right else "another one")


# -- what passes ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS.names)
def test_the_built_in_ones_pass(name: str) -> None:
    asked = {"numeric": NUMBERS, "last_number": NUMBERS[1:], "text": [load_questions("chains")[0]],
             "code": [load_questions("code")[0]]}  # fmt: skip
    check_verifier(name, asked.get(name, CHOICES))


def test_the_one_by_kind_passes_on_its_own_questions_and_on_those_given() -> None:
    check_verifier(by_kind)
    check_verifier(by_kind, [*CHOICES, *NUMBERS])


def test_another_form_passes() -> None:
    check_verifier(bracket, CHOICES, form=lambda reasoning, answer: f"[[{answer}]]")
    with pytest.raises(CheckError, match=r"bracket: it refuses the right answer .* pass form="):
        check_verifier(bracket, CHOICES)


# -- what fails ----------------------------------------------------------------------------

Change = Callable[[Question, str, Verdict], Any]


def but(change: Change) -> Callable[[Question, str], Any]:
    """The built-in verifier, its verdict changed."""

    def mine(question: Question, text: str) -> Any:
        return change(question, text, by_kind(question, text))

    return mine


def lenient(find: Callable[[Question, str], str | None]) -> Callable[[Question, str], Verdict]:
    """Accepts the right answer wherever it is found."""

    def mine(question: Question, text: str) -> Verdict:
        found = find(question, text)
        return Verdict(found == question.answer, found, "judged")

    return mine


def inside(text: str) -> str | None:
    """What stands in the first answer block, wherever that is."""
    _, opened, rest = text.partition("<answer>")
    given, closed, _ = rest.partition("</answer>")
    return given.strip() if opened and closed else None


def letters_of(question: Question, text: str) -> str | None:
    """The right letter, if it is among those of the block."""
    given = inside(text) or ""
    return question.answer if question.answer in given.split(", ") else given


LOOKALIKES = str.maketrans("\u0410\u0412\u0421\u0415", "ABCE")


def raises(question: Question, text: str) -> Verdict:
    if "\ud800" in text:
        text.encode()
    return by_kind(question, text)


def needs_a_letter(question: Question, text: str) -> Verdict:
    return by_kind(question, text) if text else [][0]


def changes_the_question(question: Question, text: str) -> Verdict:
    object.__setattr__(question, "statement", "Another one.")
    return by_kind(question, text)


def quadratic(question: Question, text: str) -> Verdict:
    rest = text
    while rest:
        rest = rest[1:]
    return by_kind(question, text)


def backtracking(question: Question, text: str) -> Verdict:
    found = re.findall(r"<answer>(.*?)</answer>", text, re.DOTALL)
    right = found == [f"\n{question.answer}\n"]
    return Verdict(right, question.answer if right else None, "judged")


CALLS = count()

BROKEN: dict[str, tuple[Callable[[Question, str], Any], str]] = {
    "a bool": (but(lambda q, t, v: v.correct), "it returned True; return socratic_env.Verdict"),
    "a number for correct": (
        but(lambda q, t, v: replace(v, correct=int(v.correct))),
        "correct is 1; make it a bool",
    ),
    "a number for the answer": (but(lambda q, t, v: replace(v, answer=7)), "answer is 7; give the text"),
    "no reason": (but(lambda q, t, v: replace(v, reason=" ")), "reason is ' '; say in a few words why"),
    "no answer": (but(lambda q, t, v: replace(v, answer=None)), "with answer None; give what was read"),
    "refuses all": (
        but(lambda q, t, v: Verdict(False, None, "no")),
        "it refuses the right answer of question 'b'",
    ),
    "accepts all": (
        but(lambda q, t, v: Verdict(True, "B", "yes")),
        "it accepts the wrong answer 'A' to question 'b'",
    ),
    "accepts any letter": (
        lenient(lambda q, t: q.answer if inside(t) in q.letters else None),
        "it accepts the wrong answer 'A'",
    ),
    "counts its calls": (
        but(lambda q, t, v: replace(v, reason=f"{next(CALLS)}")),
        "it is not deterministic: Verdict",
    ),
    "cannot encode": (raises, r"it raised UnicodeEncodeError: .* return Verdict\(False, None, reason\)"),
    "cannot read nothing": (needs_a_letter, "it raised IndexError: list index out of range .* the reply ''"),
    "changes the question": (changes_the_question, "it changed question 'b'; work on a copy"),
    "reads thoughts": (
        lenient(lambda q, t: inside(t)),
        "it accepts the right answer in an unfinished thought",
    ),
    "strips": (
        lenient(lambda q, t: inside(t) and inside(t).strip("\x00")),
        "it accepts the right answer with a NUL byte",
    ),
    "drops what it cannot encode": (
        lenient(lambda q, t: inside(t) and inside(t).encode("utf-8", "ignore").decode()),
        "with a lone surrogate",
    ),
    "drops what is not ASCII": (
        lenient(
            lambda q, t: (inside(t) or "").encode("utf-8", "replace").decode("ascii", "ignore").strip("?")
        ),
        "lone surrogate|invisible character",
    ),
    "folds widths": (
        lenient(lambda q, t: unicodedata.normalize("NFKC", inside(t) or "")),
        "in full-width characters",
    ),
    "takes look-alikes": (
        lambda q, t: by_kind(q, t.translate(LOOKALIKES)),
        "it accepts the right letter in Cyrillic",
    ),
    "takes all letters": (
        lambda q, t: lenient(letters_of)(q, t) if ", " in t and "think" not in t else by_kind(q, t),
        "accepts all letters",
    ),
    "takes the last of several": (
        lambda q, t: by_kind(q, t if t.count("<answer>") < 2 else "<answer>" + t.rpartition("<answer>")[2]),
        "it accepts a right answer after a wrong one",
    ),
    "takes the first of several": (
        lambda q, t: by_kind(q, t.partition("</answer>")[0] + "</answer>" if "</answer>" in t else t),
        "it accepts a wrong answer after a right one|in a thought",
    ),
    "reads fences": (
        lambda q, t: by_kind(q, t.replace("```", "")),
        "the right answer in a code fence, as a quoted",
    ),
    "tells the answer": (
        but(lambda q, t, v: replace(v, reason=v.reason if v.correct else f"it is {q.answer}")),
        r"its verdict on a wrong reply depends on the truth \('it is B' or 'it is D'\)",
    ),
    "a careless expression": (backtracking, r"twice as much text \(beginnings of an answer\)"),
    "quadratic": (quadratic, r"\(prose\) takes? .*; read"),  # by its growth, or on a slow machine by its time
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_verifier_is_told_the_remedy(name: str) -> None:
    verifier, says = BROKEN[name]
    with pytest.raises(CheckError, match=f"^[\\w<>]+: .*(?:{says})"):
        check_verifier(verifier, CHOICES)


def test_broken_ones_of_numbers_are_told_the_remedy() -> None:
    def near(question: Question, text: str) -> Verdict:
        return numeric(replace(question, rel_tol=9.0), text)

    with pytest.raises(CheckError, match=r"near: it accepts the wrong answer '-1' to question 'n'"):
        check_verifier(near, NUMBERS)

    def loose(question: Question, text: str) -> Verdict:
        return numeric(replace(question, rel_tol=0.5), text)

    with pytest.raises(CheckError, match=r"loose: it accepts the wrong answer '10.2' to question 'n'"):
        check_verifier(loose, NUMBERS)

    def unsigned(question: Question, text: str) -> Verdict:
        return numeric(question, text if numeric(question, text).correct else text.replace("-", ""))

    with pytest.raises(CheckError, match=r"unsigned: it accepts the wrong answer '-10' to question 'n'"):
        check_verifier(unsigned, NUMBERS)

    def tells(question: Question, text: str) -> Verdict:
        verdict = numeric(question, text)
        return verdict if verdict.correct else replace(verdict, reason=f"not {question.answer}")

    with pytest.raises(CheckError, match="leave the right answer out of both"):
        check_verifier(tells, NUMBERS)


def test_one_that_would_never_return_is_named() -> None:
    def exponential(question: Question, text: str) -> Verdict:
        re.match(r"(?:\s*\n)*<answer>", text)
        return by_kind(question, text)

    with pytest.raises(
        CheckError, match=r"exponential: \d\d characters more \(blank lines\) take it .* s; read"
    ):
        check_verifier(exponential, CHOICES[:1])


def test_one_that_fails_on_long_answers_is_named() -> None:
    def whole(question: Question, text: str) -> Verdict:
        int("0" + "".join(re.findall(r"\d", text)))  # of more than 4300 digits: ValueError
        return by_kind(question, text)

    with pytest.raises(CheckError, match=r"whole: it raised ValueError: Exceeds .* for what it cannot"):
        check_verifier(whole, NUMBERS[:1])


def test_large_numbers_are_judged() -> None:
    check_verifier("numeric", [numeric_question("1000000")])


def test_a_verifier_of_one_kind_is_told_to_be_given_that_kind() -> None:
    with pytest.raises(CheckError, match=r"choice: .*pass questions=\[...\] that it does"):
        check_verifier(choice)
    with pytest.raises(CheckError, match=r"numeric: it refuses .*|numeric: it raised ConfigurationError"):
        check_verifier("numeric", [question for question in CHOICES if question.kind is AnswerKind.CHOICE])


def test_what_is_no_verifier_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match="unknown verifier 'exact'"):
        check_verifier("exact")
    with pytest.raises(CheckError, match="verifier is 7; give a function"):
        check_verifier(7)  # type: ignore[arg-type]
    with pytest.raises(CheckError, match="questions is empty; give at least one"):
        check_verifier(by_kind, [])
    with pytest.raises(CheckError, match=r"questions is <.*; give a list of socratic_env.Question"):
        check_verifier(by_kind, load_questions("procedural"))  # type: ignore[arg-type]
