"""What all tests share: a tiny real model, real servers of it, and the order in which files are run."""

import importlib.util
import os
import signal
from pathlib import Path

import pytest
from support.browser import chromium
from support.made_data import REAL, made, made_data
from support.once import WORKER, made_once
from support.real_rows import REAL_DATA, has_real_rows
from support.real_server import vllm_server

if WORKER in os.environ:  # there are as many workers as cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

LONGEST = (
    "student_improves", "train", "processes", "examples", "verl_and_openrlhf_adapters", "procedural",
    "eval_command", "interrupted_runs", "procedural_chemistry_biology", "pages_in_browser", "policies",
    "server_policy", "vllm_teacher", "classic_frameworks", "trl_adapter", "openai_teacher", "leakage",
    "check_questions",
)  # fmt: skip
"""Files that take longest come first, so that at the end no worker goes on alone."""

TOGETHER = {
    "test_train.py": "vLLM", "test_policies.py": "vLLM", "test_server_policy.py": "vLLM",
    "test_vllm_teacher.py": "vLLM", "test_procedural.py": "procedural items",
    "test_procedural_chemistry_biology.py": "procedural items",
    "test_procedural_physics_material.py": "procedural items",
}  # fmt: skip
"""Files that share what is costly, so that one worker takes them all."""


def pytest_report_header():
    rows = REAL_DATA if has_real_rows() else "none"
    return f"real rows: {rows}; Chromium: {chromium() or 'none'} (docs/testing.md says how to have both)"


def pytest_collection_modifyitems(items):
    def place(item):
        name = item.path.stem.removeprefix("test_")
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """By file, in that order."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return TOGETHER.get(Path(file).name, file)

    config.option.loadscopereorder = False  # it would put files of few long tests last
    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Tests of interrupts work also where the shell started pytest with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module", params=["made", "real"] if has_real_rows() else ["made"])
def published(request, tmp_path_factory):
    """SciKnowEval's files as they are published: made-up ones, and the real ones where they are."""
    return REAL if request.param == "real" else made(made_once(tmp_path_factory, "published", made_data))


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory):
    """(model, tokenizer, folder) of a small, briefly warm-started student of the concept drills."""
    from agents.runs.assembly import load_student

    folder = made_once(tmp_path_factory, "student", make_student)
    return *load_student(folder), folder


def make_student(folder):
    from agents.options import TinyStudent, WarmStart
    from agents.runs.checkpoint import save_model
    from agents.warm_start.tiny import (
        make_model,
        make_tokenizer,
        sample_texts,
        warm_start,
    )
    from socratic_env.questions import load_questions

    concepts = load_questions("concepts")
    questions = load_questions([concepts[i] for i in range(2000)])
    shape = TinyStudent()
    tokenizer = make_tokenizer(sample_texts(questions, 2000, seed=0), shape.vocabulary)
    model = make_model(shape, tokenizer, seed=0)
    warm_start(model, tokenizer, questions, WarmStart(steps=60, batch=96), seed=0)
    save_model(folder, model, tokenizer)


@pytest.fixture(scope="session")
def teacher_server(tiny_student, tmp_path_factory):
    """Address of a real vLLM server with a tiny model, as it is without further options."""
    log = tmp_path_factory.mktemp("teacher_server") / "log"
    with vllm_server(
        tiny_student[2], log, "--served-model-name", "teacher", "--max-model-len", "4096"
    ) as url:
        yield url


@pytest.fixture(scope="session")
def student_server(tiny_student, tmp_path_factory):
    """Address of a real vLLM server of a student, which takes weights over."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed (the extra 'agent' alone goes without)")
    log = tmp_path_factory.mktemp("student_server") / "log"
    options = [
        "--max-model-len", "512", "--block-size", "32", "--no-enable-chunked-prefill",
        "--logprobs-mode", "processed_logprobs", "--enable-prompt-tokens-details", "--skip-tokenizer-init",
        "--worker-extension-cls", "agents.policies.worker.FolderWorker",
        "--weight-transfer-config", '{"backend": "folder"}',
    ]  # fmt: skip
    with vllm_server(tiny_student[2], log, *options, VLLM_SERVER_DEV_MODE="1") as url:
        yield url
