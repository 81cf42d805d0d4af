import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted import choice_question, mistake, numeric_question, right, says, wrong

from socratic_env import Attempt, Episode, Guidance, StopReason, Verdict
from socratic_env.dialogue import (
    MAX_REPLY_CHARS,
    Dialogue,
    Rules,
    advise,
    answer,
    cut,
    messages,
    open_dialogue,
)
from socratic_env.dialogue import text as text_of
from socratic_env.errors import ActionError, StepError, TeacherTimeout
from socratic_env.types import Message, Usage
from socratic_env.verifiers import KINDS

QUESTION = choice_question(answer="B")
HELP = Guidance("Look again.")


def after(*verdicts, rules=None):
    """The dialogue after these verdicts, with guidance between them but not after the last."""
    rules = rules or Rules(max_attempts=3)
    dialogue = open_dialogue(QUESTION)
    for number, correct in enumerate(verdicts):
        if number:
            dialogue = advise(dialogue, HELP, rules)
        dialogue = answer(dialogue, says(QUESTION, correct), rules)
    return dialogue


# -- transitions -------------------------------------------------------------------------


def test_an_open_dialogue_holds_the_question_only():
    question = dataclasses.replace(QUESTION, system="Answer with a letter.", closing="Reason by steps.")
    dialogue = open_dialogue(question)
    assert (dialogue.attempts, dialogue.stop, dialogue.awaits_guidance) == ((), None, False)
    assert messages(dialogue) == [
        {"role": "system", "content": "Answer with a letter."},
        {
            "role": "user",
            "content": "Which one?\n\nA: option 0\nB: option 1\nC: option 2\nD: option 3\nReason by steps.",
        },
    ]


@pytest.mark.parametrize(
    ("verdicts", "stop"),
    [
        ([True], StopReason.SOLVED),
        ([False], None),
        ([False, True], StopReason.SOLVED),
        ([False, False], None),
        ([False, False, True], StopReason.SOLVED),
        ([False, False, False], StopReason.OUT_OF_ATTEMPTS),
    ],
)
def test_verdicts_decide_how_it_goes_on(verdicts, stop):
    dialogue = after(*verdicts)
    assert [attempt.verdict.correct for attempt in dialogue.attempts] == verdicts
    assert dialogue.stop is stop
    assert dialogue.awaits_guidance == (stop is None)


def test_the_conversation_as_the_student_sees_it():
    dialogue = advise(after(False, False), Guidance("Second hint."), Rules(3))
    assert [(m["role"], m["content"]) for m in messages(dialogue)[1:]] == [
        ("assistant", wrong(QUESTION)),
        ("user", "Look again."),
        ("assistant", wrong(QUESTION)),
        ("user", "Second hint."),
    ]
    assert text_of(dialogue) == "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in messages(dialogue))


def test_one_attempt_only():
    assert after(False, rules=Rules(max_attempts=1)).stop is StopReason.OUT_OF_ATTEMPTS


def test_a_fault_of_the_teacher_ends_it_and_shows_nothing():
    fault = TeacherTimeout("30 s have passed")
    dialogue = advise(after(False), Guidance("half a sen", fault=fault), Rules(3))
    assert dialogue.stop is StopReason.TEACHER_FAILED
    assert dialogue.attempts[-1].guidance.fault is fault
    assert messages(dialogue) == messages(after(False))


def test_the_verifier_of_the_rules_judges():
    strict = Rules(verifier=KINDS.load("choice_strict"))
    assert answer(open_dialogue(QUESTION), "<answer>B</answer>", Rules()).stop is StopReason.SOLVED
    assert answer(open_dialogue(QUESTION), "<answer>B</answer>", strict).stop is None


def test_only_faults_and_limits_truncate():
    truncating = {reason for reason in StopReason if reason.truncated}
    assert truncating == {
        StopReason.TEACHER_FAILED,
        StopReason.VERIFIER_FAILED,
        StopReason.CONTEXT_LIMIT,
    }


# -- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [None, 7, b"<answer>B</answer>", ["B"]])
def test_an_action_that_is_no_text(action):
    with pytest.raises(ActionError) as caught:
        answer(open_dialogue(QUESTION), action, Rules())
    assert type(action).__name__ in str(caught.value)
    assert repr(action) in str(caught.value)
    assert "must be a str" in str(caught.value)


@pytest.mark.parametrize("verdicts", [[True], [False, False, False]])
def test_a_finished_dialogue_takes_nothing_more(verdicts):
    dialogue = after(*verdicts)
    for transition in (
        lambda: answer(dialogue, right(QUESTION), Rules(3)),
        lambda: advise(dialogue, HELP, Rules(3)),
        lambda: cut(dialogue),
    ):
        with pytest.raises(StepError):
            transition()


def test_errors_of_order_name_the_remedy():
    with pytest.raises(StepError, match=r"ended \(solved\); call reset"):
        answer(after(True), right(QUESTION), Rules(3))
    with pytest.raises(StepError, match="advise before the next answer"):
        answer(after(False), right(QUESTION), Rules(3))
    for dialogue in (open_dialogue(QUESTION), advise(after(False), HELP, Rules(3))):
        with pytest.raises(StepError, match="no attempt waits for guidance"):
            advise(dialogue, HELP, Rules(3))


# -- limits ------------------------------------------------------------------------------


def test_the_context_limit_is_met_by_the_reply_or_by_the_guidance():
    fits = open_dialogue(QUESTION).chars + len(wrong(QUESTION))
    exactly, less = Rules(3, max_context_chars=fits), Rules(3, max_context_chars=fits - 1)
    assert answer(open_dialogue(QUESTION), wrong(QUESTION), exactly).stop is None
    assert answer(open_dialogue(QUESTION), wrong(QUESTION), less).stop is StopReason.CONTEXT_LIMIT
    dialogue = answer(open_dialogue(QUESTION), wrong(QUESTION), exactly)
    assert advise(dialogue, Guidance(""), exactly).stop is None
    assert advise(dialogue, Guidance("x"), exactly).stop is StopReason.CONTEXT_LIMIT


def test_a_verdict_that_ends_the_episode_comes_before_the_limit():
    tight = Rules(1, max_context_chars=1)
    assert answer(open_dialogue(QUESTION), right(QUESTION), tight).stop is StopReason.SOLVED
    assert answer(open_dialogue(QUESTION), wrong(QUESTION), tight).stop is StopReason.OUT_OF_ATTEMPTS


def test_chars_counts_every_message():
    question = dataclasses.replace(QUESTION, system="Answer.")
    dialogue = open_dialogue(question)
    for transition in (
        lambda d: answer(d, wrong(QUESTION) + "\ud800\u00e9\U0001f600", Rules(3)),
        lambda d: advise(d, Guidance("a hint \udfff"), Rules(3)),
        lambda d: answer(d, "no answer", Rules(3)),
    ):
        assert dialogue.chars == sum(len(message["content"]) for message in messages(dialogue))
        dialogue = transition(dialogue)
    assert dialogue.chars == sum(len(message["content"]) for message in messages(dialogue))


@pytest.mark.parametrize("beyond", [0, 1, 9 * MAX_REPLY_CHARS])
def test_an_overlong_reply_is_wrong_unread_and_kept_cut(beyond):
    reply = right(QUESTION).ljust(MAX_REPLY_CHARS + beyond, "x")
    (attempt,) = answer(open_dialogue(QUESTION), reply, Rules()).attempts
    assert attempt.text == reply[:MAX_REPLY_CHARS]
    assert attempt.verdict.correct == (beyond == 0)
    if beyond:
        assert attempt.verdict.answer is None
        assert str(MAX_REPLY_CHARS) in attempt.verdict.reason


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("a\udc00", "a\ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ufeffa\u0000\uffff\U0010ffff", "\ufeffa\u0000\uffff\U0010ffff"),
    ],
)
def test_lone_surrogates_are_replaced(given, kept):
    dialogue = answer(open_dialogue(QUESTION), given, Rules())
    assert dialogue.attempts[0].text == kept
    assert advise(dialogue, Guidance(given), Rules()).attempts[0].guidance.text == kept


def test_an_overlong_reply_may_be_cut_within_a_pair():
    reply = "x" * (MAX_REPLY_CHARS - 1) + "\ud83d\ude00"
    (attempt,) = answer(open_dialogue(QUESTION), reply, Rules()).attempts
    assert attempt.text.endswith("x\ufffd")


anything = st.text(st.characters(exclude_categories=()), max_size=50)


@settings(deadline=None)
@given(anything, anything)
def test_every_message_is_valid_json_and_utf8(reply, hint):
    dialogue = advise(answer(open_dialogue(QUESTION), reply, Rules(2)), Guidance(hint), Rules(2))
    for message in messages(dialogue):
        assert json.loads(json.dumps(message, ensure_ascii=False).encode()) == message


# -- cut by the student's side -----------------------------------------------------------


@pytest.mark.parametrize(
    "dialogue", [open_dialogue(QUESTION), after(False), advise(after(False), HELP, Rules(3))]
)
def test_a_dialogue_that_no_longer_fits_is_cut_after_its_last_verdict(dialogue):
    ended = cut(dialogue)
    assert ended == dataclasses.replace(dialogue, stop=StopReason.CONTEXT_LIMIT)
    assert not ended.awaits_guidance
    with pytest.raises(StepError, match=r"ended \(context_limit\)"):
        answer(ended, right(QUESTION), Rules(3))


# -- purity ------------------------------------------------------------------------------


def test_transitions_leave_their_inputs_alone():
    opened = open_dialogue(QUESTION)
    answered = answer(opened, wrong(QUESTION), Rules())
    advised = advise(answered, HELP, Rules())
    cut(advised)
    assert opened == open_dialogue(QUESTION)
    assert answered == answer(opened, wrong(QUESTION), Rules())
    assert answered.attempts[0].guidance is None
    assert advised.stop is None


def test_messages_are_fresh_each_time():
    dialogue = after(False)
    before = text_of(dialogue)
    for message in messages(dialogue):
        message["content"] = "forged"
    messages(dialogue).clear()
    assert text_of(dialogue) == before


@pytest.mark.parametrize(
    "record",
    [
        QUESTION,
        QUESTION.options[0],
        QUESTION.mistakes[0],
        Verdict(True, "B", "correct"),
        HELP,
        Usage(),
        Attempt("text", Verdict(True, "B", "correct")),
        Dialogue(QUESTION),
        Rules(),
        Episode(QUESTION, (), (), StopReason.SOLVED),
    ],
    ids=lambda record: type(record).__name__,
)
def test_records_are_frozen(record):
    for field in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field.name, None)
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        record.another = 1


def test_ground_truth_shows_in_no_repr():
    question = dataclasses.replace(
        numeric_question("271.828", "kJ"),
        solution="secret solution",
        mistakes=(dataclasses.replace(mistake("314.159"), locate="secret place", next_step="secret step"),),
    )
    dialogue = answer(open_dialogue(question), "<answer>5</answer>", Rules())
    episode = Episode(question, dialogue.attempts, (0.0,), StopReason.OUT_OF_ATTEMPTS)
    for record in (question, question.mistakes[0], dialogue, episode):
        for shown in (repr(record), str(record), f"{record}"):
            for secret in ("271.828", "314.159", "secret", "I slip", "You slipped."):
                assert secret not in shown
            assert ("slipped" in shown) == (record is question.mistakes[0])


def test_the_letter_of_a_choice_shows_in_no_repr():
    assert repr(choice_question(answer="A")) == repr(choice_question(answer="D"))


def test_usage_adds_up():
    total = Usage(1, 0, 10, 5, 0.5) + Usage(2, 1, 1, 1, 0.25)
    assert total == Usage(3, 1, 11, 6, 0.75)


def test_what_a_call_costs_makes_no_difference_between_guidances():
    assert Guidance("a", usage=Usage(seconds=1.0)) == Guidance("a", usage=Usage(seconds=2.0))
    assert Guidance("a") != Guidance("b")


def test_a_message_is_what_chat_templates_take():
    assert set(Message.__annotations__) == {"role", "content"}
    assert all(set(message) == {"role", "content"} for message in messages(after(False)))
