"""check_questions passes every built-in set, and names what a broken set or question must mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_data import Published
from support.scripted import choice_question, mistake, numeric_question

from socratic_env import Question
from socratic_env.checks import check_questions
from socratic_env.errors import CheckError, ConfigurationError, QuestionError
from socratic_env.questions import QuestionList, QuestionSet, load_questions
from socratic_env.questions.procedural import TEMPLATES
from socratic_env.types import AnswerKind, Option
from socratic_env.verifiers import choice

pytestmark = pytest.mark.timeout(120)
GOOD = [choice_question(f"q{i}", "ABCD"[i % 4]) for i in range(8)]
GOOD = [replace(question, statement=f"Which one of row {i}?") for i, question in enumerate(GOOD)]
FALL = replace(
    numeric_question("19.62", unit="m", rel_tol=0.01), statement="How far?", solution="s = 19.62 m"
)


# -- what passes ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(TEMPLATES))
def test_every_built_in_set_passes(family: str) -> None:
    train, test = load_questions(family, None, "train"), load_questions(family, None, "test")
    check_questions(train, held_out=test, number=100)
    check_questions(test, number=40)
    for level in ("easy", "hard"):
        if any(level in template.draws for template in TEMPLATES[family].values()):
            check_questions(f"{family}:{level}", number=40)


def test_the_examples_of_the_documentation_pass(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "questions.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.jsonl"
    path.write_text(text.split("```json\n")[1].split("```")[0], encoding="utf-8")
    check_questions(str(path))


def test_lists_pass() -> None:
    check_questions(GOOD)
    check_questions([*GOOD, FALL], held_out=[replace(FALL, id="other", statement="How deep?")])
    check_questions(GOOD[:1])


@pytest.mark.parametrize("answer", ["1000000", "1e10", "123456789012", "6.022e23"])
def test_large_numbers_without_a_tolerance_pass(answer: str) -> None:
    check_questions([numeric_question(answer)])


@pytest.mark.parametrize(
    ("answer", "solution"),
    [
        ("3e8", "c = 3.00 \u00d7 10^8 m/s"),
        ("2000", r"s = 2 \times 10^{3} m"),
        ("0.5", "one of two sides: 1/2"),
        ("12000", "12 * 1000 = 12 000 m"),
        ("2", "6 / 2 = 3 is odd, so it is the 2"),
    ],
)
def test_a_solution_may_write_its_answer_as_a_student_may(answer: str, solution: str) -> None:
    question = replace(numeric_question(answer), solution=solution)
    check_questions([question])
    with pytest.raises(CheckError, match="its solution never comes to its answer 77"):
        check_questions([replace(question, answer="77")])


def test_published_rows_are_checked(published: Published) -> None:
    test = load_questions(published.rows, "chemistry", "test")
    check_questions(load_questions(published.rows, "chemistry", "train"), held_out=test, number=100)
    row = load_questions(published.rows, "physics").find(published.tells)  # ".. The answer is 0.15. Which .."
    with pytest.raises(CheckError, match=r"its text tells the answer \(number\)"):
        check_questions([row])


# -- sets that fail ------------------------------------------------------------------------


class Mine(QuestionSet):
    """A set of somebody's own, sound but for what its subclasses change."""

    def __init__(self, questions: list[Any] | None = None) -> None:
        self.questions = GOOD if questions is None else questions

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: int) -> Question:
        return self.questions[index]  # type: ignore[no-any-return]

    def find(self, question_id: str) -> Question:
        for question in self.questions:
            if question.id == question_id:
                return question  # type: ignore[no-any-return]
        raise QuestionError(f"no question {question_id!r}")


class Endless(Mine):
    def __getitem__(self, index: int) -> Question:
        return self.questions[index % len(self)]  # type: ignore[no-any-return]


class Fickle(Mine):
    asked = 0

    def __getitem__(self, index: int) -> Question:
        Fickle.asked += 1
        return replace(super().__getitem__(index), level=str(Fickle.asked))


class Forgetful(Mine):
    def find(self, question_id: str) -> Question:
        raise QuestionError(f"no question {question_id!r}")


class Confused(Mine):
    def find(self, question_id: str) -> Question:
        return super().find("q1" if question_id == "q3" else question_id)


class Generous(Mine):
    def find(self, question_id: str) -> Question:
        return next(
            (question for question in self.questions if question.id == question_id), self.questions[0]
        )


class Dice(Mine):
    def draw(self, rng: np.random.Generator) -> Question:
        return self[int(np.random.default_rng().integers(len(self)))]


class First(Mine):
    def draw(self, rng: np.random.Generator) -> Question:
        return self[0]


SETS: dict[str, tuple[Callable[[], QuestionSet], str]] = {
    "empty": (lambda: Mine([]), "Mine: len is 0; give at least one question"),
    "endless": (Endless, "Endless: len is 8, but there is a question 8; raise IndexError"),
    "no questions": (lambda: Mine(["How many?"]), "item 0 is 'How many.'; make it a socratic_env.Question"),
    "no id": (lambda: Mine([replace(GOOD[0], id="")]), "question 0 has the id ''; give a text"),
    "ids that stand twice": (
        lambda: Mine([GOOD[0], GOOD[1], GOOD[0]]),
        "questions 0 and 2 share the id 'q0'",
    ),
    "fickle": (Fickle, "question 0 is another one the second time; derive it from its index"),
    "forgetful": (Forgetful, "find does not know the id 'q0' of question 0"),
    "confused": (Confused, r"find\('q3'\) gives another question than index 3"),
    "generous": (Generous, "gives a question; raise QuestionError for an unknown id"),
    "dice": (Dice, "draw gives other questions for the same seed; draw by the generator"),
    "the first one": (First, "draw gives the same questions for every seed"),
}


@pytest.mark.parametrize("name", SETS)
def test_a_broken_set_is_told_the_remedy(name: str) -> None:
    make, says = SETS[name]
    with pytest.raises(CheckError, match=says):
        check_questions(make())


def test_the_double_without_a_change_passes() -> None:
    check_questions(Mine())


def test_splits_that_share_questions_or_ids_are_named() -> None:
    copied = [replace(GOOD[3], id="t0"), replace(GOOD[4], id="t1", statement="Another?")]
    with pytest.raises(CheckError, match="question 'q3' is 't0' of the held-out set; leave one of them out"):
        check_questions(GOOD, held_out=copied)
    renamed = [replace(GOOD[3], statement="Another?")]
    with pytest.raises(CheckError, match="the id 'q3' is in both sets; name the split in it"):
        check_questions(GOOD, held_out=renamed)
    turned = replace(GOOD[3], id="t0", options=tuple(
        Option(a.letter, b.text) for a, b in zip(GOOD[3].options, GOOD[3].options[::-1], strict=True)
    ))  # fmt: skip
    with pytest.raises(CheckError, match="leave one of them out"):  # the same options in another order
        check_questions(GOOD, held_out=[turned])


def test_every_row_is_compared_with_every_row_held_out() -> None:
    rows = [replace(GOOD[0], id=f"r{i}", statement=f"Which one of row {i}?") for i in range(1000)]
    others = [replace(GOOD[0], id=f"t{i}", statement=f"Which one of line {i}?") for i in range(1000)]
    check_questions(rows, held_out=others, number=9)
    copied = [replace(rows[333], id="t777") if i == 777 else other for i, other in enumerate(others)]
    with pytest.raises(CheckError, match="question 'r333' is 't777' of the held-out set"):
        check_questions(rows, held_out=copied, number=9)
    renamed = [replace(other, id="r333") if i == 777 else other for i, other in enumerate(others)]
    with pytest.raises(CheckError, match="the id 'r333' is in both sets"):
        check_questions(Mine(rows), held_out=renamed, number=9)
    made = load_questions("procedural")
    with pytest.raises(CheckError, match="is in both sets"):
        check_questions(made, held_out=[*others, replace(GOOD[0], id=made[12345].id)], number=9)


# -- questions that fail -------------------------------------------------------------------

PICK = GOOD[1]  # the answer is B
A, B, C, D = PICK.options

QUESTIONS: dict[str, tuple[Question, str]] = {
    "nothing asked": (replace(PICK, statement=" "), "its statement is empty; say what is asked"),
    "no Unicode": (replace(PICK, statement="Which \ud800?"), "holds half of a surrogate pair"),
    "one option": (replace(PICK, options=(B,)), "it has 1 option; give at least 2"),
    "letters out of order": (
        replace(PICK, options=(B, A, C, D)),
        "its letters are B, A, C, D; use A, B, C, D",
    ),
    "other letters": (
        replace(PICK, options=(A, B, replace(C, letter="X"))),
        "its letters are A, B, X; use A, B, C",
    ),
    "an answer that is no option": (
        replace(PICK, answer="E"),
        "its answer 'E' is no option; name one of A, B, C, D",
    ),
    "equal options": (
        replace(PICK, options=(A, B, C, replace(D, text=" option 0"))),
        "are not distinct or empty",
    ),
    "an empty option": (replace(PICK, options=(A, B, C, replace(D, text=" "))), "are not distinct or empty"),
    "a number with options": (
        replace(PICK, kind=AnswerKind.NUMERIC),
        "it is numeric and has options; leave them out",
    ),
    "no number": (replace(FALL, answer="far"), "its answer 'far' is no number; give one"),
    "a negative tolerance": (replace(FALL, rel_tol=-0.1), "rel_tol is -0.1; give a finite number"),
    "no tolerance at all": (replace(FALL, abs_tol=float("inf")), "abs_tol is inf; give a finite number"),
    "a solution with a block": (
        replace(PICK, solution="<answer>B</answer>"),
        r"does not pass the verifier \(more than one answer block\)",
    ),
    "the solution in the statement": (
        replace(PICK, statement=f"Which one? {PICK.solution}"),
        "its text holds its solution",
    ),
    "the letter in the statement": (
        replace(PICK, statement="Which? The answer is B."),
        r"its text tells the answer \(letter",
    ),
    "the number in the closing line": (
        replace(FALL, closing="The answer is 19.62 m."),
        r"its text tells the answer \(number",
    ),
    "a solution to another letter": (
        replace(PICK, solution="So it must be that.\nThat is option C."),
        "its solution comes to C, its answer is B",
    ),
    "a solution to another number": (
        replace(FALL, solution="s = 9.81 * 4 = 39.24 m"),
        r"never comes to its answer 19.62 \(its last number is 39.24",
    ),
    "a mistake without a name": (
        replace(PICK, mistakes=(replace(mistake("A"), name=""),)),
        "a mistake has no name",
    ),
    "a mistake that is right": (
        replace(PICK, mistakes=(mistake("B"),)),
        "mistake 'slipped' leads to 'B', which is right",
    ),
    "a mistake within the tolerance": (
        replace(FALL, mistakes=(mistake("19.7"),)),
        "leads to '19.7', which is right",
    ),
    "a mistake that is no answer": (replace(PICK, mistakes=(mistake("E"),)), "its answer 'E' cannot be read"),
    "mistakes of one letter": (
        replace(PICK, mistakes=(mistake("A"), replace(mistake("A"), name="fell"))),
        "two of its mistakes lead to the same",
    ),
    "the same mistake twice": (
        replace(FALL, mistakes=(mistake("1"), mistake("1"))),
        "two of its mistakes lead to the same",
    ),
    "a line that is not there": (
        replace(PICK, mistakes=(replace(mistake("A"), wrong_line=2),)),
        "wrong_line is 2; its reasoning has the lines 0..1",
    ),
    "an empty hint": (
        replace(PICK, mistakes=(replace(mistake("A"), explain=""),)),
        "its hint 'explain' is empty",
    ),
    "a hint that tells": (
        replace(PICK, mistakes=(replace(mistake("A"), next_step="Choose B."),)),
        r"its hint 'next_step' tells the answer \(letter\): 'Choose B.'",
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_broken_question_is_told_the_remedy(name: str) -> None:
    question, says = QUESTIONS[name]
    with pytest.raises(CheckError, match=f"^question '{question.id}': .*{says}"):
        check_questions([GOOD[0], question])


def test_a_careless_verifier_is_named() -> None:
    def tolerant(question: Question, text: str) -> Any:
        verdict = choice(question, text)
        return replace(verdict, correct=verdict.answer in ("A", "B"))

    bare = [replace(question, mistakes=()) for question in GOOD[:2]]
    with pytest.raises(CheckError, match="the wrong answer 'B' passes the verifier"):
        check_questions(bare, verifier=tolerant)


def test_what_cannot_be_loaded_is_said_by_the_loader(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown questions"):
        check_questions("no-such-set")
    (tmp_path / "mine.jsonl").write_text('{"question": "How far?", "answer": "far"}\n')
    with pytest.raises(QuestionError, match="line 1: field 'answer' is 'far'"):
        check_questions(tmp_path / "mine.jsonl")
    with pytest.raises(QuestionError, match="stands twice"):
        check_questions(QuestionList([GOOD[0], GOOD[0]]))
