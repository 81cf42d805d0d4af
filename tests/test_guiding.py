"""A teacher model that learns to guide, turn by turn with a student in the PettingZoo environment."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from agents.learning.samples import Completion, Sampling
from agents.options import TinyStudent
from agents.policies.transformers_policy import TransformersPolicy
from agents.runs.checkpoint import save_model
from agents.teaching.__main__ import main
from agents.teaching.guided_turns import Speaker, Turns
from agents.teaching.teach_config import GuideConfig
from agents.warm_start import chain_guide
from agents.warm_start.chain_student import make_tokenizer
from agents.warm_start.word_student import END, make_student
from socratic_env import verifiers
from socratic_env.errors import ConfigurationError, VerifierError
from socratic_env.models.chat import Chat
from socratic_env.questions import load_questions
from socratic_env.questions.chains import World
from socratic_env.types import AnswerKind

WORLD = World(seed=0)
TOKENIZER = make_tokenizer(WORLD)
CHAT = Chat(TOKENIZER)
CONFIG = GuideConfig()
QUESTIONS = {
    q.statement: q for q in map(load_questions(json.loads(CONFIG.questions)).__getitem__, range(400))
}


class Says:
    """A policy that answers by a function of its prompt's text."""

    max_model_len = 96

    def __init__(self, reply):
        self._reply, self.seeds = reply, []

    def generate(self, prompts, sampling, seed):
        self.seeds.append(seed)
        said = [f"{self._reply(TOKENIZER.decode(prompt))} {END}" for prompt in prompts]
        ids = [TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in said]
        return [Completion(one, [0.0] * len(one), True) for one in ids]


def speaker(reply) -> Speaker:
    return Speaker(Says(reply), CHAT, Sampling(max_tokens=8))


def pupil(prompt: str) -> str:
    """Wrong, and right once the hint names the first operation rightly."""
    first, *hints = [part.split(END)[0].strip() for part in prompt.split("<|user|>")[1:]]
    question = QUESTIONS[first]
    operation = question.answer.split()[0]
    right = hints and hints[-1].split()[-1:] == [operation]
    return f"<answer> {question.answer if right else question.mistakes[0].answer} </answer>"


def hint(prompt: str) -> str:
    """Names the first operation; of even numbers wrongly."""
    statement = " ".join(prompt.split("<|user|>")[1].split()[:4])
    operation = QUESTIONS[statement].answer.split()[0]
    return f"first {operation}" if int(statement.split()[1]) % 2 else "first nothing"


IDS = [question.id for question in list(QUESTIONS.values())[:24]]


def test_a_hint_that_leads_to_a_right_answer_earns_one():
    turns = Turns(CONFIG, speaker(pupil), speaker(hint), "train").play(IDS, 2, seed=3)
    assert Counter(turn.group for turn in turns) == dict.fromkeys(range(len(IDS)), 2)
    for turn in turns:
        named = int(QUESTIONS_OF[IDS[turn.group]].split()[1]) % 2
        assert (turn.corrected, turn.reward, turn.leaked) == (bool(named), float(named), False)


QUESTIONS_OF = {question.id: question.statement for question in QUESTIONS.values()}


def test_what_is_right_at_once_is_left_out():
    def knows(prompt):
        statement = prompt.split("<|user|>")[1].split(END)[0].strip()
        return f"<answer> {QUESTIONS[statement].answer} </answer>"

    assert Turns(CONFIG, speaker(knows), speaker(hint), "train").play(IDS, 2, seed=3) == []


def test_a_leak_costs_and_a_blank_text_earns_nothing():
    def leaks(prompt):
        statement = " ".join(prompt.split("<|user|>")[1].split()[:4])
        return f"The answer is: {QUESTIONS[statement].answer}"

    found = Turns(CONFIG, speaker(pupil), speaker(leaks), "train").play(IDS, 1, seed=3)
    assert all(turn.leaked for turn in found)
    assert {turn.reward for turn in found} <= {-1.0, 0.0}
    blank = Turns(CONFIG, speaker(pupil), speaker(lambda _: ""), "train").play(IDS, 1, seed=3)
    assert {(turn.reward, turn.corrected, turn.blank) for turn in blank} == {(0.0, False, True)}
    assert not any(turn.blank for turn in found)


def test_a_protocol_without_a_turn_for_the_teacher_is_refused():
    fixed = replace(CONFIG, protocol="fixed_retry")
    with pytest.raises(ConfigurationError, match="no turn"):
        Turns(fixed, speaker(pupil), speaker(hint), "train")


def test_an_attempt_without_a_verdict_is_no_wrong_one(monkeypatch):
    def down(question, text):
        raise VerifierError("it is down")

    monkeypatch.setitem(verifiers._OF_KIND, AnswerKind.TEXT, down)
    with pytest.raises(VerifierError, match=r"has no verdict: .*it is down"):
        Turns(CONFIG, speaker(pupil), speaker(hint), "train").play(IDS[:1], 1, seed=3)


def test_a_dialogue_without_room_is_one_error():
    short = speaker(pupil)
    short.policy.max_model_len = 12
    with pytest.raises(ConfigurationError, match="raise it"):
        Turns(CONFIG, short, speaker(hint), "train").play(IDS[:1], 1, seed=3)


def test_the_guide_made_here_names_a_step_and_an_operation(monkeypatch):
    monkeypatch.setattr(chain_guide, "school", lambda *_: None)
    model, tokenizer = chain_guide.make_guide(TinyStudent(hidden=32, layers=1), None, WORLD, 0, None)
    policy = TransformersPolicy(model, CHAT.ends, CHAT.pad, 96)
    guide = Speaker(policy, Chat(tokenizer), Sampling(max_tokens=8))
    turns = Turns(CONFIG, speaker(pupil), guide, "train").play(IDS, 4, seed=1)
    said = [CHAT.text(turn.completion.ids).split() for turn in turns]
    assert np.mean([len(words) == 2 and words[0] in ("first", "then") for words in said]) > 0.9
    assert len({words[1] for words in said if len(words) == 2}) > 3


def test_an_interrupted_command_says_what_is_kept(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("agents.teaching.guiding.teach", interrupted)
    assert main(["guidance", "--run-dir", str(tmp_path / "run")]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_command_writes_a_teacher_that_can_be_used(tmp_path, capsys):
    for name in ("student", "teacher"):
        save_model(tmp_path / name, make_student(TinyStudent(hidden=32, layers=1), TOKENIZER), TOKENIZER)
    run = tmp_path / "run"
    places = ["--student", str(tmp_path / "student"), "--teacher", str(tmp_path / "teacher")]
    small = ["--steps", "2", "--questions-per-step", "4", "--eval-questions", "8"]
    options = ["guidance", "--run-dir", str(run), *places, *small]
    assert main(options) == 0
    assert "held-out correction rate" in capsys.readouterr().out
    result = json.loads((run / "result.json").read_text())
    assert result["correction_rate"]["before"] == 0  # it knows no words yet
    assert (run / "teacher" / "model.safetensors").is_file()
    kinds = [json.loads(line)["kind"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert kinds == ["eval", "train", "train", "eval"]
