"""Tasksets of the real package verifiers as questions."""

import json
import pickle
import re
from pathlib import Path

import gymnasium as gym
import pytest

from socratic_env.checks import check_questions
from socratic_env.cli import main
from socratic_env.errors import ConfigurationError, QuestionError, QuestionWarning
from socratic_env.questions import load_questions
from socratic_env.types import reply
from socratic_env.verifiers import by_kind

vf = pytest.importorskip("verifiers.v1")

PACKAGE = '''
import asyncio
from collections.abc import Iterator

import verifiers.v1 as vf

__all__ = ["Sums"]


class Sum(vf.TaskData):
    answer: str


class SumTask(vf.Task[Sum]):
    @vf.reward
    async def exact(self, trace: vf.Trace) -> float:
        await asyncio.sleep(0)
        block = trace.last_reply.partition("<answer>")[2].partition("</answer>")[0].strip()
        return float(int(block) == int(self.data.answer))

    @vf.reward(weight=0.25)
    async def short(self, trace: vf.Trace) -> float:
        return float(len(trace.last_reply) < 80)


class SumsConfig(vf.TasksetConfig):
    first: int = 0
    endless: bool = False
    odd: bool = False


class Sums(vf.Taskset[SumTask, SumsConfig]):
    def load(self) -> Iterator[SumTask]:
        number = self.config.first
        while self.config.endless or number < self.config.first + 40:
            prompt = f"What is {number} + 1000?"
            if self.config.odd and number % 2:
                prompt = [vf.UserMessage(content=prompt), vf.AssistantMessage(content="?"),
                vf.UserMessage(content="!")]
            elif number % 3 == 2:
                prompt = [vf.SystemMessage(content="Be short."), vf.UserMessage(content=prompt)]
            yield SumTask(Sum(prompt=prompt, answer=str(number + 1000), name="sums"), self.config.task)
            number += 1
'''  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasksets")

    def write(name, text):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")

    write("sums_taskset", PACKAGE)
    bare = PACKAGE.replace("@vf.reward(weight=0.25)", "").replace("@vf.reward", "")
    write("bare_taskset", bare)
    head, given = (
        "class SumTask(vf.Task[Sum]):",
        "@classmethod\n    def toolsets(cls, config):\n        return [1]\n",
    )
    write("boxed_taskset", PACKAGE.replace(head, f"{head}\n    NEEDS_CONTAINER = True"))
    write("run_taskset", PACKAGE.replace("short(self, trace: vf.Trace)", "short(self, trace, runtime)"))
    write("tool_taskset", f"{PACKAGE}\n    {given}")
    write("tools_taskset", PACKAGE.replace(head, f"{head}\n    {given}"))
    named = PACKAGE.replace("answer: str", "total: str").replace("answer=", "total=")
    write("named_taskset", named.replace("data.answer", "data.total"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield


def spec(package="sums_taskset", **options):
    return {"kind": "verifiers", "package": package, **options}


def judged(question, text):
    return by_kind(question, text)


def test_prompts_are_questions_and_the_splits_share_none():
    train, test = (
        load_questions("verifiers:sums_taskset"),
        load_questions("verifiers:sums-taskset", split="test"),
    )
    assert (len(train), len(test)) == (36, 4)
    check_questions(train, held_out=test)
    assert (train[0].statement, train[0].answer, train[0].system) == ("What is 0 + 1000?", "1000", "")
    assert (train[2].statement, train[2].system) == ("What is 2 + 1000?", "Be short.")
    assert train[0].id == "sums_taskset/train/0"


def test_its_rewards_judge_above_the_threshold():
    question = load_questions("verifiers:sums_taskset")[3]
    right = judged(question, reply("", "1003"))
    assert (right.correct, right.answer, right.reason) == (True, "1003", "correct (reward 1.25)")
    wrong = judged(question, reply("", "7"))
    assert (wrong.correct, wrong.reason) == (False, "reward 0.25, and 1 is needed")
    long = judged(question, reply("so " * 40, "1003"))
    assert long.correct
    assert not judged(load_questions(spec(threshold=1.2))[3], reply("so " * 40, "1003")).correct
    assert judged(question, "<think>\n<answer>7</answer>\n</think>\n<answer>1003</answer>").correct
    assert judged(question, reply("", "many")).reason == "its reward function failed (ValueError)"
    assert judged(question, "  ").answer is None
    assert judged(question, "x" * 200_000).reason == "the reply is longer than 100000 characters"
    assert judged(pickle.loads(pickle.dumps(question)), reply("", "1003")).correct


def test_own_splits_endless_sets_and_the_name_of_the_answer():
    own = spec(train={"first": 0}, test={"first": 500})
    assert len(load_questions(own)) == 40
    assert load_questions(own, split="test")[0].answer == "1500"
    assert len(load_questions(spec(config={"endless": True}, size=50))) == 45
    assert load_questions(spec("named_taskset", answer="total"))[0].answer == "1000"


def test_tasks_that_are_no_single_question_are_left_out_and_said(capsys):
    with pytest.warns(
        QuestionWarning, match=r"20 of 40 rows are left out, such as task 1: its prompt has 3 messages"
    ):
        assert len(load_questions(spec(train={"odd": True}, test={"odd": True}))) == 20
    assert main(["audit", json.dumps(spec()), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subtasks"][0]["rows"] == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"package": "sums_tasket"}, "cannot be loaded"),
        ({"config": {"frist": 1}}, "cannot be loaded"),
        ({"package": "bare_taskset"}, "no reward function"),
        ({"package": "boxed_taskset"}, "run in a container"),
        ({"package": "run_taskset"}, "reward 'short', which needs a runtime"),
        ({"package": "tool_taskset"}, "it gives tools"),
        ({"package": "tools_taskset"}, "its tasks give tools"),
        ({"package": "named_taskset"}, "hold no answer in answer, .* one of total"),
        ({"answer": "anser"}, "hold no answer in anser; .* one of answer"),
        ({"threshold": 0}, "threshold is 0"),
        ({"train": {}}, "give both train and test"),
        ({"config": 3}, "config is 3"),
        ({"package": ""}, "package is ''"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(options, message):
    with pytest.raises((ConfigurationError, QuestionError), match=message):
        load_questions({**spec(), **options})


def test_a_domain_is_refused_and_the_package_needed(monkeypatch):
    with pytest.raises(QuestionError, match="leave domain out"):
        load_questions(spec(), domain="physics")
    monkeypatch.setitem(__import__("sys").modules, "verifiers.v1", None)
    with pytest.raises(QuestionError, match=r"install socratic-env\[verifiers\]"):
        load_questions(spec(config={"first": 7}))


def test_the_examples_of_the_documentation_run(monkeypatch, tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "questions.md").read_text(encoding="utf-8")
    section = page.partition("## From verifiers")[2].partition("\n## ")[0]
    module, code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "capitals.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace = {}
    exec(compile(code, "questions.md", "exec"), namespace)
    assert namespace["info"]["correct"]


def test_environments_take_it():
    env = gym.make("SocraticSciKnow-v0", questions="verifiers:sums_taskset", teacher="retry")
    env.reset(seed=2)
    answer = env.unwrapped.question.answer
    assert env.step(reply("", "1"))[4]["verdict"] == "reward 0.25, and 1 is needed"
    assert env.step(reply("", answer))[4]["correct"]
    with pytest.raises(ConfigurationError, match="teacher 'rule' needs a misconception table"):
        gym.make("SocraticSciKnow-v0", questions=spec())
    envs = gym.make_vec("SocraticSciKnow-v0", num_envs=8, questions=spec(), teacher="retry")
    envs.reset(seed=0)
    answers = [envs.unwrapped.batch.dialogue(i).question.answer for i in range(8)]
    assert envs.step([reply("", answer) for answer in answers])[1].tolist() == [1.0] * 8
