"""Real data lies outside the project; a tiny real model is made once for all tests."""

import os
import signal
from pathlib import Path

import pytest


def shared_data() -> Path:
    """The folder with real rows: $SOCRATIC_SHARED or ../shared/data beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("SOCRATIC_SHARED", default))


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Tests of interrupts work also where the shell started pytest with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory):
    """(model, tokenizer, folder) of a small, briefly warm-started student of the concept drills."""
    from agents.checkpoint import save_checkpoint
    from agents.students import TinyStudent, make_model, make_tokenizer, sample_texts, warm_start
    from socratic_env.questions import load_questions

    shape = TinyStudent(warm_steps=60, warm_batch=96)
    questions = load_questions("concepts")
    tokenizer = make_tokenizer(sample_texts(questions, 2000, seed=0), shape.vocabulary)
    model = make_model(shape, tokenizer, seed=0)
    warm_start(model, tokenizer, questions, shape, seed=0)
    folder = save_checkpoint(tmp_path_factory.mktemp("student"), 0, model, tokenizer)
    return model, tokenizer, folder
