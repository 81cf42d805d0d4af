"""Diffraction angle 2 theta of a lattice plane of a cubic crystal."""

from __future__ import annotations

import math
import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, register

LINES = {"Cu": 1.5406, "Mo": 0.7107, "Co": 1.789, "Fe": 1.936, "Cr": 2.2897}
"""Wavelengths of K-alpha radiation in angstrom."""
LOW = ((1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 0, 0), (2, 1, 0))
MORE = (*LOW, (2, 1, 1), (2, 2, 0), (3, 0, 0), (3, 1, 0), (3, 1, 1), (2, 2, 2), (3, 2, 0), (3, 2, 1))
_STEEPEST = 0.95


def _reflection(
    rng: random.Random, planes: tuple[tuple[int, int, int], ...], order: int, **numbers: Any
) -> dict[str, Any]:
    """The numbers, with one of those planes that can reflect the radiation."""
    path = order * numbers["lam"] / (2 * numbers["a"] * numbers["a_A"])
    plane = rng.choice([plane for plane in planes if path * math.hypot(*plane) < _STEEPEST])
    text = "".join(map(str, plane))
    return numbers | dict(zip("hkl", plane, strict=True)) | {
        "plane": text, "n": order, "order": ("first", "second")[order - 1],
    }  # fmt: skip


def _easy(rng: random.Random) -> dict[str, Any]:
    lam, a = rng.choice((1, 1.5, 2)), rng.randrange(30, 80) / 10
    return _reflection(rng, LOW, 1, lam=lam, a=a, a_A=1, a_unit="angstrom")


def _medium(rng: random.Random) -> dict[str, Any]:
    lam, a = rng.choice(list(LINES.values())), rng.randrange(300, 750) / 100
    return _reflection(rng, MORE, 1, lam=lam, a=a, a_A=1, a_unit="angstrom")


def _hard(rng: random.Random) -> dict[str, Any]:
    lam, a = rng.choice(list(LINES.values())), rng.randrange(5000, 9900) / 10
    return _reflection(rng, MORE, rng.choice((1, 2)), lam=lam, a=a, a_A=0.01, a_unit="pm")


register(
    Template(
        name="bragg_angle",
        domain="material",
        phrasings=(
            "A cubic crystal with a = {a} {a_unit} is examined with X-rays of {lam} angstrom. At which "
            "diffraction angle 2 theta does the {order} order of the ({plane}) planes appear?",
            "Find 2 theta of the ({plane}) reflection, {order} order, of a cubic material with lattice "
            "parameter {a} {a_unit} and radiation of wavelength {lam} angstrom.",
            "X-rays (wavelength {lam} angstrom) fall on a powder with a cubic cell of edge {a} {a_unit}. "
            "Between the beam and the {order} order peak of ({plane}), what angle 2 theta is measured?",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        functions={
            "acos": lambda x: math.degrees(math.acos(x)),
            "atan": lambda x: math.degrees(math.atan(x)),
        },
        steps=(
            Step("a0", "a * a_A", "the lattice parameter", "angstrom"),
            Step("d", "a0 / sqrt(h ** 2 + k ** 2 + l ** 2)", "the distance of the planes", "angstrom"),
            Step("s", "n * lam / (2 * d)", "the sine of the Bragg angle"),
            Step("theta", "asin(s)", "the Bragg angle", "degrees"),
            Step("x", "2 * theta", "the diffraction angle", "degrees"),
        ),
        slips=(
            Slip("d", "a0", "took the lattice parameter for the distance of the planes",
                 "the distance of the planes depends on their indices"),
            Slip("d", "a0 / (h + k + l)", "added the indices",
                 "the indices are squared, summed, and the root is taken"),
            Slip("d", "a0 / (h ** 2 + k ** 2 + l ** 2)", "forgot the root over the squared indices",
                 "the indices are squared, summed, and the root is taken"),
            Slip("s", "n * lam / d", "forgot the factor 2", "the path difference is 2 d sin(theta)"),
            Slip("s", "n * lam / (4 * d)", "halved the sine twice", "the path difference is 2 d sin(theta)"),
            Slip("s", "lam / (2 * d)", "took the first order",
                 "at a higher order the path difference is several wavelengths"),
            Slip("theta", "acos(s)", "took the cosine", "the path difference takes the sine"),
            Slip("theta", "atan(s)", "took the tangent", "the path difference takes the sine"),
            Slip("theta", "s", "left the sine as it was", "the angle is the arc sine of it"),
            Slip("x", "theta", "gave theta", "the detector stands at twice the Bragg angle"),
            Slip("x", "180 - 2 * theta", "measured from the reversed beam",
                 "the diffraction angle lies between the direct and the reflected beam"),
            Slip("x", "3 * theta", "took theta three times", "beam and plane enclose theta on both sides"),
            Slip("x", "90 - theta", "measured from the normal of the planes",
                 "the Bragg angle lies between the beam and the planes"),
        ),
    )
)  # fmt: skip
