"""`socratic eval`: exact numbers against a scripted endpoint, faults, kills, resuming, real rows."""

import html
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from support.misbehaving_server import MisbehavingServer

from socratic_env.cli import main
from socratic_env.evaluation import runner
from socratic_env.evaluation.comparison import draw_questions
from socratic_env.evaluation.statistics import pass_at_k
from socratic_env.questions import load_questions
from socratic_env.questions.audit.blind import RULES
from socratic_env.questions.exclusion import ids_with
from socratic_env.records.journal import Journal, whole_lines
from socratic_env.types import reply

pytestmark = pytest.mark.timeout(180)

QUESTIONS = draw_questions(load_questions("procedural", None, "test"), 6, seed=0)
SMALL = ["--number", "6", "--samples", "4", "--max-attempts", "3", "--resamples", "50"]
WAIT_S = 60


def solved_at(question, sample):
    """The attempt at which the script is right; 4 and more is never with K = 3."""
    return 1 + (question + sample) % 5


def script(body):
    """Right or wrong by the question, the sample (seed) and the attempt."""
    said = [m for m in body["messages"] if m["role"] == "assistant"]
    text = body["messages"][1]["content"]
    place, question = next((i, q) for i, q in enumerate(QUESTIONS) if q.text == text)
    right = len(said) + 1 >= solved_at(place, body["seed"])
    return reply("Scripted.", question.answer if right else question.mistakes[0].answer)


@pytest.fixture(autouse=True)
def few_for_blind_rules(monkeypatch):
    """A second less for each evaluation."""
    monkeypatch.setattr(runner, "KNOWN", 40)


@pytest.fixture
def server():
    running = MisbehavingServer()
    running.script = script
    yield running
    running.stop()


def student(server, model="scripted", **more):
    return ["--student", json.dumps({"kind": "openai", "base_url": server.url, "model": model, **more})]


def command(*arguments):
    try:
        return main(["eval", *map(str, arguments)])
    except SystemExit as stop:
        return stop.code


def evaluate(capsys, out, *arguments):
    """(status, result, stderr)."""
    capsys.readouterr()
    status = command(*arguments, "--out", out, "--json")
    shown = capsys.readouterr()
    return status, json.loads(shown.out) if shown.out else None, shown.err


def episodes(out, name="episodes.jsonl"):
    return [json.loads(line) for line in whole_lines(out / name)]


def keys(records):
    return Counter((record["question_id"], record["sample"]) for record in records)


ALL = Counter({(q.id, sample): 1 for q in QUESTIONS for sample in range(4)})


# -- numbers -----------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_script(capsys, server, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "KNOWN", 1000)
    status, result, _ = evaluate(capsys, tmp_path / "out", *SMALL, *student(server))
    assert status == 0
    table = [[solved_at(q, sample) for sample in range(4)] for q in range(6)]
    flat = [at for row in table for at in row]
    whole = result["all"]
    for k in (1, 2, 3):
        assert whole["guided"][str(k)]["value"] == pytest.approx(sum(at <= k for at in flat) / 24)
    for k in (2, 3):
        reached = [at for at in flat if at >= k]
        rate = sum(at == k for at in reached) / len(reached)
        assert whole["correction_rate"][str(k)]["value"] == pytest.approx(rate)
    for k in (1, 2, 4):
        exact = sum(pass_at_k(4, row.count(1), k) for row in table) / 6
        assert whole["pass_at"][str(k)]["value"] == pytest.approx(exact)
    assert whole["unassisted"] == whole["guided"]["1"]
    assert sum(part["questions"] for part in result["domains"]) == 6
    (first,) = [p for p in result["subtasks"] if p["subtask"] == QUESTIONS[0].subtask][:1]
    rows = [table[i] for i, q in enumerate(QUESTIONS) if q.subtask == QUESTIONS[0].subtask]
    assert first["guided"]["3"]["value"] == pytest.approx(
        sum(at <= 3 for row in rows for at in row) / 4 / len(rows)
    )
    assert first["blind"]["chance"] == pytest.approx(0.25)
    assert first["blind"]["rows"] > 50
    assert keys(episodes(tmp_path / "out")) == ALL
    sent = server.requests[0]
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.6, 0.95, 8192)
    assert {request["seed"] for request in server.requests} == {0, 1, 2, 3}


def test_episodes_do_not_wait_for_each_other_and_the_cap_holds(capsys, server, tmp_path):
    options = [*SMALL, *student(server, "scripted:0.05"), "--concurrency", "5"]
    assert evaluate(capsys, tmp_path / "out", *options)[0] == 0
    assert server.peak == 5
    attempts = [sum(m["role"] == "assistant" for m in r["messages"]) for r in server.requests]
    assert attempts.index(2) < len(attempts) - 1 - attempts[::-1].index(0), (
        "third attempts before last first ones"
    )


def test_a_scripted_student_needs_no_endpoint_and_seeds_decide(capsys, tmp_path):
    one, two = (evaluate(capsys, tmp_path / name, *SMALL)[1] for name in "ab")
    other = evaluate(capsys, tmp_path / "c", *SMALL, "--seed", "1")[1]
    assert one == two
    assert one["all"] != other["all"]


def test_the_page_stands_alone_and_the_table_names_all_parts(capsys, tmp_path):
    assert command(*SMALL, "--out", tmp_path / "out") == 0
    shown = capsys.readouterr()
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<svg" in text
    assert "http" not in text
    assert "src=" not in text
    for question in QUESTIONS:
        assert question.subtask in text
        assert question.subtask in shown.out
    assert "corrected at 3" in shown.out
    assert "report.html" in shown.err


# -- going on ----------------------------------------------------------------------------


@pytest.mark.slow
def test_kills_at_any_moment_lose_and_double_nothing(capsys, server, tmp_path):
    out = tmp_path / "out"
    options = [*SMALL, *student(server, "scripted:0.05"), "--concurrency", "3"]
    code = "import sys; from socratic_env.cli import main; sys.exit(main(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "eval", *options, "--out", str(out)]
    for wanted in (1, 7, 15):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + WAIT_S
        while not (out / "episodes.jsonl").exists() or len(episodes(out)) < wanted:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with (out / "episodes.jsonl").open("a") as file:
        file.write('{"question_id": "torn')
    before = len(server.requests)
    held = len(episodes(out))
    status, result, _ = evaluate(capsys, out, *options)
    assert status == 0
    assert keys(episodes(out)) == ALL
    assert len(server.requests) - before <= 3 * (24 - held), "episodes that were over were played again"
    whole = evaluate(capsys, tmp_path / "whole", *options)[1]
    assert result == whole


def test_an_interrupt_keeps_what_is_over(capsys, server, tmp_path, monkeypatch):
    ended = []
    write = runner.EvaluationFolder.write

    def interrupted(self, dialogue, fault):
        write(self, dialogue, fault)
        ended.append(dialogue)
        if len(ended) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(runner.EvaluationFolder, "write", interrupted)
    options = [*SMALL, *student(server, "scripted:0.02"), "--concurrency", "2"]
    status, result, err = evaluate(capsys, tmp_path / "out", *options)
    assert status == 130
    assert "interrupted" in err
    assert 5 <= result["all"]["episodes"] < 24
    status, result, _ = evaluate(capsys, tmp_path / "out", *options)
    assert (status, result["all"]["episodes"]) == (0, 24)


def test_a_finished_evaluation_is_only_reported_again(capsys, server, tmp_path):
    out = tmp_path / "out"
    assert evaluate(capsys, out, *SMALL, *student(server))[0] == 0
    asked = len(server.requests)
    status, result, _ = evaluate(capsys, out, *SMALL, *student(server), "--pass-k", "3", "--concurrency", "1")
    assert status == 0
    assert list(result["all"]["pass_at"]) == ["3"]
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("changed", "named"),
    [(["--seed", "3"], "seed: 0 -> 3"), (["--samples", "5"], "samples: 4 -> 5"),
     (["--protocol", "one_question"], "protocol: 'paper' -> 'one_question'"),
     (["--temperature", "0"], "temperature: 0.6 -> 0.0"), (["--number", "5"], "number: 6 -> 5")],
)  # fmt: skip
def test_other_settings_in_the_same_folder_are_refused(capsys, tmp_path, changed, named):
    assert evaluate(capsys, tmp_path / "out", *SMALL)[0] == 0
    before = (tmp_path / "out" / "episodes.jsonl").read_bytes()
    status, result, err = evaluate(capsys, tmp_path / "out", *SMALL, *changed)
    assert (status, result) == (2, None)
    assert named in err
    assert (tmp_path / "out" / "episodes.jsonl").read_bytes() == before


def test_changed_questions_in_the_same_folder_are_refused(capsys, tmp_path):
    mine = tmp_path / "mine.jsonl"
    rows = [{"question": f"Which {i}?", "options": ["x", "y"], "answer": "B"} for i in range(3)]
    rows = [row | {"mistakes": [{"answer": "A", "name": "slip", "explain": "Wrong one."}]} for row in rows]
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--questions", str(mine), "--samples", "2"]
    assert evaluate(capsys, tmp_path / "out", *options)[0] == 0
    mine.write_text(mine.read_text().replace("Which 2", "What 2"))
    status, _, err = evaluate(capsys, tmp_path / "out", *options)
    assert status == 2
    assert "questions_digest" in err


def test_a_folder_of_something_else_is_left_alone(capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    status, _, err = evaluate(capsys, tmp_path, *SMALL)
    assert status == 2
    assert "not by an evaluation" in err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"steps": 3}')
    assert evaluate(capsys, run, *SMALL)[0] == 2
    assert (run / "config.json").read_text() == '{"steps": 3}'


def test_one_evaluation_at_a_time_writes_to_a_folder(capsys, tmp_path):
    assert evaluate(capsys, tmp_path / "out", *SMALL)[0] == 0
    held = Journal(tmp_path / "out" / "episodes.jsonl", "")
    status, _, err = evaluate(capsys, tmp_path / "out", *SMALL)
    assert status == 2
    assert "another evaluation may be writing there" in err
    held.close()
    assert evaluate(capsys, tmp_path / "out", *SMALL)[0] == 0


# -- faults ------------------------------------------------------------------------------


def test_a_fault_costs_its_episode_only_and_the_rerun_goes_on_after_it(capsys, server, tmp_path):
    """Second attempts of sample 2 are refused: first verdicts stand, and are not drawn again."""
    out = tmp_path / "out"

    def refuses(body):
        again = any(m["role"] == "assistant" for m in body["messages"])
        return 400 if again and body["seed"] == 2 else script(body)

    server.script = refuses
    status, result, err = evaluate(capsys, out, *SMALL, *student(server))
    hit = [q.id for i, q in enumerate(QUESTIONS) if solved_at(i, 2) > 1]
    assert status == 1
    assert keys(episodes(out, "faults.jsonl")) == Counter({(q, 2): 1 for q in hit})
    assert result["all"]["episodes"] == 24 - len(hit)
    assert result["faults"][0]["episodes"] == len(hit)
    assert "HTTP 400" in err
    firsts = [solved_at(i, s) == 1 for i in range(6) for s in range(4)]
    assert result["all"]["unassisted"]["value"] == pytest.approx(sum(firsts) / 24)

    server.script, asked = script, len(server.requests)
    status, result, _ = evaluate(capsys, out, *SMALL, *student(server))
    assert status == 0
    again = server.requests[asked:]
    assert all(any(m["role"] == "assistant" for m in request["messages"]) for request in again)
    assert {request["seed"] for request in again} == {2}
    assert keys(episodes(out)) == ALL
    assert result == evaluate(capsys, tmp_path / "whole", *SMALL, *student(server))[1]


def test_a_fault_of_the_teacher_keeps_the_verdict_too(capsys, server, tmp_path):
    out = tmp_path / "out"
    teacher = {"kind": "openai", "base_url": server.url, "model": "good", "retries": 0}
    options = [*SMALL, *student(server), "--teacher", json.dumps(teacher)]
    server._good = None  # the server breaks on each of the teacher's requests
    status, result, err = evaluate(capsys, out, *options)
    assert status == 1
    assert "teacher: " in err
    again = sum(solved_at(i, s) > 1 for i in range(6) for s in range(4))
    assert again == result["open"]["episodes"] == result["all"]["open"] > 0
    assert result["open"]["why"] == {"TeacherUnavailable": again}
    corrected = result["all"]["correction_rate"]["2"]
    assert (corrected["value"], corrected["upper"], corrected["open"]) == (0.0, 1.0, again)
    guided = result["all"]["guided"]["3"]
    assert (guided["value"], guided["open"]) == (result["all"]["unassisted"]["value"], again)
    assert guided["upper"] == 1.0 == guided["interval"][1]
    (line,) = result["warnings"]
    assert line.startswith(f"{again} of 24 episodes are open ({again} TeacherUnavailable)")
    assert f"WARNING: {line}" in err
    assert html.escape(line) in (out / "report.html").read_text(encoding="utf-8")
    assert result["all"]["guided"]["1"]["value"] == pytest.approx(
        sum(solved_at(i, s) == 1 for i in range(6) for s in range(4)) / 24
    )
    del server._good
    status, result, _ = evaluate(capsys, out, *options)
    assert (status, result["all"]["episodes"], result["faults"]) == (0, 24, [])


def test_malformed_replies_are_faults_and_empty_ones_are_wrong_answers(capsys, server, tmp_path):
    bodies = {
        "list": b"[]", "html": b"<html>", "deep": b"[" * 100_000, "none": b'{"choices": [{"message": null}]}',
    }  # fmt: skip
    for name, body in bodies.items():
        server.bodies[name] = ("application/json", body)
        options = ["--number", "2", "--samples", "1", *student(server, f"body:{name}")]
        status, result, _ = evaluate(capsys, tmp_path / name, *options)
        assert (status, result["all"]["episodes"]) == (1, 0)
        unassisted = result["all"]["unassisted"]
        assert (unassisted["value"], unassisted["upper"], unassisted["interval"]) == (0.0, 1.0, [0.0, 1.0])
        assert (tmp_path / name / "report.html").exists()
    empty = b'{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}'
    server.bodies["empty"] = ("application/json", empty)
    options = ["--number", "2", "--samples", "1", *student(server, "body:empty")]
    status, result, err = evaluate(capsys, tmp_path / "empty", *options)
    assert (status, result["all"]["unassisted"]["value"]) == (0, 0.0)
    assert result["all"]["unassisted"]["interval"] == pytest.approx([0.0, 0.658], abs=1e-3)
    for name, words in (("cut", "did not end by themselves"), ("empty", "are empty")):
        assert result["all"]["replies"][name]["value"] == 1.0
        assert any(words in line for line in result["warnings"])
        assert words in err
        assert words in (tmp_path / "empty" / "report.html").read_text(encoding="utf-8")


def test_an_endpoint_that_is_gone_stops_the_run(capsys, server, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "GIVE_UP", 10)
    options = [*SMALL, *student(server, "status:400"), "--concurrency", "2"]
    status, result, err = evaluate(capsys, tmp_path / "out", *options)
    assert status == 1
    assert "10 episodes in a row met a fault" in err
    assert result["all"]["episodes"] == 0
    assert len(server.requests) <= 12


def test_a_full_disk_is_said(capsys, tmp_path, monkeypatch):
    def full(self, line):
        raise runner.StudentError("the disk is full")

    monkeypatch.setattr(Journal, "append", full)
    status, _, err = evaluate(capsys, tmp_path / "out", *SMALL)
    assert status == 1
    assert "the disk is full" in err


@pytest.mark.parametrize(
    "arguments",
    [["--student", "parrot"], ["--student", "{oops"], ["--samples", "0"], ["--number", "0"],
     ["--pass-k", "17"], ["--kinds", "mis-split options"], ["--kinds", "rust"],
     ["--concurrency", "0"], ["--teacher", "nobody"], ["--seed", "-1"],
     ["--temperature", "nan"], ["--temperature", "-1"], ["--top-p", "0"], ["--top-p", "1.1"],
     ["--protocol", "none"], ["--questions", "absent.jsonl"], ["--exclude", "absent.json"],
     ["--student", '{"kind": "vllm", "model": "/nowhere"}'], ["--max-attempts", "0"],
     ["--student", '{"kind": "openai", "base_url": "http://x/v1", "model": "m", "temperature": 1}']],
)  # fmt: skip
def test_unusable_arguments_are_status_2_and_leave_nothing(capsys, tmp_path, arguments):
    assert command(*arguments, "--out", tmp_path / "out") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err
    assert not (tmp_path / "out").exists()


# -- published rows, a real model ---------------------------------------------------------


def test_published_rows_by_sub_task_beside_blind_rules(published, capsys, server, tmp_path):
    """A student that always takes the second largest number is perfect on ESOL and logD items."""
    data = published.rows
    skip = tmp_path / "skip.json"
    assert main(["audit", str(data), "--out", str(skip)]) == 0
    known = {q.text: q for q in load_questions(data, None, "test", skip)}

    def second_largest(body):
        question = known[next(m for m in body["messages"] if m["role"] == "user")["content"]]
        shares = RULES["2nd largest number"](question)
        letter = question.letters[shares.index(max(shares))] if shares else "A"
        return reply("By rank.", letter)

    server.script = second_largest
    options = ["--questions", data, "--exclude", skip, "--samples", "1", "--max-attempts", "1"]
    options += ["--teacher", "retry", "--number", "400", "--resamples", "100", *student(server)]
    status, result, _ = evaluate(capsys, tmp_path / "out", *options)
    assert status == 0
    found = {part["subtask"]: part for part in result["subtasks"]}
    for name in ("ESOL_value_prediction", "Lipophilicity_value_prediction"):
        part = found[name]
        assert part["blind"]["rule"] == "2nd largest number"
        assert part["unassisted"]["value"] == pytest.approx(1.0) == part["blind"]["accuracy"]
        low, high = part["unassisted"]["interval"]
        assert (low, high) == pytest.approx((part["questions"] / (part["questions"] + 3.8415), 1.0), abs=1e-3)
    assert {part["domain"] for part in result["domains"]} == {"biology", "chemistry", "material", "physics"}
    assert sum(part["questions"] for part in result["subtasks"]) == min(400, len(known))
    assert all(part["blind"]["accuracy"] >= part["blind"]["chance"] for part in result["subtasks"])


def test_kinds_choose_among_the_rows_to_leave_out(capsys, tmp_path):
    mine, skip = tmp_path / "mine.jsonl", tmp_path / "skip.json"
    rows = [{"question": f"Which {word}?", "options": ["x", "y"], "answer": "B"} for word in ("a", "b", "c")]
    rows += [rows[0], rows[1] | {"answer": "Z"}]
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["audit", str(mine), "--out", str(skip)]) == 0
    assert len(ids_with(skip, ["exact duplicate"])) == 1
    assert len(ids_with(skip, ["exact duplicate", "label outside the options"])) == 2
    options = [
        "--questions",
        mine,
        "--split",
        "train",
        "--exclude",
        skip,
        "--samples",
        "1",
        "--teacher",
        "retry",
    ]
    for kinds, asked in (((), 3), (("label outside the options",), 4)):
        # The scripted student refuses rows without mistakes, after the questions were read.
        status = command(*options, "--out", tmp_path / f"out{asked}", *(("--kinds", *kinds) if kinds else ()))
        assert status == 2
        assert json.loads((tmp_path / f"out{asked}" / "config.json").read_text())["questions_asked"] == asked
    assert command(*options, "--kinds", "exact duplicate", "--out", tmp_path / "none") == 2
    assert "none of the options" in capsys.readouterr().err
    skip.write_text('["unknown/train/0"]')
    assert command(*options, "--kinds", "exact duplicate", "--out", tmp_path / "none") == 2
    assert "which names no problem" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.timeout(400)
@pytest.mark.slow
def test_a_local_model(capsys, tiny_student, tmp_path):
    engine = {"kv_cache_memory_bytes": 2**27, "block_size": 32, "enforce_eager": True}
    spec = {"kind": "vllm", "model": str(tiny_student[2]), "max_model_len": 96, "engine": engine}
    options = ["--student", json.dumps(spec), "--questions", "concepts", "--number", "24", "--samples", "8"]
    options += ["--max-tokens", "32", "--temperature", "1", "--top-p", "1", "--max-attempts", "3"]
    status, result, _ = evaluate(capsys, tmp_path / "out", *options)
    assert status == 0
    assert 0 < result["all"]["unassisted"]["value"] < 1
    assert result["all"]["pass_at"]["8"]["value"] > result["all"]["pass_at"]["1"]["value"]
    records = episodes(tmp_path / "out")
    by_question = Counter((r["question_id"], r["attempts"][0]["text"]) for r in records)
    assert max(by_question.values()) < 8, "samples of one question must differ"
    again = evaluate(capsys, tmp_path / "again", *options)[1]
    assert again == result, "the seed decides, whatever runs together"


# -- endpoints that will never answer ------------------------------------------------------


def elsewhere(server, url, model="scripted"):
    spec = {"kind": "openai", "base_url": url, "model": model, "retries": 0}
    return ["--student", json.dumps(spec), "--concurrency", "4"]


@pytest.mark.parametrize("who", ["student", "teacher"])
@pytest.mark.parametrize(
    ("code", "hint"), [(401, "no key was sent"), (403, "no key was sent"), (404, "/models")]
)
def test_a_refusal_of_every_call_stops_it_at_once(capsys, server, tmp_path, monkeypatch, who, code, hint):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.replies = [(code, {}, {"error": {"message": "no such model, or no such key"}})]
    options = [*SMALL, *student(server, "replies" if who == "student" else "scripted"), "--concurrency", "2"]
    if who == "teacher":
        teacher = {"kind": "openai", "base_url": server.url, "model": "replies"}
        options += ["--teacher", json.dumps(teacher)]
    status, result, err = evaluate(capsys, tmp_path / "out", *options)
    assert status == 1
    assert f'refused: HTTP {code}: "no such model, or no such key"' in err
    assert hint in err
    assert "stopped, since every episode would meet this fault" in err
    refused = [request for request in server.requests if request["model"] == "replies"]
    assert 1 <= len(refused) <= 2
    server.replies = [(200, {}, {"choices": [{"message": {"content": "Look again."}}]})]
    status, result, _ = evaluate(capsys, tmp_path / "out", *options)
    assert (status, result["all"]["episodes"]) == (0, 24), "mended, the same command goes on"


def test_an_address_where_nobody_answers_stops_it_at_once(capsys, server, tmp_path):
    wrong_port = elsewhere(server, "http://127.0.0.1:9/v1")
    status, _, err = evaluate(capsys, tmp_path / "port", *SMALL, *wrong_port)
    assert status == 1
    assert "connection refused" in err
    assert "is the port right?" in err
    assert len(episodes(tmp_path / "port", "faults.jsonl")) <= 4
    wrong_path = elsewhere(server, server.url.removesuffix("/v1"))
    status, _, err = evaluate(capsys, tmp_path / "path", *SMALL, *wrong_path)
    assert status == 1
    assert "base_url usually ends in '/v1', and this one does not" in err


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_a_dialogue_that_outgrows_the_server_is_over(capsys, server, tmp_path, who):
    """Second attempts, or guidance on first ones, do not fit: those episodes end, and fail no more."""
    words = "This model's maximum context length is 512 tokens. However, you requested 600 tokens."
    server.replies = [(400, {}, {"error": {"message": words, "code": 400}})]
    options = [*SMALL, *student(server)]
    if who == "student":
        server._scripted = full_at_second(server._scripted, server._replies)
    else:
        options += ["--teacher", json.dumps({"kind": "openai", "base_url": server.url, "model": "replies"})]
    status, result, err = evaluate(capsys, tmp_path / "out", *options)
    assert (status, result["all"]["episodes"], result["faults"]) == (0, 24, [])
    assert "not over" not in err
    unsolved = [e for e in episodes(tmp_path / "out") if e["stop"] == "context_limit"]
    assert len(unsolved) == sum(solved_at(i, s) > 1 for i in range(6) for s in range(4))
    assert all(len(e["attempts"]) == 1 for e in unsolved)


def full_at_second(answer, refuse):
    async def behave(request, argument, times):
        body = await request.json()
        again = any(m["role"] == "assistant" for m in body["messages"])
        return await (refuse if again else answer)(request, argument, times)

    return behave


def test_prompts_that_never_fit_are_told_aloud(capsys, server, tmp_path):
    server.replies = [(400, {}, {"error": {"message": "too long", "code": "context_length_exceeded"}})]
    status, result, err = evaluate(capsys, tmp_path / "out", *SMALL, *student(server, "replies"))
    assert (status, result["all"]["episodes"], result["no_attempt"]) == (0, 24, 24)
    assert (
        "24 episodes ended before a first attempt: their prompt, with --max-tokens 8192, does not fit" in err
    )


def test_what_is_not_sent_is_not_shown_as_sent(capsys, server, tmp_path):
    request = {"temperature": None, "top_p": 0.5}
    options = [*SMALL, *student(server, request=request, rename={"max_tokens": "max_completion_tokens"})]
    status, result, _ = evaluate(capsys, tmp_path / "out", *options)
    assert (status, result["temperature"], result["top_p"]) == (0, None, 0.5)
    assert server.requests[0]["max_completion_tokens"] == 8192
    assert not {"temperature", "max_tokens"} & set(server.requests[0])
    assert "temperature left to the server" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
