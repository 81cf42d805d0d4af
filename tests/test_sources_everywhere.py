"""Questions from elsewhere in every face and command: each source, with a language model as teacher."""

import io
import json

import gymnasium as gym
import pytest
from support.misbehaving_server import GUIDANCE, MisbehavingServer
from test_hub import SUMS, folder
from test_tasksets import PACKAGE

from socratic_env.cli import main
from socratic_env.questions import load_questions
from socratic_env.types import reply


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    place = tmp_path_factory.mktemp("everywhere")
    (place / "sums_everywhere.py").write_text(PACKAGE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", place / "cache")
        yield {
            "reasoning-gym": {"kind": "reasoning-gym", "dataset": "leg_counting", "size": 40},
            "hub": {"kind": "hub", "path": folder(place, SUMS, "train", "test"), "preset": "gsm8k"},
            "verifiers": {"kind": "verifiers", "package": "sums_everywhere"},
        }


@pytest.fixture(scope="module")
def server():
    running = MisbehavingServer()
    yield running
    running.stop()


SOURCES = pytest.mark.parametrize("source", ["reasoning-gym", "hub", "verifiers"])


def model(server):
    return {"kind": "openai", "base_url": server.url, "model": "scripted"}


@SOURCES
def test_a_language_model_teaches_on_it(source, specs, server):
    server.script = lambda body: GUIDANCE
    teacher = {"kind": "openai", "base_url": server.url, "model": "good"}
    env = gym.make("SocraticSciKnow-v0", questions=specs[source], teacher=teacher)
    env.reset(seed=0)
    asked, right = env.unwrapped.question.statement, env.unwrapped.question.answer
    assert env.step(reply("", "1"))[4]["guidance"] == GUIDANCE
    assert asked in json.dumps(server.requests[-1], ensure_ascii=False).replace("\\n", "\n")
    assert env.step(reply("", right))[4]["correct"]
    env.close()


@SOURCES
def test_commands_take_it(source, specs, server, capsys, monkeypatch, tmp_path):
    questions = json.dumps(specs[source])
    test = load_questions(specs[source], split="test")
    truth = {test[i].text: test[i].answer for i in range(len(test))}

    def student(body):
        asked = next(m["content"] for m in body["messages"] if m["role"] == "user")
        tries = sum(m["role"] == "assistant" for m in body["messages"])
        return reply("", truth[asked] if tries else "1")

    server.script = student
    few = ["--questions", questions, "--number", "3", "--max-attempts", "2", "--resamples", "20", "--json"]
    told = ["--student", json.dumps(model(server))]
    assert (
        main(["eval", *few, "--samples", "1", "--teacher", "retry", *told, "--out", str(tmp_path / "out")])
        == 0
    )
    result = json.loads(capsys.readouterr().out)["all"]
    assert (result["guided"]["1"]["value"], result["guided"]["2"]["value"]) == (0, 1)
    assert main(["bench-teachers", *few, "--rollouts", "1", "--teacher", "retry", *told]) == 0
    assert json.loads(capsys.readouterr().out)["variants"]
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n2\n"))
    played = ["play", "SocraticSciKnow-v0", "--questions", questions, "--teacher", "retry", "--json"]
    assert main(played) == 0
    assert json.loads(capsys.readouterr().out)


@SOURCES
@pytest.mark.slow
def test_training_takes_it(source, specs, tiny_student, tmp_path):
    from support.short_runs import finished_run, run

    options = [
        "--steps",
        "1",
        "--policy",
        "transformers",
        "--student",
        str(tiny_student[2]),
        "--teacher",
        "retry",
    ]
    questions = ["--questions", json.dumps(specs[source])]
    assert run(tmp_path / "run", *options, *questions) == 0
    finished_run(tmp_path / "run")
