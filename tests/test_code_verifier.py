"""Code that a student writes: judged by hidden tests, in a process that can only compute."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socratic_env.checks import check_env, check_questions
from socratic_env.errors import ConfigurationError, QuestionError, VerifierError, VerifierUnusable
from socratic_env.questions import load_questions
from socratic_env.questions.coding import TEMPLATES, CodeQuestions, behaviour, passes
from socratic_env.types import AnswerKind, Question, reply
from socratic_env.verifiers import code_verifier
from socratic_env.verifiers.code_verifier import UnitTests, code, code_of, same, unit_tests

TESTS = UnitTests("f", ((1,), (2,), ([1, 2],)), (2, 4, [1, 2, 1, 2]), unchanged=True)
QUESTION = Question(
    "c", "code", AnswerKind.TEXT, "Write f(x) that doubles.", answer="def f(x):\n    return x * 2",
    verifier="code", tests=TESTS.as_json(),
)  # fmt: skip


def judged(*sources):
    async def all_():
        return await asyncio.gather(*(code(QUESTION, reply("", source)) for source in sources))

    return asyncio.run(all_())


def body(text: str) -> str:
    return "def f(x):\n" + "\n".join(f"    {line}" for line in text.split("\n"))


RIGHT = [
    QUESTION.answer,
    "```python\ndef f(x):\n    return x * 2\n```",
    "    def f(x):\n        return x + x",
    "import math, itertools, re\nf = lambda x: x * 2",
    "def g(x):\n    return x + x\ndef f(x):\n    print('hello')\n    return g(x)",
    body("return tuple(x * 2) if isinstance(x, list) else x * 2"),
]


@pytest.mark.parametrize("source", RIGHT)
def test_what_does_what_is_asked_is_right(source):
    (verdict,) = judged(source)
    assert verdict.correct, verdict


HOSTILE = {
    "return x * 2 if x != 2 else 5": "1 of 3 tests fail",
    "if isinstance(x, list): x.extend(x); return x\nreturn x * 2": "1 of 3 tests fail",  # mutated
    "return True": "3 of 3 tests fail",
    "return str(x * 2)": "3 of 3 tests fail",
    "return float('nan')": "3 of 3 tests fail",
    "return f(x)": "raises RecursionError",
    "return 1 / 0": "raises ZeroDivisionError",
    "while True: pass": "takes more than",
    "import signal\nsignal.signal(24, lambda *a: None)\nwhile True: pass": "raises PermissionError",
    "return 'a' * 10**10": "raises MemoryError",
    "return [0] * 10**6": "MiB of results",
    "import sys\nsys.exit(0)": "raises SystemExit",
    "import os\nos._exit(0)": "ends before all tests",
    "import os\nreturn os.listdir('/')": "raises PermissionError",
    "return open('/etc/hostname').read()": "raises PermissionError",
    "open('/tmp/x', 'w').write('a')": "raises PermissionError",
    "import os\nwhile True: os.fork()": "raises PermissionError",
    "import os\nos.kill(os.getppid(), 9)": "raises",
    "import os\nos.execv('/bin/sh', ['sh'])": "raises PermissionError",
    "import subprocess\nreturn subprocess.run(['ls'])": "raises ModuleNotFoundError",
    "import _socket\nreturn _socket.socket()": "raises",
    "import threading\nthreading.Thread(target=print).start()": "raises",
    "import os\nos.close(3)": "ends before all tests",
    "import os\nos.write(3, b'{\"value\": 2}\\n' * 3)\nos._exit(0)": "tests fail",
    "import os\nos.write(3, b'no json\\n')": "cannot be read",
    "import os\nos.write(3, b'[' * 100000 + b'\\n')\nos._exit(0)": "cannot be read",
    "import os\nwhile True: os.write(3, b' ' * 65536)": "MiB of results",
    "class E:\n    def __eq__(self, other): return True\nreturn E()": "tests fail",
    "class E(int):\n    def __eq__(self, other): return True\nreturn E(7)": "3 of 3 tests fail",
    "a = []\nfor _ in range(10**5): a = [a]\nreturn a": "raises RecursionError",
    "return 10 ** 5000": "raises ValueError",
    "import time\ntime.sleep(10**6)": "does not end",
    "import json\njson.dumps = lambda *a: '{\"value\": 0}'\nreturn 0": "tests fail",
    "import gc\nreturn [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o]": "3 of 3",
}


def test_nothing_hostile_is_paid_or_left_behind(monkeypatch):
    monkeypatch.setattr(code_verifier, "PATIENCE_S", 8)
    monkeypatch.setattr(code_verifier, "SECONDS", 1)
    monkeypatch.setattr(code_verifier, "_workers", None)
    judged(*[QUESTION.answer] * 40)  # all workers are there
    before = children()
    for (source, why), verdict in zip(HOSTILE.items(), judged(*map(body, HOSTILE)), strict=True):
        assert not verdict.correct, source
        assert why in verdict.reason, (source, verdict.reason)
        assert "4" not in verdict.reason.replace("64 characters", "")  # no value of a hidden test
    assert children() <= before
    assert not Path("/tmp/x").exists()


def children() -> set[int]:
    """The processes that this one has started, and those that they have, and that have not ended."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def f(x:\n    return", "syntax"),
        ("def g(x):\n    return x", "defines no function 'f'"),
        ("raise ValueError", "raises ValueError before any test"),
        ("f = 3", "raises TypeError"),
        ("x" * 20_001, "longer than"),
        ("", "empty"),
        ("```\ndef f(x):\n    return 1\n```\n```\ndef f(x):\n    return 2\n```", "more than one piece"),
        ("x = '\ud800'.encode()", "raises UnicodeEncodeError before any test"),
        ("import os\nos._exit(3)", "ends before all tests"),
    ],
)
def test_what_is_no_function_is_said(source, why):
    (verdict,) = judged(source)
    assert not verdict.correct
    assert why in verdict.reason


def test_a_process_that_is_ended_from_outside_is_a_fault():
    with pytest.raises(VerifierError, match="from outside, by signal 9"):
        code_verifier._read(TESTS, code_verifier.Ended('{"begun": true}\n', -9, late=False, long=False))
    refused = json.dumps({"failed": "lock", "why": "no kernel"})
    with pytest.raises(VerifierUnusable, match="safely here: no kernel"):
        code_verifier._read(TESTS, code_verifier.Ended(refused, 0, late=False, long=False))


def test_a_question_without_tests_is_one_error():
    for tests in ("", "{}", '{"function": "f", "calls": [], "expected": []}', '{"function": 3}'):
        with pytest.raises(ConfigurationError, match="tests cannot be read"):
            asyncio.run(
                code(Question("c", "", AnswerKind.TEXT, "?", answer="x", tests=tests), reply("", "x"))
            )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_values_are_equal_to_themselves_and_to_nothing_else(one, other):
    again = json.loads(json.dumps(one))
    assert same(one, again)
    assert same(one, other) == same(other, one)
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True) and not same(one, other):
        assert not same([one], [other])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [(1, True, False), (0, False, False), (1, 1.0, True), (0.1 + 0.2, 0.3, True), ([], {}, False),
     ("1", 1, False), (None, 0, False), (2**70, 2.0**70, True), (2**53 + 1, 2**53, False), ([1], (1,), True),
     (10**400, 1.0, False)],
)  # fmt: skip
def test_kinds_of_values_are_told_apart(one, other, equal):
    assert same(one, other) is equal


# -- the family ---------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_question_tells_its_bugs_from_each_other_and_from_the_right_code(split):
    questions = CodeQuestions(split)
    for question in (questions[i] for i in range(len(questions))):
        tests = unit_tests(question.id, question.tests)
        assert passes(question.answer, tests), question.id
        acts = [behaviour(mistake.answer, tests) for mistake in question.mistakes]
        assert not any(passes(mistake.answer, tests) for mistake in question.mistakes), question.id
        assert all(one != other for i, one in enumerate(acts) for other in acts[:i]), question.id
        assert questions.find(question.id) is question


def test_the_sandbox_sees_what_this_process_sees():
    for name in TEMPLATES:
        questions = CodeQuestions()
        question = next(q for q in map(questions.__getitem__, range(len(questions))) if q.subtask == name)
        tests = unit_tests(question.id, question.tests)
        right = asyncio.run(code(question, reply("", question.answer)))
        assert right.correct, (name, right)
        for mistake in question.mistakes:
            outcome = asyncio.run(code_verifier.outcomes(tests, mistake.answer))
            expected = behaviour(mistake.answer, tests)
            assert same(outcome, json.loads(json.dumps(expected))), (name, mistake.name)


def test_hidden_tests_are_shown_to_nobody():
    question = CodeQuestions()[0]
    env = gym.make("SocraticCode-v0")
    observation, info = env.reset(options={"question_id": question.id})
    told = observation + repr(info) + repr(env.unwrapped.question)
    assert "expected" not in told
    tests = unit_tests(question.id, question.tests)
    hidden = [call for call in tests.calls if f"{tests.function}({call[0]!r})" not in question.statement]
    assert len(hidden) > 5
    observation, *_, info = env.step(reply("", question.mistakes[0].answer))
    assert "expected" not in observation + repr(info)
    env.close()


def test_the_rule_teacher_knows_a_bug_by_what_the_code_does():
    question = CodeQuestions().find("code/train/digit_sum/1-1")
    loop = "    while n >= 10:\n        n, d = divmod(n, 10)\n        s += d\n"
    other = f"def digit_sum(n):\n    s = 0\n{loop}    return s"
    env = gym.make("SocraticCode-v0", protocol="locate_error")
    for source in (question.mistakes[0].answer, other):
        env.reset(options={"question_id": question.id})
        info = env.step(reply("I loop over the digits.", source))[-1]
        assert question.mistakes[0].locate in info["guidance"]
    env.reset(options={"question_id": question.id})
    info = env.step(reply("", "def digit_sum(n):\n    return 1"))[-1]
    assert "Check every step again" in info["guidance"]
    reward = env.step(reply("", question.answer))[1]
    assert reward >= 0
    assert env.unwrapped.dialogue.attempts[1].verdict.correct
    env.close()


def test_the_id_and_the_questions_keep_their_contracts():
    check_env("SocraticCode-v0")
    check_questions([CodeQuestions()[i] for i in range(40)])


# -- rows ---------------------------------------------------------------------------------


def rows(tmp_path: Path, *made) -> list[Question]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    found = load_questions(path)
    return [found[i] for i in range(len(found))]


@pytest.mark.parametrize(
    "tests",
    [
        {"tests": [{"args": [2], "expected": 4}, {"args": [3], "expected": 6}], "function": "f"},
        {"tests": ["assert f(2) == 4", "assert f(3) == 6"]},
        {"tests": json.dumps(["assert f(2) == 4", "assert f(3) == 6"])},
        {"tests": {"function": "f", "tests": [{"args": [2], "expected": 4}, {"args": [3], "expected": 6}]}},
    ],
)
def test_rows_with_tests_are_questions_of_code(tmp_path, tests):
    (question,) = rows(tmp_path, {"question": "Double x.", "answer": QUESTION.answer, **tests})
    assert question.verifier == "code"
    assert unit_tests("", question.tests) == UnitTests("f", ((2,), (3,)), (4, 6))
    env = gym.make("SocraticSciKnow-v0", questions=[question], teacher="retry")
    env.reset(seed=0)
    *_, info = env.step(reply("", "def f(x):\n    return 2 * x"))
    assert info["correct"]
    env.close()


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ({"tests": []}, "empty"),
        ({"tests": 3}, "no list"),
        ({"tests": "{"}, "no JSON"),
        ({"tests": [{"args": [2], "expected": 4}]}, "'function'"),
        ({"tests": [{"args": 2, "expected": 4}], "function": "f"}, "'args'"),
        ({"tests": ["assert f(2) > 4"]}, "no assertion"),
        ({"tests": ["assert f(g(2)) == 4"]}, "no assertion"),
        ({"tests": ["assert f(2) == 4", "assert g(2) == 4"]}, "one function"),
        ({"tests": ["assert f(2) == {1, 2}"]}, "JSON"),
    ],
)
def test_tests_that_cannot_be_read_are_refused_by_name(tmp_path, tests, why):
    with pytest.raises(QuestionError, match=r"tests|function") as error:
        rows(tmp_path, {"question": "Double x.", "answer": QUESTION.answer, **tests})
    assert why in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_a_verdict_without_running_it(text):
    found = code_of(reply("", text))
    assert isinstance(found, str) or not found.correct
