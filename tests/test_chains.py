"""The world of chains: its questions, how they are judged, and what teachers say about them."""

from __future__ import annotations

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted import request_on

import socratic_env  # noqa: F401
from socratic_env.checks import check_questions, check_teacher
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.leakage import detect
from socratic_env.protocols import protocol
from socratic_env.questions import load_questions
from socratic_env.questions.chains import ChainQuestions, World, values
from socratic_env.questions.procedural.concepts import OPERATIONS
from socratic_env.teachers import from_spec
from socratic_env.teachers.rule_teacher import RuleTeacher, hint
from socratic_env.types import HINT_STRENGTHS, AnswerKind, Question
from socratic_env.verifiers import verifier_from_spec
from socratic_env.verifiers.last_number_verifier import last_number
from socratic_env.verifiers.text_verifier import text

WORLD = World(seed=5)
TRAIN, TEST = ChainQuestions(WORLD), ChainQuestions(WORLD, "test")
ARVEL = next(TRAIN[i] for i in range(len(TRAIN)) if TRAIN[i].level == "hard")


def answered(words: str) -> str:
    return f"<answer>{words}</answer>"


# -- the world --------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_world_is_sound_and_its_splits_are_apart(length: int) -> None:
    world = World(seed=3, length=length)
    check_questions(ChainQuestions(world), held_out=ChainQuestions(world, "test"), number=40)


def test_a_tenth_of_all_questions_is_held_out() -> None:
    whole = WORLD.concepts * 1000
    assert len(TRAIN) + len(TEST) == whole
    assert len(TEST) == pytest.approx(whole / 10, rel=0.1)


@given(seed=st.integers(0, 2**32), concepts=st.integers(1, 70), length=st.integers(1, 4))
@settings(max_examples=30)
def test_a_world_is_a_function_of_its_settings(seed: int, concepts: int, length: int) -> None:
    world = World(seed, concepts, length)
    assert world.rules == World(seed, concepts, length).rules
    assert len(set(world.names)) == len(world.rules) == len(world.levels) == concepts
    assert all(len(rule) == length for rule in world.rules)
    hard = {rule[0] for rule, level in zip(world.rules, world.levels, strict=True) if level == "hard"}
    assert len(hard) <= world.first_operations


def test_seeds_are_worlds_of_their_own() -> None:
    assert len({World(seed).rules for seed in range(10)}) == 10


@given(st.integers(0, len(TRAIN) - 1))
def test_the_answer_follows_the_rule_and_is_found_by_its_id(index: int) -> None:
    question = TRAIN[index]
    words = question.answer.split()
    name, *digits = question.statement.split()
    assert words[::2] == list(WORLD.rules[WORLD.names.index(name)])
    assert [int(word) for word in words[1::2]] == list(values(words[::2], [int(digit) for digit in digits]))
    assert TRAIN.find(question.id) == question
    with pytest.raises(QuestionError, match="no question"):
        TEST.find(question.id)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"length": 5}, "1 to 4"),
        ({"length": 0}, "length"),
        ({"concepts": True}, "concepts"),
        ({"seed": -1}, "seed"),
        ({"easy": 0.7, "medium": 0.7}, "more than all"),
        ({"easy": "much"}, "share"),
        ({"first_operations": 9}, "8 operations"),
    ],
)
def test_a_world_that_cannot_be_is_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        World(**settings)  # type: ignore[arg-type]


def test_the_source_takes_a_seed_and_the_settings_of_a_world() -> None:
    assert load_questions("chains:7")[0].answer == ChainQuestions(World(7))[0].answer
    assert len(load_questions({"kind": "chains", "length": 1})) == len(ChainQuestions(World(length=1)))
    for spec in ("chains:x", {"kind": "chains", "lenght": 2}, {"kind": "chains", "seed": 0.5}):
        with pytest.raises(ConfigurationError):
            load_questions(spec)


# -- judging ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "right", "by_value"),
    [
        ("{answer}", True, True),
        ("\n{answer}\n", True, True),
        ("{ANSWER}", True, True),
        ("{answer} 3", False, False),
        ("{value}", False, True),
        ("min 1 min {value}", False, True),
        ("{answer} add", False, False),
        ("", False, False),
    ],
)
def test_answers_are_judged_by_their_words_or_by_what_they_come_to(
    given: str, right: bool, by_value: bool
) -> None:
    answer = "sub 3 rev 5"
    question = Question("q", "chains", AnswerKind.TEXT, "zorin 5 2 8", answer)
    said = answered(given.format(answer=answer, ANSWER=answer.upper(), value=5))
    assert text(question, said).correct is right
    assert last_number(question, said).correct is by_value
    assert verifier_from_spec(None)(question, said) == text(question, said)


def test_a_long_answer_is_read_up_to_twice_its_length() -> None:
    assert not text(ARVEL, answered("add " * 200)).correct
    assert "longer" in text(ARVEL, answered("add " * 200)).reason


def test_the_last_number_needs_one_in_the_truth() -> None:
    question = Question("q", "chains", AnswerKind.TEXT, "?", "no number")
    with pytest.raises(ConfigurationError, match="ends with none"):
        last_number(question, answered("5"))


# -- teaching ---------------------------------------------------------------------------------


@given(st.integers(0, len(TRAIN) - 1), st.data())
@settings(max_examples=50)
def test_the_first_wrong_operation_is_named_whatever_its_value(index: int, data: st.DataObject) -> None:
    question = TRAIN[index]
    first, value, second, result = question.answer.split()
    wrong = data.draw(st.sampled_from([o for o in OPERATIONS if o != first]))
    digit = data.draw(st.integers(0, 9))
    assert told(question, f"{wrong} {digit} {second} {result}") == f"first {first}"
    wrong = data.draw(st.sampled_from([o for o in OPERATIONS if o != second]))
    assert told(question, f"{first} {value} {wrong} {digit}") == f"then {second}"


def test_a_wrong_value_is_told_by_its_step() -> None:
    first, value, second, result = ARVEL.answer.split()
    other = (int(value) + 1) % 10
    assert told(ARVEL, f"{first} {other} {second} {result}") == f"first {first}"
    other = (int(result) + 1) % 10
    assert told(ARVEL, f"{first} {value} {second} {other}") == f"then {second}"


def told(question: Question, answer: str, teacher: object = "rule") -> str:
    request = request_on(question, answered(answer), rule_hints=("next_step",))
    (guidance,) = run(from_spec(teacher).guide([request]))  # type: ignore[arg-type]
    return guidance.text


def test_hints_leak_only_where_they_give_the_answer() -> None:
    for mistake in ARVEL.mistakes:
        leaking = [s for s in HINT_STRENGTHS if detect(ARVEL, hint(ARVEL, mistake, s))]
        assert leaking == ["answer"]


@pytest.mark.parametrize("name", ["all_steps", "leak_answer", "locate_error", "worked_next_step"])
def test_variants_say_what_they_are_named_for(name: str) -> None:
    wrong = next(m for m in ARVEL.mistakes if m.wrong_line == 0)
    first, _, second, _ = ARVEL.answer.split()
    env = gym.make("SocraticChains-v0", questions=[ARVEL], protocol=name)
    env.reset(seed=0)
    *_, info = env.step(answered(wrong.answer))
    assert (
        info["guidance"]
        == {
            "all_steps": f"first {first} then {second}",
            "leak_answer": f"The answer is: {ARVEL.answer}",
            "locate_error": "check first",
            "worked_next_step": f"first {first}",
        }[name]
    )
    assert protocol(name).summary


@pytest.mark.parametrize("says", ["random", "never_right", "other_question"])
def test_controls_speak_in_form_and_do_not_know(says: str) -> None:
    teacher = from_spec({"kind": "chain_control", "says": says})
    questions = [TRAIN[i] for i in range(0, len(TRAIN), 29)]
    requests = [request_on(q, answered(q.mistakes[-1].answer), rule_hints=("next_step",)) for q in questions]
    hints = [guidance.text.split() for guidance in run(teacher.guide(requests))]
    assert hints == [guidance.text.split() for guidance in run(teacher.guide(requests))]
    right = [operation == q.answer.split()[0] for (_, operation), q in zip(hints, questions, strict=True)]
    assert len({operation for _, operation in hints}) >= 5
    share = sum(right) / len(right)
    if says == "never_right":
        assert share == 0
    else:
        assert 0.04 < share < 0.4


def test_a_control_can_be_right_in_a_share() -> None:
    teacher = from_spec({"kind": "chain_control", "says": "never_right", "right_share": 0.7})
    questions = [TRAIN[i] for i in range(0, len(TRAIN), 29)]
    requests = [request_on(q, answered(q.mistakes[-1].answer), rule_hints=("next_step",)) for q in questions]
    right = [
        guidance.text.split()[1] == q.answer.split()[0]
        for guidance, q in zip(run(teacher.guide(requests)), questions, strict=True)
    ]
    assert sum(right) / len(right) == pytest.approx(0.7, abs=0.08)


def test_a_control_keeps_the_contract_of_a_teacher() -> None:
    check_teacher({"kind": "chain_control"}, [TRAIN[0], TRAIN[999]], deterministic=True, picklable=True)


def test_controls_speak_of_chains_only() -> None:
    teacher = from_spec({"kind": "chain_control"})
    with pytest.raises(ConfigurationError, match="speaks of chains only"):
        teacher.check(load_questions("procedural")[0])
    for arguments in ({"says": "nothing"}, {"right_share": 2}):
        with pytest.raises(ConfigurationError):
            from_spec({"kind": "chain_control", **arguments})
    assert isinstance(teacher, RuleTeacher)
