"""`socratic check`: every check with its id, on environments that pass and on broken parts."""

import json

import pytest
from test_tasksets import PACKAGE

from socratic_env.checks.env_report import CHECKS
from socratic_env.cli import main
from socratic_env.types import AnswerKind, Option, Question, Verdict

IDS = [
    "observation_schema", "needs_reset", "gymnasium_api", "canary_floor", "oracle_max", "odd_replies",
    "seed_control", "episode_determinism", "replayability", "no_solution_leakage", "question_set",
    "no_shared_questions", "verifier_contract", "blind_floor", "floor_gap",
]  # fmt: skip


def takes_anything(question, text):
    return Verdict(True, text, "fine")


def breaks(question, text):
    raise ZeroDivisionError


def _numbers(split, numbers):
    return [
        Question(f"n/{split}/{n}", "n", AnswerKind.NUMERIC, f"What is {n} + 1?", str(n + 1)) for n in numbers
    ]


def shared(domain, split):
    return _numbers(split, range(20) if split == "train" else range(19, 40))


def one_split(domain, split):
    return _numbers("train", range(20))


def longest_is_right(domain, split):
    low = 0 if split == "train" else 200
    options = (
        Option("A", "no"),
        Option("B", "yes, of course it does"),
        Option("C", "nay"),
        Option("D", "not"),
    )
    return [
        Question(f"l/{split}/{n}", "l", AnswerKind.CHOICE, f"Does {n} count?", "B", options=options)
        for n in range(low, low + 200)
    ]


def checked(capsys, *arguments):
    """(status, {id: finding}, the whole report)."""
    capsys.readouterr()
    status = main(["check", *arguments, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in told["checks"]] == IDS
    return status, {one["id"]: one for one in told["checks"]}, told


def source(name):
    return ["--questions", f"{__name__}:{name}", "--teacher", "retry"]


def test_ids_are_stable_and_told_once():
    assert [check.id for check in CHECKS] == IDS
    assert {check.level for check in CHECKS} == {"static", "runtime", "semantic", "statistical"}


def test_an_environment_of_the_package_passes(capsys):
    status, found, told = checked(capsys, "SocraticConcepts-v0")
    assert (status, told["passed"], told["environment"]) == (0, True, "SocraticConcepts-v0")
    assert [one["id"] for one in found.values() if one["status"] != "passed"] == ["blind_floor"]
    assert found["blind_floor"]["message"] == "no question has options"


def test_a_taskset_of_verifiers_passes(capsys, tmp_path, monkeypatch):
    (tmp_path / "sums_checked.py").write_text(PACKAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    _, found, _ = checked(capsys, "--questions", "verifiers:sums_checked", "--teacher", "retry")
    failed = {name: one["message"] for name, one in found.items() if one["status"] == "failed"}
    # Its reward reads an answer block also where a student only quotes it.
    assert failed.keys() == {"verifier_contract"}, failed
    assert "fences and quotations" in failed["verifier_contract"]


def test_a_verifier_that_takes_anything_is_found(capsys):
    status, found, told = checked(capsys, *source("one_split"), "--verifier", f"{__name__}:takes_anything")
    assert (status, told["passed"]) == (1, False)
    assert found["canary_floor"]["status"] == found["verifier_contract"]["status"] == "failed"
    assert found["floor_gap"]["status"] == "failed"
    assert "a gap of 0.5 is the least" in found["floor_gap"]["message"]
    assert found["oracle_max"]["status"] == "skipped"
    assert found["oracle_max"]["message"] == "canary_floor failed"
    assert found["no_shared_questions"]["status"] == "skipped"


def test_parts_that_raise_are_told_and_the_others_go_on(capsys):
    status, found, _ = checked(capsys, *source("one_split"), "--verifier", f"{__name__}:breaks")
    assert status == 1
    assert "ZeroDivisionError" in found["canary_floor"]["message"]
    assert found["observation_schema"]["status"] == "passed"


def test_shared_questions_are_found(capsys):
    status, found, _ = checked(capsys, *source("shared"))
    assert status == 1
    assert [name for name, one in found.items() if one["status"] == "failed"] == ["no_shared_questions"]
    assert "leave one of them out" in found["no_shared_questions"]["message"]


def test_a_blind_rule_is_a_warning(capsys):
    status, found, _ = checked(capsys, *source("longest_is_right"))
    assert status == 0
    assert found["blind_floor"]["status"] == "failed"
    assert "the rule 'longest option' is right on 1.00 of 200" in found["blind_floor"]["message"]
    capsys.readouterr()
    assert main(["check", *source("longest_is_right")]) == 0
    assert "warning  statistical  blind_floor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SocraticSciKnowledge-v0"], "`socratic envs` lists the ids"),
        (["SocraticSciKnow-Discrete-v0"], "no text environment of this package"),
        (["--questions", "reasoning-gyn:x"], "reasoning-gyn"),
    ],
)
def test_unusable_arguments(arguments, message, capsys):
    assert main(["check", *arguments]) == 2
    assert message in capsys.readouterr().err
