"""Physics, material and arithmetic: every truth and every mistake by a separate route."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import constants
from support.procedural_items import items, pinned

from socratic_env.questions.procedural import TEMPLATES
from socratic_env.questions.procedural.arithmetic import SHAPES, parse, write
from socratic_env.questions.procedural.template import Template
from socratic_env.types import AnswerKind, Question

COUNTS = {"train": 250, "test": 50}
UNITS = {
    "microcoulomb": 1e-6, "nanocoulomb": 1e-9, "cm": 1e-2, "mm": 1e-3, "A": 1.0, "mA": 1e-3, "m/s": 1.0,
    "km": 1e3, "km/s": 1e3, "km/h (1 km/h = 0.2778 m/s)": 0.2778, "angstrom": 1e-10, "pm": 1e-12,
    "Earth radii (1 Earth radius = 6.371e6 m)": 6.371e6,
}  # fmt: skip
Given = dict[str, str]


def given(template: Template, question: Question) -> Given:
    """What the statement says, by the names of its blanks."""
    for phrasing in template.phrasings:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(phrasing))
        if match := re.fullmatch(pattern, question.statement):
            return match.groupdict()
    raise AssertionError(question.statement)


@dataclass(frozen=True)
class Route:
    """truth(given) and mistakes(given) -> {name: value}, both from the statement alone."""

    truth: Callable[[Given], float]
    mistakes: Callable[[Given], dict[str, float]]


# -- physics -----------------------------------------------------------------------------


def throw(g: Given) -> float:
    """By small steps of the fall: the mean of the speeds at both ends is exact for each."""
    heights = np.linspace(0.0, float(g["h"]), 2001)
    falls = np.sqrt(2 * float(g["g"]) * heights)
    seconds = np.sum(np.diff(heights) / ((falls[1:] + falls[:-1]) / 2))
    return float(float(g["v_kmh"]) * constants.kmh * seconds)


def throw_mistakes(g: Given) -> dict[str, float]:
    kmh, h, a, x = float(g["v_kmh"]), float(g["h"]), float(g["g"]), throw(g)
    v = kmh * constants.kmh
    return {
        "kept the speed in km/h": x / constants.kmh,
        "multiplied by 3.6": x / constants.kmh**2,
        "forgot the factor 2": x / math.sqrt(2),
        "forgot the square root": x * x / v,
        "took the root of the numerator only": x / math.sqrt(a),
        "took the time in which g would stop it": v * v / a,
        "took the time of a throw straight up and back": 2 * v * v / a,
        "halved the range": x / 2,
        "slowed the flight by gravity": x - h,
        "sped the flight up by gravity": x + h,
        "measured the straight line from the top": math.hypot(x, h),
        "took the speed at the impact": math.hypot(x, 2 * h),
    }


def carnot(g: Given) -> float:
    """The heat less what carries the entropy away."""
    zero = float(g["zero"])
    assert zero == pytest.approx(constants.zero_Celsius, rel=1e-3)
    entropy = float(g["Q"]) / (float(g["t_hot"]) + zero)
    return float(g["Q"]) - entropy * (float(g["t_cold"]) + zero)


def carnot_mistakes(g: Given) -> dict[str, float]:
    zero, Q, hot, cold, W = float(g["zero"]), float(g["Q"]), float(g["t_hot"]), float(g["t_cold"]), carnot(g)
    T, S = hot + zero, cold + zero
    return {
        "kept the hot temperature in Celsius": Q - Q * S / hot,
        "kept the cold temperature in Celsius": W + Q * zero / T,
        "took the ratio of Celsius temperatures": Q * (hot - cold) / hot,
        "took the share of the heat that is given away": Q - W,
        "divided by the cold temperature": W * T / S,
        "took the coefficient of a refrigerator": Q * Q / W - Q,
        "took the coefficient of a heat pump": Q * Q / W,
        "divided by the sum of the temperatures": W * T / (T + S),
        "took the efficiency at the largest power": Q - math.sqrt(Q * Q * S / T),
        "applied the efficiency twice": W * W / Q,
        "divided the heat by one plus the efficiency": Q * Q / (Q + W),
    }


def _si(g: Given, name: str) -> float:
    return float(g[name]) * UNITS.get(g.get(f"{name}_unit", ""), 1.0)


def coulomb(g: Given) -> float:
    """The slope of the potential energy, in mN where there are units."""
    k = float(g.get("k_text", g.get("k", "")))
    if "k_text" in g:
        assert k == pytest.approx(1 / (4 * math.pi * constants.epsilon_0), rel=2e-3)
    r = _si(g, "d")
    near, far = (k * _si(g, "p") * _si(g, "q") / (r * (1 + sign * 1e-5)) for sign in (-1, 1))
    return (near - far) / (2e-5 * r) * (1000 if "k_text" in g else 1)


def coulomb_mistakes(g: Given) -> dict[str, float]:
    F, r, p, q = coulomb(g), _si(g, "d"), float(g["p"]), float(g["q"])
    first, second = _si(g, "p"), _si(g, "q")
    return {
        "kept the unit of the distance": F * (r / float(g["d"])) ** 2,
        "halved the distance": 4 * F,
        "added the charges": F / p + F / q,
        "took the first charge twice": F * first / second,
        "took the second charge twice": F * second / first,
        "took both charges in the first one's unit": F * (first / p) / (second / q),
        "forgot to square the distance": F * r,
        "cubed the distance": F / r,
        "added the forces on both charges": F + F,
        "shared the force between the charges": F / 2,
        "divided by 4 pi once more": F / (4 * math.pi),
        "multiplied by 4 pi": F * 4 * math.pi,
    }


def coil(g: Given) -> float:
    """Biot and Savart, summed over the pieces of the ring."""
    mu, radius = float(g["mu"]), _si(g, "d") / 2
    if "d_unit" in g:
        assert mu == pytest.approx(constants.mu_0 * 1e6, rel=4e-3)
    angles = np.linspace(0, 2 * np.pi, 1001)[:-1]
    places = radius * np.stack([np.cos(angles), np.sin(angles)])
    pieces = 2 * np.pi * radius / 1000 * np.stack([-np.sin(angles), np.cos(angles)])
    crossed = places[0] * pieces[1] - places[1] * pieces[0]
    return float(mu / (4 * np.pi) * float(g["N"]) * _si(g, "I") * np.sum(crossed) / radius**3)


def coil_mistakes(g: Given) -> dict[str, float]:
    F, N, mu, radius = coil(g), float(g["N"]), float(g["mu"]), _si(g, "d") / 2
    return {
        "took the diameter for the radius": F / 2,
        "halved the diameter twice": F * 2,
        "forgot the turns": F / N,
        "squared the number of turns": F * N,
        "took half of the turns": F * (N + 1) / N / 2,
        "took the formula of a straight wire": F / math.pi,
        "forgot the factor 2": F * 2,
        "divided by the area": F * 2 / (math.pi * radius),
        "multiplied by pi": F * math.pi,
        "squared the radius": F / radius,
        "divided by 4 pi": F / (4 * math.pi),
        "multiplied by mu0 twice": F * mu,
    }


def rotation(g: Given) -> float:
    """By the angular velocity."""
    return 2 * math.pi / (_si(g, "v") / _si(g, "R")) / constants.hour


def rotation_mistakes(g: Given) -> dict[str, float]:
    T = rotation(g)
    return {
        "halved the speed": 2 * T,
        "took the speed for an angular one": T / math.tau,
        "took the radius for the way": T / math.tau,
        "took the diameter for the way": T / math.pi,
        "went half around": T / 2,
        "took the diameter for the radius": T * 2,
        "put 2 pi in twice": T * math.tau,
        "squared pi": T * math.pi / 2,
        "mixed up circumference and volume": T * 2 / 3,
        "took three radii for the diameter": T * 3 / 2,
        "stopped at minutes": T * 60,
        "went on to days": T / 24,
    }


# -- material ----------------------------------------------------------------------------


def volume(g: Given) -> float:
    """The root of the determinant of the metric."""
    a, b, c = (float(g[edge]) for edge in "abc")
    mixed = a * c * math.cos(math.radians(float(g["beta"])))
    return float(np.sqrt(np.linalg.det(np.array([[a * a, 0, mixed], [0, b * b, 0], [mixed, 0, c * c]]))))


def volume_mistakes(g: Given) -> dict[str, float]:
    a, b, c, beta = (float(g[name]) for name in ("a", "b", "c", "beta"))
    box, V, cosine = a * b * c, volume(g), math.cos(math.radians(beta))
    return {
        "ignored the angle": box,
        "took the cosine": math.sqrt(box**2 - V**2),
        "squared the sine": V * V / box,
        "took the area of a triangle": V / 2,
        "halved the angle": box * math.sqrt((1 - cosine) / 2),
        "took the degrees as radians": box * math.sin(beta),
        "divided by the sine": box * box / V,
        "added the cosine": box + math.sqrt(box**2 - V**2),
        "used an edge twice": V * a / b,
    }


CELLS = {  # corners, on faces, inside
    "simple cubic": (8, 0, 0),
    "body-centred cubic": (8, 0, 1),
    "face-centred cubic": (8, 6, 0),
    "diamond cubic": (8, 6, 4),
}


def _atoms(g: Given) -> tuple[float, float]:
    if "lattice" not in g:
        return float(g["Z"]), float(g["drawn"])
    corners, faces, inside = CELLS[g["lattice"]]
    return corners / 8 + faces / 2 + inside, corners + faces + inside


def density(g: Given) -> float:
    """Mass over volume of very many cells."""
    mole = float(g.get("avogadro_text", g.get("avogadro", "")))
    if "avogadro_text" in g:
        assert mole == pytest.approx(constants.N_A, rel=5e-3)
    edge = _si(g, "a") * (100 if "a_unit" in g else 1)
    cells = mole / _atoms(g)[0]
    return float(g["M"]) / (cells * float(np.linalg.det(np.eye(3) * edge * 1e3)) / 1e9)


def density_mistakes(g: Given) -> dict[str, float]:
    rho, (Z, drawn), a = density(g), _atoms(g), float(g["a"])
    packing = math.pi / math.sqrt(18)
    return {
        "counted one atom in the cell": rho / Z,
        "counted the atoms of a body-centred cell": rho / Z * 2,
        "counted the atoms of a face-centred cell": rho / Z * 4,
        "counted every atom of the drawing in full": rho / Z * drawn,
        "counted one atom too many": rho + rho / Z,
        "multiplied by the number of atoms twice": rho * Z,
        "tripled the edge": rho * a * a / 3,
        "took the surface of the cube": rho * a / 6,
        "took the volume of a ball with that radius": rho * 3 / (4 * math.pi),
        "took the volume of a ball inside the cell": rho * 6 / math.pi,
        "stretched the cell by its diagonal": rho / math.sqrt(3),
        "multiplied by the packing share of balls": rho * packing,
        "divided by the packing share of balls": rho / packing,
    }


def _bragg(g: Given) -> tuple[int, float, np.ndarray, float]:
    order = {"first": 1, "second": 2}[g["order"]]
    indices = np.array([int(digit) for digit in g["plane"]])
    return order, float(g["lam"]), indices, _si(g, "a") / 1e-10


def bragg(g: Given) -> float:
    """By the triangle of both wave vectors and the reciprocal lattice vector."""
    order, lam, indices, a = _bragg(g)
    half, wave = order * float(np.linalg.norm(indices)) / a / 2, 1 / lam
    return 2 * math.degrees(math.atan2(half, math.sqrt(wave**2 - half**2)))


def bragg_mistakes(g: Given) -> dict[str, float]:
    order, lam, indices, a = _bragg(g)
    x, s = bragg(g), math.sin(math.radians(bragg(g) / 2))

    def doubled(sine: float) -> float:
        return 2 * math.degrees(math.asin(sine)) if sine <= 1 else math.nan

    return {
        "took the lattice parameter for the distance of the planes": doubled(order * lam / (2 * a)),
        "added the indices": doubled(order * lam * int(indices.sum()) / (2 * a)),
        "forgot the root over the squared indices": doubled(order * lam * int(indices @ indices) / (2 * a)),
        "forgot the factor 2": doubled(2 * s),
        "halved the sine twice": doubled(s / 2),
        "took the first order": doubled(s / order),
        "took the cosine": 180 - x,
        "took the tangent": 2 * math.degrees(math.atan(s)),
        "left the sine as it was": 2 * s,
        "gave theta": x / 2,
        "measured from the reversed beam": 180 - x,
        "took theta three times": 1.5 * x,
        "measured from the normal of the planes": 90 - x / 2,
    }


ROUTES = {
    "horizontal_throw": Route(throw, throw_mistakes),
    "carnot_work": Route(carnot, carnot_mistakes),
    "coulomb_force": Route(coulomb, coulomb_mistakes),
    "coil_field": Route(coil, coil_mistakes),
    "rotation_period": Route(rotation, rotation_mistakes),
    "lattice_volume": Route(volume, volume_mistakes),
    "theoretical_density": Route(density, density_mistakes),
    "bragg_angle": Route(bragg, bragg_mistakes),
}
TEXTS = ("diffusion_rate", "valence_difference")


DOMAINS = ("physics", "material")


def test_every_template_has_a_route() -> None:
    assert {template.name for template in pinned("procedural", DOMAINS)} <= {*ROUTES, *TEXTS}
    assert {template.name for template in pinned("drills", DOMAINS)} <= {*ROUTES}


def _items(template: Template) -> Iterator[Question]:
    for split, count in COUNTS.items():
        yield from items(template, split, count)


@pytest.mark.parametrize("name", ROUTES)
def test_every_option_agrees_with_a_separate_formula(name: str) -> None:
    template, route = TEMPLATES["procedural"][name], ROUTES[name]
    for question in _items(template):
        facts = given(template, question)
        numbers = {option.letter: float(option.text.split()[0]) for option in question.options}
        rounding = 1.01 * 0.5 * 10.0 ** (1 - template.digits)
        truth = route.truth(facts)
        assert numbers[question.answer] == pytest.approx(truth, rel=rounding), question.statement
        wrong = route.mistakes(facts)
        assert set(wrong) == {slip.name for slip in template.slips}
        for mistake in question.mistakes:
            expected = pytest.approx(wrong[mistake.name], rel=rounding)
            assert numbers[mistake.answer] == expected, (mistake.name, question.statement)


@pytest.mark.parametrize("template", pinned("drills", DOMAINS), ids=lambda t: t.name)
def test_every_drill_agrees_with_a_separate_formula(template: Template) -> None:
    route = ROUTES[template.name]
    for question in _items(template):
        facts = given(template, question)
        assert float(question.answer) == pytest.approx(route.truth(facts), rel=1e-6)
        wrong = route.mistakes(facts)
        for mistake in question.mistakes:
            expected = pytest.approx(wrong[mistake.name], rel=1e-6, abs=1e-6)
            assert float(mistake.answer) == expected, (mistake.name, question.statement)


# -- answers that are texts --------------------------------------------------------------


def _diffusion(g: Given) -> tuple[list[str], dict[str, list[float]]]:
    """Names, and by the mistake's name ("" for none) a score for each: the highest is picked."""
    rows = re.findall(r"(\w+): D0 = (\S+) m\^2/s, Q = (\S+) kJ/mol", g["listed"])
    D, Q = np.array([float(row[1]) for row in rows]), np.array([float(row[2]) for row in rows]) * 1000
    heat = re.fullmatch(r"(\d+) (?:K|degrees Celsius \((\d+) K more on the absolute scale\))", g["heat"])
    assert heat is not None
    told, kelvin = float(heat[1]), float(heat[1]) + float(heat[2] or 0)
    R = round(constants.R, 3)
    scores = {
        "": np.log10(D) - Q / (R * kelvin) / math.log(10),
        "kept the temperature in Celsius": np.log10(D) - Q / (R * told) / math.log(10),
        "compared the barriers only": 1 / Q,
        "took the highest barrier for the fastest": Q,
        "compared the prefactors only": D,
        "lost the minus sign of the exponent": np.log10(D) + Q / (R * kelvin) / math.log(10),
        "divided the prefactor by the barrier": np.log10(D) - np.log10(Q),
        "took a power of ten": np.log10(D) - Q / (R * kelvin),
        "halved the barrier": np.log10(D) - Q / (2 * R * kelvin) / math.log(10),
        "picked the slowest": Q / (R * kelvin) - np.log(D),
    }
    scores["ignored the powers of ten"] = scores[""] - np.floor(scores[""])
    return [row[0] for row in rows], {name: list(score) for name, score in scores.items()}


def _valence(g: Given) -> tuple[list[str], dict[str, list[float]]]:
    rows = re.findall(r"(\w+): NdValence ([^\s,]+), NValence ([^\s;]+?)(?:;|$)", g["listed"])
    x, y = (np.array([float(row[place]) for row in rows]) for place in (1, 2))
    scores = {
        "": np.maximum(x, y) - np.minimum(x, y),
        "kept the sign of the difference": x - y,
        "subtracted the other way round and kept the sign": y - x,
        "added the two averages": (x + y) ** 2,
        "dropped the signs of the averages before subtracting": np.abs(np.sqrt(x * x) - np.sqrt(y * y)),
        "compared NdValence only": x * x,
        "compared NValence only": y * y,
        "picked the smallest distance": -((x - y) ** 2),
    }
    return [row[0] for row in rows], {name: list(score) for name, score in scores.items()}


@pytest.mark.parametrize(
    ("name", "route"), [("diffusion_rate", _diffusion), ("valence_difference", _valence)]
)
def test_every_text_agrees_with_a_separate_ranking(name: str, route: Any) -> None:
    template = TEMPLATES["procedural"][name]
    for question in _items(template):
        names, scores = route({**given(template, question)})
        assert set(scores) == {"", *(slip.name for slip in template.slips)}
        texts = {option.letter: option.text for option in question.options}
        assert set(texts.values()) <= set(names)
        best = scores[""].index(max(scores[""]))
        assert texts[question.answer] == names[best], question.statement
        for mistake in question.mistakes:
            mine = scores[mistake.name]
            picked = mine[names.index(texts[mistake.answer])]
            assert picked >= max(mine) - 3e-3 * max(1.0, abs(max(mine))), (mistake.name, question.statement)


# -- arithmetic --------------------------------------------------------------------------

N = r"(\(-\d+\)|(?<![\d)] )-\d+|\d+)"
BRACKET = rf"\({N} ([+-]) {N}\)"


def value(text: str) -> int:
    """Python's own evaluation."""
    assert re.fullmatch(r"[\d ()*+-]+", text), text
    return int(eval(text))


def _next(text: str) -> tuple[re.Match[str], str, str, str]:
    for pattern in (BRACKET, rf"{N} (\*) {N}", rf"{N} ([+-]) {N}"):
        if match := re.search(pattern, text):
            return match, match[1], match[2], match[3]
    raise AssertionError(text)


def _with(text: str, result: str) -> int:
    match, *_ = _next(text)
    return value(f"{text[: match.start()]}({result}){text[match.end() :]}")


def _replaced(text: str, *rules: tuple[str, str]) -> int:
    for pattern, new in rules:
        if re.search(pattern, text):
            return value(re.sub(pattern, new, text, count=1))
    raise AssertionError(text)


def mistaken(name: str, text: str) -> int:
    """What a mistake makes of an expression, by rewriting its text."""
    _, left, op, right = _next(text)
    match name:
        case "kept the signs in a bracket after a minus":
            factor = (rf"- {N} \* {BRACKET}", r"- \1 * \2 \3 \1 * \4")
            return _replaced(text, factor, (rf"- {BRACKET}", r"- \1 \2 \3"))
        case "gave the factor to the first term only":
            after = (rf"{BRACKET} \* {N}", r"(\1 * \4 \2 \3)")
            return _replaced(text, after, (rf"{N} \* {BRACKET}", r"(\1 * \2 \3 \4)"))
        case "multiplied the brackets term by term":
            return _replaced(text, (rf"{BRACKET} \* {BRACKET}", r"\1 * \4 \5 \3 * \6"))
        case "ignored the brackets":
            return value(re.sub(r"\((?!-)([^()]*)\)", r"\1", text))
        case "worked from left to right":
            return value(re.sub(rf"^{N} ([+-]) {N}", r"(\1 \2 \3)", text))
        case "subtracted the other way round":
            assert op == "-"
            return _with(text, f"{right} - {left}")
        case "skipped an addition" | "skipped a subtraction" | "skipped a multiplication":
            assert op == {"addition": "+", "subtraction": "-", "multiplication": "*"}[name.split()[-1]]
            return _with(text, left)
    done, _, _, doing = name.split()
    assert op == {"adding": "+", "subtracting": "-", "multiplying": "*"}[doing]
    return _with(text, f"{left} {'+' if done == 'added' else '-'} {right}")


ARITHMETIC = TEMPLATES["arithmetic"].values()


def test_there_are_many_shapes() -> None:
    assert len(ARITHMETIC) >= 12
    assert all(t.kind is AnswerKind.NUMERIC and t.domain == "arithmetic" for t in ARITHMETIC)
    assert {len(t.steps) for t in ARITHMETIC} == {2, 3, 4}


@pytest.mark.parametrize("template", ARITHMETIC, ids=lambda t: t.name)
def test_arithmetic_agrees_with_python(template: Template) -> None:
    for question in _items(template):
        text = given(template, question)["s0"]
        truth = value(text)
        assert question.answer == str(truth)
        rewritings = [text, *(line[2:] for line in (question.solution or "").split("\n"))]
        for before, after in itertools.pairwise(rewritings):
            assert value(after) == truth, (before, after)
            assert len(re.findall(r" [+*-] ", after)) == len(re.findall(r" [+*-] ", before)) - 1


@pytest.mark.parametrize("template", ARITHMETIC, ids=lambda t: t.name)
def test_arithmetic_mistakes_agree_with_rewritten_texts(template: Template) -> None:
    for question in _items(template):
        text = given(template, question)["s0"]
        rewritings = [text, *(line[2:] for line in (question.solution or "").split("\n"))]
        for mistake in question.mistakes:
            expected = mistaken(mistake.name, rewritings[mistake.wrong_line])
            assert int(mistake.answer) == expected, (mistake.name, mistake.reasoning)
            for line in mistake.reasoning.split("\n")[mistake.wrong_line :]:
                assert value(line.removeprefix("= ")) == expected, (text, mistake.reasoning)


def test_an_expression_survives_reading_and_writing() -> None:
    for shape in (*SHAPES.values(), "5 - (-3)", "-3 * (2 - (-4))"):
        assert write(parse(shape)) == shape
