"""Recordings: written once, replayed byte for byte, whatever the order and however the writer ended."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.scripted import choice_question, right, wrong

from socratic_env import Guidance, SocraticBatch, SocraticVectorEnv, Teacher, TeacherRequest
from socratic_env.dialogue import Dialogue, Rules, answer, open_dialogue
from socratic_env.engine.background import run
from socratic_env.errors import (
    ConfigurationError,
    RecordingError,
    TeacherError,
    TeacherReplyError,
    TeacherTimeout,
    TeacherUnavailable,
)
from socratic_env.protocols import protocol
from socratic_env.teachers import from_spec
from socratic_env.teachers.recorded_teacher import RecordedTeacher
from socratic_env.teachers.recording_teacher import RecordingTeacher
from socratic_env.types import Episode, Question, Usage

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = [choice_question(f"q{i}", answer="ABCD"[i % 4]) for i in range(16)]


def request_on(question: Question, said: str | None = None, rollout: int = 0) -> TeacherRequest:
    dialogue = answer(open_dialogue(question, rollout), wrong(question) if said is None else said, Rules())
    return TeacherRequest(dialogue, protocol("paper"))


class Chatty(Teacher):
    """Never says the same twice; now and then it fails."""

    def __init__(self, faults: bool = False) -> None:
        self.said, self.faults, self.closed = 0, faults, False

    async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        await asyncio.sleep(0)
        return [self._one() for _ in requests]

    def _one(self) -> Guidance:
        self.said += 1
        if self.faults and self.said % 5 == 0:
            return Guidance(fault=TeacherTimeout(f"too late, {self.said}"), usage=Usage(1, 1, seconds=2.5))
        return Guidance(
            f"No. {self.said}:\r\n\t\u2028\U0001f600\x00 \ud83d {{braces}} \\n",
            mistake="slipped",
            truncated=True,
            usage=Usage(1),
        )

    async def close(self) -> None:
        self.closed = True


def record(path: Path, requests: Sequence[TeacherRequest], teacher: Teacher | None = None) -> list[Guidance]:
    recorder = RecordingTeacher(path, teacher or Chatty(faults=True))
    given = run(recorder.guide(requests))
    run(recorder.close())
    return given


def what(guidance: Guidance) -> tuple[Any, ...]:
    return (
        guidance.text,
        type(guidance.fault),
        str(guidance.fault),
        guidance.mistake,
        guidance.truncated,
        guidance.usage,
    )


# -- write once, replay byte for byte ------------------------------------------------------


def test_a_replay_is_byte_for_byte_what_was_said(tmp_path: Path) -> None:
    requests = [request_on(QUESTIONS[i % 4], rollout=i // 4) for i in range(12)]
    path = tmp_path / "new" / "r.jsonl"
    given = record(path, requests)
    assert len({what(guidance) for guidance in given}) == 12, "siblings that say the same are told apart"
    replayed = run(RecordedTeacher(path).guide(requests[::-1]))[::-1]
    assert list(map(what, replayed)) == list(map(what, given))
    assert sum(guidance.fault is not None for guidance in given) == 2


def test_what_is_recorded_is_not_asked_again(tmp_path: Path) -> None:
    teacher, path = Chatty(), tmp_path / "r.jsonl"
    recorder = RecordingTeacher(path, teacher)
    request, other = request_on(QUESTIONS[0]), request_on(QUESTIONS[0], "Another wrong reply.")
    first, again = run(recorder.guide([request, request]))
    (later,) = run(recorder.guide([request]))
    assert what(first) == what(again) == what(later)
    (new,) = run(recorder.guide([other]))  # the same key, as in a later batch of the run
    assert new.text != first.text
    run(recorder.close())
    assert teacher.said == 2
    assert len(path.read_bytes().splitlines()) == 2
    assert [g.text for g in run(RecordedTeacher(path).guide([other, request]))] == [new.text, first.text]


def test_equal_requests_under_way_together_are_written_once(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    recorder = RecordingTeacher(path, Chatty())

    async def together() -> list[list[Guidance]]:
        return await asyncio.gather(*(recorder.guide([request_on(QUESTIONS[0])]) for _ in range(8)))

    assert len({given[0].text for given in run(together())}) == 1
    run(recorder.close())
    assert len(path.read_bytes().splitlines()) == 1


def test_a_teacher_that_fails_as_a_whole_is_recorded(tmp_path: Path) -> None:
    class Gone(Teacher):
        async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
            raise TeacherReplyError("nonsense")

    requests = [request_on(QUESTIONS[0]), request_on(QUESTIONS[1])]
    assert [str(g.fault) for g in record(tmp_path / "r", requests, Gone())] == ["nonsense"] * 2
    replayed = run(RecordedTeacher(tmp_path / "r").guide(requests))
    assert [type(g.fault) for g in replayed] == [TeacherReplyError] * 2


def test_a_resumed_recording_asks_again_only_for_faults(tmp_path: Path) -> None:
    requests = [request_on(question) for question in QUESTIONS[:5]]
    first = record(tmp_path / "r", requests)
    teacher = Chatty()
    second = record(tmp_path / "r", requests, teacher)
    assert teacher.said == 1
    assert second[:4] == first[:4]
    assert second[4].fault is None
    replayed = run(RecordedTeacher(tmp_path / "r").guide(requests))
    assert list(map(what, replayed)) == list(map(what, second))


def test_a_fault_of_a_users_own_class_comes_back_as_a_teacher_error(tmp_path: Path) -> None:
    class Mine(TeacherError):
        pass

    class Fails(Teacher):
        async def guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
            return [Guidance(fault=Mine("why")) for _ in requests]

    record(tmp_path / "r", [request_on(QUESTIONS[0])], Fails())
    (guidance,) = run(RecordedTeacher(tmp_path / "r").guide([request_on(QUESTIONS[0])]))
    assert (type(guidance.fault), str(guidance.fault)) == (TeacherError, "why")


# -- what does not fit is named -----------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (request_on(QUESTIONS[1]), r"nothing is recorded for question 'q1', rollout 0, attempt 1"),
        (request_on(QUESTIONS[0], rollout=1), r"nothing is recorded for question 'q0', rollout 1, attempt 1"),
        (request_on(QUESTIONS[0], "Else."), r"for question 'q0', rollout 0, attempt 1 another dialogue"),
        (
            TeacherRequest(request_on(QUESTIONS[0]).dialogue, protocol("paper").__class__("mine", "Help.")),
            "or another protocol was recorded",
        ),
    ],
)
def test_a_request_that_was_not_recorded_is_a_clear_error(
    tmp_path: Path, request_: TeacherRequest, says: str
) -> None:
    record(tmp_path / "r.jsonl", [request_on(QUESTIONS[0])])
    with pytest.raises(RecordingError, match=f"r.jsonl: .*{says}.*record anew"):
        run(RecordedTeacher(tmp_path / "r.jsonl").guide([request_]))


def test_a_missing_file_says_how_to_record_one(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none.jsonl: cannot be read .*'kind': 'recording'"):
        from_spec({"kind": "recorded", "path": str(tmp_path / "none.jsonl")})


class _Trap:
    def __reduce__(self) -> Any:
        return os._exit, (66,)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"null",
        b"<html>",
        b"[" * 100_000,
        b'{"question": "", "rollout": 0, "attempt": 1, "request": "", "fault": ["KeyError", ""], "text": ""}',
        pickle.dumps(_Trap()).replace(b"\n", b""),
    ],
    ids=["empty", "null", "html", "deep", "a class of its own", "pickle"],
)
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "r.jsonl"
    record(path, [request_on(QUESTIONS[0])])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(RecordingError, match=r"r.jsonl, line 2: no entry .* delete that line"):
        RecordedTeacher(path)


def test_two_recorders_of_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    one, other = RecordingTeacher(path, Chatty()), RecordingTeacher(path, Chatty())
    run(one.guide([request_on(QUESTIONS[0])]))
    with pytest.raises(RecordingError, match="give each its own path or share one Teacher"):
        run(other.guide([request_on(QUESTIONS[1])]))
    run(one.close())
    run(other.guide([request_on(QUESTIONS[1])]))
    run(other.close())
    assert len(path.read_bytes().splitlines()) == 2


def test_a_full_disk_is_a_clear_error_and_leaves_no_part_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.jsonl"
    recorder = RecordingTeacher(path, Chatty())
    run(recorder.guide([request_on(QUESTIONS[0])]))
    write, before = os.write, path.read_bytes()
    monkeypatch.setattr(os, "write", lambda to, line: write(to, line[:20]) if len(line) > 20 else 0)
    with pytest.raises(RecordingError, match=r"only a part of it.*make room and resume"):
        run(recorder.guide([request_on(QUESTIONS[1])]))
    monkeypatch.undo()
    assert path.read_bytes() == before
    run(recorder.close())


@pytest.mark.parametrize("kind", ["recorded", "recording"])
@pytest.mark.parametrize("path", ["", None, 3])
def test_a_path_is_needed(kind: str, path: Any) -> None:
    spec = {"kind": kind, "path": path} | ({"teacher": "rule"} if kind == "recording" else {})
    with pytest.raises(ConfigurationError, match=f"teacher '{kind}': path is"):
        from_spec(spec)


# -- HOSTILE 22: nothing secret in a recording ---------------------------------------------


def test_a_recording_holds_no_truth_no_prompt_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    path = tmp_path / "r.jsonl"
    batch = SocraticBatch(QUESTIONS[:4], teacher={"kind": "recording", "path": str(path), "teacher": "retry"})
    for row, question in enumerate(QUESTIONS[:4]):
        run(batch.step(row, wrong(question)))
    batch.close()
    text = path.read_text()
    for question in QUESTIONS[:4]:
        assert question.solution not in text
        assert question.statement not in text
        assert not any(option.text in text for option in question.options)
    assert "sk-very-secret" not in text
    keys = {"question", "rollout", "attempt", "request", "text", "mistake", "truncated", "fault", "usage"}
    assert all(set(json.loads(line)) == keys for line in text.splitlines())


def test_the_digest_does_not_depend_on_hidden_truth(tmp_path: Path) -> None:
    """Else one could try the letters until the digest fits."""
    truth, lie = choice_question("q", answer="A"), choice_question("q", answer="B")
    said = "I do not know."
    record(tmp_path / "r", [request_on(truth, said)])
    assert run(RecordedTeacher(tmp_path / "r").guide([request_on(lie, said)]))


# -- HOSTILE 10: kill -9 while writing -----------------------------------------------------

WRITER = """
import sys, asyncio
sys.path[:0] = sys.argv[2:]
from support.scripted import choice_question
from test_recorded_teacher import Chatty, request_on, RecordingTeacher

async def main():
    teacher = RecordingTeacher(sys.argv[1], Chatty())
    for number in range(100_000):
        await teacher.guide([request_on(choice_question(f"q{number}"))])

asyncio.run(main())
"""


def _entries(path: Path) -> list[str]:
    return [json.loads(line)["question"] for line in path.read_bytes().splitlines()]


def test_a_writer_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    command = [sys.executable, "-c", WRITER, str(path), str(ROOT), str(ROOT / "tests")]
    written = 0
    for _ in range(2):
        process = subprocess.Popen(command)
        end = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 300 * (written + 50):
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        known = _entries(path)
        assert known == [f"q{number}" for number in range(len(known))], "nothing lost, nothing doubled"
        assert len(known) > written
        written = len(known)
        with path.open("ab") as file:  # what a crash of the machine may leave
            file.write(b'{"question": "q9999", "rollo')
    RecordedTeacher(path)
    assert len(run(RecordedTeacher(path).guide([request_on(choice_question("q0"))]))) == 1
    record(path, [request_on(choice_question(f"q{number}")) for number in range(written + 1)], Chatty())
    assert _entries(path) == [f"q{number}" for number in range(written + 1)]


# -- HOSTILE 26: the same episodes and rewards at any number of workers ---------------------

ROLLOUTS = 8


def student(dialogue: Dialogue) -> str:
    """Depends on all that it was told, on its rollout, and on nothing else."""
    told = [attempt.guidance.text for attempt in dialogue.attempts if attempt.guidance is not None]
    rng = random.Random(f"{dialogue.question.id} {dialogue.rollout // 2} {told}")
    return right(dialogue.question) if rng.random() < 0.4 else wrong(dialogue.question, rng.randrange(3))


def play(teacher: Any, workers: int, seed: int) -> tuple[list[Episode], list[list[float]]]:
    """A batch in which so many rows are under way together, ended in a random order."""
    rows = [question for question in QUESTIONS for _ in range(ROLLOUTS)]
    batch = SocraticBatch(rows, teacher=teacher, max_attempts=3)
    rng = random.Random(seed)
    order = rng.sample(range(len(rows)), len(rows))

    async def work(slots: asyncio.Semaphore, row: int) -> None:
        async with slots:
            while batch.dialogue(row).stop is None:
                await asyncio.sleep(rng.random() * 0.002)
                await batch.step(row, student(batch.dialogue(row)))

    async def go() -> None:
        slots = asyncio.Semaphore(workers)
        await asyncio.gather(*(work(slots, row) for row in order))

    asyncio.run(asyncio.wait_for(go(), 60))
    batch.close()
    return batch.episodes(), batch.settle()


def test_a_recording_replays_to_the_same_episodes_and_rewards(tmp_path: Path) -> None:
    path = str(tmp_path / "r.jsonl")
    recorder = RecordingTeacher(path, Chatty(faults=True))
    episodes, rewards = play(recorder, workers=64, seed=0)
    run(recorder.close())
    assert {len(episode.attempts) for episode in episodes} == {1, 2, 3}
    assert len({reward for row in rewards for reward in row}) > 2
    stories = [_story(episode) for episode in episodes]
    for workers, seed in [(1, 1), (64, 2), (64, 3), (7, 4)]:
        again, paid = play({"kind": "recorded", "path": path}, workers, seed)
        assert [_story(episode) for episode in again] == stories
        assert paid == rewards


def _story(episode: Episode) -> Any:
    said = [(a.text, a.verdict, a.guidance and what(a.guidance)) for a in episode.attempts]
    return episode.question.id, said, episode.rewards, episode.stop


def test_the_vector_environment_numbers_its_rollouts(tmp_path: Path) -> None:
    """So a recording made by the lockstep face replays in the asynchronous one."""
    env = SocraticVectorEnv(
        16,
        rollouts_per_question=8,
        questions=QUESTIONS[:2],
        teacher={"kind": "recording", "path": str(tmp_path / "r"), "teacher": Chatty()},
    )
    env.reset(options={"question_ids": ["q0", "q1"]})
    env.step(["I do not know."] * 16)
    told = [env._open().dialogue(row).attempts[0].guidance for row in range(16)]
    env.close()
    rows = [question for question in QUESTIONS[:2] for _ in range(8)]
    batch = SocraticBatch(rows, teacher={"kind": "recorded", "path": str(tmp_path / "r")})
    for row in reversed(range(16)):
        run(batch.step(row, "I do not know."))
    assert [batch.dialogue(row).attempts[0].guidance for row in range(16)] == told
    assert len({guidance.text for guidance in told if guidance}) == 16


def test_a_recording_teacher_copies_and_passes_on_checks(tmp_path: Path) -> None:
    spec = {"kind": "recording", "path": str(tmp_path / "r"), "teacher": "rule"}
    teacher = from_spec(spec)
    run(teacher.guide([request_on(QUESTIONS[0])]))
    assert repr(pickle.loads(pickle.dumps(teacher))).startswith("RecordingTeacher(")
    assert repr(RecordedTeacher(tmp_path / "r")).startswith("RecordedTeacher(")
    run(teacher.close())
    mine = Chatty()
    run(RecordingTeacher(tmp_path / "s", mine).close())
    assert not mine.closed
    assert issubclass(TeacherUnavailable, TeacherError)
    assert not issubclass(RecordingError, TeacherError), "a wrong replay must stop the run, not become data"
