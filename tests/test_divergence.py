"""The divergence of a student from a teacher: golden values, expectations, real models."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents import kl, train
from agents.learning.divergence import MOST_ROWS, TeacherDistance, full_kl, k1, k3
from agents.learning.samples import Sample
from socratic_env.errors import ConfigurationError
from socratic_env.records.run_folder import read_lines

GOLDEN = json.loads((Path(__file__).parent / "golden" / "reward_decay.json").read_text())["losses"]


def rows(tokenizer, count=12):
    """Samples of unlike lengths; what they say does not matter here."""
    texts = ["zorin 3 5 2", "max 8", "<reasoning>\nadd 8\n</reasoning>\n<answer>\n8\n</answer>"]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    return [
        Sample(i, i // 2, 1, ids[i % 3] * (1 + i % 4), ids[(i + 1) % 3] + [5 + i], [], False, 0.0)
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def pair(tiny_student):
    """(a student, its tokenizer, another model with the same vocabulary)."""
    model, tokenizer, _ = tiny_student
    other = copy.deepcopy(model)
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in other.parameters():
            weights.add_(0.02 * torch.randn_like(weights))
    return model, tokenizer, other


def test_golden_estimators():
    golden = GOLDEN["kl_estimators"]
    student, teacher = (
        torch.tensor(golden[f"logp_{who}"], dtype=torch.float64) for who in ("student", "teacher")
    )
    for name, estimator in (("k1", k1), ("k3", k3)):
        found = estimator(student, teacher)
        assert found.tolist() == pytest.approx(golden[name], abs=1e-12)
        assert found.mean().item() == pytest.approx(golden[f"{name}_mean"], abs=1e-12)


def test_golden_full_divergence():
    golden = GOLDEN["sdpo_divergence"]
    student, teacher = (
        torch.tensor(golden[who], dtype=torch.float64).log() for who in ("student", "teacher")
    )
    assert full_kl(teacher, student).item() == pytest.approx(golden["full"]["0.0"])
    assert full_kl(student, teacher).item() == pytest.approx(golden["full"]["1.0"])


def test_the_estimators_are_unbiased_exactly():
    """Weighted by the student's probabilities over a small vocabulary, k1 and k3 give the full KL."""
    torch.manual_seed(1)
    for _ in range(20):
        student, teacher = (torch.randn(7, dtype=torch.float64).log_softmax(-1) for _ in range(2))
        exact = full_kl(student, teacher).item()
        for estimator in (k1, k3):
            assert (student.exp() * estimator(student, teacher)).sum().item() == pytest.approx(
                exact, abs=1e-12
            )
        assert (k3(student, teacher) >= 0).all()


def test_the_same_model_has_no_distance(pair):
    model, tokenizer, _ = pair
    found = TeacherDistance(model, model, tokenizer.pad_token_id, 1.0, 256)(rows(tokenizer))
    assert found == pytest.approx({"kl_k1": 0.0, "kl_k3": 0.0, "kl_full": 0.0}, abs=1e-6)


def test_it_is_what_whole_forward_passes_give(pair):
    model, tokenizer, other = pair
    samples = rows(tokenizer)
    sums, lengths = TeacherDistance(model, other, tokenizer.pad_token_id, 0.7, 10_000).sums(samples)
    for i, sample in enumerate(samples):
        ids = torch.tensor([[*sample.prompt, *sample.response]])
        first = len(sample.prompt) - 1
        with torch.no_grad():
            one, two = (m(ids).logits[0, first:-1].div(0.7).log_softmax(-1) for m in (model, other))
        said = torch.tensor(sample.response)[:, None]
        d = (one.gather(-1, said) - two.gather(-1, said)).squeeze(-1)
        expected = [d.sum(), ((-d).exp() - 1 + d).sum(), torch.nn.functional.kl_div(
            two, one, log_target=True, reduction="sum")]  # fmt: skip
        assert sums[i].tolist() == pytest.approx([x.item() for x in expected], abs=1e-4)
        assert lengths[i] == len(sample.response)


def test_micro_batches_change_nothing_and_the_mode_of_the_student_stays(pair):
    model, tokenizer, other = pair
    samples = rows(tokenizer)
    model.train()
    found = [
        TeacherDistance(model, other, tokenizer.pad_token_id, 1.0, tokens).sums(samples)[0]
        for tokens in (1, 60, 10_000)
    ]
    assert model.training
    assert found[0] == pytest.approx(found[1], abs=1e-4)
    assert found[0] == pytest.approx(found[2], abs=1e-4)


def test_at_most_so_many_rows_are_measured(pair, monkeypatch):
    model, tokenizer, other = pair
    distance = TeacherDistance(model, other, tokenizer.pad_token_id, 1.0, 10_000)
    measured = []
    monkeypatch.setattr(TeacherDistance, "sums", lambda self, some: measured.extend(some) or sums(self, some))
    sums = lambda self, some: (torch.ones(len(some), 3).numpy(), torch.ones(len(some)).numpy())  # noqa: E731
    many = [replace(rows(tokenizer, 1)[0], row=i) for i in range(3 * MOST_ROWS)]
    assert distance(many)["kl_k1"] == 1.0
    assert len({sample.row for sample in measured}) == MOST_ROWS
    assert {measured[0].row, measured[-1].row} == {0, len(many) - 1}
    assert all(value != value for value in distance([]).values())


def test_another_vocabulary_is_refused(pair, tmp_path):
    from agents.options import TinyStudent
    from agents.warm_start.tiny import make_model, make_tokenizer

    model, tokenizer, _ = pair
    shape = TinyStudent(vocabulary=500)
    other = make_tokenizer(["quite other words, and more of them"], shape.vocabulary)
    make_model(shape, other, seed=0).save_pretrained(tmp_path)
    other.save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="another vocabulary than the student"):
        TeacherDistance.load(str(tmp_path), model, tokenizer, 1.0, 1000)
    with pytest.raises(ConfigurationError, match="none' is no local folder"):
        TeacherDistance.load(str(tmp_path / "none"), model, tokenizer, 1.0, 1000)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigurationError, match="holds no model"):
        TeacherDistance.load(str(tmp_path), model, tokenizer, 1.0, 1000)


# -- in training, and alone --------------------------------------------------------------


def test_a_run_measures_the_distance_at_each_evaluation(tmp_path, tiny_student):
    folder = str(tiny_student[2])
    options = [
        "--steps", "1", "--policy", "transformers", "--student", folder, "--kl-reference", folder,
        "--questions-per-step", "4", "--rollouts-per-question", "4", "--questions-per-minibatch", "2",
        "--eval-questions", "8", "--eval-samples", "2", "--run-dir", str(tmp_path / "run"), "--lr", "0.01",
        "--warmup", "0", "--reward", "full",
    ]  # fmt: skip
    assert train.main(options) == 0
    metrics = read_lines(tmp_path / "run" / "metrics.jsonl")
    (step,) = [m for m in metrics if m["kind"] == "train"]
    before, after = [m for m in metrics if m["kind"] == "eval"]
    assert not step["skipped"]
    for name in ("kl_k1", "kl_k3", "kl_full"):
        assert before[name] == pytest.approx(0.0, abs=1e-5)
    assert after["kl_full"] > 1e-4
    assert after["kl_k3"] > 1e-4


def test_the_command_measures_two_folders(pair, tiny_student, tmp_path, capsys):
    _, tokenizer, other = pair
    other.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    options = ["--student", str(tiny_student[2]), "--number", "6", "--samples", "2"]
    options += ["--max-response-tokens", "24", "--questions", "concepts"]
    assert kl.main([*options, "--teacher", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answers"] == 12
    low, high = found["kl_full"]["interval"]
    assert 0 < low <= found["kl_full"]["value"] <= high
    assert found["kl_k3"]["value"] == pytest.approx(found["kl_full"]["value"], rel=0.8)
    assert kl.main([*options, "--teacher", str(tmp_path)]) == 0
    assert "nats per token" in capsys.readouterr().out
    assert kl.main([*options, "--teacher", str(tmp_path / "none")]) == 2
    assert "is no local folder" in capsys.readouterr().err


def test_the_command_asks_no_question_twice(tiny_student, tmp_path, capsys):
    """Two rows make two clusters of the interval, however many are asked for."""
    rows = [
        {"id": name, "question": f"{name}?", "options": ["x", "y"], "answer": "A"} for name in ("one", "two")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = str(tiny_student[2])
    options = ["--student", folder, "--teacher", folder, "--questions", str(tmp_path / "rows.jsonl")]
    options += ["--number", "5", "--samples", "2", "--max-response-tokens", "4", "--json"]
    assert kl.main(options) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["number"], found["answers"]) == (2, 4)
    assert kl.main([*options, "--number", "0"]) == 2
    assert "--number is 0" in capsys.readouterr().err
    assert kl.main([*options, "--seed", "-1"]) == 2
    assert "seed is -1" in capsys.readouterr().err
    assert kl.main([*options, "--max-model-len", "5"]) == 2
    assert "none of 4 prompts fits into max_model_len=5" in capsys.readouterr().err
