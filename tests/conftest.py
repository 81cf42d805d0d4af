"""Real data lies outside the project; a tiny real model is made once for all tests."""

import importlib.util
import signal

import pytest
from support.real_server import vllm_server


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Tests of interrupts work also where the shell started pytest with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory):
    """(model, tokenizer, folder) of a small, briefly warm-started student of the concept drills."""
    from agents.options import TinyStudent, WarmStart
    from agents.runs.checkpoint import save_checkpoint
    from agents.warm_start.tiny import (
        make_model,
        make_tokenizer,
        sample_texts,
        warm_start,
    )
    from socratic_env.questions import load_questions

    shape = TinyStudent()
    questions = load_questions("concepts")
    tokenizer = make_tokenizer(sample_texts(questions, 2000, seed=0), shape.vocabulary)
    model = make_model(shape, tokenizer, seed=0)
    warm_start(model, tokenizer, questions, WarmStart(steps=60, batch=96), seed=0)
    folder = save_checkpoint(tmp_path_factory.mktemp("student"), 0, model, tokenizer)
    return model, tokenizer, folder


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
