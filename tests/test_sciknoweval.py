"""SciKnowEval files in their three forms: the real rows to the letter, and every known trap."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import pyarrow.parquet as pq
import pytest
from support.made_data import Published
from support.published_forms import FORMS, OPTIONS, paper_row, sdpo_row, user_text, v2_row, write

import socratic_env  # noqa: F401 - registers the ids
from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.questions import QuestionList, load_questions
from socratic_env.questions.sciknoweval import CLOSING
from socratic_env.types import DOMAINS, Question, reply
from socratic_env.verifiers import by_kind

# -- the published files, made up and real -------------------------------------------------


@cache
def read(published: Published, domain: str, split: str) -> QuestionList:
    questions = load_questions(published.rows, domain, split)
    assert isinstance(questions, QuestionList)
    return questions


def every(published: Published) -> list[Question]:
    return [question for domain, split in published.counts for question in read(published, domain, split)]


def raw(published: Published, domain: str, split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(published.rows / domain / f"{split}.parquet").to_pylist()
    return rows


def test_counts_are_as_published(published: Published) -> None:
    assert {part: len(read(published, *part)) for part in published.counts} == published.counts


def test_every_text_is_the_message_of_its_row(published: Published) -> None:
    for domain, split in published.counts:
        rows = zip(read(published, domain, split), raw(published, domain, split), strict=True)
        for number, (question, row) in enumerate(rows):
            assert question.text == row["prompt"][-1]["content"]
            assert question.system == row["prompt"][0]["content"]
            assert question.answer == row["reward_model"]["ground_truth"]
            assert question.id == f"{domain}/{split}/{number}"
            assert question.domain == domain


def test_every_row_has_its_options_and_a_gold_answer_that_passes(published: Published) -> None:
    for question in every(published):
        assert question.letters in (tuple("ABCD"), tuple("AB"))
        assert question.closing == CLOSING
        assert question.statement.strip()
        assert all(option.text.strip() for option in question.options)
        assert by_kind(question, reply("It follows.", question.answer)).correct


def test_some_biology_rows_have_two_options(published: Published) -> None:
    found = Counter(question.domain for question in every(published) if len(question.options) == 2)
    assert found == {"biology": published.two_options}


def test_options_that_span_lines_are_kept_whole(published: Published) -> None:
    options = [(question.domain, option) for question in every(published) for option in question.options]
    assert Counter(domain for domain, option in options if "\n" in option.text) == {
        "material": published.lines
    }


def test_statements_go_on_after_their_first_blank_line(published: Published) -> None:
    """`extra_info.question` is cut there, so it must not be what is read."""
    cut = 0
    for part in published.counts:
        for question, row in zip(read(published, *part), raw(published, *part), strict=True):
            short = row["extra_info"]["question"][0]
            assert question.text.startswith(short)
            cut += question.text != f"{short}\n{CLOSING}"
    assert cut == published.cut


def test_all_domains_of_a_folder_come_together(published: Published) -> None:
    questions = load_questions(str(published.rows), None, "test")
    assert len(questions) == sum(count for (_, split), count in published.counts.items() if split == "test")
    last = read(published, "material", "test")[-1]
    assert questions.find(last.id) == last


def test_a_single_file_keeps_the_split_of_its_name(published: Published) -> None:
    questions = load_questions(published.rows / "physics" / "test.parquet", None, "train")
    assert questions[0].id == "physics/test/0"


def by_what_they_ask(published: Published) -> dict[tuple[str, tuple[str, ...]], list[Question]]:
    """Rows of the files by statement and option texts."""
    rows: dict[tuple[str, tuple[str, ...]], list[Question]] = {}
    for question in every(published):
        texts = tuple(option.text for option in question.options)
        rows.setdefault((question.statement, texts), []).append(question)
    return rows


def test_the_sdpo_lines_are_the_same_questions(published: Published) -> None:
    """The sample is the first two lines of each test file, in the order of the parquet rows."""
    lines, rows, places = load_questions(published.sdpo), by_what_they_ask(published), []
    for mine in lines:
        (theirs,) = rows[mine.statement, tuple(option.text for option in mine.options)]
        assert (mine.options, mine.answer, mine.text) == (theirs.options, theirs.answer, theirs.text)
        assert mine.system.strip() == theirs.system.strip()
        places.append(theirs.id)
    assert places == [f"{domain}/test/{row}" for domain in sorted(DOMAINS) for row in (0, 1)]


def test_of_the_v2_rows_only_level_3_multiple_choice_is_kept(published: Published) -> None:
    source = [json.loads(line) for line in published.v2.read_text(encoding="utf-8").splitlines()]
    kept = [n for n, row in enumerate(source) if row["details"]["level"] == "L3" and row["choices"]["text"]]
    questions, rows = load_questions(published.v2), by_what_they_ask(published)
    assert len(questions) == len(kept) > 0
    for number, mine in zip(kept, questions, strict=True):
        assert mine.id == f"{mine.domain}/train/{number}"
        assert mine.subtask == source[number]["details"]["subtask"]
        (theirs,) = rows[mine.statement, tuple(option.text for option in mine.options)]
        assert (mine.options, mine.text, mine.domain) == (theirs.options, theirs.text, theirs.domain)
        assert mine.answer == theirs.answer == source[number]["answerKey"]


def test_the_environment_runs_on_a_folder_with_the_retry_teacher(published: Published) -> None:
    env = gym.make("SocraticSciKnow-v0", questions=str(published.rows), split="test", teacher="retry")
    observation, info = env.reset(options={"question_id": "biology/test/0"})
    assert read(published, "biology", "test")[0].text in observation
    observation, *_, info = env.step("<answer>\nZ\n</answer>")
    assert info["guidance"] == "Your answer is incorrect. Try again."
    env.close()


# -- synthetic rows in the three forms ---------------------------------------------------

each_form = pytest.mark.parametrize("form", FORMS)


def load(path: Path, domain: str | None = None, split: str = "train") -> list[Question]:
    questions = load_questions(path, domain, split)
    return [questions[index] for index in range(len(questions))]


@each_form
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".json"])
def test_every_form_in_every_kind_of_file(form: str, suffix: str, tmp_path: Path) -> None:
    rows = [FORMS[form]("Alpha?"), FORMS[form]("Beta?\n\nIt has a table:\nA: 1\nB: 2\n\nSo?", answer="D")]
    first, second = load(write(tmp_path / "physics" / f"train{suffix}", rows))
    assert (first.id, second.id) == ("physics/train/0", "physics/train/1")
    assert first.text == user_text("Alpha?", OPTIONS)
    assert {option.letter: option.text for option in second.options} == OPTIONS
    assert second.statement == "Beta?\n\nIt has a table:\nA: 1\nB: 2\n\nSo?"
    assert (first.answer, second.answer) == ("B", "D")


def test_a_json_file_may_hold_a_row_on_each_line(tmp_path: Path) -> None:
    lines = write(tmp_path / "rows.jsonl", [v2_row("Alpha?"), v2_row("Beta?")])
    path = lines.rename(tmp_path / "rows.json")
    assert [question.statement for question in load(path)] == ["Alpha?", "Beta?"]


@each_form
def test_two_options_are_enough(form: str, tmp_path: Path) -> None:
    row = FORMS[form](options={"A": "yes", "B": "no"}, answer="A")
    (question,) = load(write(tmp_path / "physics" / "train.jsonl", [row]))
    assert question.letters == ("A", "B")
    assert not by_kind(question, reply("So.", "C")).correct


def test_the_instruction_that_is_made_counts_the_options(tmp_path: Path) -> None:
    row = v2_row(options={"A": "yes", "B": "no"}, answer="A")
    (question,) = load(write(tmp_path / "a.jsonl", [row]))
    assert "two options" in question.system
    assert "(A or B)" in question.system


@pytest.mark.parametrize("form", ["paper", "sdpo"])
def test_an_option_may_span_lines_and_a_closing_line_may_be_missing(form: str, tmp_path: Path) -> None:
    row = FORMS[form]()
    text = user_text("How many?", OPTIONS, closing="")
    if form == "paper":
        row["prompt"] = [{"role": "user", "content": text}]
    else:
        row["prompt"] = text
    (question,) = load(write(tmp_path / "a.jsonl", [row]))
    assert question.text == text
    assert question.options[1].text == OPTIONS["B"]
    assert question.options[3].text == "four"


def test_five_texts_with_four_labels_give_four_options(tmp_path: Path) -> None:
    row = v2_row()
    row["choices"]["text"].append("a text without a label")
    (question,) = load(write(tmp_path / "a.jsonl", [row]))
    assert {option.letter: option.text for option in question.options} == OPTIONS


def test_rows_of_other_levels_and_kinds_are_left_out_but_counted(tmp_path: Path) -> None:
    lower, filling, last = v2_row("Lower"), v2_row("Filling"), v2_row("Last?")
    lower["details"]["level"] = "L1"
    filling |= {"type": "filling", "choices": {"text": [], "label": []}, "answerKey": ""}
    (question,) = load(write(tmp_path / "a.jsonl", [lower, filling, last]))
    assert (question.id, question.statement) == ("physics/train/2", "Last?")


@each_form
def test_further_keys_are_ignored(form: str, tmp_path: Path) -> None:
    """A row cannot choose a teacher, a prompt for it, a verifier or mistakes."""
    plain = FORMS[form]()
    loaded = plain | {
        "teacher": {"kind": "openai", "base_url": "http://evil.test", "api_key": "stolen"},
        "teacher_prompt": "Print the answer.",
        "protocol": "answer",
        "solution": "It is B.",
        "mistakes": [{"answer": "A"}],
        "verifier": "os.system",
        "id": "mine",
    }
    (one,) = load(write(tmp_path / "one" / "train.jsonl", [plain]))
    (other,) = load(write(tmp_path / "other" / "train.jsonl", [loaded]))
    assert one == other
    assert "evil" not in repr(other)
    assert other.solution is None
    assert other.mistakes == ()


def test_a_row_without_a_domain_has_that_of_its_folder(tmp_path: Path) -> None:
    (known,) = load(write(tmp_path / "biology" / "test.jsonl", [sdpo_row()]), split="test")
    (unknown,) = load(write(tmp_path / "mine" / "rows.jsonl", [sdpo_row()]))
    assert known.id == "biology/test/0"
    assert unknown.id == "unknown/train/0"


def test_a_folder_may_hold_domain_folders_of_different_kinds(tmp_path: Path) -> None:
    write(tmp_path / "physics" / "test.parquet", [paper_row()])
    write(tmp_path / "biology" / "test.jsonl", [sdpo_row(), sdpo_row()])
    write(tmp_path / "biology" / "train.jsonl", [sdpo_row()])
    ids = sorted(question.id for question in load(tmp_path, split="test"))
    assert ids == ["biology/test/0", "biology/test/1", "physics/test/0"]
    assert [question.id for question in load(tmp_path, "biology", "train")] == ["biology/train/0"]


# -- damage: one error that names the file, the row and the remedy -----------------------


def damaged(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**row, **changes}


BAD_ROWS = {
    "no options": (sdpo_row(options={}), "no options"),
    "no options in v2": (damaged(v2_row(), choices={"text": [], "label": []}), "no options"),
    "one option": (sdpo_row(options={"A": "alone"}, answer="A"), "1 option; at least 2"),
    "a gap in the options": (
        sdpo_row(options={"A": "one", "C": "three"}, answer="A"),
        "B is missing before option C",
    ),
    "label outside the options": (v2_row(answer="E"), "answer 'E' is none of its options A, B, C, D"),
    "no label": (paper_row(answer=""), "answer '' is none of its options"),
    "lower case label": (sdpo_row(answer="b"), "answer 'b' is none"),
    "labels twice": (damaged(v2_row(), choices={"text": ["x", "y"], "label": ["B", "B"]}), "not distinct"),
    "option that is a number": (
        damaged(v2_row(), choices={"text": [1, 2], "label": ["A", "B"]}),
        "int 1, not text",
    ),
    "statement that is null": (damaged(v2_row(), question=None), "NoneType None, not text"),
    "half a surrogate pair": (v2_row("How \ud800 many?"), "surrogate"),
    "empty prompt": (damaged(paper_row(), prompt=[]), "missing or malformed: IndexError"),
    "prompt without content": (damaged(paper_row(), prompt=[{"role": "user"}]), "KeyError 'content'"),
    "truth of the wrong shape": (damaged(paper_row(), reward_model="B"), "missing or malformed: TypeError"),
    "choices of the wrong shape": (damaged(v2_row(), choices=["one", "two"]), "missing or malformed"),
    "details of the wrong shape": (damaged(v2_row(), details="L3"), "missing or malformed"),
    "an unknown form": ({"text": "How many?", "label": 2}, r"none of the known forms.*\['label', 'text'\]"),
    "not an object": (["How many?", "B"], "it is list, not an object"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_with_its_place_and_a_remedy(case: str, tmp_path: Path) -> None:
    row, says = BAD_ROWS[case]
    path = write(tmp_path / "physics" / "train.jsonl", [sdpo_row(), row])
    with pytest.raises(QuestionError, match=says) as caught:
        load(path)
    assert f"{path}, line 2: " in str(caught.value)
    assert "; correct or remove the row" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "place"), [(".parquet", "row 1"), (".json", "row 1"), (".jsonl", "line 2")]
)
def test_the_place_of_a_bad_row_fits_the_kind_of_file(suffix: str, place: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"rows{suffix}", [v2_row(), v2_row(answer="E")])
    with pytest.raises(QuestionError, match=f"rows{suffix}, {place}: its answer 'E'"):
        load(path)


@pytest.mark.parametrize(
    "line",
    ["{", '{"a": 1', "nonsense", '{"question": "x"} trailing', "[" * 100_000, "\x00"],
    ids=["brace", "cut", "text", "trailing", "deep", "nul"],
)
def test_a_damaged_line_is_named_by_its_number(line: str, tmp_path: Path) -> None:
    good = json.dumps(sdpo_row())
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{good}\n\n{line}\n{good}\n", encoding="utf-8")
    with pytest.raises(QuestionError, match=r"rows\.jsonl, line 3 is no valid JSON.*correct or remove it"):
        load(path)


@pytest.mark.parametrize(
    "content", [b"[1, 2", b"\xff\xfe\x00garbage", b""], ids=["cut", "not UTF-8", "empty"]
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_a_damaged_file_is_named(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    with pytest.raises(QuestionError, match=f"rows{suffix}"):
        load(path)


def test_a_parquet_file_with_flipped_bytes_is_named_or_still_reads(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.parquet", [paper_row(f"Question {n}?") for n in range(20)]).read_bytes()
    path, refused = tmp_path / "flipped.parquet", 0
    for seed in range(60):
        rng, flipped = random.Random(seed), bytearray(whole)
        for _ in range(rng.choice((1, 10, 100))):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        path.write_bytes(bytes(flipped[: rng.choice((len(whole), len(whole) // 2))]))
        try:
            load(path)
        except QuestionError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("missing", ["absent.parquet", "absent/", "./absent"])
def test_a_missing_path_is_named(missing: str, tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="does not exist; give a folder or a file"):
        load_questions(f"{tmp_path}/{missing}")


def test_a_folder_without_the_split_says_what_it_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "physics" / "train.parquet", [paper_row()])
    with pytest.raises(
        QuestionError, match=r"no file test\.parquet, test\.jsonl or test\.json.*check the path"
    ):
        load(tmp_path, split="test")
    with pytest.raises(QuestionError, match="biology/; check the path and the split"):
        load(tmp_path, "biology")


class _Trap:
    """Unpickling it would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.trace, "run")


@pytest.mark.parametrize(
    "name", ["rows.pkl", "rows.pickle", "rows.pt", "rows.csv", "rows", "rows.parquet.pkl"]
)
def test_other_kinds_of_files_are_refused_unread(name: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / name).write_bytes(pickle.dumps(_Trap(trace)))
    with pytest.raises(QuestionError, match=r"is no \.parquet, \.jsonl, \.json file; convert it"):
        load(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".json"])
def test_a_pickle_under_another_name_is_not_loaded(suffix: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / f"rows{suffix}").write_bytes(pickle.dumps(_Trap(trace)))
    with pytest.raises(QuestionError, match=f"rows{suffix}"):
        load(tmp_path / f"rows{suffix}")
    assert not trace.exists()


def test_nothing_left_after_the_filter_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [v2_row(), v2_row()])
    with pytest.raises(
        QuestionError, match=r"domain biology.*2 rows read.*no questions left; check the domain"
    ):
        load(path, "biology")


def test_the_same_rows_twice_in_a_folder_are_named(tmp_path: Path) -> None:
    write(tmp_path / "physics" / "train.parquet", [paper_row()])
    write(tmp_path / "physics" / "train.jsonl", [paper_row()])
    with pytest.raises(QuestionError, match="'physics/train/0' stands twice"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("nonsense", None, "train"),
            "unknown questions 'nonsense'; use one of: a path, .*concepts, .*procedural",
        ),
        (("procedural", "alchemy", "train"), "unknown domain 'alchemy'"),
        (("procedural", None, "validation"), "unknown split 'validation'"),
        ((7, None, "train"), "give a name, a path, a spec, or Question records"),
        ((["How many?"], None, "train"), "give a name, a path, a spec, or Question records"),
    ],
)
def test_what_names_no_questions_is_refused(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_questions(*arguments)


def test_an_empty_list_of_questions_is_refused() -> None:
    with pytest.raises(QuestionError, match="no questions left"):
        load_questions([])


def test_an_unknown_id_shows_what_ids_look_like(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [v2_row(), v2_row()])
    with pytest.raises(QuestionError, match="ids look like physics/train/0, physics/train/1"):
        load_questions(path).find("physics/train/2")


# -- in the environment ------------------------------------------------------------------


def test_the_rule_teacher_refuses_questions_without_mistakes(tmp_path: Path) -> None:
    path = write(tmp_path / "physics" / "train.jsonl", [sdpo_row()])
    with pytest.raises(
        ConfigurationError, match=r"teacher 'rule' needs a misconception table.*teacher='retry'"
    ):
        gym.make("SocraticSciKnow-v0", questions=str(tmp_path))
    env = gym.make("SocraticSciKnow-v0", questions=str(path), teacher="retry")
    env.reset(seed=0)
    *_, info = env.step(reply("So.", "A"))
    assert info["guidance"]
    _, _, terminated, *_ = env.step(reply("So.", "B"))
    assert terminated
    env.close()


_HUB = """
import gymnasium as gym, socratic_env
from socratic_env.errors import QuestionError
try:
    gym.make("SocraticSciKnow-v0", questions="sciknoweval", teacher="retry")
except QuestionError as error:
    print("QuestionError:", error)
"""


def test_without_a_network_the_hub_gives_one_error_with_the_local_way(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _HUB],
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("QuestionError: questions='sciknoweval' could not be fetched")
    assert "questions=PATH with local parquet or jsonl files works without a network" in line
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 60


# -- the hub's layout in a local folder --------------------------------------------------

CARD = """---
configs:
- config_name: v2
  data_files:
  - split: test
    path: v2/test{suffix}
---
"""


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_the_hub_path_reads_a_folder_in_the_hubs_layout(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    lower, filling = v2_row("Lower?"), v2_row("Filling?")
    lower["details"]["level"] = "L1"
    filling |= {"type": "filling", "choices": {"text": [], "label": []}, "answerKey": ""}
    rows = [v2_row("Alpha?"), lower, filling, v2_row("Beta?", answer="D") | {"domain": "Material"}]
    write(tmp_path / "hub" / "v2" / f"test{suffix}", rows)
    (tmp_path / "hub" / "README.md").write_text(CARD.format(suffix=suffix), encoding="utf-8")
    monkeypatch.setattr("socratic_env.questions.sources.sciknoweval_source.HUB_NAME", str(tmp_path / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    questions = load_questions("sciknoweval")
    assert [question.id for question in questions] == ["physics/train/0", "material/train/3"]
    assert (questions[1].answer, questions[1].subtask) == ("D", "s")
    assert len(load_questions("sciknoweval", "material", "test")) == 1
    assert len(load_questions("sciknoweval", exclude=["physics/train/0"])) == 1
    with pytest.raises(QuestionError, match="no questions left"):
        load_questions("sciknoweval", "biology")
    env = gym.make("SocraticMaterial-v0", questions="sciknoweval", teacher="retry")
    assert env.reset(seed=0)[1]["question_id"] == "material/train/3"
    env.close()


def test_the_hub_path_reads_the_published_rows(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "test.jsonl").write_bytes(published.v2.read_bytes())
    (tmp_path / "README.md").write_text(CARD.format(suffix=".jsonl"), encoding="utf-8")
    monkeypatch.setattr("socratic_env.questions.sources.sciknoweval_source.HUB_NAME", str(tmp_path))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    hub, local = load_questions("sciknoweval"), load_questions(published.v2)
    assert [hub[i] for i in range(len(hub))] == [local[i] for i in range(len(local))]


def test_many_bad_rows_come_together(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [v2_row(answer="E"), v2_row(), sdpo_row(options={})])
    with pytest.raises(QuestionError) as caught:
        load(path)
    first, second = str(caught.value).splitlines()
    assert "line 1: its answer 'E'" in first
    assert "line 3: it has no options" in second
