"""A user's own questions: the schema, its errors, and play with given mistakes; `exclude`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import socratic_env  # noqa: F401 - registers the ids
from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.questions import load_questions
from socratic_env.questions.custom import from_custom
from socratic_env.questions.question_set import RowError
from socratic_env.types import AnswerKind, Question, reply
from socratic_env.verifiers import by_kind

FALL = {
    "question": "How far does it fall in 2 s?",
    "answer": 19.62,
    "unit": "m",
    "rel_tol": 0.01,
    "domain": "Physics",
    "solution": "s = g t^2 / 2",
    "mistakes": [
        {
            "answer": 39.24,
            "name": "forgot the half",
            "explain": "A factor is missing.",
            "reasoning": "s = g t^2\n\n 39.24 ",
        },
        {
            "answer": "9.81",
            "name": "did not square",
            "locate": "Look at t.",
            "explain": "Square it.",
            "next_step": "4 g.",
        },
    ],
}
BASE = {
    "question": "Which base pairs with adenine?",
    "options": ["Uracil", "Thymine", "Guanine"],
    "answer": "B",
}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def load(path: Path, **arguments: Any) -> list[Question]:
    questions = load_questions(path, **arguments)
    return [questions[i] for i in range(len(questions))]


def refused(tmp_path: Path, *rows: Any) -> str:
    with pytest.raises(QuestionError) as caught:
        load(write(tmp_path / "mine.jsonl", list(rows)))
    return str(caught.value)


# -- the schema --------------------------------------------------------------------------


def test_numbers_and_choices_load_from_one_file(tmp_path: Path) -> None:
    fall, base = load(write(tmp_path / "mine.jsonl", [FALL, BASE]))
    assert (fall.id, base.id) == ("physics/train/0", "unknown/train/1")
    assert (fall.kind, base.kind) == (AnswerKind.NUMERIC, AnswerKind.CHOICE)
    assert (fall.answer, fall.unit, fall.rel_tol, fall.solution) == ("19.62", "m", 0.01, "s = g t^2 / 2")
    assert base.letters == ("A", "B", "C")
    assert "one number in m" in fall.system
    assert "three options" in base.system
    assert by_kind(fall, reply("", "19.6 m")).correct
    assert not by_kind(fall, reply("", "19")).correct


def test_every_field_is_taken(tmp_path: Path) -> None:
    row = BASE | {
        "id": "dna-1", "options": {"A": "Uracil", "B": "Thymine"}, "domain": "biology", "subtask": "pairs",
        "level": "easy", "solution": "It is T.", "system": "Answer.",
        "mistakes": [{"answer": "A", "name": "took RNA", "explain": "That is RNA."}],
    }  # fmt: skip
    (question,) = load(write(tmp_path / "mine.jsonl", [row]), domain="biology")
    assert (question.id, question.subtask, question.level, question.system) == (
        "dna-1",
        "pairs",
        "easy",
        "Answer.",
    )
    (mistake,) = question.mistakes
    assert mistake.locate == "Your answer shows a mistake: took RNA."
    assert mistake.next_step


def test_the_examples_of_the_documentation_load(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "questions.md").read_text(encoding="utf-8")
    block = text.split("```json\n")[1].split("```")[0]
    path = tmp_path / "mine.jsonl"
    path.write_text(block, encoding="utf-8")
    assert [question.answer for question in load(path)] == ["19.62", "B"]


def test_a_row_may_name_its_verifier(tmp_path: Path) -> None:
    row = {"question": "Which is the largest animal?", "answer": "blue whale", "verifier": "text"}
    worked = {"question": "2 + 3 + 4?", "answer": "5 9", "verifier": "last_number"}
    (words, number) = load(write(tmp_path / "rows.jsonl", [row, worked]))
    assert (words.kind, words.verifier, number.verifier) == (AnswerKind.TEXT, None, "last_number")
    assert "one number" not in words.system
    assert by_kind(words, reply("", " Blue  WHALE ")).correct
    assert by_kind(number, reply("", "4 9")).correct
    assert not by_kind(number, reply("", "5 8")).correct
    mistake = {"answer": "Blue whale", "name": "same", "explain": "It is."}
    for changes, says in (
        ({"verifier": "module:judge"}, "which is none; use one of choice"),
        ({"answer": " "}, "which is no text or empty"),
        ({"mistakes": [mistake]}, "which is the right answer"),
    ):
        assert says in refused(tmp_path, BASE, {**row, **changes})


def test_fields_that_are_not_in_the_schema_have_no_effect(tmp_path: Path) -> None:
    hostile = {
        "teacher": {"kind": "openai", "base_url": "http://evil.test"},
        "prompt": "Print it.",
        "api_key": "k",
    }
    (plain,) = load(write(tmp_path / "a.jsonl", [BASE]))
    (other,) = load(write(tmp_path / "b.jsonl", [BASE | hostile]))
    assert plain == other


def test_the_rule_teacher_works_with_given_mistakes(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [FALL])
    env = gym.make("SocraticSciKnow-v0", questions=str(path), max_attempts=4)
    env.reset(seed=0)
    said = [
        env.step(reply(*attempt))[-1]["guidance"]
        for attempt in (("", "39.3"), ("s = g t^2\n39.24", "5"), ("", "9.81 m"))
    ]
    assert said[0] == said[1]
    assert "A factor is missing." in said[0]
    assert "Square it." in said[2]
    _, _, terminated, _, info = env.step(reply("", "19.62"))
    assert terminated
    assert info["correct"]
    env.close()


def test_a_set_without_mistakes_names_the_other_teachers(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [BASE])
    with pytest.raises(ConfigurationError, match=r"misconception table.*teacher='retry'"):
        gym.make("SocraticSciKnow-v0", questions=str(path))
    gym.make("SocraticSciKnow-v0", questions=str(path), teacher="retry").close()


# -- errors ------------------------------------------------------------------------------

BAD = {
    "letter outside": (
        BASE | {"answer": "D"},
        "field 'answer' is 'D', which is none of the options; name one of A, B, C",
    ),
    "no number": (
        FALL | {"answer": "far"},
        "field 'answer' is 'far', which is no number; give a number, or 'options'",
    ),
    "a truth value": (FALL | {"answer": True}, "field 'answer' is True, which is no number"),
    "infinite": (FALL | {"answer": float("inf")}, "field 'answer' is 'inf', which is no number"),
    "question of the wrong type": (
        FALL | {"question": 7},
        "field 'question' is 7, which is int, not text; put it in quotes",
    ),
    "empty question": (FALL | {"question": " "}, "field 'question' is ' ', which is empty; give a text"),
    "negative tolerance": (
        FALL | {"rel_tol": -1},
        "field 'rel_tol' is -1, which is no finite number of at least 0",
    ),
    "unit of a choice": (
        BASE | {"unit": "m"},
        "field 'unit' is 'm', but the question has options; leave it out",
    ),
    "options twice": (BASE | {"options": ["x", "y", " y"]}, "field 'options.C' is 'y', as an earlier option"),
    "one option": (BASE | {"options": ["x"], "answer": "A"}, "which are 1; give 2 to 26"),
    "letters out of order": (
        BASE | {"options": {"A": "x", "C": "y"}, "answer": "A"},
        "where the letter B belongs",
    ),
    "an option that is null": (BASE | {"options": ["x", None], "answer": "A"}, "field 'options.B' is None"),
    "options as text": (
        BASE | {"options": "x, y"},
        "field 'options' is 'x, y', which is no list and no object",
    ),
    "slip in a name": (
        FALL | {"abs_tolerance": 1, "reltol": 1},
        "field 'reltol' is 1, but the schema has no such field; is it 'rel_tol'?",
    ),
    "mistakes as text": (FALL | {"mistakes": "many"}, "field 'mistakes' is 'many', which is no list"),
    "a mistake as text": (FALL | {"mistakes": ["half"]}, "field 'mistakes[0]' is 'half', which is no object"),
    "mistake without hint": (
        FALL | {"mistakes": [{"answer": 1, "name": "n"}]},
        "field 'mistakes[0].explain' is missing",
    ),
    "mistake that is right": (
        FALL | {"mistakes": [{"answer": 19.6, "name": "n", "explain": "e"}]},
        "field 'mistakes[0].answer' is '19.6', which is the right answer",
    ),
    "half a surrogate pair": (FALL | {"question": "\ud800"}, "half of a surrogate pair"),
    "no answer": ({"question": "What?"}, "none of the known forms"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_error_names_file_line_field_value_and_remedy(case: str, tmp_path: Path) -> None:
    row, says = BAD[case]
    told = refused(tmp_path, BASE, row)
    assert says in told
    assert f"{tmp_path / 'mine.jsonl'}, line 2: " in told
    assert all("; " in line for line in told.splitlines())


def test_all_errors_of_a_file_come_together(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [BASE, BASE | {"answer": "Z", "level": 3}, FALL | {"abs_tol": "much"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n", encoding="utf-8")
    with pytest.raises(QuestionError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert [line.split(", line ")[1].split(":")[0][:1] for line in lines] == ["2", "2", "3", "4"]
    assert lines[3].endswith("; correct or remove it")


def test_the_first_twenty_errors_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    lines = refused(tmp_path, *[BASE | {"answer": "Z"}] * 50).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 30 more errors"


def test_an_id_that_stands_twice_names_both_lines(tmp_path: Path) -> None:
    told = refused(tmp_path, BASE | {"id": "x"}, BASE, FALL | {"id": "x"})
    assert "line 3: field 'id' is 'x', as in line 1; give each row its own" in told


def test_long_values_are_cut(tmp_path: Path) -> None:
    assert len(refused(tmp_path, BASE | {"answer": "x" * 100_000})) < 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([BASE, FALL]), st.sampled_from([*FALL, "options", "id", "system", "level"]), json_values
)
def test_whatever_stands_in_a_field_is_read_or_refused_in_words(row, field, value) -> None:
    told: tuple[str, ...] = ()
    try:
        from_custom(row | {field: value})
    except RowError as error:
        told = error.problems
    assert all(problem.startswith("field ") for problem in told)


# -- exclude -----------------------------------------------------------------------------


def test_exclude_takes_a_list_or_the_file_of_an_audit(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [FALL, BASE, BASE | {"question": "Other?"}])
    skip = tmp_path / "skip.json"
    skip.write_text(json.dumps({"rows": [{"id": "unknown/train/1", "problem": "x"}], "subtasks": []}))
    assert [q.id for q in load(path, exclude=["unknown/train/1"])] == ["physics/train/0", "unknown/train/2"]
    assert load(path, exclude=skip) == load(path, exclude=["unknown/train/1"])
    assert load(path, exclude=str(skip)) == load(path, exclude={"unknown/train/1"})
    assert len(load_questions(load(path), exclude=["unknown/train/1"])) == 2
    assert len(load_questions(load_questions(path), exclude=["unknown/train/1"])) == 2


def test_a_damaged_row_can_be_excluded(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [BASE, BASE | {"answer": "Z"}, ["no object"]])
    with pytest.raises(QuestionError):
        load(path)
    assert len(load(path, exclude=["unknown/train/1", "unknown/train/2"])) == 1


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_environments_leave_excluded_rows_out(make: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [BASE, BASE | {"question": "Other?"}])
    more = {} if make is gym.make else {"num_envs": 8}
    env = make(
        "SocraticSciKnow-v0", questions=str(path), teacher="retry", exclude=["unknown/train/0"], **more
    )
    with pytest.raises(QuestionError, match="no question 'unknown/train/0'"):
        env.unwrapped.questions.find("unknown/train/0")
    env.close()


@pytest.mark.parametrize(
    ("exclude", "says"),
    [
        (7, "exclude is 7; give a list of question ids"),
        ([7], "exclude holds 7, which is no id"),
        ("physics/train/0", "cannot be read.*give a list of question ids"),
    ],
)
def test_what_excludes_nothing_is_refused(exclude: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load(write(tmp_path / "mine.jsonl", [BASE]), exclude=exclude)


def test_excluding_everything_or_from_a_procedural_set_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [BASE])
    with pytest.raises(QuestionError, match="no questions left; check the domain, the split and exclude"):
        load(path, exclude=["unknown/train/0"])
    with pytest.raises(ConfigurationError, match="ProceduralSet makes its questions on demand"):
        load_questions("procedural", exclude=["x"])
