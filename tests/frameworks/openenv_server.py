"""`socratic serve` with OpenEnv's own server, client and checks.

Not collected by default: `python tests/frameworks/run.py openenv` runs it in an environment of its own.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time

import gymnasium as gym
import pytest
import requests
from openenv.cli._validation import validate_running_environment
from openenv.core.generic_client import GenericEnvClient

import socratic_env  # noqa: F401 - registers the ids
from socratic_env.adapters.openenv import Served, SocraticAction, SocraticOpenEnv
from socratic_env.errors import ConfigurationError, SocraticError
from socratic_env.questions import load_questions
from socratic_env.types import reply

KEY = "key-of-the-teacher-4711"
QUESTIONS = "concepts"
CLIENT = """
import asyncio, json, sys
from openenv.core.generic_client import GenericEnvClient

async def episode(url, seed):
    async with GenericEnvClient(base_url=url) as env:
        seen = [await env.reset(seed=seed)]
        while not seen[-1].done:
            seen.append(await env.step({"reply": f"<answer>{seed}</answer>"}))
        state = await env.state()
        return [seen[0].observation["question_id"], [s.reward for s in seen[1:]], state["step_count"]]

async def main(url, episodes):
    told = await asyncio.gather(*(episode(url, seed) for seed in range(episodes)))
    print(json.dumps(told))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    port = free_port()
    code = "import sys; from socratic_env.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "serve",
        "SocraticConcepts-v0",
        "--port",
        str(port),
        "--reward",
        "full",
        "--web",
    ]
    told = tmp_path_factory.mktemp("serve") / "log"
    log = told.open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TEACHER_KEY": KEY})
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, told.read_text()
            try:
                if requests.get(f"{address}/health", timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_256_episodes_at_once_from_another_process(url):
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, url, "256"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    env = gym.make("SocraticConcepts-v0")
    for seed, (question_id, rewards, steps) in enumerate(told):
        assert env.reset(seed=seed)[1]["question_id"] == question_id
        right = env.unwrapped.question.answer == str(seed)
        assert (rewards, steps) == (([1.0], 1) if right else ([0.0, 0.0], 2))


def test_an_episode_is_that_of_the_gymnasium_environment(url):
    env = gym.make("SocraticConcepts-v0", reward="full")
    text, info = env.reset(seed=3)
    wrong, right = reply("So.", "nothing"), reply("So.", env.unwrapped.question.answer)

    async def play():
        async with GenericEnvClient(base_url=url) as client:
            return [
                await client.reset(seed=3),
                await client.step({"reply": wrong}),
                await client.step({"reply": right}),
            ]

    first, second, third = asyncio.run(play())
    assert first.observation["dialogue"] == text
    assert first.observation["messages"] == info["messages"]
    after, *_, told = env.step(wrong)
    assert (second.observation["dialogue"], second.observation["guidance"]) == (after, told["guidance"])
    assert (second.reward, second.done, third.reward, third.done) == (0.0, False, 1.0, True)
    assert third.observation["stop_reason"] == "solved"


def test_plain_http_finds_an_episode_by_its_name(url):
    def post(path, **body):
        return requests.post(f"{url}/{path}", json=body, timeout=30)

    question = load_questions(QUESTIONS)[5]
    asked = post("reset", episode_id="e1", question_id=question.id).json()
    assert asked["observation"]["question_id"] == question.id
    told = post("step", action={"reply": reply("", question.answer)}, episode_id="e1").json()
    assert (told["reward"], told["done"]) == (1.0, True)
    ended = post("step", action={"reply": "x"}, episode_id="e1")
    assert (ended.status_code, "has ended" in ended.json()["detail"]) == (409, True)
    assert "no episode 'e2' is open" in post("step", action={"reply": "x"}, episode_id="e2").json()["detail"]
    assert "reset first" in post("step", action={"reply": "x"}).json()["detail"]
    assert "unknown argument of reset" in post("reset", teacher="rule").json()["detail"]
    assert "no question" in post("reset", question_id="concepts/train/no").json()["detail"]
    assert post("step", action={"text": "x"}).status_code == 422


def test_errors_of_a_session_say_what_is_wrong(url):
    async def wrong():
        async with GenericEnvClient(base_url=url) as client:
            await client.reset(seed=0, teacher="openai")

    with pytest.raises(RuntimeError, match="unknown argument of reset"):
        asyncio.run(wrong())


def test_openenvs_own_checks_pass(url):
    report = validate_running_environment(url)
    failed = [one["id"] for one in report["criteria"] if not one["passed"]]
    assert (report["passed"], failed) == (True, [])
    schema = requests.get(f"{url}/schema", timeout=30).json()
    assert set(schema["action"]["properties"]) >= {"reply"}
    assert "answer" in schema["observation"]["properties"]
    assert requests.get(f"{url}/web", timeout=30).ok


def test_nothing_that_is_served_holds_the_truth_or_the_key():
    teacher = {
        "kind": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "model": "m",
        "api_key_env": "TEACHER_KEY",
    }
    os.environ["TEACHER_KEY"] = KEY
    served = Served({"questions": QUESTIONS, "teacher": teacher | {"retries": 0}}, 4)
    env = SocraticOpenEnv(served)
    seen = [env.reset(seed=1), env.step(SocraticAction(reply="no")), env.state, env.get_metadata()]
    told = "".join(one.model_dump_json() for one in seen)
    assert KEY not in told
    question = served.session.questions.find(seen[0].question_id)
    assert question.solution not in told
    assert seen[1].stop_reason == "teacher_failed"
    assert seen[1].done
    env.close()


def test_named_episodes_are_bounded_and_left_ones_count():
    served = Served({"questions": QUESTIONS, "max_attempts": 3}, 2)
    for number in range(3):
        env = SocraticOpenEnv(served)
        env.reset(seed=number, episode_id=f"e{number}")
        env.step(SocraticAction(reply="no"))
        env.close()
    with pytest.raises(SocraticError, match="no episode 'e0'"):
        served.take("e0")
    again = SocraticOpenEnv(served)
    assert again.state.step_count == 0
    assert again.step(SocraticAction(reply="no"), episode_id="e2").attempt == 2
    assert (again.state.episode_id, again.state.step_count) == ("e2", 2)
    served.take("e2")
    with pytest.raises(SocraticError, match="a step of it is under way"):
        again.step(SocraticAction(reply="no"))
    unnamed = SocraticOpenEnv(served)
    unnamed.reset()
    unnamed.step(SocraticAction(reply="no"))
    unnamed.close()
    with pytest.raises(SocraticError, match="reset first"):
        unnamed.step(SocraticAction(reply="no"))


def test_arguments_of_the_command():
    from socratic_env.cli.serve import Serve, _arguments, main

    given = _arguments(
        Serve("SocraticConcepts-v0", teacher='{"kind": "retry"}', viewpoints='["Mind it."]', split="test")
    )
    told = SocraticOpenEnv(Served(given, 1)).reset(seed=0)
    assert (given["questions"], given["teacher"]) == ("concepts", {"kind": "retry"})
    assert ("/test/" in told.question_id, "Mind it." in told.dialogue) == (True, True)

    for arguments, message in (
        (["Nothing-v0"], "lists the ids"),
        (["SocraticSciKnow-Discrete-v0"], "no text"),
    ):
        with pytest.raises(ConfigurationError, match=re.escape(message)):
            main(arguments)
