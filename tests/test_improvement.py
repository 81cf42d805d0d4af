"""A teacher's prompt that gets better: what is found, what it is judged on, and what is said of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.misbehaving_server import MisbehavingServer

from socratic_env.cli import main
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.comparison import draw_questions, run_variant
from socratic_env.evaluation.improvement import (
    HINTS,
    INSTRUCTIONS,
    Search,
    by_grammar,
    improve,
)
from socratic_env.evaluation.proposals import NEEDED, ByModel, proposer_endpoint
from socratic_env.protocols import (
    ON_LEAK,
    TeachingProtocol,
    parse_protocol,
    protocol,
    protocol_text,
    protocols,
)
from socratic_env.questions import load_questions
from socratic_env.students.scripted_student import ScriptedStudent
from socratic_env.teachers import Teacher, from_spec
from socratic_env.types import Guidance, Usage

KEY = INSTRUCTIONS[3]
SMALL = Search(rounds=1, candidates=7, questions=16, rollouts=1)
TRAINING = draw_questions(load_questions("procedural"), SMALL.largest, 0)
HELD_OUT = draw_questions(load_questions("procedural", split="test"), 60, 0)


class Prompted(Teacher):
    """Teaches well only where its prompt has one line; told to leak, it says the answer."""

    def __init__(self, leak: str = "") -> None:
        self._rule, self._leak = from_spec("rule"), leak

    async def guide(self, requests):
        good = await self._rule.guide(requests)
        said = []
        for request, guidance in zip(requests, good, strict=True):
            if self._leak and self._leak in request.protocol.prompt:
                said.append(Guidance(f"The answer is {request.dialogue.question.answer}."))
            else:
                said.append(guidance if KEY in request.protocol.prompt else Guidance("Try again."))
        return said


def search(original, propose=by_grammar, teacher="rule", how=SMALL, training=TRAINING, held_out=HELD_OUT):
    return run(improve(original, propose, ScriptedStudent(seed=0), teacher, training, held_out, how))


async def every_line(protocol, episodes, count, seed):
    """One change for each line of the grammar."""
    found, rest = await by_grammar(protocol, episodes, 1000, seed)
    return [each for each in found if each[1].startswith("with ")][:count], rest


def test_the_line_that_a_teacher_needs_is_found_and_shows_on_held_out_questions():
    found = search(protocol("paper"), every_line, Prompted())
    assert KEY in found.winner.protocol.prompt
    assert found.winner.parent == "paper"
    before, after = found.held_out["variants"]
    assert (before["name"], after["name"]) == ("paper", found.winner.protocol.name)
    low, _ = after["metrics"]["guided_accuracy"]["difference_interval"]
    assert low > 0
    assert found.held_out["questions"] == len(HELD_OUT)
    rungs = [(trial.questions, trial.name) for trial in found.trials]
    assert [count for count, _ in rungs] == [16] * 8 + [32] * 4 + [64] * 2  # successive halving
    assert found.trials[-1].questions == SMALL.largest


def test_hints_that_help_more_are_found_for_the_rule_based_teacher():
    found = search(protocol("locate_error"), how=Search(1, 12, 16, 1), training=draw_questions(
        load_questions("procedural"), Search(1, 12, 16, 1).largest, 0))  # fmt: skip
    assert set(found.winner.protocol.rule_hints) & {"next_step", "all_steps", "explain"}
    assert found.held_out["variants"][1]["metrics"]["guided_accuracy"]["difference"] > 0.1


def test_a_prompt_that_leaks_does_not_win():
    async def leaking(protocol_, episodes, count, seed):
        made, rest = await every_line(protocol_, episodes, count, seed)
        return [(p, what) for p, what in made if INSTRUCTIONS[0] in p.prompt or KEY in p.prompt], rest

    found = search(protocol("paper"), leaking, Prompted(leak=INSTRUCTIONS[0]))
    leak = next(t for t in found.trials if INSTRUCTIONS[0] in next(
        c.protocol.prompt for c in found.candidates if c.protocol.name == t.name))  # fmt: skip
    assert leak.leaks > 0.5
    assert leak.score < leak.gain
    assert KEY in found.winner.protocol.prompt


def test_nothing_better_leaves_the_original_and_no_comparison():
    async def worse(protocol_, _episodes, _count, _seed):
        return [(protocol("locate_error"), "worse")], (["one failed"], Usage())

    found = search(protocol("paper"), worse)
    assert found.winner.protocol is found.candidates[0].protocol
    assert found.held_out is None
    assert found.faults == ("one failed",)
    json.dumps(found.as_json())


@pytest.mark.parametrize("name", [n for n, p in protocols().items() if not p.fixed])
def test_the_grammar_makes_different_protocols_that_never_show_more_than_the_original(name):
    original = protocol(name)
    made, _ = run(by_grammar(original, [], 100, 0))
    assert len({(p.prompt, p.dialogue, p.rule_hints) for p, _ in made}) == len(made) > len(HINTS)
    for changed, what in made:
        assert what
        assert (changed.ground_truth, changed.reference_solution) == (
            original.ground_truth, original.reference_solution,
        )  # fmt: skip
        assert "answer" not in changed.rule_hints or "answer" in original.rule_hints
        assert all(each in changed.prompt for each in NEEDED if each in original.prompt)
    assert run(by_grammar(original, [], 4, 0))[0] == made[:4]


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).map(
    str.strip
)


@given(
    st.builds(
        TeachingProtocol,
        name=st.just("x"), prompt=texts.filter(bool), summary=texts,
        dialogue=st.sampled_from(["last", "whole"]),
        ground_truth=st.booleans(), reference_solution=st.booleans(), max_guidance_chars=st.integers(1, 9999),
        rule_hints=st.sampled_from(HINTS), fixed=texts, on_leak=st.sampled_from(ON_LEAK),
    )
)  # fmt: skip
def test_a_protocol_is_read_again_from_its_text(given_):
    assert parse_protocol("x", protocol_text(given_)) == given_


# -- proposals of a model -----------------------------------------------------------------


@pytest.fixture
def server():
    one = MisbehavingServer()
    yield one
    one.stop()


def proposed(server, *says, count=1):
    said = iter(says)
    server.script = lambda body: next(said)
    endpoint = proposer_endpoint(server.url, "scripted", "NONE", {"temperature": 1.0})

    async def work():
        try:
            student, original = ScriptedStudent(seed=0), protocol("paper")
            seen = await run_variant(original, TRAINING[:12], student, "rule", 1, 2)
            return await ByModel(endpoint)(original, seen.episodes, count, 0)
        finally:
            await endpoint.close()

    return run(work())


GOOD = "Teach.\n{question}\n{student_answer}"


def test_a_model_sees_the_prompt_and_what_became_of_it(server):
    answer = json.dumps({"change": "shorter", "prompt": GOOD})
    made, (faults, usage) = proposed(server, f"Here you are:\n```json\n{answer}\n```")
    ((changed, what),) = made
    assert (changed.prompt, what, faults) == (GOOD, "shorter", [])
    assert usage.calls == 1
    (body,) = server.requests
    asked = body["messages"][0]["content"]
    assert protocol("paper").prompt in asked
    assert "Guidance that helped:" in asked
    assert "Student then:" in asked


def test_a_proposal_without_the_placeholders_is_asked_for_once_more(server):
    bad, good = (json.dumps({"prompt": p}) for p in ("Teach well.", GOOD))
    made, (faults, _) = proposed(server, bad, good)
    assert [p.prompt for p, _ in made] == [GOOD]
    assert "lacks {question} and {student_answer}" in server.requests[1]["messages"][-1]["content"]
    made, (faults, _) = proposed(server, bad, "no JSON at all", good, count=2)
    assert len(made) == 1
    assert len(faults) == 1


# -- the command --------------------------------------------------------------------------

QUICK = ["--search.rounds", "1", "--search.candidates", "3", "--search.questions", "16", "--held-out", "40"]


def test_the_command_writes_a_protocol_that_can_be_used(tmp_path, capsys):
    out = tmp_path / "mine.md"
    assert main(["improve-teacher", "locate_error", "--out", str(out), *QUICK, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["winner"] != found["original"] == "locate_error"
    assert found["held_out"]["variants"][1]["metrics"]["guided_accuracy"]["difference_interval"][0] > 0
    made = protocol(str(out))
    assert made.name == "mine"
    assert made.summary.startswith("improved from locate_error: ")
    assert main(["improve-teacher", "locate_error", "--out", str(out), *QUICK]) == 2  # it is kept
    assert "give a new file" in capsys.readouterr().err


def test_the_command_says_how_a_candidate_came_about(tmp_path, capsys):
    assert main(["improve-teacher", "locate_error", "--out", str(tmp_path / "x.md"), *QUICK]) == 0
    told = capsys.readouterr()
    assert "rule_hints: " in told.out
    assert "held-out, locate_error: guided" in told.out
    assert "round 1" in told.err


def test_nothing_better_is_exit_status_1_and_writes_nothing(tmp_path, capsys):
    out = tmp_path / "x.md"
    command = ["improve-teacher", "paper", "--teacher", "retry", "--out", str(out), *QUICK]
    assert main(command) == 1
    assert not out.exists()
    assert "nothing better than the original" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fixed_retry"], "asks no teacher"),
        (["paper", "--out", "x.txt"], "ends in .md"),
        (["paper", "--proposer", '{"model": "m"}'], "base_url and model"),
        (
            ["paper", "--proposer", '{"base_url": "http://127.0.0.1:1/v1", "model": "m", "top": 1}'],
            "'top' is none",
        ),
        (["paper", "--search.max-attempts", "1"], "give at least 2"),
        (["paper", "--search.rounds", "0"], "rounds"),
    ],
)
def test_unusable_arguments_are_told(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["improve-teacher", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_questions_must_be_enough_and_apart():
    with pytest.raises(ConfigurationError, match="too few for 7 candidates"):
        search(protocol("paper"), training=TRAINING[:20])
    with pytest.raises(ConfigurationError, match="overlap"):
        search(protocol("paper"), held_out=TRAINING[:5])
