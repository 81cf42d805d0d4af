"""The one reader of numbers: forms that are read, forms that are refused, exact tolerances, bounded work."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.growth import growth, repeated
from support.scripted import numeric_question

from socratic_env.leakage import detect
from socratic_env.numbers import (
    close_enough,
    first_number,
    numbers_in,
    numbers_in_words,
    parse_number,
    plain,
    read_number,
    same_unit,
)
from socratic_env.questions.audit.blind import number_of
from socratic_env.verifiers import numeric

# -- forms that are read -----------------------------------------------------------------

READ = {
    "1.5 \u00d7 10\u207b\u00b3": "0.0015",
    "10^{-3}": "0.001",
    "1.5\\,\\times\\,10^{-3}": "0.0015",
    "1.5 x 10^(-3)": "0.0015",
    "1{,}000": "1000",
    "1\\,000": "1000",
    "\\frac{3}{4}": "0.75",
    "-\\frac{1}{2}": "-0.5",
    "\u20135": "-5",
    "- 5": "-5",
    "\\(5\\)": "5",
    "$$5$$": "5",
    "**5**": "5",
    "1,\\!234": "1234",
    "1\\;234\\;567": "1234567",
    "1~000": "1000",
    "1'000": "1000",
    "1\u2019000": "1000",
    "10\u00b3": "1000",
    "-10^{-3}": "-0.001",
    "10**-3": "0.001",
    "2*10**3": "2000",
    "{10}^{-3}": "0.001",
    "1.5 \\times 10^{ - 3 }": "0.0015",
    "1.5\u00d710^\u20133": "0.0015",
    "1.5 \u00b7 10\u2075": "150000",
    "1.5 \\cdot 10^{\u22123}": "0.0015",
    "1.5\\times{10}^{-3}": "0.0015",
    "\\num{1.5e3}": "1500",
    "\\dfrac34": "0.75",
    "\\frac 3 4": "0.75",
    "\\tfrac{1}{2}": "0.5",
    "{3 \\over 4}": "0.75",
    "\\frac{-3}{4}": "-0.75",
    "-\\frac{1}{10^{3}}": "-0.001",
    "\\frac{1{,}000}{4}": "250",
    "\\frac{3}{4} \\times 10^{2}": "75",
    "2\\frac{1}{2}": "2.5",
    "3\u20444": "0.75",
    "\u00be": "0.75",
    "1\u00be": "1.75",
    "-1\u00bd": "-1.5",
    "\u2212\u00bd": "-0.5",
    "2\u00a0\u00bd": "2.5",
    "\u22125": "-5",
    "\u20105": "-5",
    "\u20115": "-5",
    "+ 5": "5",
    "3.141\\,592": "3.141592",
    "0{.}5": "0.5",
    "$5$": "5",
    "\\[ 5 \\]": "5",
    "$ -\\frac{1}{2} $": "-0.5",
    "$\\boxed{-5}$": "-5",
    "\\boxed{5}": "5",
    "***5***": "5",
    "*5*": "5",
    "__5__": "5",
    "`5`": "5",
    "**-5**": "-5",
    "**$5$**": "5",
    "\\text{5}": "5",
    "\\mathbf{5}": "5",
    "{5}": "5",
    "x = 5": "5",
    "\\theta = 5": "5",
    "= 5": "5",
    "v_{\\text{max}} \\approx 5": "5",
    "$x = \\frac{3}{4}$": "0.75",
}


@pytest.mark.parametrize("text", READ)
def test_a_form_has_its_value(text: str) -> None:
    assert read_number(text) == Fraction(READ[text])
    verdict = numeric(numeric_question(READ[text]), f"<answer>{text}</answer>")
    assert (verdict.correct, verdict.reason) == (True, "correct")


@pytest.mark.parametrize("text", [text for text in READ if "=" not in text and "approx" not in text])
def test_the_audit_and_the_finder_read_the_same_value(text: str) -> None:
    if text[:1] not in "*_`{" and "boxed{-" not in text and "text{" not in text and "mathbf" not in text:
        assert first_number(text) == Fraction(READ[text])
        assert number_of(text) == float(Fraction(READ[text]))


REFUSED = [
    "0,5",
    "1,23",
    "1{,}23",
    "3{,}14",
    "0{,}123",
    "1\\,23",
    "1\\,0000",
    "1 2345",
    "12,34,567",
    "1,\\,234",
    "3 or 4",
    "3, 4",
    "3;4",
    "5 6",
    "\\frac{3}{4} 5",
    "5 \\pm 1",
    "5 \u00b1 1",
    "1 1/2",
    "3$4$",
    "**5** 6",
    "3\u20135",
    "2+3=5",
    "2 + 3 = 5",
    "3 = 5",
    "2x = 5",
    "x = 2 = 5",
    "x_2 = 5",
    "\\frac{1}{2} = 5",
    "5 = x",
    "10^{10^{10}}",
    "10^10^10",
    "2^{10}",
    "2^10",
    "5\u00b2",
    "10^{0.5}",
    "10^",
    "10^{-3",
    "1.5 \u00d7 10",
    "10^{}",
    "\\frac{1}{\\frac{1}{2}}",
    "\\frac{1}{0}",
    "\\frac{1}{2}{3}",
    "\\frac123",
    "\\frac{1}",
    "\\frac",
    "1/2/3",
    "2 \\frac{3}{2}",
    "\\sqrt{2}",
    "5!",
    "\\pi",
    "1e1e1",
    "--5",
    "- - 5",
    "\u20145",
    "$5",
    "5$",
    "**5",
    "\\(5",
    "(3)",
    "~3",
    "5%",
    "1\n234",
    "1_000",
    "\u0665",
    "\uff15",
    "\u215f2",
    "nan",
    "\\infty",
    "five",
    "\\boxed{5",
    "",
    "$$",
    "****",
]


@pytest.mark.parametrize("text", REFUSED)
def test_a_form_stays_refused(text: str) -> None:
    assert read_number(text) is None
    verdict = numeric(numeric_question("5", abs_tol=math.inf), f"<answer>{text}</answer>")
    assert (verdict.correct, verdict.answer) == (False, None)


mantissas = st.integers(-(10**6), 10**6).map(lambda n: f"{n / 1000:.3f}")
MARKS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"


@given(mantissas, st.integers(-40, 40))
def test_every_spelling_of_a_power_of_ten_is_the_same_number(mantissa: str, power: int) -> None:
    raised = "".join("\u207b" if sign == "-" else MARKS[int(sign)] for sign in str(power))
    value = Fraction(mantissa) * Fraction(10) ** power
    for times in ("x", " \u00d7 ", "\\times", "\\,\\times\\,", "\\cdot ", " * ", "\u22c5"):
        for ten in (f"10^{{{power}}}", f"10^({power})", f"10^{power}", f"10{raised}", f"10**{power}"):
            assert read_number(f"{mantissa}{times}{ten}") == value
            assert read_number(f"${mantissa}{times}{ten}$") == value


@given(st.integers(-(10**30), 10**30), st.sampled_from(["{,}", "\\,", ",\\!", "\\ ", "\\;", "\u202f", "'"]))
def test_every_separator_of_thousands_is_the_same_number(n: int, separator: str) -> None:
    assert read_number(f"{n:,}".replace(",", separator)) == n
    assert [one.value for one in numbers_in(plain(f"{n:,}".replace(",", separator)))] == [n]


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from(["", "-", "- ", "\u2212", "\u2013"]))
def test_every_spelling_of_a_fraction_is_its_quotient(top: int, bottom: int, sign: str) -> None:
    value = -Fraction(top, bottom) if sign else Fraction(top, bottom)
    for text in (f"\\frac{{{top}}}{{{bottom}}}", f"{top}/{bottom}", f"{{{top}\\over {bottom}}}"):
        assert read_number(sign + text) == value


@given(
    st.text(st.sampled_from(list("0123456789.,-+/^{}()$*\\ xe=\u00be\u2212\u00b3 ")), max_size=40)
    | st.text(max_size=60)
)
@settings(max_examples=400, deadline=None)
def test_whatever_is_written_is_read_in_words_or_not_at_all(text: str) -> None:
    value = read_number(text, "m")
    assert value is None or math.isfinite(float(value))
    for number in (*numbers_in(plain(text)), *numbers_in_words(text)):
        assert 0 <= number.start < number.end
        assert math.isfinite(float(number.value))


# -- units -------------------------------------------------------------------------------

SPELLINGS = {
    "\u00b0C": [
        "25^\\circ C",
        "25^{\\circ}\\mathrm{C}",
        "25\\,^\\circ\\text{C}",
        "25 \u2103",
        "$25^\\circ$C",
        "25 degrees Celsius",
        "25 deg C",
        "25 \u00baC",
        "\\SI{25}{\\celsius}",
        "25\\,\\degree C",
        "25{}^{\\circ}C",
    ],
    "\u03bcm": [
        "25 \\mu m",
        "25\\,\\mu\\mathrm{m}",
        "25\\ \\mu\\text{m}",
        "25 \u00b5m",
        "25 um",
        "25 micrometers",
        "\\SI{25}{\\micro\\metre}",
        "25 $\\mu$m",
        "$25\\,\\mu m$",
    ],
    "\u00c5": [
        "25 \\AA",
        "25 \\text{\\AA}",
        "25\\,\\mathrm{\\AA}",
        "25 \u212b",
        "25\\,\\mathring{A}",
        "25 angstroms",
    ],
    "k\u03a9": ["25 k\\Omega", "25\\,\\mathrm{k}\\Omega", "25 k\u2126", "25 kiloohms"],
    "J/(mol K)": [
        "25 J mol^{-1} K^{-1}",
        "25 J mol\u207b\u00b9 K\u207b\u00b9",
        "25 J/(K mol)",
        "25\\,\\mathrm{J\\,mol^{-1}\\,K^{-1}}",
    ],
    "m/s^2": [
        "25 m/s2",
        "25 m s-2",
        "25 m s^{-2}",
        "25 meters per second squared",
        "$25 \\mathrm{~m} / \\mathrm{s}^{2}$",
    ],
    "m^2": ["25 m\u00b2", "25 square meters", "25 \\text{m}^2"],
    "%": ["25\\%", "25 percent", "$25\\%$"],
    "$": ["$25", "25 $", "\\$25", "$25$"],
    "m": ["**25** m", "**25 m**", "$25$ m", "\\frac{100}{4}\\,\\mathrm{m}", "25 metres"],
    "1/s": ["25 s^{-1}", "25 /s", "25 s\u207b\u00b9"],
}


@pytest.mark.parametrize("unit", SPELLINGS)
def test_spellings_of_one_unit(unit: str) -> None:
    assert [read_number(text, unit) for text in SPELLINGS[unit]] == [25] * len(SPELLINGS[unit])
    assert read_number("25", unit) == 25


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("5 km", "m"),
        ("5 ms", "m s"),
        ("5 M", "m"),
        ("5 m/s.", "m/s"),
        ("5 mm", "Mm"),
        ("5 C", "\u00b0C"),
        ("5 m m", "m"),
        ("5 J/mol K", "J/(mol K)"),
        ("5 m^3", "m^2"),
        ("5 s", "1/s"),
        ("$5", "\u20ac"),
        ("5 m 6", "m"),
        ("0,5 m", "m"),
        ("5 (m", "m"),
        ("5 m^", "m"),
    ],
)
def test_another_unit_is_refused(text: str, unit: str) -> None:
    assert read_number(text, unit) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_units_are_compared_both_ways(one: str, other: str) -> None:
    assert same_unit(one, one)
    assert same_unit(one, other) == same_unit(other, one)


# -- exact tolerances --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truth", "tolerance", "edges"),
    [
        ("0.3", {"abs_tol": 0.1}, ["0.4", "0.2"]),
        ("-0.3", {"abs_tol": 0.1}, ["-0.4", "-0.2"]),
        ("3.7", {"rel_tol": 0.1}, ["4.07", "3.33"]),
        ("-3.7", {"rel_tol": 0.1}, ["-4.07", "-3.33"]),
        ("1.1", {"rel_tol": 0.3}, ["1.43", "0.77"]),
        ("0.7", {"abs_tol": 0.1}, ["0.8", "0.6"]),
        ("1e-30", {"rel_tol": 0.1}, ["1.1e-30", "9e-31"]),
        ("1/3", {"rel_tol": 0.5}, ["1/2", "1/6"]),
        ("\\frac{1}{3}", {"rel_tol": 0.01}, ["\\frac{101}{300}", "\\frac{99}{300}"]),
    ],
)
def test_a_deviation_of_exactly_the_tolerance_is_right(truth: str, tolerance: dict, edges: list[str]) -> None:
    question = numeric_question(truth, **tolerance)
    assert [numeric(question, f"<answer>{edge}</answer>").correct for edge in edges] == [True, True]


decimals = st.decimals(-(10**6), 10**6, allow_nan=False, places=4)


@given(decimals, st.decimals(0, 100, places=3), st.sampled_from([1, -1]))
def test_every_edge_is_right_and_what_lies_beyond_is_wrong(truth, tolerance, side) -> None:
    edge, beyond = truth + side * tolerance, truth + side * (tolerance + type(truth)("0.0001"))
    question = numeric_question(str(truth), abs_tol=float(tolerance))
    assert numeric(question, f"<answer>{edge:f}</answer>").correct
    assert not numeric(question, f"<answer>{beyond:f}</answer>").correct
    edge = truth * (1 + side * tolerance)
    beyond = edge + side * (1 if truth > 0 else -1) * type(truth)("0.0000001")
    question = numeric_question(f"{truth:f}", rel_tol=float(tolerance))
    assert numeric(question, f"<answer>{edge:f}</answer>").correct
    assert not numeric(question, f"<answer>{beyond:f}</answer>").correct


def test_floats_stand_for_their_shortest_decimal() -> None:
    assert close_enough(0.4, 0.3, 0.1, 0.0)
    assert close_enough(4.07, 3.7, 0.0, 0.1)
    assert not close_enough(0.4000001, 0.3, 0.1, 0.0)
    assert close_enough(5, 10**400, math.inf, 0.0)


# -- in running text ---------------------------------------------------------------------


def found(text: str) -> list[float]:
    return [float(number.value) for number in numbers_in(plain(text))]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("from 3 to 5", [3, 5]),
        ("3-5 and 3 - 5", [3, 5, 3, 5]),
        ("H2O at -7 K", [-7]),
        ("so $x=\\frac{3}{4}$.", [0.75, 3, 4]),
        ("12{,}345 m, then 12\\,345", [12345, 12345]),
        ("(10\u00b3) and 10^{-3}", [1000, 0.001]),
        ("version 1.2.3", [1.2]),
        ("it is\\approx5", [5]),
        ("1/2 of 8", [0.5, 1, 2, 8]),
        ("1,23", [1, 23]),
    ],
)
def test_numbers_of_a_text(text: str, values: list[float]) -> None:
    assert found(text) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("one hundred and forty-seven", ["147"]),
        ("One hundred forty seven metres", ["147"]),
        ("twelve thousand three hundred and forty-five", ["12345"]),
        ("a hundred", ["100"]),
        ("fourteen hundred", ["1400"]),
        ("two million and five", ["2000005"]),
        ("four point two", ["4.2"]),
        ("two point oh five", ["2.05"]),
        ("zero point twenty-five", ["0.25"]),
        ("one four seven", ["147"]),
        ("five and six", ["5", "6"]),
        ("twenty, thirty", ["20", "30"]),
        ("three quarters", ["0.75"]),
        ("a half", ["0.5"]),
        ("one and a half", ["1.5"]),
        ("one in four", ["0.25"]),
        ("one point five times ten to the minus three", ["0.0015"]),
        ("two times ten to the power of six", ["2000000"]),
        ("a point to note, often", []),
        ("someone's attention", []),
    ],
)
def test_numbers_in_words(text: str, values: list[str]) -> None:
    assert [number.value for number in numbers_in_words(text)] == [Fraction(value) for value in values]


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        (
            "12345",
            [
                "12{,}345",
                "12\\,345",
                "$12{,}345$",
                "12'345",
                "1.2345 \\times 10^{4}",
                "twelve thousand three hundred and forty-five",
                "12\u202f345",
            ],
        ),
        ("0.75", ["\\frac{3}{4}", "\u00be", "\\dfrac34", "three quarters", "75\\%", "seventy-five per cent"]),
        ("1.75", ["1\u00be", "1\\frac{3}{4}", "one point seven five", "one and three quarters"]),
        ("0.001", ["10^{-3}", "10\u207b\u00b3", "10**-3"]),
        (
            "147",
            [
                "one hundred and forty-seven",
                "One hundred forty-seven",
                "a hundred and forty-seven",
                "one four seven",
                "14.7 \\cdot 10^{1}",
            ],
        ),
        ("\\frac{3}{4}", ["0.75", "3/4", "\u00be"]),
        ("1.5 \u00d7 10\u207b\u00b3", ["0.0015", "1.5\\,\\times\\,10^{-3}", "1.5e-3"]),
    ],
)
def test_the_leak_detector_sees_every_form(answer: str, texts: list[str]) -> None:
    question = numeric_question(answer)
    assert {text: detect(question, f"So you should get {text} in the end.") for text in texts} == {
        text: ["number"] for text in texts
    }


@pytest.mark.parametrize(
    "said",
    ["12{,}346", "\\frac{2}{3}", "\u00bc", "10^{-4}", "one hundred and forty-eight", "two thirds", "1\u00bd"],
)
@pytest.mark.parametrize("answer", ["12345", "0.75", "0.001", "147"])
def test_other_numbers_are_no_leak(answer: str, said: str) -> None:
    assert detect(numeric_question(answer), f"So you should look at {said} here.") == []


# -- bounded work ------------------------------------------------------------------------

HOSTILE = {
    "tower": "10^{" * 50_000,
    "closed tower": "10^{" * 60 + "9" + "}" * 60,
    "power tower": "10^10" * 40_000,
    "digits": "9" * 200_000,
    "exponent": "10^{" + "9" * 190 + "}",
    "raised": "10" + "\u2079" * 190,
    "fractions": "\\frac{1}{" * 22_000,
    "fraction of digits": "\\frac{1}{" + "9" * 180 + "}",
    "vulgar": "\u00be" * 200_000,
    "thousands": "1" + "{,}000" * 30_000,
    "minus": "- " * 100_000,
    "bold": "**" * 100_000,
    "dollars": "$" * 200_000,
    "boxes": "\\boxed{" * 28 + "}" * 4,
    "braces": "{" * 99 + "5" + "}" * 99,
    "spacing": "1" + "\\," * 90,
    "e": "1e" + "9" * 190,
    "stars": "10**" * 49,
    "units": "5 " + "(" * 190,
    "unit powers": "5 m" + "^9" * 90,
}


@pytest.mark.timeout(120)  # a search that explodes never ends; the longest of these takes seconds
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_numbers_end(name: str) -> None:
    for text in (HOSTILE[name], HOSTILE[name][:199]):
        value = read_number(text, "m")
        assert value is None or math.isfinite(float(value))
        for number in numbers_in(plain(text)):
            assert math.isfinite(float(number.value))


UNITS = [
    "9",
    "1 ",
    "1,000",
    "1{,}",
    "\\frac{1}{",
    "10^{",
    "10^10",
    "\\,",
    "$",
    "**",
    "\u00be",
    "-",
    "1/",
    "1.1",
    "{",
    "5 m",
]
UNITS += [
    "one ",
    "hundred ",
    "and ",
    "half a ",
    "point ",
    "- - ",
    "1e1",
    "{1\\over ",
    "10**",
    "\\",
    "~",
    "0.000 ",
]


@pytest.mark.parametrize("unit", UNITS)
def test_numbers_of_a_text_take_linear_time(unit: str) -> None:
    def work(text: str) -> int:
        return sum(1 for _ in numbers_in(plain(text))) + sum(1 for _ in numbers_in_words(text))

    assert growth(work, repeated(unit), 20_000) < 8


def test_the_nearest_double_of_an_exact_value() -> None:
    assert parse_number("0.1") == 0.1
    assert parse_number("\\frac{1}{3}") == 1 / 3
    assert parse_number("1e-999") == 0
