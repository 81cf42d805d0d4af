"""Variants side by side: the scripted student, the statistics, the command."""

import asyncio
import json
import sys

import numpy as np
import pytest
from support.misbehaving_server import MisbehavingServer
from support.scripted import Coach, choice_question, numeric_question, right, wrong

from envs_registry import protocol_texts
from socratic_env.cli import main
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.comparison import bootstrap, draw_questions, ratios, report, run_variant
from socratic_env.protocols import protocol
from socratic_env.questions import load_questions
from socratic_env.students import StudentRequest, student_from_spec
from socratic_env.students.scripted_student import Habits, ScriptedStudent, hints_in

SCIENCE = load_questions("procedural", None, "test")
QUESTIONS = draw_questions(SCIENCE, 12, seed=5)
SMALL = ["--number", "8", "--rollouts", "2", "--resamples", "50"]


def runs_of(*names, questions=QUESTIONS, habits=None, teacher="rule", **settings):
    return [
        asyncio.run(run_variant(protocol(name), questions, ScriptedStudent(habits, 3), teacher, **settings))
        for name in names
    ]


def by_name(result):
    return {variant["name"]: variant for variant in result["variants"]}


def said(question, *texts):
    roles = ("user", "assistant") * len(texts)
    return StudentRequest(
        question, 0, [{"role": r, "content": t} for r, t in zip(roles, ("Q", *texts), strict=False)]
    )


# -- the scripted student ----------------------------------------------------------------


def test_the_student_reads_nothing_but_the_text():
    question = QUESTIONS[0]
    slip = question.mistakes[1]
    sure = ScriptedStudent(Habits(knows=0, retry=0, next_step=1, keeps=1))
    hint, other = slip.next_step, "Try once more."
    answers = asyncio.run(
        sure.answer(
            [
                said(question),
                said(question, wrong(question, 1), hint),
                said(question, wrong(question, 1), other),
            ]
        )
    )
    assert answers[0] in {wrong(question, i) for i in range(3)}
    assert answers[1:] == [right(question), wrong(question, 1)]


def test_a_leak_is_copied():
    question = choice_question(answer="B")
    student = ScriptedStudent(Habits(retry=0, copies=0.9))
    held = question.mistakes[0]
    assert student.chance(question, held, "The answer is B.") == pytest.approx(0.9)
    assert student.chance(question, held, "Try again.") == 0.0


def test_hints_are_recognised_by_their_words():
    slip = QUESTIONS[0].mistakes[0]
    assert hints_in(f"{slip.explain} {slip.ask}", slip) == ["ask", "explain"]
    assert "next_step" in hints_in(f"Please do this: {slip.next_step.lower()}", slip)
    assert hints_in("Good luck.", slip) == []
    assert hints_in(slip.explain, None) == []


def test_unusable_students_are_named():
    with pytest.raises(ConfigurationError, match="knows is 2"):
        Habits(knows=2)
    with pytest.raises(ConfigurationError, match="unknown student"):
        student_from_spec("parrot")
    with pytest.raises(ConfigurationError, match="api_key_env"):
        student_from_spec({"kind": "openai", "base_url": "u", "model": "m", "api_key": "secret"})
    bare = choice_question()
    with pytest.raises(ConfigurationError, match="no mistake table"):
        asyncio.run(ScriptedStudent().answer([said(numeric_question().__class__(
            id="n", domain="d", kind=bare.kind, statement="s", answer="A"))]))  # fmt: skip


# -- statistics --------------------------------------------------------------------------


def test_the_same_questions_and_chances_go_through_all_variants():
    first, second = runs_of("paper", "fixed_retry", rollouts=2)
    assert [e.question.id for e in first.episodes] == [e.question.id for e in second.episodes]
    assert [e.attempts[0].text for e in first.episodes] == [e.attempts[0].text for e in second.episodes]


def test_the_metrics_are_counted_by_hand():
    (run,) = runs_of("paper", rollouts=3)
    counted = ratios(run, 3)
    attempts = [e.attempts for e in run.episodes]
    second = [a[1].verdict.correct for a in attempts if len(a) > 1]
    assert counted["first_attempt_accuracy"][0].sum() == sum(a[0].verdict.correct for a in attempts)
    assert [part.sum() for part in counted["correction_rate_2"]] == [sum(second), len(second)]
    assert counted["guided_accuracy"][0].sum() == sum(a[-1].verdict.correct for a in attempts)
    assert counted["leakage_rate"][0].sum() == 0


def test_faults_are_counted_apart():
    coach = Coach(faults=lambda *_: True)
    (run,) = runs_of("paper", habits=Habits(knows=0), teacher=coach)
    (variant,) = report([run], "paper", 3, resamples=20)["variants"]
    assert variant["teacher_failures"] == len(QUESTIONS)
    assert variant["metrics"]["guided_accuracy"]["value"] is None
    assert variant["metrics"]["first_attempt_accuracy"]["value"] == 0.0
    assert not coach.closed


def test_variants_that_a_teacher_cannot_tell_apart_are_marked():
    names = ("paper", "with_ground_truth", "with_reference_solution", "locate_error", "fixed_retry")
    found = by_name(report(runs_of(*names), "paper", 3, resamples=100))
    assert found["paper"]["indistinguishable_from"] == ["with_ground_truth", "with_reference_solution"]
    assert found["locate_error"]["indistinguishable_from"] == []
    assert found["with_ground_truth"]["metrics"]["guided_accuracy"]["difference_interval"] == [0.0, 0.0]
    everything = by_name(report(runs_of(*names, teacher="retry"), "paper", 3, resamples=20))
    assert all(len(variant["indistinguishable_from"]) == len(names) - 1 for variant in everything.values())


def test_stronger_hints_correct_more():
    questions = draw_questions(SCIENCE, 60, seed=0)
    runs = runs_of(
        "fixed_retry", "locate_error", "worked_next_step", "paper", questions=questions, rollouts=2
    )
    found = report(runs, "fixed_retry", 3, resamples=200)["variants"]
    values = [variant["metrics"]["correction_rate_2"]["value"] for variant in found]
    assert values == sorted(values)
    assert found[-1]["metrics"]["guided_accuracy"]["difference_interval"][0] > 0


def test_the_bootstrap_covers_and_pairs():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2, 400).astype(float)
    ones, picks = np.ones(400), rng.integers(400, size=(1000, 400))
    found = bootstrap((np.minimum(base + 0.25, 1.25), ones), (base, ones), picks)
    assert found["difference"] == pytest.approx(0.25)
    assert found["difference_interval"] == pytest.approx([0.25, 0.25])
    low, high = found["interval"]
    assert 4 * 0.5 / 20 * 0.8 < high - low < 4 * 0.5 / 20 * 1.2


def test_questions_are_different_and_repeatable():
    assert draw_questions(SCIENCE, 12, seed=5) == QUESTIONS
    assert len({question.id for question in QUESTIONS}) == 12


# -- the command -------------------------------------------------------------------------


def command(capsys, *arguments):
    status = main(["bench-teachers", *arguments])
    return status, capsys.readouterr()


def timeless(result):
    return [
        {k: v for k, v in each.items() if k not in ("latency_s", "wall_s")} for each in result["variants"]
    ]


def test_json_is_all_of_stdout_and_the_same_for_the_same_seed(capsys):
    status, shown = command(capsys, *SMALL, "--json")
    first = json.loads(shown.out)
    assert status == 0
    assert "paper" in by_name(first)
    assert shown.err
    again = json.loads(command(capsys, *SMALL, "--json")[1].out)
    assert timeless(first) == timeless(again)
    other = json.loads(command(capsys, *SMALL, "--json", "--seed", "1")[1].out)
    assert timeless(first) != timeless(other)


def test_a_seed_that_no_generator_takes_is_named(capsys):
    status, shown = command(capsys, *SMALL, "--seed", "-1")
    assert (status, "seed is -1; give at least 0" in shown.err) == (2, True)


def test_the_table_names_every_variant_and_the_baseline_joins(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, shown = command(capsys, *SMALL, "--variants", "one_question", "with_ground_truth")
    assert status == 0
    for name in ("paper", "one_question", "with_ground_truth"):
        assert name in shown.out
    assert "cannot tell" in shown.out


def test_a_protocol_of_ones_own_is_compared_by_its_path(capsys, tmp_path):
    own, again = tmp_path / "units.md", tmp_path / "paper.md"
    own.write_text("---\nsummary: units first\nfixed: Look at the units.\n---\nTeach.")
    again.write_text(protocol_texts()["paper"])
    for variants, baseline, names in (
        (["paper", str(own)], "paper", ["paper", "units"]),
        (["fixed_retry"], str(own), ["units", "fixed_retry"]),
        (["paper", str(again)], "paper", ["paper"]),
    ):
        chosen = ["--variants", *variants, "--baseline", baseline]
        status, shown = command(capsys, *SMALL, *chosen, "--json")
        assert (status, list(by_name(json.loads(shown.out)))) == (0, names)
    again.write_text(own.read_text())
    status, shown = command(capsys, *SMALL, "--variants", "paper", str(again))
    assert (status, "two protocols are called 'paper'" in shown.err) == (2, True)


def test_the_page_stands_alone(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    status, _ = command(capsys, *SMALL, "--variants", "paper", "fixed_retry", "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert status == 0
    assert "<svg" in text
    assert "fixed_retry" in text
    assert "<script" not in text
    assert "src=" not in text


def test_a_missing_matplotlib_is_said_before_the_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, shown = command(capsys, *SMALL, "--html", str(tmp_path / "page.html"))
    assert status == 2
    assert "socratic-env[agent]" in shown.err


@pytest.mark.parametrize(
    "arguments",
    [["--variants", "shout"], ["--variants", "nowhere.md"], ["--teacher", "{oops"],
     ["--student", "parrot"], ["--number", "0"], ["--baseline", "none"], ["--max-attempts", "0"],
     ["--habits.knows", "1.5"]],
)  # fmt: skip
def test_unusable_arguments_are_status_2(capsys, arguments):
    try:
        status, shown = command(capsys, *arguments)
    except SystemExit as stop:
        status, shown = stop.code, capsys.readouterr()
    assert status == 2
    assert shown.out == ""


# -- models behind an endpoint -----------------------------------------------------------


@pytest.fixture
def server():
    running = MisbehavingServer()
    yield running
    running.stop()


def test_a_student_and_a_teacher_behind_an_endpoint_are_counted_and_priced(capsys, server):
    spec = json.dumps({"kind": "openai", "base_url": server.url, "model": "good"})
    priced = ["--prices.teacher-prompt", "1e6", "--prices.student-completion", "1e6"]
    arguments = ["--student", spec, "--teacher", spec, "--variants", "paper", "fixed_retry", *priced]
    status, shown = command(capsys, *arguments, *SMALL, "--json")
    found = by_name(json.loads(shown.out))
    assert status == 0
    episodes = 16  # no reply of this server holds an answer, so each has three attempts and two guidances
    assert found["paper"]["student_tokens"] == [11 * 3 * episodes, 7 * 3 * episodes]
    assert found["paper"]["teacher_tokens"] == [11 * 2 * episodes, 7 * 2 * episodes]
    assert found["paper"]["teacher_cost"] == 11 * 2 * episodes
    assert found["paper"]["student_cost"] == 7 * 3 * episodes
    assert found["paper"]["metrics"]["guided_accuracy"]["value"] == 0.0
    assert found["fixed_retry"]["teacher_tokens"] == [0, 0]
    seeds = {request["seed"] for request in server.requests if "seed" in request}
    assert seeds == {0, 1}


def test_a_student_that_cannot_be_reached_is_status_1(capsys, server):
    spec = json.dumps({"kind": "openai", "base_url": server.url, "model": "status:400"})
    status, shown = command(capsys, "--student", spec, "--variants", "paper", *SMALL, "--json")
    assert (status, shown.out) == (1, "")
    assert "the student's endpoint failed" in shown.err
