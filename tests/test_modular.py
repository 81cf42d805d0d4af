"""Arithmetic modulo 7: the world of viewpoints, and the teacher that reads its workings."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.options import ModularStudent
from agents.socratic_rl.modular_reflector import ModularReflector, misconceptions_in
from agents.warm_start.modular_student import Dialogues, make_tokenizer, misconceptions, principle
from socratic_env.checks import check_questions
from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.questions import load_questions
from socratic_env.questions.modular import (
    MISCONCEPTIONS,
    ModularQuestions,
    moves,
    packed,
    spaced,
    told,
    worked,
)
from socratic_env.traces import InteractionTrace
from socratic_env.types import reply
from socratic_env.verifiers import by_kind
from socratic_env.viewpoints import applies

TRAIN, TEST = ModularQuestions("train"), ModularQuestions("test")
TOKENIZER = make_tokenizer()

questions = st.integers(0, len(TRAIN) - 1).map(TRAIN.__getitem__)


@settings(max_examples=100, deadline=None)
@given(questions)
def test_a_right_working_ends_with_the_value_of_the_expression(question):
    expression = packed(question.statement)
    lines = worked(expression)
    assert int(lines[-1]) == eval(expression) % 7
    assert all(eval(line) % 7 == int(lines[-1]) for line in lines)
    assert spaced(expression) == question.statement
    assert by_kind(question, reply("", told(lines))).correct


@settings(max_examples=100, deadline=None)
@given(questions)
def test_every_mistake_is_wrong_and_is_told_by_its_line(question):
    for mistake in question.mistakes:
        assert not by_kind(question, reply("", mistake.answer)).correct
        found = misconceptions_in(question.statement, mistake.answer)
        assert len(found) == 1
        assert mistake.name in found[0]


def test_the_splits_are_disjoint_and_ids_find_their_questions():
    assert 0.08 < len(TEST) / (len(TRAIN) + len(TEST)) < 0.12
    for place in range(0, len(TEST), 7):
        with pytest.raises(QuestionError):
            TRAIN.find(TEST[place].id.replace("test", "train"))
    assert TEST.find(TEST[5].id) == TEST[5]
    for unknown in (TRAIN[5].id, "modular/test/sum_times/000", "modular/test/none/123", 7):
        with pytest.raises(QuestionError, match="ids look like modular/test/"):
            TEST.find(unknown)
    with pytest.raises(QuestionError, match="leave domain out"):
        load_questions("modular", domain="physics")


def test_the_world_passes_the_conformance_checks():
    check_questions("modular")


@pytest.mark.parametrize("seed", range(3))
def test_planted_misconceptions_are_found_and_no_others(seed):
    student = ModularStudent(hold=0.5)
    dialogues = Dialogues(TOKENIZER, student, misconceptions(student, seed), seed)
    rng = random.Random(seed)
    planted = 0
    for _ in range(300):
        before = expression = TRAIN.expression(rng)
        lines = dialogues.work(expression, [])
        made = []
        for line in lines:
            if line != moves(before)[""]:
                made.append({name for name, led in moves(before).items() if led == line})
            before = line
        assert misconceptions_in(spaced(expression), told(lines)) == made
        planted += len(made)
    assert planted > 50


@pytest.mark.parametrize("name", MISCONCEPTIONS)
def test_a_schooled_student_does_what_a_viewpoint_says(name):
    student = ModularStudent(comply=1.0, hold=1.0, right=1.0)
    dialogues = Dialogues(TOKENIZER, student, [name], 0)
    question = next(q for q in (TRAIN[i] for i in range(len(TRAIN))) if name in {m.name for m in q.mistakes})
    expression = packed(question.statement)
    wrong, right = dialogues.work(expression, []), dialogues.work(expression, [principle(name)])
    assert wrong != worked(expression)
    assert right == worked(expression)


def test_the_words_of_the_world_are_one_token_each():
    words = " ".join(principle(name, rule=other).text for name in MISCONCEPTIONS for other in MISCONCEPTIONS)
    text = f"{words} {TRAIN[0].statement} <answer> {TRAIN[0].answer} </answer>"
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text.split())
    assert TOKENIZER.unk_token_id not in ids


def test_the_reflector_speaks_of_what_was_seen_often_enough():
    asked = [TRAIN[i] for i in range(0, len(TRAIN), 70)]
    of = {name: [q for q in asked if any(m.name == name for m in q.mistakes)] for name in MISCONCEPTIONS}

    def trace(question, name):
        answer = next(m.answer for m in question.mistakes if m.name == name)
        return InteractionTrace(question, reply("", answer), False)

    seen = [trace(q, "left_to_right") for q in of["left_to_right"][:5]]
    seen += [trace(q, "keep_signs") for q in of["keep_signs"][:3]]
    seen += [InteractionTrace(q, reply("", q.answer), True) for q in asked[:20]]
    seen += [InteractionTrace(asked[0], "nothing to read", False)]
    found = ModularReflector(min_seen=4).reflect(seen)
    assert [one.trigger for one in found] == ["left_to_right"]
    assert found[0].text == principle("left_to_right").text
    assert found[0].trace is not None
    assert found[0].trace.question_id == of["left_to_right"][0].id
    assert applies(found[0], of["left_to_right"][1])
    assert len(ModularReflector(min_seen=1).reflect(seen)) >= 2


def test_the_reflector_says_what_it_cannot_read():
    concept = load_questions("concepts")[0]
    assert ModularReflector().reflect([InteractionTrace(concept, "?", False)]).unread == 1
    with pytest.raises(ConfigurationError, match="min_seen"):
        ModularReflector(min_seen=0)
