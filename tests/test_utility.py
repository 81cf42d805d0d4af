"""What viewpoints are worth: right ones help, harmful ones harm, idle ones do nothing, and nothing unknown is
counted as known."""

import asyncio
import json
import math
import random
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import choice_question, right, wrong
from support.student_server import serve

from socratic_env.cli import main
from socratic_env.dialogue import messages, open_dialogue
from socratic_env.engine.background import run
from socratic_env.errors import (
    ConfigurationError,
    RecordingError,
    StudentContextError,
    StudentError,
    StudentUnusable,
)
from socratic_env.evaluation.probes import (
    generic_probes,
    probes_digest,
    source_questions,
    targeted_probes,
)
from socratic_env.evaluation.scores import Play, Scores
from socratic_env.evaluation.utilities import (
    MARGIN,
    Measured,
    accepted,
    measure,
    probes_needed,
    sign_test,
    utilities,
)
from socratic_env.questions import QuestionList, load_questions
from socratic_env.questions.procedural.arithmetic import MISTAKES
from socratic_env.students import Student, StudentReply, StudentRequest, student_from_spec
from socratic_env.students.scripted_student import Habits, ScriptedStudent, explains, recommends
from socratic_env.types import Mistake
from socratic_env.verifiers import by_kind
from socratic_env.viewpoints import KnowledgeBase, Trace, Utility, Viewpoint

ARITHMETIC = load_questions("arithmetic")
PROBES = generic_probes(ARITHMETIC, 300, 0)
FOLLOWING = Habits(knows=0.2, heeds=1.0, misled=1.0)
NAMES = {name: did for name, (_, did, _) in MISTAKES.items() if "{" not in did}
RIGHT = [Viewpoint(MISTAKES[name][2].capitalize(), trigger=did) for name, did in NAMES.items()]
HARMFUL = [Viewpoint(f"Do as follows: {did}", trigger=did) for did in NAMES.values()]
IDLE = [Viewpoint("Take your time."), Viewpoint("Write neatly.", trigger="arithmetic")]


class Reading(Student):
    """Answers right where its system text has a word, or where `also` says so; counts what it is asked."""

    def __init__(self, word: str = "brackets", also=lambda _request: False) -> None:
        self.word, self.also, self.asked = word, also, 0

    async def answer(self, requests: Sequence[StudentRequest]) -> list[str | StudentReply]:
        self.asked += len(requests)
        return [self.one(request) for request in requests]

    def one(self, request: StudentRequest) -> str | StudentReply:
        knows = self.word in request.messages[0]["content"] or self.also(request)
        return right(request.question) if knows else wrong(request.question)


class Faulty(Reading):
    """Gives no reply on some questions, by their ids."""

    def __init__(self, faults: dict[str, StudentError], word: str = "brackets") -> None:
        super().__init__(word)
        self.faults = faults

    def one(self, request: StudentRequest) -> str | StudentReply:
        if request.question.id in self.faults:
            raise self.faults[request.question.id]
        return super().one(request)


# -- acceptance --------------------------------------------------------------------------


def test_right_principles_help_harmful_rules_harm_and_idle_words_do_nothing():
    measured = utilities(ScriptedStudent(FOLLOWING), PROBES, (), [*RIGHT, *HARMFUL, *IDLE], 0)
    worth = [one.utility.value for one in measured]
    count = len(RIGHT)
    assert min(worth[:count]) > 0
    assert max(worth[count : 2 * count]) < 0
    assert max(abs(value) for value in worth[2 * count :]) < MARGIN
    assert [one.verdict for one in measured[2 * count :]] == ["none", "none"]
    for one in measured[:count]:
        assert (one.utility.losses, one.worse) == (0, 1.0)
        low, high = one.utility.interval
        assert low <= one.utility.value <= high
    helpful = accepted(measured)
    assert {one.text for one in helpful} <= {one.text for one in RIGHT}
    assert len(helpful) >= count - 1
    assert [one.utility.value for one in helpful] == sorted(
        (one.utility.value for one in helpful), reverse=True
    )


def test_idle_words_are_within_the_margin_where_each_prompt_has_some_chance_of_its_own():
    def chance(request: StudentRequest) -> bool:
        own = random.Random(request.messages[0]["content"] + request.question.id)
        shared = random.Random(request.question.id).random() < 0.5
        return shared != (own.random() < 0.02)

    measured = utilities(Reading("nothing", chance), PROBES, (), IDLE, 0)
    assert any(one.utility.wins + one.utility.losses for one in measured), "chance does play a part"
    assert [one.verdict for one in measured] == ["none", "none"]


def test_targeted_probes_need_fewer():
    viewpoint = RIGHT[3]
    targeted = partial(targeted_probes, ARITHMETIC, 100, 0)
    student = ScriptedStudent(FOLLOWING)
    (generic,), (aimed,) = (utilities(student, probes, (), [viewpoint], 0) for probes in (PROBES, targeted))
    assert aimed.applies == 100 == aimed.utility.n
    assert generic.applies < 300
    assert aimed.needed < generic.needed
    assert aimed.utility.value > generic.utility.value > 0


# -- the two sides ------------------------------------------------------------------------


def test_all_candidates_share_one_baseline_and_what_does_not_apply_is_played_once():
    student = Reading()
    probes = PROBES[:64]
    elsewhere = Viewpoint("Brackets?", trigger="chemistry")
    planned, done = [], []
    measured = utilities(
        student,
        probes,
        (),
        [RIGHT[0], elsewhere, IDLE[0]],
        0,
        on_planned=planned.append,
        on_played=done.append,
    )
    assert student.asked == 64 + measured[0].applies + 64 == planned[0] == sum(done)
    assert measured[1].utility == Utility(0.0, measured[1].utility.interval, 64, probes=probes_digest(probes))
    assert measured[1].applies == 0


def test_an_active_candidate_is_measured_against_the_others():
    student = Reading("neatly", lambda request: "time" in request.messages[0]["content"])
    neatly, time = Viewpoint("neatly"), Viewpoint("time")
    probes = PROBES[:16]
    for active, value, without in (((), 1.0, 0.0), ((neatly,), 1.0, 0.0), ((neatly, time), 0.0, 1.0)):
        (found,) = utilities(student, probes, active, [neatly], 0)
        assert (found.utility.value, found.without, found.with_) == (value, without, 1.0)
        assert found.utility.beside == tuple(one.id for one in active if one is not neatly)


def test_both_sides_have_the_same_chances():
    """A student whose chances are those of the rollout alone has no difference anywhere."""
    seen = []

    def chance(request: StudentRequest) -> bool:
        seen.append(request.rollout)
        return random.Random(f"{request.question.id}/{request.rollout}").random() < 0.5

    (found,) = utilities(Reading("nothing", chance), PROBES[:20], (), [IDLE[0]], 3, samples=4)
    assert sorted(set(seen)) == [12, 13, 14, 15]
    assert (found.utility.wins, found.utility.losses, found.utility.value) == (0, 0, 0.0)
    assert found.needed is None
    assert 0 < found.without < 1


def test_a_verifier_of_ones_own_scores():
    (found,) = utilities(
        Reading(), PROBES[:5], (), [IDLE[0]], verifier=lambda q, text: by_kind(q, right(q)), samples=2
    )
    assert found.with_ == 1.0


# -- vetoes -------------------------------------------------------------------------------


def test_what_gives_an_answer_away_is_vetoed_and_never_played():
    student = Reading()
    source = ARITHMETIC.find("arithmetic/sum_times/train/0")
    told = Viewpoint(f"It is {source.answer}.", trigger="nowhere", trace=Trace(source.id))
    on_probe = Viewpoint(f"It is {PROBES[0].answer}.")
    vetoed = Viewpoint("x", vetoed="by hand")
    sources = source_questions(ARITHMETIC, [told, Viewpoint("x", trace=Trace("no such question"))])
    assert sources == [source]
    measured = utilities(student, PROBES[:8], (), [told, on_probe, vetoed], 0, sources=sources)
    assert student.asked == 0
    assert [one.verdict for one in measured] == ["vetoed"] * 3
    assert "of arithmetic/sum_times/train/0 away" in measured[0].vetoed
    assert measured[1].as_json()["utility"] is None
    assert measured[2].vetoed == "by hand"
    assert accepted(measured) == []


# -- what is unknown ------------------------------------------------------------------------


def test_a_missing_reply_is_unknown_and_a_full_context_is_a_failure():
    probes = PROBES[:10]
    faults: dict[str, StudentError] = {
        probes[0].id: StudentError("gone"),
        probes[1].id: StudentContextError("too long"),
    }
    (found,) = utilities(Faulty(faults, "time"), probes, (), [IDLE[0]], 0)
    assert found.open == 1
    assert (found.utility.wins, found.utility.n) == (8, 10)
    assert found.utility.value == pytest.approx(8 / 9)
    low, high = found.utility.interval
    assert low < 0.8 < high, "the unknown pair may be a loss or a win"
    assert found.as_json()["open"] == 1


def test_a_student_that_never_replies_stops_the_measurement():
    probes = PROBES[:6]
    everywhere: dict[str, StudentError] = {probe.id: StudentError("gone") for probe in probes}
    with pytest.raises(StudentError, match="6 dialogues in a row got no reply, the last: gone"):
        utilities(Faulty(everywhere), probes, (), [IDLE[0]], 0, batch=6)
    with pytest.raises(StudentError, match="left no pair of viewpoint"):
        utilities(Faulty(everywhere), probes, (), [IDLE[0]], 0, batch=1)
    for batch in (1, 6):
        student = Faulty({probes[3].id: StudentUnusable("no key")})
        with pytest.raises(StudentUnusable, match="no key"):
            utilities(student, probes, (), [IDLE[0]], 0, batch=batch)


def test_unusable_once_asked_alone_stops_too():
    class Moody(Reading):
        async def answer(self, requests):
            raise StudentError("busy") if len(requests) > 1 else StudentUnusable("no key")

    with pytest.raises(StudentUnusable):
        utilities(Moody(), PROBES[:4], (), [IDLE[0]], 0)


# -- scores that are kept ------------------------------------------------------------------


def test_scores_are_found_again_by_version_prompt_truth_and_chance(tmp_path):
    path, student = tmp_path / "scores.jsonl", Reading()
    play = partial(utilities, student, PROBES[:8], (), [IDLE[0]], 0)
    with Scores(path) as scores:
        first = play(version="v1", scores=scores)
        assert (student.asked, scores.played) == (16, 16)
        assert play(version="v1", scores=scores) == first
        assert student.asked == 16
        play(version="v2", scores=scores)
        assert student.asked == 32
        play(scores=scores)
        play(scores=scores)
        assert student.asked == 64, "a student without a version is asked anew"
        with pytest.raises(RecordingError, match="close the other run"):
            Scores(path)
    with Scores(path) as scores:
        assert play(version="v1", scores=scores) == first
        assert play(version="v1", scores=scores, verifier="last_number") != []
    assert student.asked == 80, "another verifier, another score"
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    with pytest.raises(RecordingError, match="line 49: no score"):
        Scores(path)


def test_scores_of_a_missing_reply_are_not_kept():
    probe = PROBES[0]
    scores = Scores()
    for student, expected in ((Faulty({probe.id: StudentError("gone")}), None), (Reading("xyzzy"), 0.0)):
        found = asyncio.run(scores.of(student, "v", [Play(probe, 0)] * 2, by_kind))
        assert found == {Play(probe, 0): expected}


# -- probes ------------------------------------------------------------------------------


def test_probes_are_different_and_spread_over_the_sub_tasks():
    counts: dict[str, int] = {}
    for probe in PROBES:
        counts[probe.subtask] = counts.get(probe.subtask, 0) + 1
    assert len({probe.id for probe in PROBES}) == 300
    assert len(counts) == 16
    assert max(counts.values()) - min(counts.values()) <= 1
    assert generic_probes(ARITHMETIC, 300, 0) == PROBES
    assert probes_digest(generic_probes(ARITHMETIC, 300, 1)) != probes_digest(PROBES)


def test_a_small_set_is_taken_whole_and_a_larger_wish_refused():
    small = QuestionList([choice_question(f"q{i}") for i in range(30)])
    assert {probe.id for probe in generic_probes(small, 30)} == {f"q{i}" for i in range(30)}
    with pytest.raises(ConfigurationError, match="found only 30 different probes of 31"):
        generic_probes(small, 31)
    with pytest.raises(ConfigurationError, match="number of probes is 0"):
        generic_probes(small, 0)
    with pytest.raises(ConfigurationError, match="applies to none of 30 questions"):
        targeted_probes(small, 5, 0, Viewpoint("x", trigger="chemistry / nonsense"))
    with pytest.raises(ConfigurationError, match="has no probes"):
        utilities(Reading(), [], (), [IDLE[0]])


def test_targeted_probes_all_have_the_trigger():
    found = targeted_probes(ARITHMETIC, 40, 0, RIGHT[3])
    assert len(found) == 40
    assert all(any(m.name == RIGHT[3].trigger for m in probe.mistakes) for probe in found)


# -- statistics ---------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_sign_test_is_that_of_a_fair_coin(wins, losses):
    both = sign_test(wins, losses) + sign_test(losses, wins)
    trials = wins + losses
    exactly = math.comb(trials, wins) / 2**trials
    assert both == pytest.approx(1 + exactly)
    assert sign_test(5, 0) == 1 / 32


def test_so_many_probes_find_the_effect_four_times_in_five():
    """By simulation: the z-test on as many pairs as are said to be needed."""
    rng = np.random.default_rng(0)
    population = rng.choice([1.0, 0.0, -1.0], p=[0.3, 0.55, 0.15], size=20000)
    needed = probes_needed(population)
    drawn = rng.choice(population, size=(4000, needed))
    z = drawn.mean(axis=1) / (population.std() / np.sqrt(needed))
    assert 0.76 < (z > 1.645).mean() < 0.84
    assert probes_needed(np.ones(9)) == 5
    assert probes_needed(np.array([0.0, np.nan])) is None


@pytest.mark.parametrize(
    ("value", "better", "worse", "verdict"),
    [
        (0.029, 0.0, 1.0, "none"),
        (0.03, 0.05, 1.0, "helps"),
        (-0.03, 1.0, 0.05, "harms"),
        (0.5, 0.06, 0.98, "unclear"),
    ],
)
def test_verdicts_go_by_margin_and_sign_test(value, better, worse, verdict):
    found = Measured(IDLE[0], Utility(value), better=better, worse=worse)
    assert found.verdict == verdict
    assert found.as_json()["without"] is None


@pytest.mark.parametrize("name", ["samples", "resamples", "batch"])
def test_unusable_settings_are_named(name):
    with pytest.raises(ConfigurationError, match=f"{name} is 0"):
        utilities(Reading(), PROBES[:2], (), [IDLE[0]], **{name: 0})
    with pytest.raises(ConfigurationError, match="seed is -1"):
        asyncio.run(measure(Reading(), PROBES[:2], (), [IDLE[0]], -1))


# -- the scripted student -----------------------------------------------------------------


def test_the_scripted_student_follows_what_stands_before_it():
    mistake = Mistake(
        "5",
        "ignored the brackets",
        "..",
        0,
        "Look again.",
        "You ignored the brackets: they come first.",
        "Go on.",
    )
    assert explains("They come first, always.", mistake)
    assert explains("Look again.", mistake)
    assert not explains("Ignored the brackets", mistake)
    assert recommends("Always ignore the brackets", mistake)
    assert not recommends("Do not ignore the brackets", mistake)
    assert not recommends("Ignore what stands before the brackets", mistake)
    asked = [StudentRequest(probe, 0, messages(open_dialogue(probe))) for probe in PROBES]
    told = [
        asyncio.run(ScriptedStudent(habits).answer(asked)) for habits in (Habits(), Habits(heeds=0, misled=0))
    ]
    assert told[0] == told[1], "without viewpoints nothing changes"


# -- the command ----------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    with KnowledgeBase(tmp_path / "base.jsonl") as base:
        base.activate(base.propose(RIGHT[3]).id)
        base.propose(HARMFUL[3])
        base.propose(Viewpoint("It is 7.", kind="counter_example", trace=Trace("q", text="<b>no</b>\x1b[2J")))
        base.propose("It is 7")
    return tmp_path / "base.jsonl"


COMMAND = ["--probes", "300", "--habits.knows", "0.2", "--habits.heeds", "1", "--habits.misled", "1"]


def test_utility_measures_a_base_and_writes_it_down(path, tmp_path, capsys):
    page = tmp_path / "utility.html"
    command = ["utility", str(path), *COMMAND, "--json", "--write", "--html", str(page), "--version", "s1"]
    command += ["--cache", str(tmp_path / "cache.jsonl")]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    verdicts = {one["text"]: one["verdict"] for one in result["viewpoints"]}
    assert verdicts == {RIGHT[3].text: "helps", HARMFUL[3].text: "harms", "It is 7.": "vetoed"}
    assert (result["kind"], result["active"], result["version"]) == ("generic", [RIGHT[3].id], "s1")
    assert result["played"] > 0
    assert "vetoed" in page.read_text()
    base = KnowledgeBase.read(path)
    assert base[RIGHT[3].id].utility.student == "s1"
    assert base[Viewpoint("It is 7.").id].vetoed.startswith("gives the answer")
    assert main([*command, "--ids", RIGHT[3].id[:8], Viewpoint("It is 7.").id]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["played"] == 0, "all scores were kept"
    assert [one["verdict"] for one in again["viewpoints"]] == ["helps", "vetoed"]


def test_utility_prints_a_table_for_people(path, capsys):
    assert main(["utility", str(path), *COMMAND, "--targeted", "--probes", "40"]) == 0
    out = capsys.readouterr().out
    assert "40 targeted probes for each viewpoint of arithmetic" in out
    assert "40 of 40" in out
    assert main(["utility", '["Take care."]', *COMMAND]) == 0
    assert "none" in capsys.readouterr().out
    assert KnowledgeBase.read(path)[RIGHT[3].id].utility is None, "nothing is written without --write"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["[]"], "the list of viewpoints is empty"),
        (['["x"]', "--ids", "ab"], "--ids needs a knowledge base"),
        (['["x"]', "--write"], "--write needs a knowledge base"),
        (['["x"]', "--probes", "0"], "--probes is 0"),
        (["nowhere.jsonl"], "cannot be read"),
        (["EMPTY"], "has no viewpoint that is not vetoed"),
    ],
)
def test_utility_refuses_what_it_cannot_measure(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    KnowledgeBase("EMPTY").close()
    assert main(["utility", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_utility_says_what_went_wrong(path, tmp_path, capsys, monkeypatch):
    missing = tmp_path / "missing" / "page.html"
    assert main(["utility", '["x"]', "--probes", "10", "--html", str(missing)]) == 1
    assert "cannot be written" in capsys.readouterr().err
    faulty = {probe.id: StudentError("gone") for probe in generic_probes(ARITHMETIC, 10, 0)[:1]}
    monkeypatch.setattr("socratic_env.cli.utility.student_from_spec", lambda *_: Faulty(faulty))
    assert main(["utility", '["x"]', "--probes", "10", "--html", str(tmp_path / "page.html")]) == 1
    assert "1 pairs have a side on which the student gave no reply" in capsys.readouterr().err
    assert "gave no reply" in (tmp_path / "page.html").read_text()
    every = {probe.id: StudentError("gone") for probe in generic_probes(ARITHMETIC, 10, 0)}
    monkeypatch.setattr("socratic_env.cli.utility.student_from_spec", lambda *_: Faulty(every))
    assert main(["utility", '["x"]', "--probes", "10"]) == 1
    assert "error: 20 dialogues in a row got no reply" in capsys.readouterr().err


def test_viewpoints_shows_the_base_its_history_and_one_of_them(path, tmp_path, capsys):
    assert main(["utility", str(path), *COMMAND, "--write"]) == 0
    with KnowledgeBase(path) as base:
        base.distil("s2")
    capsys.readouterr()
    page = tmp_path / "base.html"
    assert main(["viewpoints", str(path), "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert "3 viewpoints, 0 active, 1 vetoed; 1 duplicates merged, 2 measurements, 1 distillations." in out
    assert "distilled" in out
    text = page.read_text()
    assert "&lt;b&gt;no&lt;/b&gt;" in text
    assert "<b>no</b>" not in text
    assert "Vetoed: gives the answer" in text
    assert main(["viewpoints", str(path), "--history"]) == 0
    assert "student s2" in capsys.readouterr().out
    vetoed = Viewpoint("It is 7.").id
    assert main(["viewpoints", str(path), "--id", vetoed]) == 0
    out = capsys.readouterr().out
    assert "<b>no</b>\\u001b[2J" in out, "a trace cannot steer the terminal"
    assert "vetoed: gives the answer" in out
    assert main(["viewpoints", str(path), "--id", RIGHT[3].id]) == 0
    assert "scripted" in capsys.readouterr().out


def test_viewpoints_as_json(path, tmp_path, capsys):
    with KnowledgeBase(path) as base:
        base.measure(RIGHT[3].id, Utility(0.1, (0.0, 0.2), student="s1"))
        base.retire(RIGHT[3].id, "why")

    def shown(*more: str):
        assert main(["viewpoints", str(path), "--json", *more]) == 0
        return json.loads(capsys.readouterr().out)

    whole = shown()
    assert whole["active"] == []
    assert [one["state"] for one in whole["viewpoints"]] == ["retired", "proposed", "proposed"]
    assert Viewpoint.of({k: v for k, v in whole["viewpoints"][0].items() if k not in ("id", "state")}).text
    events = [event["what"] for event in shown("--history")["history"]]
    assert events == ["proposed", "activated", "proposed", "proposed", "merged", "measured", "retired"]
    one = shown("--id", Viewpoint("It is 7.").id[:9])
    assert [trace["question_id"] for trace in one["traces"]] == ["q"]
    assert shown("--id", RIGHT[3].id)["measured"][0]["student"] == "s1"
    assert main(["viewpoints", str(path), "--html", str(tmp_path / "no" / "page.html")]) == 1
    assert main(["viewpoints", str(tmp_path / "no")]) == 2


# -- an endpoint ---------------------------------------------------------------------------


def test_a_student_behind_a_server_is_asked_with_and_without_at_the_same_seed():
    probes = PROBES[:6]
    with serve(probes, lambda question, _: right(question)) as (address, requests):
        student = student_from_spec({"kind": "openai", "base_url": address, "model": "m", "seed": 5})
        try:
            (found,) = utilities(student, probes, (), [IDLE[0]], 2)
        finally:
            run(student.close())
    assert (found.with_, found.without, found.verdict) == (1.0, 1.0, "none")
    asked = [(body["seed"], IDLE[0].text in body["messages"][0]["content"]) for body in requests]
    assert sorted(asked) == [(7, False)] * 6 + [(7, True)] * 6


def test_a_server_that_is_gone_is_an_error_with_its_reason():
    with serve([], lambda *_: "") as (address, _):
        pass
    spec = {"kind": "openai", "base_url": address, "model": "m", "retries": 0, "deadline_s": 5}
    student = student_from_spec(spec)
    with pytest.raises(StudentError, match="the student's endpoint failed"):
        utilities(student, PROBES[:2], (), [IDLE[0]])
    run(student.close())
