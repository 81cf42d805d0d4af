"""A teacher model that learns to write viewpoints."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.learning.preferences import Pair, margins, prefer
from agents.learning.samples import Sampling
from agents.options import TinyStudent
from agents.policies.transformers_policy import TransformersPolicy
from agents.runs.checkpoint import save_model
from agents.teaching.__main__ import main
from agents.teaching.classroom import by_gradient
from agents.teaching.forms import form_of
from agents.teaching.lessons import Worth, Writer
from agents.teaching.model_reflector import ModelReflector
from agents.teaching.preference import pairs_of
from agents.teaching.teach_config import TeachConfig
from agents.warm_start.modular_student import make_tokenizer, principle, words_of
from agents.warm_start.word_student import make_student
from socratic_env.errors import ConfigurationError
from socratic_env.models.chat import Chat
from socratic_env.questions.modular import MISCONCEPTIONS, ModularQuestions
from socratic_env.questions.question_set import QuestionList
from socratic_env.reflection import from_spec
from socratic_env.students import Student, StudentReply
from socratic_env.traces import InteractionTrace
from socratic_env.viewpoints import KINDS, Viewpoint

TOKENIZER = make_tokenizer()
CHAT = Chat(TOKENIZER)
QUESTIONS = ModularQuestions("train")
SAID = "keep_signs", "left_to_right"
"""Misconceptions of the listener below."""


class Listener(Student):
    """Right where the system text has the principle of the question's first mistake, else wrong."""

    async def answer(self, requests):
        """A right answer, or that mistake's."""
        return [StudentReply(self._said(request.messages)) for request in requests]

    @staticmethod
    def _said(messages):
        system = "".join(m["content"] for m in messages if m["role"] == "system")
        question = KNOWN[messages[-1]["content"]]
        right = principle(question.mistakes[0].name).text in system
        return f"<answer> {question.answer if right else question.mistakes[0].answer} </answer>"


KNOWN = {q.statement: q for q in (QUESTIONS[i] for i in range(0, len(QUESTIONS), 97)) if q.mistakes}


def traces(count: int = 24) -> list[InteractionTrace]:
    """Wrong workings."""
    chosen = list(KNOWN.values())[:count]
    return [InteractionTrace(q, f"<answer> {q.mistakes[0].answer} </answer>", correct=False) for q in chosen]


def writer(model=None) -> Writer:
    model = model or make_student(TinyStudent(hidden=32, layers=1), TOKENIZER)
    policy = TransformersPolicy(model, CHAT.ends, CHAT.pad, 96)
    return Writer(policy, CHAT, form_of("words"), Sampling(max_tokens=6))


@pytest.mark.parametrize("name", MISCONCEPTIONS)
def test_a_viewpoint_is_read_from_its_words(name):
    for kind in KINDS:
        words = words_of(principle(name, kind).text)
        assert (words.kind, words.trigger) == (kind, name)


@pytest.mark.parametrize(
    ("said", "why"),
    [("principle minus bracket", "3"), ("rule minus bracket rightly", "'rule'"), ("", "0"),
     ("principle minus bracket rightly rightly", "5"), ("principle one bracket rightly", "'one'")],
)  # fmt: skip
def test_other_words_are_no_viewpoint(said, why):
    with pytest.raises(ValueError, match=why):
        words_of(said)


def test_a_prompted_teacher_answers_in_the_form_of_its_prompt():
    form, trace = form_of("causal_analysis"), traces(1)[0]
    assert trace.question.statement in form.ask(trace)[0]["content"]
    told = json.dumps({"viewpoints": [{"kind": "causal", "trigger": "", "text": "Mind the signs."}]})
    assert form.read(f"<think>hm</think> {told}", trace).text == "Mind the signs."
    with pytest.raises(ValueError, match="gives no viewpoint"):
        form.read('{"viewpoints": []}', trace)
    with pytest.raises(ValueError, match="no JSON object"):
        form.read("Mind the signs.", trace)


def test_worth_is_the_utility_and_nothing_for_what_cannot_be_used():
    worth = Worth(Listener(), QuestionList(list(KNOWN.values())))
    name = next(iter(KNOWN.values())).mistakes[0].name
    good = Viewpoint(principle(name).text, trigger=name)
    useless = Viewpoint(principle(name, rule="anyhow").text, trigger=name)
    found = worth.of([good, None, useless, good], 6, seed=3)
    assert found[0] > 0.3
    assert found[1:] == [0.0, 0.0, found[0]]
    before = worth.played
    assert worth.of([good], 6, seed=3) == found[:1]  # nothing is played twice
    assert worth.played == before


class Table:
    """Worth by the last word alone."""

    played = 0

    def of(self, viewpoints, probes, seed, targeted=True):
        """1 for a principle that says to do it rightly."""
        return [float(one is not None and one.text.endswith("rightly")) for one in viewpoints]


@cache
def schooled():
    """One that writes four words, any of them."""
    model = make_student(TinyStudent(hidden=32, layers=1), TOKENIZER)
    asked = [CHAT.prompt(form_of("words").ask(trace)) for trace in traces()]
    rules = ["rightly", "anyhow", "keep_signs"]
    said = [principle(SAID[i % 2], rule=rules[i % 3]).text for i in range(24)]
    ids = [TOKENIZER(text, add_special_tokens=False)["input_ids"] + [CHAT.ends[0]] for text in said]
    pairs = [Pair(p, good, [CHAT.pad] * len(good)) for p, good in zip(asked, ids, strict=True)]
    prefer(model, CHAT.pad, pairs, 0.1, 60, 24, 1e-2, np.random.default_rng(0), likelihood=1.0)
    return model


def schooled_teacher():
    """A fresh one."""
    return copy.deepcopy(schooled())


def test_policy_gradient_makes_useful_viewpoints_likelier():
    model = schooled_teacher()
    config = TeachConfig(steps=25, traces_per_step=8, viewpoints_per_trace=6, lr=3e-3, kl=0.0)
    steps = list(by_gradient(config, writer(model), traces(), Table(), model))
    first, last = (np.mean([s["reward"] for s in part]) for part in (steps[:3], steps[-3:]))
    assert last > first + 0.3
    assert 0 <= steps[-1]["entropy"] < np.log(48)


def test_pairs_are_of_one_trace_and_differ_by_the_margin():
    model = schooled_teacher()
    config = TeachConfig(viewpoints_per_trace=6)
    pairs = pairs_of(config, writer(model), traces(), Table(), 12, seed=1)
    assert pairs
    rightly = TOKENIZER("rightly", add_special_tokens=False)["input_ids"][0]
    assert all(rightly in pair.preferred and rightly not in pair.rejected for pair in pairs)
    assert not pairs_of(replace(config, margin=1.0), writer(model), traces(), Table(), 12, seed=1)


def test_dpo_prefers_and_its_margins_say_so():
    model = schooled_teacher()
    reference = make_student(TinyStudent(hidden=32, layers=1), TOKENIZER)
    reference.load_state_dict(model.state_dict())
    pairs = pairs_of(TeachConfig(viewpoints_per_trace=6), writer(model), traces(), Table(), 12, seed=1)
    assert margins(model, reference, CHAT.pad, pairs) == pytest.approx([0.0] * len(pairs), abs=1e-4)
    prefer(model, CHAT.pad, pairs, 0.1, 20, 16, 3e-3, np.random.default_rng(0))
    gains = margins(model, reference, CHAT.pad, pairs)
    assert np.mean(np.array(gains) > 0) > 0.9


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A student that is never right, and a teacher that can write."""
    student = make_student(TinyStudent(hidden=32, layers=1), TOKENIZER)
    for name, model in (("student", student), ("teacher", schooled_teacher())):
        save_model(tmp_path / name, model, TOKENIZER)
    return tmp_path / "student", tmp_path / "teacher"


@pytest.mark.parametrize("method", ["policy-gradient", "dpo"])
def test_the_command_writes_a_teacher_that_can_be_used(method, folders, tmp_path, capsys):
    student, teacher = folders
    run = tmp_path / "run"
    small = ["--steps", "2", "--workings", "8", "--eval-traces", "4", "--eval-probes", "4", "--pairs", "4"]
    status = main(
        ["viewpoints", "--student", str(student), "--teacher", str(teacher), "--run-dir", str(run),
         "--method", method, *small]
    )  # fmt: skip
    if method == "dpo":  # nothing helps a student that is never right, so that there are no pairs
        assert status == 1
        assert "differ in worth" in capsys.readouterr().err
        return
    assert status == 0
    assert "held-out utility" in capsys.readouterr().out
    result = json.loads((run / "result.json").read_text())
    assert result["generic_T"]["gain"] == 0
    assert result["kl"] >= 0
    kinds = [json.loads(line)["kind"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert kinds == ["eval", "train", "train", "eval"]
    spec = {"kind": "agents.teaching.model_reflector:ModelReflector", "folder": str(run / "teacher")}
    reflection = from_spec(spec).reflect(traces(8))
    assert len(reflection) + len(reflection.faults) == 8
    assert main(["viewpoints", "--run-dir", str(run)]) == 2  # it is used


def test_what_a_teacher_writes_on_too_few_traces_is_left_out(folders):
    often = ModelReflector(str(folders[1]), min_seen=3).reflect(traces())
    counts = {one.id: sum(other.id == one.id for other in often) for one in often}
    assert counts
    assert min(counts.values()) >= 3


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigurationError, match="'words' only"):
        TeachConfig(prompt="causal_analysis")
    with pytest.raises(ConfigurationError, match="max_model_len"):
        TeachConfig(max_model_len=20)
    with pytest.raises(ConfigurationError, match="viewpoints_per_trace"):
        TeachConfig(viewpoints_per_trace=1)


def test_a_trace_that_is_too_long_is_named():
    short = replace(writer(), policy=TransformersPolicy(torch.nn.Identity(), CHAT.ends, CHAT.pad, 12))
    with pytest.raises(ConfigurationError, match="raise it"):
        short.write(traces(2), 1, 0)
