"""Traces of arithmetic line by line: what is planted is found, and nothing else is."""

from __future__ import annotations

import contextlib
import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted import choice_question, right, wrong

from socratic_env.errors import ConfigurationError
from socratic_env.questions import load_questions
from socratic_env.questions.procedural.arithmetic import FUNCTIONS, SHAPES
from socratic_env.questions.procedural.expressions import Operation, count, parse, value, write
from socratic_env.questions.procedural.misconceptions import MISTAKES
from socratic_env.traces import (
    RIGHT,
    SLIP,
    Status,
    diagnose,
    expression_in,
    judge_line,
    moves,
    plant,
    traces_of,
)
from socratic_env.traces.derivations import canonical
from socratic_env.traces.expression_reader import MOST_OPERATIONS, read_line
from socratic_env.traces.judging import names_of
from socratic_env.types import Attempt, Episode, StopReason, Verdict

SMALL = [shape for shape in SHAPES.values() if count(parse(shape)) <= 3]
WORLDS = {
    "easy": (list(SHAPES.values()), None, 1, 9),
    "hard": (list(SHAPES.values()), None, 11, 99),
    "modulo 7": (SMALL, 7, 1, 6),
}


def expression(rng: random.Random, world: str) -> str:
    shapes, _, low, high = WORLDS[world]
    return re.sub("[a-e]", lambda _: str(rng.randint(low, high)), rng.choice(shapes))


def planted(rng: random.Random, world: str):
    """A working in which each line is mistaken with the same chance: 0 (clean), some, or 1."""
    share = rng.choice([0, 0.3, 0.6, 1])

    def choose(step, possible):
        wrong = [name for name in possible if name != RIGHT] + [SLIP]
        return rng.choice(wrong) if rng.random() < share else RIGHT

    return plant(expression(rng, world), choose, WORLDS[world][1], rng)


def check_planted(world: str, traces: int) -> Counter[str]:
    """What is planted against what is found, line by line."""
    rng, modulus, seen = random.Random(f"planted/{world}"), WORLDS[world][1], Counter()
    for _ in range(traces):
        working = planted(rng, world)
        found = diagnose(working.text, working.expression, modulus)
        assert [one.after for one in found.readings] == list(working.lines)
        before, errors = working.expression, 0
        for reading, line, move, path in zip(
            found.readings, working.lines, working.moves, working.places, strict=True
        ):
            assert reading.before == before
            if move == SLIP:
                seen["slips"] += 1
                seen["slips named"] += reading.status is Status.SLIP
                assert reading.classes, (working, reading)
            elif line == moves(before, modulus)[RIGHT]:  # right, or a mistake that cannot be seen
                seen["right"] += 1
                assert reading.status is Status.RIGHT, (working, reading)
            else:
                errors += 1
                seen["errors"] += 1
                seen["several classes"] += len(reading.classes) > 1
                assert reading.status is Status.WRONG, (working, reading)
                assert move in reading.classes, (working, reading)
                assert reading.classes <= set(MISTAKES)
                texts = (working.expression, *working.lines[: reading.line])
                called = {names_of(parse(text)).get(path) for text in texts}
                assert {one.place for one in reading.explanations if one.mistake == move} & called
            before = line
        seen["traces with several errors"] += errors > 1
        seen["clean traces"] += found.clean
        assert found.clean == (errors == 0 and SLIP not in working.moves)
        assert len(found.errors) + len(found.slips) >= errors
    return seen


@pytest.mark.parametrize("world", WORLDS)
def test_every_planted_error_is_found_and_nothing_else(world):
    seen = check_planted(world, 700)
    assert min(seen["errors"], seen["right"], seen["slips"], seen["clean traces"]) > 100
    assert seen["traces with several errors"] > 80
    assert seen["slips named"] >= 0.99 * seen["slips"]


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_precision_and_recall_are_1_on_ten_thousand_traces(world):
    seen = check_planted(world, 10_000)
    assert min(seen["errors"], seen["right"]) > 5_000
    assert seen["traces with several errors"] > 1_000
    assert seen["clean traces"] > 2_000


def test_the_papers_example():
    found = diagnose(["(4 + 6) * 3", "= 4 + 18", "= 22"])
    (error,) = found.errors
    assert (error.line, error.classes, error.place) == (
        1, {"ignore_brackets"}, "the sum in the brackets",
    )  # fmt: skip
    assert error.explanations[0].did == "ignored the brackets"
    assert [one.status for one in found.readings] == ["right", "wrong", "right"]
    line = judge_line("(4 + 6) * 3", "= 4 + 18")
    assert (line.status, line.classes, line.holds) == (Status.WRONG, {"ignore_brackets"}, False)
    assert judge_line("(4 + 6) * 3", "= 10 * 3").status is Status.RIGHT


def test_the_mistakes_of_the_packages_questions_are_found_where_they_happen():
    questions = load_questions("arithmetic", None, "test")
    for number in range(0, 64):
        question = questions[number]
        assert diagnose(question.solution, question.statement).clean
        for mistake in question.mistakes:
            found = diagnose(mistake.reasoning, question.statement)
            (error,) = found.errors
            assert error.line == mistake.wrong_line
            assert mistake.name in {one.did for one in error.explanations}
            assert f"Look again at {error.place}." == mistake.locate
            assert not found.slips


# -- what people write --------------------------------------------------------------------

CASES = {
    # lines -> (status and classes of each reading)
    "side calculation": (
        ["(4+6)*3", "First, 4 + 6 = 10.", "Then 10 × 3 = 30, so it is done."],
        ["right", "right", "right"],
    ),
    "a side calculation that is off": (
        ["9 - 3 * (4 + 2)", "The bracket is 4 + 2 = 7.", "3 * 7 = 21", "9 - 21 = -12"],
        ["right", "slip slip", "right", "right"],
    ),
    "a side calculation that betrays the mistake": (
        ["(4+6)*3", "6*3 = 18", "4 + 18 = 22", "Answer: 22"],
        ["right", "wrong ignore_brackets", "right", "right", "right"],
    ),
    "a part done too early": (
        ["9 - 3 * (4 + 2)", "4 + 2 = 6", "9 - 3 = 6", "6 * 6 = 36"],
        ["right", "right", "wrong left_to_right skip", "right", "right"],
    ),
    "a chain": (["(4+6)*3 = 10*3 = 31"], ["right", "slip slip"]),
    "multiplied out": (["(4+6)*3 = 4*3 + 6*3 = 12 + 18 = 30"], ["right", "right", "right"]),
    "corrected": (
        ["(4+6)*3", "= 4 + 18", "Wait, (4+6)*3 = 10 * 3 = 30"],
        ["right", "wrong ignore_brackets", "right", "right"],
    ),
    "the question said again": (["(4+6)*3", "= 10 * 3", "(4+6)*3 = 30"], ["right", "right", "right"]),
    "LaTeX in a list": (
        ["1. $(4+6) \\times 3$", "2. $= 10 \\cdot 3$", "3. \\boxed{30}"],
        ["right", "right", "right"],
    ),
    "the rewriting alone": (
        ["9 - 3 * (4 + 2)", "= 9 - 12 + 6", "= -3 + 6", "= 3"],
        ["right", "wrong keep_signs", "right", "right"],
    ),
    "two classes": (
        ["9 - (4 - 2)", "= 5 - 2", "= 3"],
        ["right", "wrong ignore_brackets keep_signs", "right"],
    ),
    "at another place": (
        ["2 * 3 - 4 * 5", "= 2*3 - 9", "= 6 - 9", "= 3"],
        ["right", "wrong swap", "right", "wrong reverse"],
    ),
    "in another order": (["2 * 3 - 4 * 5", "= 2 * 3 - 20", "= 6 - 20"], ["right", "right", "right"]),
    "the other way round": (["(4 + 6) * 3", "3 * 10"], ["right", "right"]),
    "no working": (["(4 + 6) * 3", "22"], ["right", "wrong ignore_brackets"]),
    "no working that means anything": (["(4 + 6) * 3", "= 40"], ["right", "wrong"]),
    "a check": (["(4 + 6) * 3", "= 10 * 3", "Check: 7 + 8 = 15"], ["right", "right", "text"]),
    "a wrong check": (["(4 + 6) * 3", "= 10 * 3", "Check: 7 + 8 = 16"], ["right", "right", "slip slip"]),
    "words, decimals, fractions, powers": (
        [
            "(4 + 6) * 3", "so 4 and 6 are 2 numbers", "7/2 and 3.5 + 2 = 5.5, 2^3", "x = y",
            "\\frac{1}{2}", "multi-step - fine!",
        ],
        ["right", "text", "text", "text", "text", "text"],
    ),
    "spoken of": (["(4 + 6) * 3", "The part 4 + 6 comes first"], ["right", "text"]),
    "named": (["(4 + 6) * 3", "let a = 4", "Total = 30"], ["right", "text", "right"]),
    "named, and wrong": (["(4 + 6) * 3", "Total = 22"], ["right", "wrong ignore_brackets"]),
    "a mistake among words": (["(4 + 6) * 3", "That makes 4 + 18 now"], ["right", "wrong ignore_brackets"]),
    "the next line, and worked at once": (["(4 + 6) * 3", "10 * 3 = 30"], ["right", "right", "right"]),
    "another way with its result": (["(4 + 6) * 3", "3 * 4 + 3 * 6 = 30"], ["right", "right", "right"]),
    "a mistake with its result": (
        ["(4 + 6) * 3", "4 + 18 = 22"],
        ["right", "wrong ignore_brackets", "right"],
    ),
    "named, and spoken of": (["(1 + 2) * 3", "let c = 3", "so (1 2) is a pair"], ["right", "text", "text"]),
    "as models write": (
        [
            "To solve $(4 + 6) \\times 3$, we follow the order of operations:", "### Step 1: the brackets",
            "\\[ 4 + 6 = 10 \\]", "**Step 2:** 10 × 3 = **30**", "So the final answer is \\(\\boxed{30}\\).",
        ],
        ["right", "text", "right", "right", "right"],
    ),
    "as models write when they err": (
        ["1. First: 6 × 3 = 18", "2. Then add 4: 4 + 18 = 22", "Therefore (4 + 6) × 3 = 22"],
        ["wrong ignore_brackets", "right", "right", "right"],
    ),
    "brackets that do not close": (
        ["(4 + 6) * 3", "((10 * 3", "= 4 + (6 * 3))"],
        ["right", "right", "wrong"],
    ),
    "no spaces": (["9-(4-2)", "9-2", "7"], ["right", "right", "right"]),
    "a product without a sign": (["3(4+6)", "= 3(10)", "= 30"], ["right", "right", "right"]),
    "another way, by words": (["2 + 3 + 4", "= 2 + 7"], ["right", "right"]),
    "two numbers off": (["23 + 4 * 5", "= 32 + 21"], ["right", "wrong"]),
    "copied wrongly": (["23 + 4 * 5", "= 32 + 4 * 5"], ["right", "slip slip"]),
    "copied wrongly in a step": (["23 + 4 * 5", "= 32 + 20"], ["right", "slip slip"]),
    "tags": (["(4 + 6) * 3", "<reasoning>= 30</reasoning><answer>30</answer>"], ["right"] * 3),
    "thousands": (["1,000 * (2 + 3)", "= 1000 * 5", "= 5,000"], ["right", "right", "right"]),
    "a wrong line that holds by chance": (["3 + 4 * 1", "= 7 * 1"], ["right", "wrong left_to_right"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_people_write(name):
    lines, wanted = CASES[name]
    found = diagnose(lines, "(4 + 6) * 3" if name == "as models write when they err" else "")
    assert [" ".join([one.status, *sorted(one.classes)]) for one in found.readings] == wanted
    assert found.classes == {word for each in wanted for word in each.split()[1:]}


def test_a_wrong_line_that_holds_says_so():
    assert judge_line("3 + 4 * 1", "= 7 * 1").holds
    assert not judge_line("3 + 4 * 2", "= 7 * 2").holds


def test_the_reading_of_a_line_is_of_its_worst_part():
    assert judge_line("(4 + 6) * 3", "(4 + 6) * 3 = 10 * 3 = 31").status is Status.SLIP
    assert judge_line("(4 + 6) * 3", "= 10 * 3 = 30").after == "30"
    assert judge_line("30", "= 30").status is Status.RIGHT
    assert judge_line("30", "= 31").status is Status.SLIP
    assert judge_line("(4 + 6) * 3", "let me think").status is Status.TEXT
    assert judge_line("(4 + 6) * 3", "let me think").place == ""


def test_places_keep_the_names_that_they_have_in_the_question():
    found = diagnose(["(2 + 3) * (4 + 5)", "= 5 * (4 + 5)", "= 5 * 4"])
    assert found.errors[0].place == "the second sum in the brackets"


def test_after_a_wrong_line_the_next_is_judged_against_what_was_written():
    found = diagnose(["5 - (2 + 1) * 2", "= 5 - 2 + 2", "= 5 - 4", "= 9"])
    assert [one.status for one in found.readings][2:] == ["wrong", "wrong"]
    assert [one.classes >= {"swap"} for one in found.errors][-1]


def test_modular_numbers():
    assert judge_line("(4 + 6) * 3", "= 3 * 3", 7).status is Status.RIGHT
    assert judge_line("(4 + 6) * 3", "= 4 + 4", 7).classes == {"ignore_brackets"}
    assert judge_line("(4 + 6) * 3", "= 10 * 3", 7).status is Status.RIGHT  # not yet reduced
    assert plant("(4 + 6) * 3", {0: "ignore_brackets"}, 7).lines == ("4 + 4", "1")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: judge_line("no sum", "= 3"), "before is 'no sum', which holds no expression"),
        (lambda: diagnose("I do not know"), "trace is 'I do not know', which holds no expression"),
        (lambda: diagnose("= 3", "what?"), "expression is 'what\\?'"),
        (lambda: diagnose("1 + 2", modulus=1), "modulus is 1; give a whole number of at least 2"),
        (lambda: moves("1 + 2", True), "modulus is True"),
        (lambda: moves("nothing"), "expression is 'nothing'"),
        (lambda: plant("1 + 2", {1: RIGHT}), "has a step 1; 1 \\+ 2 worked so has the steps 0 to 0"),
        (lambda: plant("1 + 2", {0: "skipp"}), "move in step 0, 1 \\+ 2: 'skipp'.*did you mean 'skip'"),
        (lambda: plant("1 + 2", {0: SLIP}), "names a slip; give rng"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()


def test_the_moves_are_those_of_the_packages_questions():
    rng = random.Random(0)
    for _ in range(200):
        before = expression(rng, "easy")
        while not before.lstrip("-").isdigit():
            asked = {RIGHT: str(FUNCTIONS["step"](before))}
            for name in MISTAKES:
                with contextlib.suppress(ValueError):  # the mistake cannot be made there
                    asked[name] = str(FUNCTIONS[name](before))
            assert dict(moves(before)) == asked
            before = rng.choice(list(asked.values()))


def test_planting_says_what_was_done():
    working = plant("(4 + 6) * 3 - 2", {0: "ignore_brackets", 2: "reverse"})
    assert working.lines == ("4 + 18 - 2", "22 - 2", "-20")
    assert working.moves == ("ignore_brackets", RIGHT, "reverse")
    assert working.text == "= 4 + 18 - 2\n= 22 - 2\n= -20"
    assert dict(moves("(4 + 6) * 3"))["first_term_only"] == "12 + 6"
    slipped = plant("2 * 3", {0: SLIP}, rng=random.Random(1)).lines[0]
    assert slipped not in moves("2 * 3").values()


def test_the_traces_of_an_episode():
    question = choice_question()
    attempts = tuple(
        Attempt(text, Verdict(correct, None, ""))
        for text, correct in ((wrong(question), False), (right(question), True))
    )
    first, second = traces_of(Episode(question, attempts, (0.0, 0.5), StopReason.SOLVED), "run", 3, 1)
    assert (first.text, first.correct, first.reward, first.attempt) == (wrong(question), False, 0.0, 1)
    assert (second.correct, second.reward, second.attempt, second.rollout) == (True, 0.5, 2, 1)
    assert (second.source, second.step) == ("run", 3)


# -- properties ---------------------------------------------------------------------------

TREES = st.recursive(
    st.integers(0, 20),
    lambda inner: st.builds(Operation, st.sampled_from("+-*"), inner, inner),
    max_leaves=MOST_OPERATIONS,
)


@given(TREES)
def test_what_is_written_is_read(tree):
    (chain,) = read_line(write(tree)).chains
    assert canonical(chain.nodes[0]) == canonical(tree)
    assert value(chain.nodes[0]) == value(tree)


@given(TREES, TREES)
def test_forms_that_are_equal_are_worth_the_same(one, other):
    if canonical(one) == canonical(other):
        assert value(one) == value(other)
    if isinstance(one, Operation) and one.op != "-":
        assert canonical(one) == canonical(Operation(one.op, one.right, one.left))


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("0123456789+-*()=.,/^x →\n\\{}$<>abc[]"), max_size=80) | st.text(max_size=60))
def test_any_text_can_be_read(text):
    found = diagnose(text, "(4 + 6) * 3")
    assert all(one.status in Status for one in found.readings)
    assert all(one.explanations for one in found.slips)
    assert expression_in(text) is None or count(expression_in(text))


@settings(max_examples=200, deadline=None)
@given(TREES, TREES)
def test_a_line_that_is_right_holds_and_one_that_does_not_hold_is_not_right(before, after):
    if count(before):
        reading = judge_line(write(before), f"= {write(after)}")
        assert reading.holds or reading.status is not Status.RIGHT
        assert reading.holds == (value(before) == value(after))


def test_long_and_deep_lines_are_left_unread():
    deep = "(" * 190 + "1" + ")" * 190
    for line in (deep, "1 + " * 90 + "1", "= " + "9" * 5000, "(" * 5000, "1*" * 20 + "1"):
        assert diagnose(["(4 + 6) * 3", line]).readings
