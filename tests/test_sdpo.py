"""SDPO's pure functions against golden numbers."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.learning.samples import Sample
from agents.learning.sdpo import (
    demonstrations,
    divergence,
    move_average,
    sdpo_weights,
    shortened,
    shortlist,
    teacher_messages,
)
from socratic_env.questions import load_questions

GOLDEN = json.loads((Path(__file__).parent / "golden" / "reward_decay.json").read_text())["losses"]


def reduced(student, teacher, top_k):
    """Both over the student's most likely tokens and the rest."""
    index = shortlist(student, top_k)
    return shortened(student, index), shortened(teacher, index)


def logps(name):
    return torch.tensor([GOLDEN["sdpo_divergence"][name]], dtype=torch.float64).log()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("form", "top_k"), [("full", 4), ("topk_tail", 2)])
def test_golden_divergence(alpha, form, top_k):
    value = divergence(*reduced(logps("student"), logps("teacher"), top_k), alpha)
    assert value.item() == pytest.approx(GOLDEN["sdpo_divergence"][form][str(alpha)], abs=1e-12)


def test_golden_moving_average():
    golden = GOLDEN["ema"]
    teacher, student = [torch.tensor([golden["teacher"]])], [torch.tensor([golden["student"]])]
    for name in ("after_one", "after_two_student_fixed"):
        move_average(teacher, student, golden["rate"])
        assert teacher[0].item() == pytest.approx(golden[name], rel=1e-6)


@given(st.integers(2, 12), st.floats(0, 1), st.integers(1, 12), st.integers(0, 10**6))
def test_divergence_is_zero_for_equals_and_never_negative(vocabulary, alpha, top_k, seed):
    generator = torch.Generator().manual_seed(seed)
    one, two = (torch.randn(3, vocabulary, generator=generator).double().log_softmax(-1) for _ in range(2))
    assert divergence(*reduced(one, one, top_k), alpha).abs().max() < 1e-9
    assert (divergence(*reduced(one, two, top_k), alpha) > -1e-9).all()


def test_the_gradient_goes_through_the_student_only_and_the_weight_is_detached():
    student = torch.randn(4, 6, requires_grad=True)
    teacher = torch.randn(4, 6, requires_grad=True)
    chosen = student.log_softmax(-1)[:, 0]
    value = divergence(*reduced(student.log_softmax(-1), teacher.log_softmax(-1), 3), 0.5)
    old = chosen.detach() - torch.tensor([0.0, 5.0, -1.0, 0.1])
    (value * sdpo_weights(chosen, old) * 0.25).sum().backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0
    # The weights are exp(0), 2 (cut), exp(-1), exp(0.1), and no gradient flows through them.
    expected = torch.autograd.grad(
        (divergence(*reduced(student.log_softmax(-1), teacher.log_softmax(-1), 3), 0.5)
         * torch.tensor([1.0, 2.0, 0.36787944, 1.10517092]) * 0.25).sum(), student
    )[0]  # fmt: skip
    torch.testing.assert_close(student.grad, expected)


def test_demonstrations_are_correct_siblings_and_never_the_sample_itself():
    made = [(0, True), (0, False), (0, True), (1, True), (1, False), (2, False)]
    samples = [Sample(i, g, 1, [1], [2], [0.0], c, float(c)) for i, (g, c) in enumerate(made)]
    texts = list("abcdef")
    assert demonstrations(samples, texts) == ["c", "c", "a", None, "d", None]


def test_the_self_teachers_prompt_shows_question_and_solution():
    question = load_questions("procedural")[0]
    system, user = teacher_messages(question, "SOLUTION {braces}")
    assert system["content"] == question.system
    assert user["content"].startswith(question.text)
    assert "SOLUTION {braces}" in user["content"]
