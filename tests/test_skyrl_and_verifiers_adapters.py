"""Adapters for SkyRL and verifiers, run against the real packages."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import skyrl_gym
from skyrl_gym.envs import deregister
from skyrl_gym.metrics import aggregate_for_environment
from support.scripted import says, wrong
from support.student_server import serve

from socratic_env.engine.concurrent import rows
from socratic_env.errors import ConfigurationError, StepError
from socratic_env.questions import load_questions
from socratic_env.rewards import decayed_means

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = load_questions("procedural")


# -- SkyRL ---------------------------------------------------------------------------------


@pytest.fixture
def register():
    """Registers the environment with arguments; undone after the test."""

    def made(**arguments):
        skyrl_gym.register(
            "socratic", entry_point="socratic_env.adapters.skyrl:SocraticTextEnv", kwargs=arguments
        )
        return lambda row: skyrl_gym.make("socratic", env_config={"any": "setting"}, extras=row)

    yield made
    deregister("socratic")


def play(env, row, question, solved_at):
    """As SkyRL's generator plays: init, then a step for each reply until done."""
    chat, info = env.init(row["prompt"])
    assert info == {"question_id": question.id}
    rewards, output = [], {"done": False}
    while not output["done"]:
        text = says(question, len(rewards) + 1 == solved_at)
        output = env.step(text)
        chat = [*chat, {"role": "assistant", "content": text}, *output["observations"]]
        rewards.append(output["reward"])
    return chat, rewards, output


def test_skyrl_episodes_follow_the_rules(register):
    make = register(max_attempts=3)
    row = rows(QUESTIONS, 1, env_class="socratic")[0]
    env = make(row)
    assert isinstance(env, skyrl_gym.envs.base_text_env.BaseTextEnv)
    assert env.max_turns == 3
    chat, rewards, output = play(env, row, QUESTIONS[0], solved_at=2)
    assert [message["role"] for message in chat] == ["system", "user", "assistant", "user", "assistant"]
    assert chat[:2] == row["prompt"]
    assert QUESTIONS[0].mistakes[0].name in chat[3]["content"]
    assert rewards[0] == 0.0
    assert output["metadata"] == {
        "attempt": 2, "correct": True, "answer": QUESTIONS[0].answer, "stop_reason": "solved"
    }  # fmt: skip
    assert env.get_metrics()["solved_within_2"] == 1.0
    with pytest.raises(StepError):
        env.step("again")
    env.close()


def test_skyrl_pays_what_the_episodes_so_far_predict(register):
    """Environments are made for each episode and stepped in threads; the estimate of mu is shared."""
    make = register(max_attempts=2, split="test")
    questions = load_questions("procedural", split="test")
    given = rows(questions, 40)
    solved = [1 if index % 4 == 0 else 2 for index in range(40)]
    with ThreadPoolExecutor(8) as threads:
        played = list(
            threads.map(lambda i: play(make(given[i]), given[i], questions[i], solved[i]), range(40))
        )
    late = [rewards[1] for _, rewards, _ in played if len(rewards) == 2]
    exact = decayed_means([40, 30], [10, 30])[1]
    assert len(late) == 30
    assert all(0 <= reward <= 1 for reward in late)
    # The last episodes have seen nearly the whole batch.
    _, rewards, _ = play(make(given[0]), given[0], questions[0], solved_at=2)
    assert rewards == [0.0, pytest.approx(exact, abs=0.02)]


def test_skyrl_counts_episodes_that_are_left(register):
    make = register(max_attempts=2, split="train", questions="concepts")
    questions = load_questions("concepts")
    given = rows(questions, 6)
    play(make(given[0]), given[0], questions[0], solved_at=1)
    left = make(given[1])
    for _ in range(2):  # begun anew, then closed
        left.init([])
        left.step(wrong(questions[1]))
    left.close()
    left.close()
    assert left.get_metrics()["attempts"] == 1
    _, rewards, _ = play(make(given[2]), given[2], questions[2], solved_at=2)
    assert rewards == [0.0, pytest.approx(1 / 4)]


def test_skyrl_averages_the_metrics(register):
    make = register(max_attempts=2, questions="drills")
    questions = load_questions("drills")
    collected = []
    for index, solved_at in enumerate((1, 2, 2, 3)):
        row = rows(questions, 4)[index]
        env = make(row)
        play(env, row, questions[index], solved_at)
        collected.append(env.get_metrics())
    averaged = aggregate_for_environment("socratic", collected)
    assert averaged == {"attempts": 1.75, "truncated": 0.0, "solved_within_1": 0.25, "solved_within_2": 0.75}


def test_skyrl_names_what_a_row_lacks(register):
    make = register()
    with pytest.raises(ConfigurationError, match="question_id'] is None; give every row"):
        make({"prompt": []})
    with pytest.raises(StepError, match="call init"):
        make({"question_id": QUESTIONS[0].id}).step("hello")


# -- verifiers -----------------------------------------------------------------------------


def test_verifiers_bounds_generated_questions():
    from socratic_env.adapters.verifiers import SocraticTaskset, SocraticTasksetConfig

    generated = SocraticTaskset(SocraticTasksetConfig(questions="drills", split="test"))
    assert not generated.bounded
    tasks = list(generated.take(3))
    assert [task.data.id for task in tasks] == [q.id for q in map(generated.questions.__getitem__, range(3))]
    assert tasks[0].data.prompt == generated.questions[0].text
    told = SocraticTaskset(SocraticTasksetConfig(questions="arithmetic", viewpoints=["Take care."]))
    assert next(iter(told.take(1))).data.system_prompt.endswith("Keep in mind:\n- Take care.")


def vf_eval(place, url, *options):
    """Episodes of `vf-eval` on the example package, installed into `place` as a user installs it."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    uv = shutil.which("uv", path=beside)
    assert uv, "verifiers runs its chat program with uv; put uv on PATH"
    package = ROOT / "examples" / "verifiers_socratic"
    subprocess.run([uv, "pip", "install", "-q", "--no-deps", "--target", place / "site", package], check=True)
    env = os.environ | {"PATH": beside, "PYTHONPATH": os.pathsep.join([str(place / "site"), str(ROOT)])}
    command = [
        sys.executable, "-c", "from verifiers.v1.cli.eval.main import main; main()",
        "verifiers-socratic", "--model", "student", "--client.base-url", url,
        "--env.student.runtime.type", "subprocess", "--no-push", "--no-rich",
        "-o", str(place), "--run.dir", "run", *options,
    ]  # fmt: skip
    done = subprocess.run(command, env=env, cwd=place, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (place / "run" / "traces.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_vf_eval_runs_offline_with_a_teacher(tmp_path):
    easy, hard, refused = (QUESTIONS[index] for index in range(3))

    def student(question, attempt):
        return says(question, attempt == (1 if question is easy else 2))

    with serve([easy, hard], student) as (url, requests):
        episodes = vf_eval(tmp_path, url, "-n", "3", "-c", "1", "--env.max-attempts", "3")
    traces = {trace["task"]["data"]["id"]: trace for episode in episodes for trace in episode["traces"]}
    assert list(traces) == [easy.id, hard.id, refused.id]
    assert [episode["ok"] for episode in episodes] == [True, True, False]
    assert [len([m for m in body["messages"] if m["role"] == "user"]) for body in requests[:3]] == [1, 1, 2]

    earned = {
        k: {name: reward["score"] for name, reward in trace["rewards"].items()} for k, trace in traces.items()
    }
    assert earned[easy.id] == {"attempt_1": 1.0, "attempt_2": 0.0, "attempt_3": 0.0}
    # mu_1 of the episodes that had ended, its own included: one of two first attempts was right.
    assert earned[hard.id] == {"attempt_1": 0.0, "attempt_2": 0.5, "attempt_3": 0.0}
    assert traces[hard.id]["metrics"] == {
        "attempts": 2.0, "truncated": 0.0,
        "solved_within_1": 0.0, "solved_within_2": 1.0, "solved_within_3": 1.0,
    }  # fmt: skip

    said = [node["message"] for node in traces[hard.id]["nodes"]]
    assert [message["role"] for message in said] == ["system", "user", "assistant", "user", "assistant"]
    assert hard.mistakes[0].name in said[3]["content"]
    assert hard.solution not in json.dumps(traces[hard.id]["task"])

    # A student that cannot be reached leaves an error, not a verdict.
    assert earned[refused.id] == {}
    assert traces[refused.id]["errors"]
