"""Questions of reasoning-gym, on the real package."""

import json
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gymnasium as gym
import pytest

import socratic_env.questions.reasoning_gym as source
from socratic_env.checks import check_questions, check_verifier
from socratic_env.cli import main
from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.questions import load_questions
from socratic_env.questions.reasoning_gym import scorer_child, scorer_process
from socratic_env.types import AnswerKind, Verdict, reply
from socratic_env.verifiers import by_kind

LEGS = "reasoning-gym:leg_counting"


def judged(question, answer):
    return by_kind(question, reply("", answer))


def spec(**options):
    return {"kind": "reasoning-gym", "size": 50, **options}


@pytest.mark.parametrize("name", ["leg_counting", "countdown", "coin_flip", "graph_color", "ab", "codeio"])
def test_generators_pass_the_checks_and_their_splits_share_no_question(name):
    train = load_questions(spec(dataset=name))
    check_questions(train, held_out=load_questions(spec(dataset=name), split="test"), number=20)
    assert {train[i].subtask for i in range(5)} == {name}


def test_their_own_scorer_judges_what_stands_in_the_block():
    questions = load_questions("reasoning-gym:countdown")
    first = questions[0]
    assert first.kind is AnswerKind.TEXT
    assert judged(first, f"  {first.answer}\n") == Verdict(True, first.answer, "correct")
    assert judged(first, f"({first.answer})").correct  # another text for the same solution
    partial = judged(first, "1 + 1")
    assert not partial.correct
    assert partial.reason == "scored 0.05, and 1 is needed"
    assert judged(first, "").reason == "the answer block is empty"
    assert judged(first, "1" * 3000).reason == "the answer block is longer than 2000 characters"
    assert not by_kind(first, first.answer).correct  # no block
    check_verifier(by_kind, questions=[load_questions(LEGS)[0]])


def test_scores_are_those_of_the_package_itself():
    reasoning_gym = pytest.importorskip("reasoning_gym")
    questions = load_questions(spec(dataset="rotate_matrix", seed=5, threshold=0.5))
    theirs = reasoning_gym.create_dataset("rotate_matrix", seed=5, size=50 * scorer_child.TRIES)
    for i in range(10):
        entry = theirs[questions[i].verifier.index]
        assert questions[i].statement == entry["question"].strip("\n")
        for answer in (entry["answer"], entry["answer"] + " 9", "7 7"):
            score = theirs.score_answer(answer, entry)
            assert judged(questions[i], answer).correct == (score >= 0.5)


def test_a_threshold_lets_partial_scores_count():
    strict, mild = (
        load_questions("reasoning-gym:countdown"),
        load_questions(spec(dataset="countdown", size=10_000, threshold=0.04)),
    )
    assert strict[0].statement == mild[0].statement
    verdict = judged(mild[0], "1 + 1")
    assert verdict == Verdict(True, "1 + 1", "correct (scored 0.05)")


def test_settings_and_levels_of_the_curriculum_reach_the_generator():
    one = load_questions(spec(dataset="leg_counting", min_animals=1, max_animals=1))
    assert all("," not in one[i].statement.partition("if you have")[2] for i in range(10))
    low, high = (load_questions(spec(dataset="chain_sum", level=level))[0].statement for level in (0, 3))
    assert len(low) < len(high)
    named = load_questions(spec(dataset="chain_sum", level={"num_terms": 3}, min_terms=2))
    assert len(named) == 50


def test_several_are_mixed_by_weight_and_each_scores_its_own():
    mixed = load_questions(
        spec(size=60, datasets=["chain_sum", {"dataset": "spell_backward", "weight": 3, "min_word_len": 4}])
    )
    kinds = [mixed[i].subtask for i in range(60)]
    assert 30 <= kinds.count("spell_backward") < 60
    assert mixed[0].id == "reasoning-gym/train/composite/0"
    for question in (mixed[kinds.index("chain_sum")], mixed[kinds.index("spell_backward")]):
        assert judged(question, question.answer).correct
        assert not judged(question, "-").correct


def test_access_is_random_and_questions_travel():
    questions = load_questions(LEGS)
    assert len(questions) == 10_000
    again = pickle.loads(pickle.dumps(questions[9_999]))
    assert again == questions.find("reasoning-gym/train/leg_counting/9999")
    assert judged(again, again.answer).correct
    assert load_questions(spec(dataset="leg_counting", seed=7))[0].statement != questions[0].statement
    for wrong in ("reasoning-gym/test/leg_counting/1", "reasoning-gym/train/leg_counting/10000", "x", 3):
        with pytest.raises(QuestionError, match="no question"):
            questions.find(wrong)
    with pytest.raises(IndexError):
        questions[10_000]


@pytest.mark.slow
def test_items_are_the_same_in_every_process():
    code = f"from socratic_env.questions import load_questions as l; print(l({LEGS!r})[9999].statement)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == load_questions(LEGS)[9_999].statement.strip()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "leg_countin"}, "did you mean 'leg_counting'"),
        ({}, "names nothing; give a dataset"),
        ({"dataset": "chain_sum", "datasets": ["chain_sum"]}, "names both"),
        ({"dataset": "chain_sum", "max_term": 3}, "has no setting 'max_term'; its settings are min_terms"),
        ({"dataset": "chain_sum", "min_terms": 9}, "chain_sum: AssertionError"),
        ({"dataset": "chain_sum", "min_terms": {1}}, "no JSON"),
        ({"dataset": "rush_hour"}, "rush_hour gives no train question whose answer"),
        ({"dataset": "game_of_life_halting"}, "and 'something else' for wrong"),
        ({"dataset": "acre", "level": 1}, "acre has no curriculum"),
        ({"dataset": "chain_sum", "level": 99}, "goes from 0 to"),
        ({"dataset": "chain_sum", "level": -1}, "level is -1"),
        ({"dataset": "chain_sum", "level": {"terms": 1}}, "has no 'terms'"),
        ({"dataset": "chain_sum", "level": {"num_terms": 99}}, "level 'num_terms' of chain_sum is 99"),
        ({"dataset": "chain_sum", "threshold": 0}, "threshold is 0"),
        ({"dataset": "chain_sum", "seed": -1}, "seed is -1"),
        ({"dataset": "chain_sum", "size": 0}, "size is 0"),
        ({"dataset": "chain_sum", "size": 2**40}, "give at most"),
        ({"datasets": "chain_sum"}, "datasets is 'chain_sum'"),
        ({"datasets": [3]}, "datasets holds 3"),
        ({"datasets": ["chain_sum", "chain_sum"]}, "twice"),
        ({"datasets": [{"dataset": "chain_sum", "weight": 0}]}, "weight of chain_sum is 0"),
        ({"datasets": [{"dataset": "chain_sum", "seed": 1}]}, "give it beside datasets"),
        ({"datasets": ["chain_sum"], "level": 1}, "level stands beside datasets"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(options, message):
    with pytest.raises((ConfigurationError, QuestionError), match=message):
        load_questions(spec(**options))


def test_a_domain_is_refused():
    with pytest.raises(QuestionError, match="leave domain out"):
        load_questions(LEGS, domain="physics")


def test_an_answer_can_neither_hang_nor_end_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(source, "SCORE_SECONDS", 0.5)
    question = load_questions("reasoning-gym:countdown")[0]
    verdict = judged(question, "9**9**9**9**9")
    assert verdict.reason == "the scorer gave no verdict: it took longer than 0.5 s"
    assert judged(question, question.answer).correct  # by a new process
    inserted = load_questions("reasoning-gym:string_insertion")[0]
    written = tmp_path / "written"
    for code in (
        f"open({str(written)!r}, 'w')",
        "__import__('os').system('true')",
        "__import__('os')._exit(1)",
    ):
        assert not judged(inserted, f"[{code}]").correct
    assert not written.exists()
    assert judged(inserted, inserted.answer).correct


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_the_process_is_given_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key-4711")
    process = scorer_process.Worker()
    process.ask({"do": "names"}, 60)
    told = Path(f"/proc/{process._process.pid}/environ").read_text()
    process.close()
    assert "PYTHONPATH" in told
    assert "key-4711" not in told


def test_threads_share_the_process():
    questions = load_questions(LEGS)
    rows = [questions[i] for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert all(verdict.correct for verdict in pool.map(lambda q: judged(q, q.answer), rows))


def test_it_is_said_when_the_package_is_missing_or_does_not_start(monkeypatch):
    monkeypatch.setattr(scorer_process, "find_spec", lambda _name: None)
    with pytest.raises(QuestionError, match=r"install\s+socratic-env\[reasoning-gym\]"):
        scorer_process.Worker().ask({"do": "names"}, 5)
    monkeypatch.undo()
    monkeypatch.setattr(scorer_process.sys, "executable", "/bin/false")
    with pytest.raises(QuestionError, match="reasoning-gym did not start"):
        scorer_process.Worker().ask({"do": "names"}, 5)


def test_the_process_says_what_it_cannot_do():
    asked = {"dataset": "chain_sum", "datasets": None, "settings": {}, "level": None, "seed": 0, "size": 3}
    made = json.dumps(asked | {"split": "train", "threshold": 1.0})
    held = scorer_child.answered({"do": "item", "spec": made, "index": 0})
    score = {"do": "score", "spec": made, "index": held["index"]}
    assert scorer_child.answered({**score, "answer": held["answer"]}) == {"score": 1.0, "trouble": None}
    assert scorer_child.answered({**score, "do": "hold", "answer": ""}) == {}
    assert "leg_counting" in scorer_child.answered({"do": "names"})["names"]
    assert "refused" in scorer_child.answered({"do": "item", "spec": "{}", "index": 0})
    for settings, level, told in (
        ({"max_terms": 5}, 1, None),
        ({}, {"num_terms": 1}, None),
        ({"terms": 5}, None, "has no setting 'terms'"),
        ({}, 99, "goes from 0 to"),
        ({}, {"terms": 1}, "has no 'terms'"),
        ({}, {"num_terms": 99}, "is 99; give 0 to"),
    ):
        part = {"dataset": "chain_sum", "settings": settings, "level": level}
        single = json.dumps({**json.loads(made), **part})
        several = json.dumps({**json.loads(made), "dataset": None, "datasets": [part | {"weight": 1}]})
        for spec_of in (single, several):
            found = scorer_child.answered({"do": "item", "spec": spec_of, "index": 1})
            assert told in found["refused"] if told else found["dataset"] == "chain_sum"


def test_while_it_scores_the_process_does_nothing_but_compute(tmp_path, monkeypatch):
    def refused(event, *given):
        try:
            scorer_child._watch(event, given)
        except PermissionError:
            return True
        return False

    path = str(tmp_path / "file")
    assert not refused("subprocess.Popen", "x")  # it does not score
    monkeypatch.setattr(scorer_child, "_scoring", True)
    assert refused("subprocess.Popen", "x")
    assert refused("socket.connect", None, "x")
    assert refused("open", path, "w", os.O_WRONLY | os.O_CREAT)
    assert not refused("open", path, "r", os.O_RDONLY)
    assert not refused("import", "sympy")


def test_environments_and_teachers_take_it():
    env = gym.make("SocraticSciKnow-v0", questions=LEGS, teacher="retry")
    env.reset(seed=1)
    right = env.unwrapped.question.answer
    assert env.step(reply("", "0"))[4]["verdict"] == "scored 0, and 1 is needed"
    *_, terminated, _, info = env.step(reply("", right))
    assert terminated
    assert info["correct"]
    with pytest.raises(ConfigurationError, match="teacher 'rule' needs a misconception table"):
        gym.make("SocraticSciKnow-v0", questions=LEGS)
    envs = gym.make_vec("SocraticSciKnow-v0", num_envs=8, questions=LEGS, teacher="retry")
    envs.reset(seed=3)
    answers = [envs.unwrapped.batch.dialogue(i).question.answer for i in range(8)]
    _, rewards, done, _, _ = envs.step([reply("", answer) for answer in answers])
    assert rewards.tolist() == [1.0] * 8
    assert done.all()


def test_the_examples_of_the_documentation_run():
    page = (Path(__file__).parents[1] / "docs" / "questions.md").read_text(encoding="utf-8")
    (code,) = re.findall(
        r"```python\n(.*?)```", page.partition("## From reasoning-gym")[2].partition("\n## ")[0], re.S
    )
    namespace = {}
    exec(compile(code, "questions.md", "exec"), namespace)
    assert namespace["info"]["verdict"].startswith("scored ")
    assert len(namespace["mixed"].unwrapped.questions) == 5000


def test_audit_says_what_it_can(capsys):
    asked = {"kind": "reasoning-gym", "dataset": "coin_flip", "size": 200}
    assert main(["audit", json.dumps(asked), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert any("exact duplicate" in row["problem"] for row in told["rows"])
    assert not any("other split" in row["problem"] for row in told["rows"] if "exact" in row["problem"])
    assert told["subtasks"][0]["characters"]["longest"] > 50
