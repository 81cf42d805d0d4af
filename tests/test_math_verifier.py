"""Formulas: equal however they are written, and no reply hangs, fills or ends a run."""

import asyncio
import os
import re
import signal
import threading
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import socratic_env  # noqa: F401
from socratic_env import Question
from socratic_env.checks import check_verifier
from socratic_env.errors import ConfigurationError, VerifierError
from socratic_env.types import AnswerKind, Mistake, reply
from socratic_env.verifiers import KINDS, math_verifier
from socratic_env.verifiers.verdicts import blocking
from socratic_env.verifiers.workers import Workers

pytest.importorskip("math_verify")
judge = blocking(KINDS.load("math"))
SLIP = Mistake("x^2+1", "took the wrong sign", "I multiply.\nx^2+1", 1, "Look there.", "The sign.", "Again.")
QUESTION = Question("m", "physics", AnswerKind.TEXT, "Multiply (x-1)(x+1).", "x^2-1", mistakes=(SLIP,))


def said(truth, answer):
    return judge(replace(QUESTION, answer=truth), reply("", answer))


@pytest.mark.parametrize(("truth", "answer"), [
    ("1/2", "0.5"), ("1/2", r"\frac{1}{2}"), ("x^2-1", "(x-1)*(x+1)"), (r"\sqrt{8}", r"$2\sqrt{2}$"),
    ("3", "x = 3"), ("3", "f(x)=3"), ("2", r"\[\boxed{2}\]"), (r"\frac{\sin(2x)}{2}", r"\(\sin(x)\cos(x)\)"),
    ("x=2", "2=x"), (r"\{1,2\}", r"\{2,1\}"), ("10", r"\sum_{n=1}^{4} n"),
])  # fmt: skip
def test_what_is_equal_is_right(truth, answer):
    verdict = said(truth, answer)
    assert verdict.correct, verdict
    assert verdict.reason == "correct"


@pytest.mark.parametrize(("answer", "reason"), [
    ("3", "wrong value"), ("2, 3", "wrong value"), ("2 or 3", "wrong value"), (r"\{2,3\}", "wrong value"),
    (r"\pm 2", "wrong value"), ("words", "wrong value"), ("2 3", "wrong value"),
    ("3 = 2", "an equation"), ("x = 3 = 2", "an equation"), (r"2\text{ or }3", "more than one"),
    (r"2 \quad 3", "more than one"),
    ("$2$ or $3$", "more than one"), (r"\boxed{2}\boxed{3}", "more than one"),
    ("", "empty"), ("$$", "more than one"), ("2" * 501, "longer than 500"), ("\uff12", "ASCII"),
    ("2\x00", "ASCII"),
    ("(" * 400, "brackets"), ("2)", "brackets"), ("(" * 31 + "2" + ")" * 31, "brackets"),
])  # fmt: skip
def test_what_is_not_equal_or_not_one_formula_is_wrong_and_says_why(answer, reason):
    verdict = said("2", answer)
    assert not verdict.correct
    assert reason in verdict.reason


@settings(max_examples=30, deadline=None)
@given(st.integers(-50, 50), st.integers(1, 20), st.integers(1, 9))
def test_a_fraction_is_what_it_is_in_every_form_and_no_other(top, bottom, factor):
    truth = rf"\frac{{{top}}}{{{bottom}}}"
    assert said(truth, f"{top * factor}/{bottom * factor}").correct
    assert not said(truth, f"{top * factor + 1}/{bottom * factor}").correct


@pytest.fixture
def one_second(monkeypatch):
    monkeypatch.setattr(math_verifier, "SECONDS", 1)
    monkeypatch.setattr(math_verifier, "_workers", None)


@pytest.mark.usefixtures("one_second")
def test_towers_and_factorials_are_wrong_in_time_also_from_threads_and_many_at_once():
    found = {}
    answers = ["9^{9^{9^9}}", "100000000!", "((9!)!)!", "2", "3", "4/2"]

    def work(answer):
        found[answer] = said("2", answer)

    threads = [threading.Thread(target=work, args=(answer,)) for answer in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[answer].correct for answer in answers] == [False, False, False, True, False, True]
    assert {found[answer].reason for answer in answers[:3]} == {"to compare the answer takes more than 1 s"}


def test_a_truth_that_is_no_formula_is_an_error():
    for truth in ("\u00bd", r"\frac{"):
        with pytest.raises(ConfigurationError, match="question 'm' cannot be judged as a formula"):
            said(truth, "2")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(math_verifier, "_workers", None)
    monkeypatch.setattr(math_verifier, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'socratic-env\[math\]'"):
        said("2", "2")


def test_it_keeps_the_contract_of_verifiers():
    check_verifier("math", [QUESTION])


def test_an_environment_judges_with_it():
    env = gym.make("SocraticSciKnow-v0", questions=[QUESTION], verifier="math", teacher="retry")
    env.reset(seed=0)
    assert env.step(reply("I multiply.", "x^2+1"))[2] is False
    assert env.step(reply("I multiply.", "-(1-x)(1+x)"))[2] is True
    env.close()


# -- the processes --------------------------------------------------------------------------


def asked(script, tasks, patience_s=30.0, after=lambda answer: None):
    workers = Workers(script, ("1", "2"), 1, patience_s)

    async def all_tasks():
        found = []
        for task in tasks:
            found.append(await workers.ask(task))
            after(found[-1])
        return found

    return asyncio.run(all_tasks())


def script_of(folder, body):
    path = folder / "script.py"
    path.write_text(
        f"import os, signal, sys, time\nprint('1', flush=True)\nfor line in sys.stdin:\n    {body}\n"
    )
    return path


def test_a_worker_that_is_lost_between_tasks_is_started_anew(tmp_path):
    script = script_of(tmp_path, "print(os.getpid(), flush=True)")
    first, second = asked(script, ["a", "b"], after=lambda pid: os.kill(pid, signal.SIGKILL))
    assert first != second


@pytest.mark.parametrize(
    ("end", "outcome"), [("SIGXCPU", "time"), ("SIGSEGV", "crash"), ("SIGABRT", "crash")]
)
def test_a_task_that_ends_its_worker_is_told_by_how(tmp_path, end, outcome):
    script = script_of(tmp_path, f"os.kill(os.getpid(), signal.{end})")
    assert asked(script, ["a", "b"]) == [outcome, outcome]


@pytest.mark.parametrize(("body", "message"), [
    ("os.kill(os.getpid(), signal.SIGKILL)", "lost twice, the last time with status -9"),
    ("sys.exit(3)", "lost twice, the last time with status 3"),
    ("time.sleep(600)", "no answer within 1 s"),
])  # fmt: skip
def test_a_worker_that_is_lost_is_a_fault(tmp_path, body, message):
    with pytest.raises(VerifierError, match=message):
        asked(script_of(tmp_path, body), ["a"], patience_s=1.0)


def test_a_worker_that_does_not_start_is_a_fault(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(7)")
    with pytest.raises(VerifierError, match=r"did not start.*status 7"):
        asked(script, ["a"])


def test_a_worker_sees_no_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    script = script_of(tmp_path, "print(int('OPENAI_API_KEY' in os.environ), flush=True)")
    assert asked(script, ["a"]) == [0]


def test_what_would_fill_the_memory_is_not_right_and_the_next_is_judged():
    script = Path(math_verifier.__file__).with_name("math_worker.py")
    workers = Workers(script, ("60", str(300 * 2**20)), 1, 120.0)
    outcome = asyncio.run(workers.ask(["2", "2^{2^{31}} + 1"]))
    assert outcome in ("memory", "wrong")
    assert asyncio.run(workers.ask(["2", "4/2"])) == "right"


def test_the_page_on_verifiers_runs():
    page = (Path(__file__).parents[1] / "docs" / "verifiers.md").read_text(encoding="utf-8")
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "verifiers.md", "exec"), namespace)
    assert namespace["info"]["verifier_fault"]
    missing = {name for name in KINDS.names if f"`{name}`" not in page}
    assert not missing
