"""Viewpoints before the student in every environment: where they apply, and never with the answer."""

import asyncio
import io
import json
import pickle
import re
import shlex
import warnings
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from support.scripted import choice_question, right, wrong

from agents.config import TrainConfig
from agents.runs.preflight import make_env
from socratic_env import SocraticBatch
from socratic_env.checks import check_env
from socratic_env.cli import main
from socratic_env.dialogue import messages
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.errors import ConfigurationError, RecordingError, ViewpointLeakWarning
from socratic_env.leakage import detect
from socratic_env.multi_agent import env as aec_env
from socratic_env.multi_agent import parallel_env
from socratic_env.questions import load_questions
from socratic_env.viewpoints import (
    KnowledgeBase,
    Trace,
    Viewpoint,
    leaking,
    relevant,
    veto_leaks,
    viewpoints_in,
    viewpoints_of,
    with_viewpoints,
)

BRACKETS = Viewpoint("What stands in brackets comes first.", trigger="ignored the brackets")
PRODUCTS = {"text": "Products come before sums.", "trigger": "worked from left to right"}
CARE = "Take care."
SUM_TIMES, PLUS_PRODUCT = "arithmetic/sum_times/train/0", "arithmetic/plus_product/train/4"
LISTED = "\n\nKeep in mind:\n- What stands in brackets comes first.\n- Take care."


@pytest.fixture
def base(tmp_path):
    with KnowledgeBase(tmp_path / "base.jsonl") as base:
        for one in (BRACKETS, PRODUCTS, CARE):
            base.activate(base.propose(one).id)
        base.propose("Only proposed.")
        yield base


def system_of(env, question_id):
    _, info = env.reset(seed=0, options={"question_id": question_id})
    return info["messages"][0]["content"]


@pytest.mark.parametrize("given", ["base", "path", "text", "list"])
def test_they_stand_in_the_system_text_where_they_apply(base, given):
    given = {"base": base, "path": base.path, "text": str(base.path), "list": [BRACKETS, PRODUCTS, CARE]}[
        given
    ]
    plain = gym.make("SocraticArithmetic-v0")
    env = gym.make("SocraticArithmetic-v0", viewpoints=given)
    assert system_of(env, SUM_TIMES) == system_of(plain, SUM_TIMES) + LISTED
    told = system_of(env, PLUS_PRODUCT)
    assert told.endswith("\n- Products come before sums.\n- Take care.")
    assert viewpoints_in(env.reset(options={"question_id": SUM_TIMES})[1]["messages"]).splitlines() == [
        "What stands in brackets comes first.",
        "Take care.",
    ]


def test_they_stay_through_the_dialogue_and_the_teacher_does_not_see_them(base):
    env = aec_env(questions="arithmetic", viewpoints=base)
    env.reset(seed=0, options={"question_id": SUM_TIMES})
    env.step("<answer>\n-99999\n</answer>")
    assert env.agent_selection == "teacher_0"
    assert CARE not in env.observe("teacher_0")["dialogue"]
    assert CARE in env.observe("student_0")["dialogue"]


def test_a_base_is_followed_as_it_changes_and_a_path_is_not(base):
    live = gym.make("SocraticArithmetic-v0", viewpoints=base)
    fixed = gym.make("SocraticArithmetic-v0", viewpoints=base.path)
    base.distil("s1")
    assert CARE not in system_of(live, SUM_TIMES)
    assert CARE in system_of(fixed, SUM_TIMES)
    base.activate(base.propose("Later.").id)
    assert system_of(live, SUM_TIMES).endswith("- Later.")
    assert system_of(gym.make(live.spec), SUM_TIMES).endswith("- Later."), "a spec shares the base"


def test_every_face_takes_them(base):
    questions = [load_questions("arithmetic").find(SUM_TIMES)]
    shown = questions[0].system + LISTED
    batch = SocraticBatch(questions, viewpoints=base)
    assert batch.observe(0)[1]["messages"][0]["content"] == shown
    asyncio.run(batch.step(0, right(questions[0])))
    assert batch.episodes()[0].question.system == shown
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vector = gym.make_vec("SocraticArithmetic-v0", num_envs=2, viewpoints=list(base.active))
    _, infos = vector.reset(options={"question_ids": [SUM_TIMES, SUM_TIMES]})
    assert [chat[0]["content"] for chat in infos["messages"]] == [shown, shown]
    parallel = parallel_env(questions=questions, viewpoints=base)
    observations, _ = parallel.reset(seed=0)
    assert LISTED in observations["student_0"]["dialogue"]
    discrete = gym.make("SocraticSciKnow-Discrete-v0", viewpoints=[CARE])
    assert discrete.observation_space.contains(discrete.reset(seed=0)[0])


def test_a_question_without_a_system_text_has_their_texts_alone():
    question = load_questions("chains")[0]
    assert question.system == ""
    shown = with_viewpoints(question, [Viewpoint("then add"), Viewpoint("first sub")])
    assert shown.system == "then add\nfirst sub"
    assert with_viewpoints(question, []) is question
    assert viewpoints_in([]) == ""


def test_the_conformance_checks_pass_and_a_spec_is_plain_data():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make("SocraticArithmetic-v0", viewpoints=[PRODUCTS, CARE])
        gymnasium_check(env.unwrapped)
        check_env(env)
    assert json.loads(json.dumps(env.spec.kwargs["viewpoints"])) == [PRODUCTS, CARE]
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.reset(seed=3)[0] == env.reset(seed=3)[0]


def test_a_base_in_another_process_is_refused_by_name(base):
    copied = pickle.loads(pickle.dumps(base))
    env = gym.make("SocraticArithmetic-v0", viewpoints=copied)
    with pytest.raises(ConfigurationError, match="viewpoints is a copy of a KnowledgeBase"):
        env.reset(seed=0)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (7, ConfigurationError, "viewpoints is 7; give a KnowledgeBase, the path of one, or a list"),
        ({"text": "x"}, ConfigurationError, "give a KnowledgeBase, the path of one, or a list"),
        ("no such file", RecordingError, "cannot be read"),
        ([{"text": "x", "vetoed": "leaks"}], ConfigurationError, r"is vetoed \(leaks\); leave it out"),
    ],
)
def test_other_arguments_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        gym.make("SocraticArithmetic-v0", viewpoints=given)


# -- leaks -------------------------------------------------------------------------------


def test_the_answer_never_stands_before_a_student():
    question = choice_question("q0")
    open_secret = f"The right option is {question.answer}."
    assert detect(question, open_secret)
    interaction = GuidedInteraction(EnvArguments(viewpoints=[open_secret, CARE]))
    with pytest.warns(ViewpointLeakWarning, match="gives the answer of question 'q0' away .*letter"):
        dialogue = interaction.open(question)
    told = messages(dialogue)[0]["content"]
    assert open_secret not in told
    assert CARE in told
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        interaction.open(question)
    assert interaction.viewpoints.withheld == {Viewpoint(open_secret).id: 2}


def test_no_viewpoint_gives_away_the_answer_of_any_of_many_questions():
    """Numbers 0 to 20 as viewpoints: each stands nowhere where it is the answer."""
    listed = [f"The value is {number}." for number in range(21)]
    env = gym.make("SocraticArithmetic-v0", viewpoints=listed)
    held_back = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ViewpointLeakWarning)
        for seed in range(60):
            _, info = env.reset(seed=seed)
            question, told = env.unwrapped.question, viewpoints_in(info["messages"]).splitlines()
            assert not any(detect(question, one) for one in told)
            held_back += f"The value is {question.answer}." not in told
            assert len(told) >= 19
    assert held_back >= 60
    assert sum(env.unwrapped.interaction.viewpoints.withheld.values()) > 0


def test_what_leaks_on_its_own_question_or_on_a_probe_is_vetoed():
    questions = load_questions("arithmetic")
    source, probe = questions.find(SUM_TIMES), questions.find(PLUS_PRODUCT)
    told = Viewpoint(f"It is {source.answer}.", trigger="plus product", trace=Trace(SUM_TIMES))
    assert "gives the answer of arithmetic/sum_times/train/0 away (number)" in leaking(told, [probe, source])
    elsewhere = Viewpoint(f"It is {probe.answer}.", trigger="sum times")
    assert leaking(elsewhere, [probe]) == "", "it never stands there"
    with KnowledgeBase() as base:
        for one in (told, BRACKETS, elsewhere):
            base.activate(base.propose(one).id)
        assert list(veto_leaks(base, [source, probe])) == [told.id]
        assert veto_leaks(base, [source, probe]) == {}
        assert base[told.id].vetoed.startswith("gives the answer")
        assert told.text not in [one.text for one in base.active]


def test_the_relevant_ones_keep_their_order():
    question = load_questions("arithmetic").find(PLUS_PRODUCT)
    given = [Viewpoint(CARE), BRACKETS, Viewpoint.of(PRODUCTS)]
    assert [one.text for one in relevant(given, question)] == [CARE, PRODUCTS["text"]]


# -- commands ----------------------------------------------------------------------------


def test_commands_take_a_path_or_a_json_list():
    assert viewpoints_of(None, "--viewpoints") is None
    assert viewpoints_of("base.jsonl", "--viewpoints") == "base.jsonl"
    assert viewpoints_of('["x"]', "--viewpoints") == ["x"]
    with pytest.raises(ConfigurationError, match=r"--viewpoints .* is no valid JSON"):
        viewpoints_of('["x', "--viewpoints")
    config = TrainConfig(viewpoints='["x"]')
    assert config.env_kwargs()["viewpoints"] == ["x"]
    assert "viewpoints" not in TrainConfig().env_kwargs()


def test_eval_is_held_to_the_viewpoints_it_began_with(base, tmp_path, capsys):
    command = ["eval", "--questions", "arithmetic", "--number", "2", "--samples", "1", "--json"]
    command += ["--out", str(tmp_path / "out"), "--viewpoints", str(base.path)]
    assert main(command) == 0
    assert main(command) == 0
    base.distil("s1")
    assert main(command) == 2
    assert "viewpoints_digest" in capsys.readouterr().err


def test_bench_teachers_and_play_show_them(base, capsys, monkeypatch):
    habits = ["--habits.knows", "0", "--habits.heeds", "1", "--max-attempts", "1"]
    command = [
        "bench-teachers",
        "--variants",
        "paper",
        "--questions",
        "arithmetic",
        "--number",
        "20",
        "--json",
    ]
    helped = '["Every operation of the expression has to be done."]'
    accuracy = []
    for viewpoints in ([], ["--viewpoints", helped]):
        assert main([*command, *habits, *viewpoints]) == 0
        (variant,) = json.loads(capsys.readouterr().out)["variants"]
        accuracy.append(variant["metrics"]["first_attempt_accuracy"]["value"])
    assert accuracy[0] == 0 < accuracy[1]
    monkeypatch.setattr("sys.stdin", io.StringIO("5\n"))
    assert (
        main(["play", "SocraticArithmetic-v0", "--viewpoints", '["Take care."]', "--max-attempts", "1"]) == 0
    )
    assert "keep in mind: Take care." in capsys.readouterr().out


def test_a_wrong_answer_is_taught_as_before(base):
    env = gym.make("SocraticArithmetic-v0", viewpoints=base)
    env.reset(seed=0, options={"question_id": SUM_TIMES})
    _, reward, terminated, _, info = env.step(wrong(env.unwrapped.question))
    assert (reward, terminated) == (0.0, False)
    assert info["guidance"]


def test_a_training_run_has_them_in_its_environment():
    config = TrainConfig(questions="arithmetic", viewpoints='["Take care."]', max_attempts=1)
    env = make_env(config, None, "train", 4, 2)
    _, infos = env.reset(seed=0)
    assert all(viewpoints_in(chat) == CARE for chat in infos["messages"])


def test_the_documentation_works_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / "viewpoints.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "python", "sh", "sh", "python"]
    namespace: dict[str, object] = {}
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, "viewpoints.md", "exec"), namespace)
            continue
        for command in block.splitlines():
            name, *arguments = shlex.split(command)
            assert name == "socratic"
            assert main(arguments) == 0, command
    assert "measured" in (tmp_path / "knowledge.jsonl").read_text()
    assert (tmp_path / "utility.html").exists()
