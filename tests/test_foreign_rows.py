"""Other people's rows: common layouts are read rightly, other ones are refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socratic_env.errors import QuestionError
from socratic_env.questions import load_questions
from socratic_env.questions.audit.findings import audit
from socratic_env.questions.custom import from_custom
from socratic_env.questions.files import scan_path
from socratic_env.questions.question_set import RowError
from socratic_env.types import AnswerKind, Question, reply
from socratic_env.verifiers import by_kind

ASKED = "Which base pairs with adenine in DNA?"
TEXTS = ["Uracil", "Thymine", "Guanine", "Cytosine"]
NAMED = dict(zip("ABCD", TEXTS, strict=True))


def row(**fields: Any) -> dict[str, Any]:
    return {"question": ASKED, **fields}


def load(path: Path) -> list[Question]:
    questions = load_questions(path)
    return [questions[i] for i in range(len(questions))]


def labelled(*labels: str) -> dict[str, Any]:
    return {"text": TEXTS[: len(labels)], "label": list(labels)}


THYMINE = {
    "an index": row(choices=TEXTS, answer=1),
    "an index as text": row(choices=TEXTS, answer="1"),
    "an index made a float by a table": row(choices=TEXTS, answer=1.0),
    "the option's own text": row(options=TEXTS, answer="Thymine"),
    "its text in small letters": row(options=TEXTS, answer=" thymine "),
    "a small letter": row(options=TEXTS, answer="b"),
    "a letter in brackets": row(options=TEXTS, answer="(B)"),
    "a letter and its text": row(options=TEXTS, answer="B. Thymine"),
    "a list of one letter": row(options=TEXTS, answer=["B"]),
    "label": row(options=TEXTS, label=1),
    "answerKey": row(options=TEXTS, answerKey="B"),
    "answer_index beside the letter": row(options=TEXTS, answer="B", answer_index=1),
    "an empty answer beside the key": row(choices=labelled(*"ABCD"), answer="", answerKey="B"),
    "labels that are numbers": row(choices=labelled("1", "2"), answerKey="2"),
    "labels that are numbers, and the key too": row(choices=labelled("1", "2", "3"), answerKey=2),
    "labels that are small letters": row(choices=labelled(*"abcd"), answerKey="b"),
    "labels in brackets": row(choices=labelled("(A)", "(B)"), answerKey="B"),
    "labels that are Roman numbers": row(choices=labelled("i", "ii", "iii"), answerKey="ii"),
    "an object by letter": row(options=NAMED, answer="B"),
    "an object by number": row(options={"1": "Uracil", "2": "Thymine"}, answer="2"),
    "objects with text and label": row(
        options=[{"label": a, "text": t} for a, t in NAMED.items()], answer="B"
    ),
    "objects with id and content": row(
        options=[{"id": a, "content": t} for a, t in NAMED.items()], answer="B"
    ),
    "a question with its choices inside": {
        "question": {"stem": ASKED, "choices": [{"label": a, "text": t} for a, t in NAMED.items()]},
        "answerKey": "B",
    },
    "question_stem": {"question_stem": ASKED, "choices": labelled(*"ABCD"), "answerKey": "B"},
    "one column for each letter": row(**NAMED, answer="B"),
    "one column for each letter, with its text": row(**NAMED, answer="Thymine"),
    "columns of small letters": row(a="Uracil", b="Thymine", answer="b"),
    "option_a": row(option_a="Uracil", option_b="Thymine", answer="B"),
    "optionA": row(optionA="Uracil", optionB="Thymine", answer="B"),
    "opa": row(opa="Uracil", opb="Thymine", opc="Guanine", answer="B"),
    "endings": row(ending0="Uracil", ending1="Thymine", ending2="Guanine", label=1),
    "option1": row(option1="Uracil", option2="Thymine", answer="2"),
    "texts that begin with their letter": row(options=["A) Uracil", "B) Thymine", "C) Guanine"], answer="B"),
}


@pytest.mark.parametrize("layout", THYMINE)
def test_a_layout_is_read_as_what_it_says(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(THYMINE[layout]) + "\n", encoding="utf-8")
    (question,) = load(path)
    texts = [option.text for option in question.options]
    assert question.kind is AnswerKind.CHOICE
    assert question.statement == ASKED
    assert texts == TEXTS[: len(texts)]
    assert question.letters == tuple("ABCD"[: len(texts)])
    assert question.answer == "B"
    assert f"{', '.join('ABCD'[: len(texts) - 1])} or {'ABCD'[len(texts) - 1]})" in question.system
    assert by_kind(question, reply("", "B")).correct
    assert not by_kind(question, reply("", "2")).correct


REFUSED = {
    "an index that could be a text": (
        row(options=["1", "2", "3"], answer=1),
        "'answer' is 1, which means by its text A",
    ),
    "a letter that could be a text": (
        row(options=["B", "A", "C"], answer="A"),
        "by its text B and by its letter A",
    ),
    "columns counted from one or an index": (
        row(choice1="x", choice2="y", label=1),
        "by its label A and by its index",
    ),
    "an index behind the last": (row(choices=TEXTS, answer=4), "'answer' is 4, which is none of the options"),
    "a negative index": (row(choices=TEXTS, answer=-1), "'answer' is -1, which is none of the options"),
    "a truth value": (row(choices=TEXTS, answer=True), "'answer' is True, which is none of the options"),
    "several answers": (
        row(options=TEXTS, answer=["B", "C"]),
        "'answer' is ['B', 'C'], which is none of the options",
    ),
    "a letter with another's text": (row(options=TEXTS, answer="B. Uracil"), "which is none of the options"),
    "two answers that differ": (
        row(options=TEXTS, answer="B", answer_index=2),
        "'answer_index' is 2, but field 'answer' is 'B'",
    ),
    "an explanation as answer": (
        row(options=TEXTS, answerKey="B", answer="It is DNA."),
        "'answer' is 'It is DNA.'",
    ),
    "two lists of options": (
        row(options=TEXTS, choices=TEXTS, answer="B"),
        "but field 'options' holds options too",
    ),
    "letters in another order": (row(options={"B": "x", "A": "y"}, answer="A"), "where the letter A belongs"),
    "labels that stand twice": (
        row(choices=labelled("1", "1"), answerKey="1"),
        "the label of an earlier option",
    ),
    "fewer labels than texts": (
        row(choices={"text": TEXTS, "label": ["1"]}, answerKey="1"),
        "4 texts and 1 labels",
    ),
    "a letter that is missing": (row(A="x", C="y", answer=1), "field 'A' is 'x', which looks like options"),
    "a key that the labels do not hold": (
        row(choices=labelled("1", "2"), answerKey="B"),
        "which is none of the options",
    ),
    "distractors": (
        row(correct_answer="5", distractor1="6", distractor2="7"),
        "field 'distractor1' is '6', which looks like",
    ),
    "possible answers": (row(possible_answers=TEXTS, answer=1), "field 'possible_answers' is"),
    "answer_choices": (row(answer_choices=TEXTS, answer=1), "field 'answer_choices' is"),
    "a table of right ones": (row(mc1_targets={"choices": TEXTS}, answer=2), "field 'mc1_targets' is"),
    "a label beside a number": (row(answer=5, label="hard"), "field 'label' is 'hard', which is no number"),
    "another label beside a number": (row(answer=5, label=6), "field 'label' is 6, but field 'answer' is 5"),
    "names with capitals": ({**row(answer=1), "Options": TEXTS}, "field 'Options' is"),
    "one option_a": (row(option_a="x", answer=1), "field 'option_a' is 'x'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_read_is_refused_by_name(case: str, tmp_path: Path) -> None:
    given, says = REFUSED[case]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(given) + "\n", encoding="utf-8")
    with pytest.raises(QuestionError) as caught:
        load(path)
    assert says in str(caught.value)
    assert all("; " in line for line in str(caught.value).splitlines())
    assert [problem.id for problem in audit(scan_path(path)).problems] == ["unknown/train/0"]


def test_fields_that_only_sound_so_have_no_effect() -> None:
    more = {
        "answer_type": "letter",
        "choice_type": "single",
        "num_options": 4,
        "subject": "x",
        "api_key": "k",
    }
    assert from_custom(row(options=TEXTS, answer="B", **more)) == from_custom(row(options=TEXTS, answer="B"))


@given(st.permutations(TEXTS), st.integers(0, 3))
def test_letter_index_label_and_text_name_the_same_option(texts: list[str], place: int) -> None:
    wanted = "ABCD"[place]
    rows = [
        row(options=texts, answer=wanted),
        row(choices=texts, answer=place),
        row(choices={"text": texts, "label": list("1234")}, answerKey="1234"[place]),
        row(**dict(zip("ABCD", texts, strict=True)), answer=texts[place]),
        row(endings=texts, label=str(place)),
    ]
    read = [from_custom(one) for one in rows]
    assert [one["answer"] for one in read] == [wanted] * 5
    assert len({one["options"] for one in read}) == 1


# -- null is absent ----------------------------------------------------------------------

OPTIONAL = (
    "id", "options", "choices", "A", "B", "domain", "subtask", "level", "unit", "abs_tol", "rel_tol",
    "solution", "system", "mistakes", "label", "answerKey",
)  # fmt: skip


@pytest.mark.parametrize("null", [None, math.nan])
def test_null_is_absent_in_every_optional_field(null: Any) -> None:
    nothing = dict.fromkeys(OPTIONAL, null)
    assert from_custom({**nothing, **row(answer=5)}) == from_custom(row(answer=5))
    choice = row(options=TEXTS, answer="B")
    assert from_custom({**nothing, **choice}) == from_custom(choice)


def test_one_table_mixes_numbers_and_choices_with_fewer_options(tmp_path: Path) -> None:
    rows = [
        {
            "question": "2 + 2?",
            "answer": "4",
            "rel_tol": 0.01,
            "A": None,
            "B": None,
            "C": None,
            "options": None,
        },
        {
            "question": "Which?",
            "answer": "B",
            "rel_tol": None,
            "A": "x",
            "B": "y",
            "C": None,
            "options": None,
        },
        {
            "question": "Which?",
            "answer": "C",
            "rel_tol": math.nan,
            "A": "x",
            "B": "y",
            "C": "z",
            "options": None,
        },
        {
            "question": "Which?",
            "answer": "y",
            "rel_tol": None,
            "A": None,
            "B": None,
            "C": None,
            "options": ["x", "y", None],
        },
    ]
    path = tmp_path / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert [(q.kind.value, q.answer, len(q.options)) for q in load(path)] == [
        ("numeric", "4", 0), ("choice", "B", 2), ("choice", "C", 3), ("choice", "B", 2),
    ]  # fmt: skip


def test_options_and_mistakes_as_structs_with_null_fields(tmp_path: Path) -> None:
    mistake = {
        "answer": "A",
        "name": "took RNA",
        "explain": "That is RNA.",
        "locate": None,
        "reasoning": None,
    }
    rows = [
        row(options={"A": "Uracil", "B": "Thymine", "C": None}, answer="B", mistakes=[mistake]),
        row(options={"A": "Uracil", "B": "Thymine", "C": "Guanine"}, answer="B", mistakes=None),
    ]
    path = tmp_path / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    first, second = load(path)
    assert (first.letters, second.letters) == (("A", "B"), ("A", "B", "C"))
    assert (first.mistakes[0].name, second.mistakes) == ("took RNA", ())


# -- marks, encodings, ends of lines, one big object ------------------------------------

ROWS = [row(options=TEXTS, answer="B"), {"question": "Wie viel ist 2 \u00d7 3?", "answer": 6}]
LINES = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in ROWS)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "text", [LINES, LINES.replace("\n", "\r\n"), json.dumps(ROWS), "\n" + json.dumps(ROWS, indent=1)]
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_every_encoding_of_unicode_is_read(encoding: str, text: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(text.strip("\n").encode(encoding))
    assert [question.answer for question in load(path)] == ["B", "6"]


def test_a_mark_within_joined_files_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        LINES.encode("utf-8-sig") + json.dumps(row(options=TEXTS, answer="C")).encode("utf-8-sig")
    )
    assert [question.answer for question in load(path)] == ["B", "6", "C"]


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINES.encode("latin-1"))
    with pytest.raises(
        QuestionError, match=r"is not UTF-8: byte 0xd7 at \d+ is none of it; save the file as"
    ):
        load(path)


def test_ends_of_lines_within_texts_are_made_one(tmp_path: Path) -> None:
    given = row(options=["a\r\nb", "c\rd"], answer="a\r\nb", solution="x\r\ny")
    made = from_custom({**given, "question": "one\r\ntwo"})
    assert (made["statement"], made["solution"], made["answer"]) == ("one\ntwo", "x\ny", "A")
    assert [option.text for option in made["options"]] == ["a\nb", "c\nd"]
    path = tmp_path / "rows.jsonl"
    path.write_text(
        json.dumps({"prompt": "Which?\r\n\r\nA: x\r\nB: y\r\nPlease reason step by step.", "answer": "B"})
    )
    (question,) = load(path)
    assert (question.statement, [option.text for option in question.options]) == ("Which?", ["x", "y"])


OBJECTS = {
    "under a key": ({"version": "1.0", "data": ROWS}, ["B", "6"]),
    "two keys deep": ({"meta": {"n": 2}, "data": {"questions": ROWS}}, ["B", "6"]),
    "by id": ({"q1": ROWS[0], "q2": ROWS[1]}, ["B", "6"]),
    "one row": (ROWS[0], ["B"]),
}


@pytest.mark.parametrize("case", OBJECTS)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_rows_within_one_big_object_are_read(
    case: str, indent: int | None, suffix: str, tmp_path: Path
) -> None:
    given, answers = OBJECTS[case]
    path = tmp_path / f"rows{suffix}"
    path.write_text(json.dumps(given, indent=indent), encoding="utf-8")
    questions = load(path)
    assert [question.answer for question in questions] == answers
    if case == "by id":
        assert [question.id for question in questions] == ["q1", "q2"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"train": ROWS, "test": ROWS}, r"holds rows under several keys \(train, test\); write each list"),
        (
            {"question": ["a", "b"], "answer": [1, 2]},
            r"holds one object of columns \(question, answer\), not rows",
        ),
        ({"question": {"0": "a"}, "answer": {"0": 1}}, "holds one object of columns"),
        ({"name": "mine"}, r"it is in none of the known forms.*\['name'\]"),
    ],
)
def test_other_objects_are_refused_with_the_cause(given: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    with pytest.raises(QuestionError, match=says):
        load(path)


def test_the_place_of_a_bad_row_under_a_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"data": [ROWS[0], row(options=TEXTS, answer="Z")]}), encoding="utf-8")
    with pytest.raises(QuestionError, match=r"rows.json, data\[1\]: field 'answer' is 'Z'"):
        load(path)


# -- the hub's form with labels of its own ----------------------------------------------


def v2(labels: list[str], key: str) -> dict[str, Any]:
    details = {"level": "L3", "subtask": "x"}
    return row(
        choices={"text": TEXTS[: len(labels)], "label": labels},
        answerKey=key,
        type="mcq-4-choices",
        details=details,
    )


def test_a_published_row_with_numbers_as_labels_is_lettered(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(v2(["1", "2"], "2")) + "\n")
    (question,) = load(path)
    assert (question.letters, question.answer) == (("A", "B"), "B")
    assert by_kind(question, reply("", "B")).correct
    path.write_text(json.dumps(v2(["B", "C"], "B")) + "\n")
    with pytest.raises(QuestionError, match="its labels B, C are not A, B, C"):
        load(path)


def test_a_row_error_names_each_field_once() -> None:
    with pytest.raises(RowError) as caught:
        from_custom(row(answers=TEXTS, answer=1))
    assert len(caught.value.problems) == 1
