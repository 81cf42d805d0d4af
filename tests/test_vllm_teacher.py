"""The in-process vLLM teacher on a real, tiny model, which says nothing of use."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from socratic_env import SocraticBatch, TeacherRequest
from socratic_env.checks import check_teacher
from socratic_env.dialogue import Rules, answer, open_dialogue
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, TeacherContextError
from socratic_env.protocols import protocol
from socratic_env.questions import load_questions
from socratic_env.teachers import Teacher, from_spec

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

DRILLS = load_questions("concepts", None, "train")


def request_on(index: int, said: str = "I do not know.") -> TeacherRequest:
    return TeacherRequest(answer(open_dialogue(DRILLS[index]), said, Rules()), protocol("paper"))


@pytest.fixture(scope="module")
def teacher(tiny_student: Any) -> Iterator[Teacher]:
    engine = {"kv_cache_memory_bytes": 2**27, "block_size": 32, "enforce_eager": True}
    spec = {
        "kind": "vllm",
        "model": str(tiny_student[2]),
        "max_tokens": 16,
        "temperature": 1.0,
        "max_model_len": 2048,
        "engine": engine,
    }
    made = from_spec(spec)
    yield made
    run(made.close())


def test_a_seed_makes_guidance_that_no_company_changes(teacher: Teacher) -> None:
    together = run(teacher.guide([request_on(i) for i in range(32)]))
    backwards = run(teacher.guide([request_on(i) for i in reversed(range(32))]))[::-1]
    alone = [run(teacher.guide([request_on(i)]))[0] for i in range(4)]
    assert together == backwards
    assert together[:4] == alone
    assert len({guidance.text for guidance in together}) > 16
    spoke = [guidance for guidance in together if guidance.fault is None]
    assert spoke
    assert all(guidance.usage.prompt_tokens > 50 for guidance in spoke)
    assert all(1 <= guidance.usage.completion_tokens <= 16 for guidance in spoke)


def test_a_prompt_that_is_too_long_fails_alone(teacher: Teacher) -> None:
    long, short = run(teacher.guide([request_on(0, "no " * 5000), request_on(1)]))
    assert isinstance(long.fault, TeacherContextError)
    assert "does not fit into the 2048" in str(long.fault)
    assert not isinstance(short.fault, TeacherContextError)
    assert short.usage.prompt_tokens > 0


def test_the_event_loop_goes_on_meanwhile(teacher: Teacher) -> None:
    async def go() -> int:
        asked = asyncio.create_task(teacher.guide([request_on(i) for i in range(64)]))
        ticks = 0
        while not asked.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return ticks

    assert asyncio.run(asyncio.wait_for(go(), 60)) > 3


def test_it_teaches_a_batch_and_passes_the_checks(teacher: Teacher) -> None:
    batch = SocraticBatch([DRILLS[i] for i in range(4)], teacher=teacher)
    for row in range(4):
        batch.answer(row, "I do not know.")
    run(batch.advise(range(4)))
    assert batch.usage["teacher"].calls == 4
    check_teacher(teacher, [DRILLS[i] for i in range(4)], deterministic=True, picklable=True)


def test_without_further_settings_it_leaves_memory_to_others(tiny_student: Any) -> None:
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        pytest.skip("vLLM on a GPU takes a share of that one's memory")
    spec = {"kind": "vllm", "model": str(tiny_student[2]), "engine": {"enforce_eager": True}}
    made: Any = from_spec(spec)
    run(made.guide([request_on(0)]))
    assert made._model._engine.llm_engine.vllm_config.cache_config.kv_cache_memory_bytes == 2**31
    run(made.close())


def test_a_model_that_vllm_cannot_run_is_one_error(tiny_student: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_student[2], tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    made = from_spec({"kind": "vllm", "model": str(folder), "engine": {"enforce_eager": True}})
    with pytest.raises(ConfigurationError, match=r"teacher 'vllm': vLLM cannot run .*cut: .*`engine`"):
        run(made.guide([request_on(0)]))
    run(made.close())
