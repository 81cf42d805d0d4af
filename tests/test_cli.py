"""The console script: help, exit status, JSON for machines, and play with a piped answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.made_data import Published

import envs_registry
import socratic_env
from envs_registry import IDS
from socratic_env import cli
from socratic_env.cli import commands, main
from socratic_env.cli.play import wrapped
from socratic_env.questions import load_questions
from socratic_env.types import AnswerKind, Option, Question, reply

PAPER = str(Path(envs_registry.__file__).parent / "variants" / "paper.md")
ROW = {"question": "Which?", "options": ["x", "y"], "answer": "B"}


def status(*arguments: str) -> int:
    """The exit status of a command, whether it returns or exits."""
    try:
        return main(list(arguments))
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1


def test_an_interrupted_command_says_so_in_one_line(monkeypatch, capsys):
    def interrupted(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("socratic_env.cli.audit.main", interrupted)
    assert main(["audit", "x"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    rows = [ROW, ROW | {"question": "How?", "options": {"A": "this", "B": "other"}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# -- all commands ------------------------------------------------------------------------


def test_without_a_command_or_with_help_the_commands_are_listed(capsys: Any) -> None:
    assert (status("--help"), status()) == (0, 2)
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in commands())


@pytest.mark.parametrize(("given", "meant"), [
    ("nonsense", None), ("pley", "play"), ("bench_teachers", "bench-teachers"), ("env", "envs"),
    ("bench-teacher", "bench-teachers"), ("--hlep", "--help"), ("shared", None), ("__init__", None),
    ("", None), ("../cli/play", None),
])  # fmt: skip
def test_an_unknown_command_is_refused(given: str, meant: str | None, capsys: Any) -> None:
    assert status(given) == 2
    said = capsys.readouterr().err
    assert f"unknown command {given!r}; use one of: --help, --version, audit, " in said
    assert "did you mean" not in said if meant is None else f"did you mean {meant!r}?" in said


def test_the_version_is_that_of_the_package(capsys: Any) -> None:
    assert status("--version") == 0
    assert capsys.readouterr().out == f"socratic-env {socratic_env.__version__}\n"


def test_every_command_says_in_a_line_what_it_does() -> None:
    assert {"envs", "play", "eval", "bench-teachers", "audit", "view"} <= commands().keys()
    for name, summary in commands().items():
        assert 10 < len(summary) < 90, name
        assert "`" not in summary
        assert not summary.endswith(".")


def test_one_new_file_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "say_hello.py").write_text(
        '"""`socratic say-hello NAME`: say hello.\n\nMore."""\n\ndef main(arguments):\n'
        "    print('hello', *arguments)\n    return 0\n"
    )
    (tmp_path / "no_command.py").write_text('"""Helps others."""\n1 / 0\n')
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    commands.cache_clear()
    try:
        assert status("--help") == 0
        assert "  say-hello       say hello\n" in capsys.readouterr().out
        assert "no-command" not in commands()
        assert status("say-hello", "you") == 0
        assert capsys.readouterr().out == "hello you\n"
    finally:
        commands.cache_clear()


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help_with_its_settings(command: str, capsys: Any) -> None:
    assert status(command, "--help") == 0
    assert f"usage: socratic {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", commands())
def test_every_command_refuses_an_unknown_setting(command: str) -> None:
    assert status(command, "--no-such-setting") == 2


# -- envs --------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["envs"], ["eval", "--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments: list[str]) -> None:
    code = "import sys; from socratic_env.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, "")


def test_envs_lists_the_ids(capsys: Any) -> None:
    assert status("envs", "--json") == 0
    assert "SocraticSciKnow-v0" in [entry["id"] for entry in json.loads(capsys.readouterr().out)]
    assert status("envs") == 0
    assert "SocraticMaterial-v0" in capsys.readouterr().out


def test_envs_prints_one_line_for_each_id_into_a_pipe() -> None:
    code = "import sys; from socratic_env.cli import main; sys.exit(main(['envs']))"
    for width in ("20", "80"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
                              check=True, env={**os.environ, "COLUMNS": width})  # fmt: skip
        lines = done.stdout.splitlines()
        assert [line.split()[0] for line in lines] == [entry.id for entry in IDS]
        assert all(line.endswith(entry.summary) for line, entry in zip(lines, IDS, strict=True))


# -- audit -------------------------------------------------------------------------------


def test_audit_prints_json_on_stdout_and_progress_on_stderr(mine: Path, capsys: Any) -> None:
    mine.write_text(mine.read_text() + json.dumps(ROW | {"answer": "Z"}) + "\n" + json.dumps(ROW) + "\n")
    assert status("audit", str(mine), "--json") == 0
    captured = capsys.readouterr()
    held = json.loads(captured.out)
    assert list(held) == ["rows", "subtasks"]
    assert [(row["id"], row["problem"].split(":")[0]) for row in held["rows"]] == [
        ("unknown/train/2", "label outside the options"),
        ("unknown/train/3", "exact duplicate"),
    ]
    assert all(set(row) == {"id", "problem"} for row in held["rows"])
    assert "reading" in captured.err


def test_audit_writes_a_file_that_exclude_reads(mine: Path, tmp_path: Path, capsys: Any) -> None:
    mine.write_text(mine.read_text() + json.dumps(ROW | {"answer": "Z"}) + "\n")
    out = tmp_path / "skip.json"
    assert status("audit", str(mine), "--out", str(out), "--strict") == 1
    assert "sub-task" in capsys.readouterr().out
    assert len(load_questions(mine, exclude=out)) == 2


def test_audit_of_kinds_and_of_a_procedural_family(mine: Path, capsys: Any) -> None:
    assert status("audit", str(mine), "--kinds", "data missing", "--json", "--strict") == 0
    assert status("audit", "concepts", "--limit", "50") == 0
    assert "best blind rule" in capsys.readouterr().out


def test_audit_counts_tokens(mine: Path, tmp_path: Path, capsys: Any) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    vocabulary.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=vocabulary).save_pretrained(tmp_path / "tok")
    assert status("audit", str(mine), "--tokenizer", str(tmp_path / "tok"), "--json") == 0
    (entry,) = json.loads(capsys.readouterr().out)["subtasks"]
    assert 5 < entry["tokens"]["median"] < 30


@pytest.mark.parametrize(
    "arguments",
    [
        ("absent.jsonl",),
        ("--kinds", "rust", "{mine}"),
        ("{mine}", "--tokenizer", "absent"),
        (),
        ("concepts", "--limit", "0"),
    ],
)
def test_audit_refuses_unusable_arguments(arguments: tuple[str, ...], mine: Path, capsys: Any) -> None:
    assert status("audit", *(text.replace("{mine}", str(mine)) for text in arguments)) == 2
    assert capsys.readouterr().err


def test_audit_that_cannot_write_fails(mine: Path, tmp_path: Path) -> None:
    assert status("audit", str(mine), "--out", str(tmp_path / "absent" / "x.json")) == 1


def test_audit_imports_no_transformers(mine: Path) -> None:
    code = "import sys; from socratic_env.cli import main; main(sys.argv[1:])"
    code += "; assert 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "audit", str(mine)], check=True, capture_output=True)


def test_audit_of_the_published_rows(published: Published, capsys: Any) -> None:
    assert status("audit", str(published.rows), "--json") == 0
    held = json.loads(capsys.readouterr().out)
    mis_split = [row["id"] for row in held["rows"] if row["problem"].startswith("mis-split")]
    found = sum(row_id.startswith("physics/") for row_id in mis_split)
    assert found == sum(published.mis_split.values())
    assert sum(entry["rows"] for entry in held["subtasks"]) == sum(published.counts.values())


# -- play --------------------------------------------------------------------------------


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from socratic_env.cli import main; sys.exit(main(sys.argv[1:]))"
    *options, text = arguments
    command = [sys.executable, "-c", code, "play", *options]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)


def test_play_with_piped_answers(mine: Path) -> None:
    arguments = ("--questions", str(mine), "--teacher", "retry", "--seed", "0", "--episodes", "2")
    done = play("SocraticSciKnow-v0", *arguments, "a\n\nb\nB\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrong (wrong option), reward 0.000" in done.stdout
    assert "teacher: Your answer is incorrect. Try again." in done.stdout
    assert "right (correct), reward" in done.stdout
    assert done.stdout.count("the episode ended: solved") == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
def test_play_in_a_terminal_that_is_not_utf_8(encoding: str, tmp_path: Path) -> None:
    """What the terminal lacks is replaced; what was typed in other bytes is a wrong answer, no traceback."""
    row = {"question": "Wie groß ist λ in Å \u2192 hier?", "options": ["5 Å", "7 µm"], "answer": "B"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    code = "import sys; from socratic_env.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ["--questions", str(tmp_path / "rows.jsonl"), "--teacher", "retry", "--max-attempts", "3"]
    done = subprocess.run(
        [sys.executable, "-c", code, "play", "SocraticSciKnow-v0", *options],
        input="λ\nB\n".encode(),
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode(encoding.partition(":")[0])
    assert "Wie gro" in shown
    assert " in " in shown
    assert "? hier?" in shown
    assert "the episode ended: solved" in shown


def test_an_environment_shows_itself_in_a_terminal_that_is_not_utf_8() -> None:
    code = (
        "import gymnasium as gym, socratic_env\n"
        "env = gym.make('SocraticSciKnow-v0', render_mode='human', teacher='retry')\n"
        "env.reset(seed=0); env.step('\u03bb \u2192 5 \u00c5')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=120, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"? ? 5 ?" in done.stdout


def test_play_prints_a_transcript_for_machines(mine: Path, monkeypatch: Any, capsys: Any) -> None:
    typed(monkeypatch, "<answer>\nA\n</answer>\nB\n")
    assert status("play", "--questions", str(mine), "--teacher", "retry", "--json") == 0
    captured = capsys.readouterr()
    held = json.loads(captured.out)
    first, second = held["episodes"][0]["attempts"]
    assert (first["answer"], first["correct"], first["reward"]) == ("A", False, 0.0)
    assert second["correct"] is (held["episodes"][0]["stop_reason"] == "solved")
    assert "Which?" in captured.err or "How?" in captured.err


@pytest.mark.parametrize("text", ["", "\n", "A\n", "<answer>"])
def test_the_end_of_the_input_leaves_cleanly(text: str, mine: Path, monkeypatch: Any, capsys: Any) -> None:
    typed(monkeypatch, text)
    rows = ("--questions", str(mine), "--teacher", "retry", "--max-attempts", "3")
    assert status("play", "SocraticSciKnow-v0", *rows) == 0
    assert "left before the end" in capsys.readouterr().out


def test_play_takes_a_domain_split_and_protocol(monkeypatch: Any, capsys: Any) -> None:
    typed(monkeypatch, "A\n")
    chosen = ("--domain", "physics", "--split", "test", "--protocol", PAPER, "--max-attempts", "1")
    assert status("play", *chosen, "--json") == 0
    (episode,) = json.loads(capsys.readouterr().out)["episodes"]
    assert episode["question_id"].startswith("physics/")
    assert "/test/" in episode["question_id"]
    assert episode["stop_reason"] in ("solved", "out_of_attempts")


@pytest.mark.parametrize(
    "arguments",
    [
        ("NoSuch-v0",),
        ("CartPole-v1",),
        ("SocraticSciKnow-Discrete-v0",),
        ("--domain", "alchemy"),
        ("--teacher", "{broken"),
        ("--questions", "absent.jsonl"),
        ("--max-attempts", "0"),
    ],
)
def test_play_refuses_unusable_arguments(arguments: tuple[str, ...], monkeypatch: Any, capsys: Any) -> None:
    typed(monkeypatch, "A\n")
    assert status("play", *arguments) == 2
    assert "error" in capsys.readouterr().err.lower()


def test_bare_letters_and_numbers_are_wrapped() -> None:
    number = Question("n", "physics", AnswerKind.NUMERIC, "How much?", "3", unit="m")
    letter = Question("c", "physics", AnswerKind.CHOICE, "Which?", "A", (Option("A", "x"), Option("B", "y")))
    assert wrapped(letter, " b ") == reply("Typed by hand.", "B")
    assert wrapped(letter, "C") == "C"
    assert wrapped(number, "3 m") == reply("Typed by hand.", "3 m")
    assert wrapped(number, "three") == "three"
