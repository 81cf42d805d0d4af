"""What all teachers have in common: their specs, and what `guide` owes the interaction."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from socratic_env import SocraticBatch
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, TeacherUnavailable
from socratic_env.questions import load_questions
from socratic_env.teachers import KINDS, Teacher, from_spec
from socratic_env.types import Guidance, StopReason

SCIENCE = load_questions("procedural", None, "train")
URL = "http://127.0.0.1:9/v1"
SECRET = "sk-very-secret-0123456789"


# -- specs -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rule", "retry"])
def test_a_kind_alone_is_a_spec(kind: str) -> None:
    teacher = from_spec(kind)
    assert type(teacher) is type(from_spec({"kind": kind}))
    assert from_spec(teacher) is teacher


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("oracle", "unknown teacher 'oracle'; use one of: .*openai.*retry.*rule"),
        ({}, "unknown teacher None; use one of"),
        ({"kind": ["rule"]}, "unknown teacher"),
        (None, "teacher is None; give a kind"),
        (7, "teacher is 7; give a kind"),
        (["rule"], "give a kind"),
        ({"kind": "rule", "model": "m"}, "teacher 'rule': .*argument"),
        ({"kind": "openai"}, "teacher 'openai': .*missing.*base_url.*model"),
        ({"kind": "openai", "base_url": URL}, "missing.*model"),
        ({"kind": "openai", "base_url": URL, "model": ""}, "model is ''; give a text"),
        ({"kind": "openai", "base_url": None, "model": "m"}, "base_url is None; give a text"),
        ({"kind": "openai", "base_url": "localhost:8000", "model": "m"}, "is not http"),
        ({"kind": "openai", "base_url": "file:///etc/passwd", "model": "m"}, "is not http"),
        ({"kind": "openai", "base_url": URL, "model": "m", "modle": 1}, "modle"),
        (
            {"kind": "openai", "base_url": URL, "model": "m", "concurrency": 0},
            "concurrency is 0; it must be above",
        ),
        ({"kind": "openai", "base_url": URL, "model": "m", "deadline_s": -1}, "deadline_s is -1"),
        ({"kind": "openai", "base_url": URL, "model": "m", "deadline_s": float("nan")}, "deadline_s is nan"),
        ({"kind": "openai", "base_url": URL, "model": "m", "connect_s": 0}, "connect_s is 0"),
        ({"kind": "openai", "base_url": URL, "model": "m", "retries": -1}, "retries is -1"),
        ({"kind": "openai", "base_url": URL, "model": "m", "max_reply_bytes": 0}, "max_reply_bytes is 0"),
        ({"kind": "openai", "base_url": URL, "model": "m", "prompt_price": -1}, "prompt_price is -1"),
        ({"kind": "vllm", "model": "/nowhere"}, "give a local folder that holds a model"),
        ({"kind": "openai", "base_url": URL, "model": "m", "api_key_env": None}, "api_key_env is None"),
        ({"kind": "openai", "base_url": URL, "model": "m", "deadline_s": "long"}, "teacher 'openai'"),
    ],
)
def test_a_wrong_spec_gets_a_clear_error(spec: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        from_spec(spec)


def test_a_key_in_a_spec_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="api_key_env") as caught:
        from_spec({"kind": "openai", "base_url": URL, "model": "m", "api_key": SECRET})
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError, match="api_key_env") as caught:
        from_spec({"kind": "openai", "base_url": f"http://user:{SECRET}@127.0.0.1/v1", "model": "m"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS.names)
def test_every_kind_can_be_made_and_copied(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "recording").touch()
    arguments: dict[str, Any] = {
        "openai": {"base_url": URL, "model": "m"},
        "vllm": {"model": str(tmp_path)},
        "transformers": {"model": str(tmp_path)},
        "recorded": {"path": str(tmp_path / "recording")},
        "recording": {"path": str(tmp_path / "recording"), "teacher": "rule"},
        "ensemble": {"teachers": ["rule", {"kind": "guarded", "teacher": "retry"}]},
        "guarded": {"teacher": "rule"},
    }
    teacher = from_spec({"kind": kind, **arguments.get(kind, {})})
    assert isinstance(teacher, Teacher)
    assert type(pickle.loads(pickle.dumps(teacher))) is type(teacher)
    run(teacher.close())


# -- the contract of a teacher -----------------------------------------------------------


class Raises(Teacher):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def guide(self, requests: Any) -> list[Guidance]:
        raise self.error


class Miscounts(Teacher):
    async def guide(self, requests: Any) -> list[Guidance]:
        return [Guidance("Look.")] * (len(requests) + 1)


def test_a_teacher_that_raises_a_teacher_error_fails_all_its_requests() -> None:
    batch = SocraticBatch([SCIENCE[0]] * 3, teacher=Raises(TeacherUnavailable("gone")))
    for row in range(3):
        batch.answer(row, "?")
    run(batch.advise(range(3)))
    assert [batch.dialogue(row).stop for row in range(3)] == [StopReason.TEACHER_FAILED] * 3
    assert batch.usage["teacher"].failures == 3


def test_a_defect_of_a_teacher_is_not_hidden() -> None:
    batch = SocraticBatch([SCIENCE[0]], teacher=Raises(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(batch.step(0, "?"))
    batch = SocraticBatch([SCIENCE[0]], teacher=Miscounts())
    with pytest.raises(ConfigurationError, match=r"Miscounts\.guide returned 2 guidances for 1 requests"):
        run(batch.step(0, "?"))
