"""Parts of other packages: by entry point, by "module:name", and what is said when there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import socratic_env  # noqa: F401 - registers the ids
from socratic_env import questions, students, teachers, verifiers
from socratic_env.errors import ConfigurationError
from socratic_env.plugins import Kinds, spec_of
from socratic_env.questions import QuestionSet, load_questions
from socratic_env.students import student_from_spec
from socratic_env.teachers import from_spec
from socratic_env.types import reply
from socratic_env.verifiers import verifier_from_spec

PARTS = '''
from socratic_env.questions import QuestionList
from socratic_env.students import Student
from socratic_env.teachers import Teacher
from socratic_env.types import AnswerKind, Guidance, Question, Verdict, reply

PI = 3.14

def asked(domain, split, size=2, start=0):
    """Sums, in the split's own range."""
    low = start + (100 if split == "test" else 0)
    return [Question(f"sums/{split}/{n}", domain or "sums", AnswerKind.NUMERIC, f"{n} + 1 = ?", str(n + 1))
            for n in range(low, low + size)]

class OnDemand(QuestionList):
    """A source may be a class."""
    def __init__(self, domain, split):
        super().__init__(asked(domain, split, 3))

def careful(domain, split, exclude):
    """A source that leaves out ids itself."""
    return QuestionList([q for q in asked(domain, split) if q.id not in exclude])

def nothing(domain, split):
    return "no questions"

def without_split(domain):
    return []

class Host(Teacher):
    """Says one thing."""
    def __init__(self, words="Count on your fingers."):
        self.words = words
    async def guide(self, requests):
        return [Guidance(self.words) for _ in requests]

class Guest(Student):
    """Is right, or not."""
    def __init__(self, right=True, seed=0):
        self.right = right
    async def answer(self, requests):
        return [reply("Counted.", r.question.answer if self.right else "0") for r in requests]

def lenient(question, text):
    return Verdict(question.answer in text, question.answer, "seen")
'''
ENTRY_POINTS = """
[socratic_env.teachers]
host = visiting_parts:Host
[socratic_env.students]
guest = visiting_parts:Guest
[socratic_env.verifiers]
lenient = visiting_parts:lenient
[socratic_env.sources]
sums = visiting_parts:asked
broken = visiting_parts:Missing
gone = no_such_package.parts:asked
"""


@pytest.fixture
def visiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a distribution that has a part of each sort."""
    folder = tmp_path / "site"
    info = folder / "visiting_parts-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "visiting_parts.py").write_text(PARTS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: visiting-parts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("visiting_parts", None)


def socratic(folder: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "import sys; from socratic_env.cli import main; sys.exit(main(sys.argv[1:]))"
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": path}, cwd=cwd,
    )  # fmt: skip


# -- what others bring -------------------------------------------------------------------


def test_entry_points_are_kinds_of_their_sort(visiting: Path) -> None:
    for kinds, name in ((teachers, "host"), (students, "guest"), (verifiers, "lenient"), (questions, "sums")):
        assert name in kinds.KINDS.names
    parts: Any = import_module("visiting_parts")
    assert isinstance(from_spec("host"), parts.Host)
    assert from_spec({"kind": "host", "words": "Think."}).words == "Think."  # type: ignore[attr-defined]
    assert not student_from_spec({"kind": "guest", "right": False}, {"seed": 3, "habits": None}).right  # type: ignore[attr-defined]
    assert verifier_from_spec("lenient") is parts.lenient
    assert [q.id for q in load_questions("sums")[:]] == ["sums/train/0", "sums/train/1"]  # type: ignore[index]


@pytest.mark.parametrize(("spec", "ids"), [
    ("sums", ["sums/train/0", "sums/train/1"]),
    ("sums:3", None),
    ({"kind": "sums", "size": 1, "start": 7}, ["sums/train/7"]),
    ("visiting_parts:asked", ["sums/train/0", "sums/train/1"]),
    ({"kind": "visiting_parts:asked", "size": 1}, ["sums/train/0"]),
    ("visiting_parts:OnDemand", ["sums/train/0", "sums/train/1", "sums/train/2"]),
    ("visiting_parts:careful", ["sums/train/0", "sums/train/1"]),
])  # fmt: skip
def test_a_source_is_named_in_every_way(visiting: Path, spec: Any, ids: list[str] | None) -> None:
    if ids is None:  # what stands behind the colon is the first option, as a text
        with pytest.raises(ConfigurationError, match="its arguments are: domain, split, size, start"):
            load_questions(spec)
        return
    found = load_questions(spec)
    assert isinstance(found, QuestionSet)
    assert [found[i].id for i in range(len(found))] == ids
    less = load_questions(spec, exclude=["sums/train/0"]) if len(ids) > 1 else found
    assert [less[i].id for i in range(len(less))] == (ids[1:] if len(ids) > 1 else ids)
    assert "/test/10" in load_questions(spec, "physics", "test")[0].id


def test_an_environment_of_visiting_parts_alone(visiting: Path) -> None:
    chosen = {"questions": {"kind": "visiting_parts:asked", "size": 1}, "teacher": "visiting_parts:Host",
              "verifier": "visiting_parts:lenient"}  # fmt: skip
    for make in (gym.make, lambda name, **given: gym.make_vec(name, num_envs=1, reward="full", **given)):
        env: Any = make("SocraticSciKnow-v0", **chosen)
        env.reset(seed=0)
        no, yes = reply("", "0"), reply("", "1")
        single = env.num_envs if hasattr(env, "num_envs") else None
        _, _, _, _, info = env.step([no] if single else no)
        assert "Count on your fingers." in str(info["guidance"])
        _, reward, ended, *_ = env.step([yes] if single else yes)
        assert (float(reward), bool(ended)) == ((1.0 if single else float(reward)), True)
        env.close()


def test_the_commands_take_visiting_parts(visiting: Path, tmp_path: Path) -> None:
    """By entry point, by JSON, and from the folder in which a command runs."""
    chosen = ["--teacher", "host", "--student", "guest", "--questions", '{"kind": "sums", "size": 4}']
    done = socratic(visiting, "eval", *chosen, "--samples", "1", "--out", str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["all"]["unassisted"]["value"] == 1.0
    done = socratic(tmp_path, "audit", "visiting_parts:asked", "--json", cwd=visiting)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["subtasks"][0]["rows"] == 4


# -- what is said ------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "says"), [
    ("procedurl", "unknown questions 'procedurl'; use one of: .*a path, .*did you mean 'procedural'"),
    ("procedurl:easy", "unknown questions 'procedurl'.*did you mean 'procedural'"),
    ("sumz", "did you mean 'sums'"),
    ({"kind": "Concepts"}, "did you mean 'concepts'"),
    ({"kind": 7}, "unknown questions 7; use one of: .*arithmetic"),
    ({"part": "easy"}, "unknown questions None"),
    ({"kind": "procedural", "levl": "easy"}, "'levl'; its arguments are: domain, split, part"),
    ({"kind": "procedural", "domain": "physics"}, "give domain= beside questions="),
    ({"kind": "file"}, "questions 'file': missing a required argument: 'path'"),
    ("sciknoweval:easy", "'sciknoweval' has no parts; give it without ':'"),
    ("no_such_module:asked", "No module named 'no_such_module'; give questions as module:name"),
    ("visiting_parts:Nobody", "visiting_parts has no Nobody"),
    ("visiting_parts:PI", "is 3.14, which makes nothing; give a class or a function"),
    ("visiting_parts:nothing", "makes 'no questions'; a source must make a QuestionSet"),
    ("visiting_parts:without_split", r"takes no split; a source is a function \(domain, split"),
    ("failing_parts:asked", "failing_parts cannot be imported: ZeroDivisionError: "),
    ("broken", "visiting_parts:Missing of visiting-parts cannot be loaded: AttributeError"),
    ("gone", "no_such_package.parts:asked of visiting-parts cannot be loaded: ModuleNotFoundError"),
])  # fmt: skip
def test_what_is_no_source_gets_one_clear_error(visiting: Path, spec: Any, says: str) -> None:
    (visiting / "failing_parts.py").write_text("1 / 0\n")
    with pytest.raises(ConfigurationError, match=says):
        load_questions(spec)


@pytest.mark.parametrize("make", [from_spec, student_from_spec, verifier_from_spec])
def test_other_parts_are_refused_alike(visiting: Path, make: Any) -> None:
    for spec, says in (
        ("visiting_parts:Nobody", "has no Nobody"),
        ("no_such_module:Part", "No module named"),
        ("visiting_parts:PI", "'visiting_parts:PI'"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            make(spec)


@pytest.mark.parametrize(("make", "spec", "meant"), [
    (from_spec, "rul", "rule"), (from_spec, "retri:x", "retry"), (student_from_spec, "opnai", "openai"),
    (verifier_from_spec, "numerik", "numeric"),
])  # fmt: skip
def test_a_typing_error_gets_a_suggestion(make: Any, spec: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"did you mean {meant!r}"):
        make(spec)


def test_a_module_that_is_called_like_a_kind_is_found(visiting: Path) -> None:
    (visiting / "concept.py").write_text(PARTS)
    assert len(load_questions("concept:asked")) == 2
    sys.modules.pop("concept")


def test_two_packages_with_one_name_are_told_apart(visiting: Path) -> None:
    other = visiting / "other_parts-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other-parts\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[socratic_env.sources]\nsums = other_parts:asked\n")
    with pytest.raises(ConfigurationError, match=r"'sums' is .* at once; give one as module:name"):
        load_questions("sums")


def test_a_kind_of_this_package_comes_first(visiting: Path) -> None:
    info = visiting / "visiting_parts-1.0.dist-info" / "entry_points.txt"
    info.write_text("[socratic_env.sources]\nconcepts = visiting_parts:asked\n")
    assert load_questions("concepts")[0].domain == "concepts"


def test_every_source_of_this_package_is_a_file_with_its_function() -> None:
    for name in questions.KINDS.names:
        assert questions.KINDS.load(name).__name__ == name
    assert {"procedural", "drills", "concepts", "arithmetic", "sciknoweval", "file"} <= {
        *questions.KINDS.names
    }


def test_no_argument_stands_for_the_sort_itself() -> None:
    assert Kinds("teacher", "socratic_env.teachers").called == "teacher"
    assert questions.KINDS.called == "questions"


@pytest.mark.parametrize("text", ['{"kind": ', "{1}", "{" * 100_000])
def test_a_broken_object_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--questions .* is no valid JSON: .*; quote it"):
        spec_of(text, "--questions")
    assert spec_of("concepts", "--questions") == "concepts"
    assert spec_of(' {"kind": "concepts"}', "--questions") == {"kind": "concepts"}
