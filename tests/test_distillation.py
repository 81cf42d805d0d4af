"""Distillation: what a student does with viewpoints, taught to do without them."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch

from agents.learning.rows import Rows, Scorer, log_probabilities
from agents.options import TinyStudent
from agents.socratic_rl.distillation import NothingToLearn, Worked, distil
from agents.socratic_rl.program import ViewpointDistillation
from agents.warm_start.modular_student import make_tokenizer, principle
from agents.warm_start.word_student import END, make_student
from socratic_env.dialogue import messages, open_dialogue
from socratic_env.models.chat import Chat
from socratic_env.questions.modular import MISCONCEPTIONS, ModularQuestions
from socratic_env.viewpoints import Viewpoint, with_viewpoints

TOKENIZER = make_tokenizer()
CHAT = Chat(TOKENIZER)
QUESTIONS = ModularQuestions("train")
SHOWN = [Viewpoint(principle(name).text) for name in list(MISCONCEPTIONS)[:2]]


def worked(right: bool, count: int = 24) -> list[Worked]:
    """Workings with two viewpoints, all right or all wrong."""
    found = []
    for place in range(0, 300 * count, 300):
        question = QUESTIONS[place]
        answer = question.answer if right else question.mistakes[0].answer
        said = TOKENIZER(f"<answer> {answer} </answer> {END}", add_special_tokens=False)["input_ids"]
        prompts = (
            CHAT.prompt(messages(open_dialogue(q))) for q in (with_viewpoints(question, SHOWN), question)
        )
        found.append(Worked(question, *prompts, said, right))
    return found


def student():
    return make_student(TinyStudent(hidden=32, layers=1), TOKENIZER)


def wide_student():
    """One whose distribution depends on all of its prompt."""
    model, generator = student(), torch.Generator().manual_seed(1)
    for weight in model.parameters():
        if weight.dim() == 2:
            torch.nn.init.normal_(weight, 0, 0.2, generator)
    return model


def sums(model, prompts, said) -> torch.Tensor:
    """The log-probability of each response."""
    rows = Rows.of(prompts, [one.response for one in said], TOKENIZER.pad_token_id)
    with torch.no_grad():
        (logps_N,) = Scorer(model)(rows, partial(log_probabilities, temperature=1.0))
    return torch.zeros(len(rows)).index_add(0, rows.row_N, logps_N)


def settings(method: str, **more) -> ViewpointDistillation:
    return ViewpointDistillation(method, **({"steps": 30, "batch": 16, "lr": 3e-3} | more))


def test_instruction_tuning_learns_right_workings_for_the_prompt_without_viewpoints():
    model, right, wrong = student(), worked(True), worked(False)
    plain = [one.plain for one in right]
    before = sums(model, plain, right), sums(model, plain, wrong)
    found = distil(model, TOKENIZER.pad_token_id, settings("instruction"), [*right, *wrong], [], 0)
    assert found["workings"] == len(right)  # the wrong ones are left out
    gained, also = (sums(model, plain, said) - was for said, was in zip((right, wrong), before, strict=True))
    assert gained.mean() > 5
    assert gained.mean() > also.mean()


@pytest.mark.parametrize("top_k", [64, 8])
def test_kl_brings_the_student_to_what_it_was_with_viewpoints(top_k):
    model, said = wide_student(), [*worked(True), *worked(False)]
    old = copy.deepcopy(model)
    found = distil(model, TOKENIZER.pad_token_id, settings("kl", top_k=top_k), said, [], 0)
    assert 0 <= found["kl_after"] < 0.5 * found["kl_before"]
    target = sums(old, [one.informed for one in said], said)
    was, now = (sums(each, [one.plain for one in said], said) for each in (old, model))
    assert (now - target).abs().mean() < (was - target).abs().mean()


def test_replay_keeps_what_is_done_with_viewpoints():
    said, away = [*worked(True), *worked(False)], {}
    for replay in (0.0, 1.0):
        model = wide_student()
        old = copy.deepcopy(model)
        distil(model, TOKENIZER.pad_token_id, settings("kl", replay=replay), said, [], 0)
        prompts = [one.informed for one in said]
        away[replay] = float((sums(model, prompts, said) - sums(old, prompts, said)).abs().mean())
    assert away[1.0] < 0.5 * away[0.0]


@pytest.mark.parametrize("sft", [0.0, 1.0])
def test_dpo_prefers_the_right_working(sft):
    model, right, wrong = student(), worked(True), worked(False)
    plain = [one.plain for one in right]

    def margin():
        return (sums(model, plain, right) - sums(model, plain, wrong)).mean()

    before, likely = margin(), sums(model, plain, right).mean()
    found = distil(model, TOKENIZER.pad_token_id, settings("dpo", sft=sft, steps=15), right, wrong, 0)
    assert found["workings"] == len(right)
    assert margin() > before + 1
    if sft:
        assert sums(model, plain, right).mean() > likely


@pytest.mark.parametrize(
    ("method", "informed", "plain", "says"),
    [
        ("instruction", worked(False), [], "none is right"),
        ("kl", [], [], "no workings with viewpoints"),
        ("dpo", worked(True), worked(True), "that without them wrong"),
        ("dpo", worked(False), worked(False), "that without them wrong"),
    ],
)
def test_nothing_to_learn_from_is_said_and_changes_nothing(method, informed, plain, says):
    model = student()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(NothingToLearn, match=says):
        distil(model, TOKENIZER.pad_token_id, settings(method), informed, plain, 0)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
