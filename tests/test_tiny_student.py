"""The small student: tokenizer, beliefs, worked dialogues, rows."""

import random

import pytest

from agents.options import WarmStart
from agents.warm_start.tiny import Beliefs, training_row, worked_dialogues
from socratic_env import dialogue as rules_of
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.types import StopReason

CONCEPTS = load_questions("concepts")
QUESTIONS = [CONCEPTS[i] for i in range(600)]


@pytest.mark.parametrize(
    "text",
    [
        "zorin 3 5 2",
        "<reasoning>\nadd 8\n</reasoning>\n<answer>\n8\n</answer>",
        "Größe µ 中 \U0001f600\x00\n\n x",
    ],
)
def test_any_text_survives_the_tokenizer(tiny_student, text):
    _, tokenizer, _ = tiny_student
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_worked_reply_is_short(tiny_student):
    _, tokenizer, _ = tiny_student
    text = "<reasoning>\nadd 8\nmax 8\n</reasoning>\n<answer>\n8\n</answer>"
    assert len(tokenizer(text)["input_ids"]) == 9


def test_beliefs_have_the_stated_shares_and_a_dominant_mistake():
    warm = WarmStart(easy=0.25, medium=0.25)
    beliefs = Beliefs([q.subtask for q in QUESTIONS], warm, seed=1)
    levels = list(beliefs.level.values())
    assert [levels.count(level) for level in ("easy", "medium", "hard")] == [8, 8, 16]
    rng = random.Random(0)
    hard = [q for q in QUESTIONS if beliefs.level[q.subtask] == "hard"]
    right = sum(q.solution in beliefs.attempt(q, rng) for q in hard) / len(hard)
    assert right < 0.12


def test_worked_dialogues_follow_hints_as_often_as_stated():
    beliefs = Beliefs([q.subtask for q in QUESTIONS], WarmStart(), seed=0)
    dialogues = worked_dialogues(QUESTIONS, beliefs, comply=1.0, rng=random.Random(0))
    assert all(d.stop is StopReason.SOLVED for d in dialogues)
    assert {len(d.attempts) for d in dialogues} == {1, 2}
    stubborn = worked_dialogues(QUESTIONS, beliefs, comply=0.0, rng=random.Random(0))
    assert sum(d.stop is StopReason.SOLVED for d in stubborn) < 0.7 * len(stubborn)


def test_training_rows_are_what_a_rollout_would_see(tiny_student):
    """The warm start's ids are the chat template's, and targets are the student's own tokens."""
    _, tokenizer, _ = tiny_student
    beliefs = Beliefs([q.subtask for q in QUESTIONS], WarmStart(), seed=0)
    for dialogue in worked_dialogues(QUESTIONS[:40], beliefs, 0.5, random.Random(0)):
        ids, targets = training_row(tokenizer, dialogue)
        messages = rules_of.messages(dialogue)
        whole = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
        assert ids == whole
        own = [token for token, target in zip(ids, targets, strict=True) if target]
        text = "".join(m["content"] + "<|im_end|>" for m in messages if m["role"] == "assistant")
        assert tokenizer.decode(own) == text
        prompt = Chat(tokenizer).prompt(messages[:1])
        assert ids[: len(prompt)] == prompt
        assert not any(targets[: len(prompt)])
