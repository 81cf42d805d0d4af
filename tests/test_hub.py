"""Data sets through the real package `datasets`, from local folders in the hub's layout."""

import json
import re
from pathlib import Path

import gymnasium as gym
import pytest

from socratic_env.checks import check_questions
from socratic_env.cli import main
from socratic_env.errors import ConfigurationError, QuestionError, QuestionWarning
from socratic_env.questions import load_questions
from socratic_env.questions.hub_presets import PRESETS
from socratic_env.types import AnswerKind, Verdict, reply
from socratic_env.verifiers import by_kind

datasets = pytest.importorskip("datasets")

SUMS = [
    {
        "question": f"What is {n} + {n}?",
        "answer": f"Twice {n}.\nThat is <<{n}+{n}={2 * n}>>{2 * n}.\n#### {2 * n}",
    }
    for n in range(1001, 1007)
]
ROWS = {
    "gsm8k": SUMS,
    "mmlu": [
        {"question": "What is 1 + 1?", "subject": "algebra", "choices": ["0", "2", "1", "3"], "answer": 1},
        {"question": "Which is a gas?", "subject": "physics", "choices": ["Fe", "He", "Au"], "answer": 1},
    ],
    "mmlu-pro": [
        {
            "question_id": 70 + n, "question": f"Which is {n}?", "options": [str(i) for i in range(10)],
            "answer": "ABCDEFGHIJ"[n], "answer_index": n, "cot_content": "", "category": "math", "src": "x",
        }
        for n in (3, 8)
    ],
    "arc": [
        {
            "id": "Mercury_1", "question": "What melts?", "answerKey": "B",
            "choices": {"text": ["stone", "ice", "sand"], "label": ["A", "B", "C"]},
        },
        {
            "id": "ACT_2", "question": "How many legs has an ant?", "answerKey": "2",
            "choices": {"text": ["4", "6", "8", "2"], "label": ["1", "2", "3", "4"]},
        },
    ],
    "gpqa": [
        {
            "Record ID": f"rec{n}", "Question": f"Which is prime, {n}?", "Correct Answer": "7",
            "Incorrect Answer 1": "8", "Incorrect Answer 2": "9", "Incorrect Answer 3": "10",
            "Explanation": "It has no divisor.", "High-level domain": "Physics", "Subdomain": "Number theory",
        }
        for n in range(8)
    ],
    "commonsenseqa": [
        {
            "id": "a1", "question": "Where do fish live?", "question_concept": "fish", "answerKey": "C",
            "choices": {"label": ["A", "B", "C", "D", "E"], "text": ["air", "tree", "water", "sand", "mud"]},
        }
    ],
    "scienceqa": [
        {
            "image": image, "question": f"Which is warmer, {n}?", "choices": ["ice", "steam"], "answer": 1,
            "hint": "Heat moves.", "topic": "physics", "skill": "Compare temperatures", "grade": "grade4",
            "solution": "Steam is hotter.",
        }
        for n, image in enumerate([None, "shown.png", None])
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def folder(tmp_path, rows, *splits, suffix=".jsonl"):
    """A local folder in the hub's layout, with the same columns in other words for each split."""
    place = tmp_path / "set"
    place.mkdir(exist_ok=True)
    for split in splits:
        told = "".join(json.dumps(row) + "\n" for row in rows)
        (place / f"{split}{suffix}").write_text(told.replace("?", f" ({split})?"), encoding="utf-8")
    files = "".join(f"  - split: {split}\n    path: {split}{suffix}\n" for split in splits)
    (place / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n")
    return str(place)


def own_split(preset, split="test"):
    return PRESETS[preset]["split"][split].partition("[")[0]


@pytest.mark.parametrize("preset", ROWS)
def test_presets_read_small_files_in_their_layout(preset, tmp_path):
    place = folder(tmp_path, ROWS[preset], *PRESETS[preset]["split"].values())
    spec = {"kind": "hub", "path": place, "preset": preset}
    test = load_questions(spec, split="test")
    check_questions(test, held_out=load_questions(spec) if "train" in PRESETS[preset]["split"] else None)
    assert len(test) == (2 if preset == "scienceqa" else len(ROWS[preset]))
    first = test[0]
    assert by_kind(first, reply("", first.answer)).correct
    assert first.id.startswith("set/test/")
    assert first.kind is (AnswerKind.NUMERIC if preset == "gsm8k" else AnswerKind.CHOICE)


def test_what_presets_make_of_answers(tmp_path):
    def of(preset, number=0):
        place = folder(tmp_path / preset, ROWS[preset], own_split(preset))
        return load_questions({"kind": "hub", "path": place, "preset": preset}, split="test")[number]

    for preset in ROWS:
        (tmp_path / preset).mkdir()
    assert (of("gsm8k").answer, of("gsm8k").solution) == (
        "2002",
        "Twice 1001.\nThat is <<1001+1001=2002>>2002.",
    )
    assert (of("mmlu").answer, of("mmlu").options[1].text) == ("B", "2")  # an index, though "1" is an option
    assert (of("mmlu-pro").answer, of("mmlu-pro").id) == ("D", "set/test/73")
    assert (of("arc", 1).answer, of("arc", 1).options[1].text) == (
        "B",
        "6",
    )  # a label, though "2" is an option
    assert of("commonsenseqa").answer == "C"
    science = of("scienceqa")
    assert science.statement == "Heat moves.\n\nWhich is warmer, 0 (test)?"
    assert (science.domain, science.level, science.answer) == ("physics", "grade4", "B")
    places = {of("gpqa", n).answer for n in range(8)}
    assert len(places) > 1  # the right one does not always stand first
    for n in range(8):
        question = of("gpqa", n)
        assert {o.letter: o.text for o in question.options}[question.answer] == "7"


MATH = [
    {
        "problem": f"What is $x$ if $2x = {n}$?", "solution": "Halve it.", "answer": f"\\frac{{{n}}}{{2}}",
        "subject": "Algebra", "level": 2, "unique_id": f"{n}",
    }
    for n in (3, 5)
]  # fmt: skip


def same_text(question, text):
    """Stands for a verifier of formulas: the text of the block, to the letter."""
    given = text.partition("<answer>")[2].partition("</answer>")[0].strip()
    return Verdict(given == question.answer, given, "compared")


def test_math_500_is_judged_by_the_verifier_math(tmp_path):
    place = folder(tmp_path, MATH, "test")
    spec = {"kind": "hub", "path": place, "preset": "math-500"}
    assert load_questions(spec, split="test")[0].verifier == "math"
    question = load_questions({**spec, "verifier": f"{__name__}:same_text"}, split="test")[1]
    assert (question.kind, question.level, question.subtask) == (AnswerKind.TEXT, "2", "Algebra")
    assert by_kind(question, reply("", "\\frac{5}{2}")).correct
    assert not by_kind(question, reply("", "2.5")).correct
    with pytest.raises(QuestionError, match=r'has no train split; give "split": \{"train": "test\[:80%\]"'):
        load_questions(spec | {"verifier": "text"})
    divided = {**spec, "verifier": "text", "split": {"train": "test[:50%]", "test": "test[50%:]"}}
    assert len(load_questions(divided)) == len(load_questions(divided, split="test")) == 1


def never(question, text):
    return Verdict(False, None, "never")


def test_rows_that_a_verifier_refuses_are_left_out(tmp_path):
    spec = {"kind": "hub", "path": folder(tmp_path, MATH, "test"), "preset": "math-500"}
    with pytest.raises(QuestionError, match=r"(?s)none of the 2 rows .* does not pass the verifier"):
        load_questions({**spec, "verifier": f"{__name__}:never"}, split="test")


def test_own_columns_constants_and_nested_ones(tmp_path):
    rows = [
        {"in": {"text": f"Length of {n} feet?"}, "out": 0.3048 * n, "kind": "length"} for n in range(1, 5)
    ]
    spec = {
        "kind": "hub", "path": folder(tmp_path, rows, "train", "test"), "question": "in.text",
        "answer": "out", "unit": "m", "rel_tol": 0.01, "subtask": "kind", "domain": "kind",
    }  # fmt: skip
    question = load_questions(spec)[1]
    assert (question.unit, question.rel_tol, question.subtask) == ("m", 0.01, "length")
    assert by_kind(question, reply("", "0.61 m")).correct
    assert question.domain == "length"
    with pytest.raises(QuestionError, match="no questions left"):
        load_questions(spec, domain="physics")


def test_rows_in_known_layouts_need_no_columns(tmp_path):
    rows = [{"question": "Which?", "options": ["a", "b"], "answer": "B"}, {"question": "2 + 2?", "answer": 4}]
    place = folder(tmp_path, rows[:1], "train", "test")
    questions = load_questions({"kind": "hub", "path": place, "split": "test"})
    assert questions[0].answer == "B"
    assert load_questions({"kind": "hub", "path": place, "config": "default"}, exclude=[])[0].answer == "B"


def test_damaged_rows_are_counted_and_said(tmp_path, capsys):
    rows = [*SUMS, {"question": "What?", "answer": "#### none"}, {"question": "And?", "answer": "no mark"}]
    spec = {"kind": "hub", "path": folder(tmp_path, rows, "train", "test"), "preset": "gsm8k"}
    with pytest.warns(QuestionWarning, match=r"2 of 8 rows are left out, such as row 6: field 'answer'"):
        questions = load_questions(spec)
    assert len(questions) == 6
    with pytest.warns(QuestionWarning):
        assert main(["audit", json.dumps(spec), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    unreadable = [row for row in told["rows"] if row["problem"].startswith("unreadable row")]
    assert len(unreadable) == 4
    assert "which holds no '####'" in unreadable[1]["problem"]
    kept = load_questions(spec, exclude=[row["id"] for row in unreadable])  # without a warning
    assert len(kept) == 6


def test_audit_of_a_set_with_one_split(tmp_path, capsys):
    place = folder(tmp_path, ROWS["gpqa"], "train")
    assert main(["audit", json.dumps({"kind": "hub", "path": place, "preset": "gpqa"}), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["subtasks"][0]["best_blind"]["accuracy"] >= 0.25
    assert main(["audit", json.dumps({"kind": "hub", "path": place, "split": "other"})]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"question": "qestion", "answer": "answer"}, "did you mean 'question'"),
        ({"question": "question"}, "needs a column for question and for answer"),
        ({"question": "question", "answer": {"column": "answer", "as": "number"}}, "'as': 'index' or"),
        (
            {"question": "question", "answer": {"column": "answer", "after": "a", "before": "b"}},
            "give a column",
        ),
        ({"question": {"column": "question", "as": "text"}, "answer": "answer"}, "only the answer is read"),
        ({"question": "question", "answer": "answer", "verifier": "chioce"}, "did you mean 'choice'"),
        ({"preset": "gsm9k"}, "did you mean 'gsm8k'"),
        ({"anser": "answer"}, "did you mean 'answer'"),
        ({"split": ["train"]}, "give a name, or"),
        ({"split": "valid"}, "could not be fetched"),
        ({"path": None}, "names no data set"),
        ({"path": 3}, "path is 3"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(options, message, tmp_path):
    place = folder(tmp_path, SUMS, "train")
    with pytest.raises((ConfigurationError, QuestionError), match=message):
        load_questions({"kind": "hub", "path": place, **options})


def test_answers_outside_the_options_are_refused(tmp_path):
    rows = [dict(ROWS["mmlu"][0], answer=7), dict(ROWS["mmlu"][1], choices="Fe, He")]
    rows[0]["choices"] = "0, 2"
    spec = {"kind": "hub", "path": folder(tmp_path, rows, "test"), "preset": "mmlu"}
    with pytest.raises(QuestionError, match="none of the 2 rows"):
        load_questions(spec, split="test")
    rows = [dict(ROWS["mmlu"][0], answer=7), ROWS["mmlu"][1]]
    place = folder(tmp_path / "x", rows, "test") if (tmp_path / "x").mkdir() is None else ""
    with pytest.warns(QuestionWarning, match="which is the index of none of the options"):
        assert len(load_questions({"kind": "hub", "path": place, "preset": "mmlu"}, split="test")) == 1


def test_a_preset_is_one_word_and_says_so_without_a_network(monkeypatch):
    asked = []

    def offline(path, config, split, revision, cache_dir):
        asked.append((path, config, split))
        raise ConnectionError("offline")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    for spec in ("gsm8k", "hub:gsm8k", {"kind": "hub", "path": "gsm8k"}):
        with pytest.raises(
            QuestionError, match=r"questions='openai/gsm8k, split train' could not be fetched"
        ):
            load_questions(spec)
    with pytest.raises(QuestionError, match="allenai/ai2_arc"):
        load_questions({"kind": "hub", "path": "arc", "config": "ARC-Easy"})
    assert asked == [("openai/gsm8k", "main", "train")] * 3 + [("allenai/ai2_arc", "ARC-Easy", "train")]
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(QuestionError, match=r"install socratic-env\[hub\]"):
        load_questions("gsm8k")


def test_the_examples_of_the_documentation_run(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "questions.md").read_text(encoding="utf-8")
    section = page.partition("## From the hub")[2].partition("\n## ")[0]
    monkeypatch.chdir(tmp_path)
    folder(
        tmp_path, [{"ask": "How much is 2 + 2?", "out": {"value": 4}, "why": "Add."}], "train", "validation"
    )
    namespace = {}
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(compile(code, "questions.md", "exec"), namespace)
    assert namespace["env"].reset(seed=0)[1]["question_id"] == "set/train/0"


def test_environments_training_and_evaluation_take_it(tmp_path):
    from agents.config import TrainConfig
    from agents.runs.preflight import check_held_out

    spec = {"kind": "hub", "path": folder(tmp_path, SUMS, "train", "test"), "preset": "gsm8k"}
    env = gym.make("SocraticSciKnow-v0", questions=spec, teacher="retry")
    env.reset(seed=0)
    answer = env.unwrapped.question.answer
    assert not env.step(reply("", "3"))[2]
    assert env.step(reply("", f"{int(answer):,}"))[4]["correct"]
    with pytest.raises(ConfigurationError, match="teacher 'rule' needs a misconception table"):
        gym.make("SocraticSciKnow-v0", questions=spec)
    assert check_held_out(TrainConfig(questions=json.dumps(spec))) is None
    with pytest.raises(ConfigurationError, match="would serve both"):
        check_held_out(TrainConfig(questions=json.dumps({**spec, "split": "train"})))
