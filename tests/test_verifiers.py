import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.growth import growth
from support.scripted import choice_question, numeric_question

from socratic_env.errors import ConfigurationError
from socratic_env.numbers import close_enough, parse_number
from socratic_env.types import reply
from socratic_env.verifiers import KINDS, by_kind, choice, numeric

QUESTION = choice_question(answer="B")
BLOCK = "<answer>B</answer>"


def judged(text, question=QUESTION):
    """(correct, answer) of a choice, after the checks that hold for every verdict."""
    verdict = choice(question, text)
    assert verdict.answer is None or verdict.answer in question.letters
    assert verdict.correct == (verdict.answer == question.answer)
    assert verdict.reason
    assert (verdict.reason == "correct") == verdict.correct
    return verdict.correct, verdict.answer


RIGHT, UNREAD = (True, "B"), (False, None)


# -- multiple choice ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        "<answer> B </answer>",
        "<answer>\nB\n</answer>",
        "<answer>\r\n\tB \r\n</answer>",
        reply("Because.", "B"),
        "I think that B is right. " + BLOCK + " Done.",
        "**" + BLOCK + "**",
        "Is 3 < 4 > 2? " + BLOCK,
        "It's \"quoted\" elsewhere, 'here' and `there`.\n" + BLOCK,
        "> a quotation\n\n" + BLOCK,
    ],
)
def test_an_answer_in_its_block_is_read(text):
    assert judged(text) == RIGHT


@pytest.mark.parametrize("letter", "ABCD")
def test_only_the_right_letter_is_correct(letter):
    assert judged(reply("Because.", letter)) == (letter == "B", letter)


@pytest.mark.parametrize(
    "inside",
    [
        *("A, B, C, D", "A B C D", "ABCD", "A\nB\nC\nD", "B or C", "BB", "B.", "(B)", "B: option 1"),
        *("option 1", "", " ", "b", "E", "1", "None", "...", "X", "B\x00", "B" * 300, "B" + " " * 300),
    ],
)
def test_anything_but_one_letter_is_wrong(inside):
    assert judged(f"<answer>{inside}</answer>") == UNREAD


def test_all_letters_in_a_block_each_are_wrong():
    assert judged("".join(f"<answer>{letter}</answer>" for letter in "ABCD")) == UNREAD


@pytest.mark.parametrize(
    "letter",
    [
        *("\u0412", "\uff22", "\u0392", "\U0001d401", "B\u0301"),
        *("B\u200b", "\u200bB", "B\u200d", "\ufeffB"),
        *("\u00a0B", "\u2003B", "B\u2028", "\x0bB", "B\x85"),
    ],
    ids=lambda letter: letter.encode("unicode_escape").decode(),
)
def test_letters_that_only_look_right_are_wrong(letter):
    """Cyrillic, full-width, Greek, mathematical, combined, and blanks that are not ASCII."""
    assert judged(f"<answer>{letter}</answer>") == UNREAD


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "B",
            "The answer is B.",
            "\x00",
            "\ud800",
            "<answer>B",
            "B</answer>",
            "</answer>B<answer>",
        ),
        *("<answer>B<answer>", "<Answer>B</Answer>", "<answer >B</answer>", "&lt;answer&gt;B&lt;/answer&gt;"),
    ],
)
def test_no_block_is_wrong(text):
    assert judged(text) == UNREAD


@pytest.mark.parametrize(
    "text",
    [
        BLOCK + BLOCK,
        BLOCK + "<answer>A</answer>",
        "<answer>A</answer>" + BLOCK,
        "<answer>" + BLOCK,
        BLOCK + "</answer>",
        "</answer>" + BLOCK,
        f"```\n{BLOCK}\n```\n{BLOCK}",
        f"<think>It may be A.</think>{BLOCK} or {BLOCK}",
        f"{BLOCK}<think>or</think><answer>A</answer>",
    ],
)
def test_a_second_block_or_tag_is_wrong(text):
    assert judged(text) == UNREAD


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\n{BLOCK}\n</think>",
        f"<think>{BLOCK}",
        f"{BLOCK}</think>",
        f"{BLOCK}\nmore</think> and <think>more</think>",
        f"<THINK>{BLOCK}</THINK>",
        f"<thinking>{BLOCK}</thinking>",
        f"<think>one</think> <think>two {BLOCK}",
        f"<think>one <think>two</think> {BLOCK}</think>",
        "<answer><think>B</think></answer>",
        "<answer>B<think></answer></think>",
        "<answer>B<think>, since it is so</think></answer>",
        "<ans<think></think>wer>B</answer>",
        f"<think>I write {BLOCK} now.</think> So it is B.",
        f"<think>one</think>```\n{BLOCK}\n```",
        f"> <think>one</think>{BLOCK}",
    ],
)
def test_an_answer_in_a_thought_is_wrong(text):
    assert judged(text) == UNREAD


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\nIs it A?\n</think>\n{BLOCK}",
        f"a thought that the prompt has opened</think>{BLOCK}",
        f"{BLOCK}<think>an afterthought</think>",
        f"{BLOCK}<think>an unfinished afterthought",
        f"<think>one</think><think>two</think>{BLOCK}<think>three</think>",
        f"I think</b> so. {BLOCK}",
        # What a thought mentions counts neither for the answer nor against it.
        f"<think>I must write <answer>X</answer>, I believe.</think>{BLOCK}",
        f"<think>{BLOCK}</think>{BLOCK}",
        f"<think><answer>A</answer><answer>C</answer></think>\n{BLOCK}",
        f"I must write <answer>A</answer>.</think>\n{BLOCK}",
        f"<think>An <answer> without an end</think>{BLOCK}",
        f"<think>an end without </answer></think>{BLOCK}",
        f"{BLOCK}<think>I wrote <answer>B</answer>.</think>",
        f"{BLOCK}<think>Or was it <answer>A</answer>",
        f"<think>one <think>two <answer>A</answer></think> three</think>{BLOCK}",
        f"<think>\n```\nan open fence\n</think>\n{BLOCK}",
        f"<think>\n> quoted</think> {BLOCK}",
        f"<THINKING>\n<answer>A</answer>\n</Thinking>\n{BLOCK}",
    ],
)
def test_an_answer_beside_a_thought_is_read(text):
    assert judged(text) == RIGHT


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{BLOCK}\n```",
        f"```xml\n{BLOCK}\n```",
        f"  ```\n  {BLOCK}\n  ```",
        f"~~~\n{BLOCK}\n~~~",
        f"```\n{BLOCK}",
        f"```\ncode\n```\n```\n{BLOCK}\n```",
        f"```\n~~~\n{BLOCK}\n~~~\n```",
        f"````\n```\n{BLOCK}\n```\n````",
        f"```\n```python\n{BLOCK}\n```",
        f"```\r\ncode\r\n```\r\n```\r\n{BLOCK}",
        f"```\ncode\n``` {BLOCK}",
        f"``` {BLOCK} ```",
        f"```{BLOCK}```",
    ],
)
def test_an_answer_in_a_code_fence_is_wrong(text):
    assert judged(text) == UNREAD


@pytest.mark.parametrize(
    "text",
    [
        f"```\ncode\n```\n{BLOCK}",
        f"```python\ncode\n```  \r\n{BLOCK}",
        f"~~~\n```\n~~~\n{BLOCK}",
        f"```\ncode\n`````\n{BLOCK}",
        f"```x = 1``` is a line of code.\n{BLOCK}",
        f"{BLOCK}\n```\nan open fence",
        f"Marks ``` within a line open nothing.\n{BLOCK}",
    ],
)
def test_an_answer_beside_a_code_fence_is_read(text):
    assert judged(text) == RIGHT


@pytest.mark.parametrize(
    "text",
    [
        f"The form is `{BLOCK}`, as I know.",
        f'The form is "{BLOCK}".',
        f"The form is '{BLOCK}'.",
        f"The form is \u201c{BLOCK}\u201d.",
        f"The form is \u2018{BLOCK}\u2019.",
        f"The form is \u00ab{BLOCK}\u00bb.",
        '"<answer>\nB\n</answer>"',
        f"> {BLOCK}",
        f"You said:\n  > so {BLOCK}",
    ],
)
def test_a_quoted_format_example_is_wrong(text):
    assert judged(text) == UNREAD


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("<answer>\nB\n</answer>", True),
        (reply("Because.", "B"), True),
        ("<answer>B</answer>", False),
        ("<answer> B </answer>", False),
        ("<answer>\nB \n</answer>", False),
        ("<answer>\n\nB\n</answer>", False),
        ("<answer>\r\nB\r\n</answer>", False),
        ("<answer>\nA\n</answer>", False),
    ],
)
def test_the_strict_form(text, correct):
    verdict = choice(QUESTION, text, strict=True)
    assert (verdict.correct, verdict.answer == "B") == (correct, correct)
    assert KINDS.load("choice_strict")(QUESTION, text) == verdict


def test_letters_are_those_of_the_question():
    two, five = choice_question(answer="B", letters="AB"), choice_question(answer="E", letters="ABCDE")
    assert judged("<answer>C</answer>", two) == UNREAD
    assert judged("<answer>E</answer>", five) == (True, "E")


def test_reasons_tell_what_is_wrong_but_not_what_is_right():
    a, d = choice_question(answer="A"), choice_question(answer="D")
    texts = [
        "",
        BLOCK,
        BLOCK * 2,
        "</answer>B<answer>",
        "<answer>E</answer>",
        f"<think>{BLOCK}",
        f"```\n{BLOCK}",
        f"`{BLOCK}`",
    ]
    reasons = [choice(a, text).reason for text in texts]
    assert len(set(reasons)) == len(texts)
    assert reasons == [choice(d, text).reason for text in texts]


FRAGMENTS = [
    "<answer>",
    "</answer>",
    "<answer>B</answer>",
    "A",
    "B",
    " ",
    "\n",
    "<think>",
    "</think>",
    "```",
    "~~~",
]
FRAGMENTS += ["`", '"', ">", "\x00", "\ud800", "\u200b", "</reasoning>"]


def unthought(text):
    """A reply without its thoughts, by taking away the innermost one again and again."""
    while (less := re.sub(r"<think>((?!</?think>).)*</think>", "|", text, flags=re.DOTALL)) != text:
        text = less
    return text.rpartition("</think>")[2].partition("<think>")[0]


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join) | st.text(max_size=60))
def test_whatever_a_student_writes_is_judged(text):
    correct, _ = judged(text)
    if correct:
        said = unthought(text)
        assert said.count("<answer>") == said.count("</answer>") == 1
        assert said.partition("<answer>")[2].partition("</answer>")[0].strip(" \t\r\n") == "B"


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_characters="<>`~\"'\u201c\u2018\u00ab"), max_size=80))
def test_plain_prose_around_an_answer_changes_nothing(prose):
    assert judged(f"{prose}\n{BLOCK}\n{prose}") == RIGHT


# -- linear time -------------------------------------------------------------------------

ADVERSARIAL = {
    "opening tags": lambda n: "<answer>" * n,
    "blocks": lambda n: BLOCK * n,
    "thoughts before": lambda n: "<think>" * n + BLOCK,
    "ends of thoughts before": lambda n: "</think>" * n + BLOCK,
    "blocks in thoughts": lambda n: f"<think>{BLOCK}</think>" * n + BLOCK,
    "lines of a thought": lambda n: "<think>" + "\n" * 8 * n + "</think>" + BLOCK,
    "thoughts after": lambda n: BLOCK + "<think></think>" * n,
    "broken tags": lambda n: "<" * 8 * n + BLOCK,
    "fences": lambda n: "```\n" * 2 * n + BLOCK,
    "growing fences": lambda n: "`" * 8 * n + "\n" + BLOCK,
    "mixed fences": lambda n: "```\n" + "~~~\n```x\n" * n + BLOCK,
    "blanks before": lambda n: " " * 8 * n + BLOCK,
    "blank lines": lambda n: " \n" * 4 * n + BLOCK,
    "blanks inside": lambda n: "<answer>" + " " * 8 * n + "B</answer>",
    "quotation marks": lambda n: "> " * 4 * n + BLOCK,
    "prose": lambda n: "abc def\n" * n + BLOCK,
}


@pytest.mark.parametrize("make", ADVERSARIAL.values(), ids=ADVERSARIAL)
def test_choice_takes_linear_time(make):
    assert growth(lambda text: choice(QUESTION, text), make, 16_000) < 8


DIGITS = {
    "digits": lambda n: "7" * n,
    "groups": lambda n: "1" + ",000" * (n // 4),
    "tower": lambda n: "10^{" * (n // 4),
    "fractions": lambda n: "\\frac{1}{" * (n // 9),
    "exponents": lambda n: "1e" + "9" * n,
    "decimals": lambda n: "0." + "3" * n,
    "blanks": lambda n: "1" + " " * n + "m",
    "units": lambda n: "m" * n,
}


@pytest.mark.parametrize("make", DIGITS.values(), ids=DIGITS)
def test_numeric_takes_linear_time(make):
    question = numeric_question("7", unit="m")
    assert growth(lambda text: numeric(question, f"<answer>{text}</answer>"), make, 200_000) < 8


@pytest.mark.parametrize("make", [DIGITS[name] for name in DIGITS if name != "blanks"])
def test_endless_numbers_are_none(make):
    text = make(200_000)
    assert parse_number(text, "m") is None
    verdict = numeric(numeric_question("7", unit="m", rel_tol=1.0), f"<answer>{text}</answer>")
    assert (verdict.correct, verdict.answer) == (False, None)
    assert len(verdict.reason) < 100


# -- numbers -----------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite)
def test_floats_survive_a_round_trip(x):
    assert parse_number(repr(x)) == x
    assert parse_number(f"{x:.17e}") == x
    assert parse_number(f" {x!r}\n") == x
    assert parse_number(f"{x!r} kg", "kg") == x


@given(st.integers(-(10**30), 10**30))
def test_thousands_separators(n):
    assert parse_number(f"{n:,}") == parse_number(str(n)) == float(n)


@given(st.floats(-1e12, 1e12))
def test_thousands_separators_with_decimals(x):
    assert parse_number(f"{x:,.3f}") == float(f"{x:.3f}")


@given(st.floats(-10, 10).map(lambda x: f"{x:.6f}"), st.integers(-30, 30))
def test_powers_of_ten(mantissa, power):
    value = float(f"{mantissa}e{power}")
    for times in ("x", "\u00d7", "*", "\\times", " x ", " \u00d7 ", " \\times "):
        assert parse_number(f"{mantissa}{times}10^{power}") == value
        assert parse_number(f"{mantissa}{times}10^{{{power}}}") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            ("5.", 5.0),
            (".5", 0.5),
            ("+3", 3.0),
            ("-.5e-3", -0.0005),
            ("007", 7.0),
            ("1E5", 1e5),
            ("-0", 0.0),
        ),
        *(("1e-999", 0.0), ("0e999", 0.0), ("1,234,567.5e2", 123456750.0)),
    ],
)
def test_number_forms(text, value):
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "+", "-", "e5", ".e5", "five", "True", "nan", "NaN", "inf", "-inf", "Infinity"),
        *(
            "1e999",
            "-1e999",
            "9" * 320,
            "1e+",
            "1e5.5",
            "1e5e5",
            "0x10",
            "1_000",
            "1 2",
            "--1",
            "+-1",
        ),
        *("1,23", "12,34,567", ",123", "1234,567", "1,234,", "1.2.3", "1.234,5", "3,4", "3 or 4"),
        *("10^10^10", "2^10", "\\frac{1}{0}", "1j", "$5", "(3)", "~3"),
        *("\u0663", "\uff13", "\u00b2", "3\u200b", "3\x00", "\ud800"),
    ],
)
def test_anything_else_is_no_number(text):
    assert parse_number(text) is None
    verdict = numeric(numeric_question("3", abs_tol=math.inf), f"<answer>{text}</answer>")
    assert (verdict.correct, verdict.answer) == (False, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("5", 5.0), ("5 m/s", 5.0), ("5m/s", 5.0), ("5\nm/s", 5.0), ("5e3 m/s", 5e3)),
        *((text, None) for text in ("5 km/s", "5 m", "5 M/S", "m/s", "5 m/s m/s", "m/s 5", "5 m/s.")),
    ],
)
def test_units(text, value):
    assert parse_number(text, "m/s") == value


def test_a_unit_is_not_taken_off_where_none_is_asked_for():
    assert parse_number("5 m") is None


@pytest.mark.parametrize(
    ("truth", "tolerances", "good", "bad"),
    [
        ("10", {}, ["10", "10.0", "1e1", "+10"], ["10.0000001", "9.9999999", "-10"]),
        ("10", {"abs_tol": 0.5}, ["9.5", "10.5"], ["9.4999999", "10.5000001"]),
        ("8", {"rel_tol": 0.25}, ["6", "10"], ["5.9999999", "10.0000001"]),
        ("-8", {"rel_tol": 0.25}, ["-6", "-10"], ["-5.9999999", "-10.0000001", "8"]),
        ("8", {"rel_tol": 0.25, "abs_tol": 4.0}, ["4", "12"], ["3.9999999", "12.0000001"]),
        ("8", {"rel_tol": 0.5, "abs_tol": 1.0}, ["4", "12"], ["3.9999999", "12.0000001"]),
        ("0", {"rel_tol": 0.5}, ["0", "-0.0", "1e-999"], ["1e-300"]),
        ("1e308", {"rel_tol": 0.5}, ["1.5e308", "5e307"], ["-1.7e308", "1.6e308"]),
    ],
)
def test_tolerance_edges(truth, tolerances, good, bad):
    question = numeric_question(truth, **tolerances)
    for text in good:
        verdict = numeric(question, f"<answer>{text}</answer>")
        assert (verdict.correct, verdict.answer, verdict.reason) == (True, text, "correct")
    for text in bad:
        verdict = numeric(question, f"<answer>{text}</answer>")
        assert (verdict.correct, verdict.answer, verdict.reason) == (False, text, "wrong value")


@given(finite, finite, st.floats(0, 1e300), st.floats(0, 10))
def test_tolerances_are_inclusive_and_grow(value, truth, abs_tol, rel_tol):
    assert close_enough(truth, truth, 0.0, 0.0)
    if close_enough(value, truth, abs_tol, rel_tol):
        assert close_enough(value, truth, 2 * abs_tol, rel_tol)
        assert close_enough(value, truth, abs_tol, 2 * rel_tol)
        assert close_enough(-value, -truth, abs_tol, rel_tol)


def test_a_number_too_stands_in_one_block_outside_thought_and_code():
    question = numeric_question("3")
    for text in ("3", "<answer>3</answer>" * 2, "<think><answer>3</answer>", "```\n<answer>3</answer>\n```"):
        assert not numeric(question, text).correct
    assert numeric(question, "<think>4?</think><answer>3</answer>").correct


def test_numeric_and_choice_judge_by_the_kind_of_question():
    assert by_kind(QUESTION, BLOCK).correct
    assert by_kind(numeric_question("3"), "<answer>3.0</answer>").correct
    assert KINDS.load("choice") is choice
    assert KINDS.load("numeric") is numeric


def test_a_question_without_a_number_cannot_be_judged_as_one():
    with pytest.raises(ConfigurationError, match=r"question 'q' cannot .* use verifier=None"):
        numeric(QUESTION, "<answer>3</answer>")


def test_an_unreadable_number_names_the_unit_and_not_the_truth():
    reason = numeric(numeric_question("271.828", unit="kJ"), "<answer>much</answer>").reason
    assert reason == "the answer is not a number in kJ"


# -- wider number forms ------------------------------------------------------------------

GROUPS = (",", " ", "\u00a0", "\u2009", "\u202f")


@given(st.integers(-(10**30), 10**30), st.sampled_from(GROUPS))
def test_thousands_in_groups_by_any_separator(n, separator):
    assert parse_number(f"{n:,}".replace(",", separator)) == float(n)
    assert parse_number(f"{n:,}".replace(",", separator) + ".5") == parse_number(f"{n}.5")


@given(st.sampled_from(["0", "00", "007"]), st.sampled_from(GROUPS), st.integers(0, 999))
def test_a_decimal_comma_is_never_read_as_thousands(whole, separator, digits):
    assert parse_number(f"{whole}{separator}{digits:03}") is None


@pytest.mark.parametrize(
    "text", ["1 234,567", "1,234 567", "1 23", "1 2345", "12 34 567", "1  234", "1\n234", "1 1/2", "1,2345"]
)
def test_broken_groups_are_no_number(text):
    assert parse_number(text) is None


@given(finite)
def test_a_true_minus_sign_is_a_minus(x):
    assert parse_number(repr(x).replace("-", "\u2212")) == x
    assert parse_number(f"{x:.17e}".replace("-", "\u2212")) == x


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**9), st.sampled_from(["/", " / ", "/ "]))
def test_a_fraction_is_its_quotient(a, b, bar):
    assert parse_number(f"{a}{bar}{b}") == a / b
    assert parse_number(f"{a / 8}{bar}{b}") is None or "e" not in repr(a / 8)


@pytest.mark.parametrize(
    "text",
    ["1/0", "1/0.0", "1/.", "1/2/3", "1/-2", "/2", "1/", "2e3/4", "1,000/x", "1/2e5", "1/" + "9" * 400],
)
def test_what_is_no_fraction_of_plain_numbers(text):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("unit", "spellings"),
    [
        ("%", ["45%", "45 %", "45 \\%", "45 percent", "45 per cent", "$45 \\%$"]),
        (
            "m/s^2",
            ["45 m/s^2", "45 m/s\u00b2", "45 \\mathrm{m/s^{2}}", "$45 \\text{ m/s}^2$", "45 {m}/{s}^2"],
        ),
        ("J/(mol K)", ["45 J/(mol K)", "45 J/(mol\u00b7K)", "45 J/(mol*K)", "45 J/(mol \\cdot K)"]),
        ("kg\u00b7m^-1", ["45 kg m\u207b\u00b9", "45 kg~m^{-1}", "45\\,kg\\,m^{\u22121}"]),
        ("\u03bcm", ["45 \u00b5m", "45\u03bcm"]),
        ("\u00b0", ["45\u00b0", "45 degrees", "45 deg", "45^\\circ", "45^{\\circ}"]),
        ("\u212b", ["45 \u00c5"]),
    ],
)
def test_spellings_of_a_unit(unit, spellings):
    assert parse_number("45", unit) == 45.0
    assert [parse_number(text, unit) for text in spellings] == [45.0] * len(spellings)


@pytest.mark.parametrize(
    ("text", "unit"),
    [("45%", ""), ("45 km", "m"), ("4500 cm", "m"), ("45 ms", "m s"), ("45 M", "m"), ("0.45 of 1", "%")],
)
def test_units_are_not_converted(text, unit):
    assert parse_number(text, unit) is None


def test_a_percentage_is_not_divided():
    question = numeric_question("45", unit="%")
    assert numeric(question, "<answer>45 %</answer>").correct
    assert not numeric(question, "<answer>0.45</answer>").correct


PARTS = [
    "1",
    "234",
    "0",
    ",",
    " ",
    ".",
    "/",
    "e",
    "-",
    "\u2212",
    "x10^",
    "{",
    "}",
    "$",
    "\\mathrm{",
    "m",
    "%",
]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), max_size=12).map("".join) | st.text(max_size=60),
    st.sampled_from(["", "m", "%", "m/s^2"]),
)
def test_whatever_is_written_is_a_finite_number_or_none(text, unit):
    value = parse_number(text, unit)
    assert value is None or math.isfinite(value)
    assert value is None or any(c.isnumeric() for c in text)


@pytest.mark.parametrize("text", ["1/" * 100_000, "1 000" * 50_000, "\\mathrm{" * 20_000, "\u2212" * 200_000])
def test_endless_forms_are_none(text):
    assert parse_number(text, "m") is None
    assert parse_number("1" + text[:198], "m") is None
