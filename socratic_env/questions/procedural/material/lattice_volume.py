"""Volume of a monoclinic unit cell, lengths and the angle given."""

from __future__ import annotations

import math
import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, drill, register


def _easy(rng: random.Random) -> dict[str, Any]:
    return {**{edge: rng.randrange(3, 16) for edge in "abc"}, "beta": rng.randrange(100, 131, 5)}


def _medium(rng: random.Random) -> dict[str, Any]:
    return {**{edge: rng.randrange(300, 1800) / 100 for edge in "abc"}, "beta": rng.randrange(98, 131)}


def _hard(rng: random.Random) -> dict[str, Any]:
    edges = {edge: rng.randrange(30_000, 180_000) / 10_000 for edge in "abc"}
    return {**edges, "beta": rng.randrange(9800, 13_000) / 100}


def _drill(rng: random.Random) -> dict[str, Any]:
    return {**{edge: rng.randrange(1, 25) for edge in "abc"}, "beta": rng.choice((30, 150))}


cell = register(
    Template(
        name="lattice_volume",
        domain="material",
        phrasings=(
            "A monoclinic crystal has a = {a}, b = {b}, c = {c} angstrom and beta = {beta} degrees "
            "(alpha = gamma = 90 degrees). What is the volume of its unit cell?",
            "Calculate the unit cell volume of a material with lattice parameters a = {a} A, b = {b} A, "
            "c = {c} A, alpha = gamma = 90 and beta = {beta} degrees.",
            "X-ray diffraction gives a monoclinic lattice: a = {a}, b = {b}, c = {c} (angstrom), the angle "
            "between a and c being {beta} degrees. How large is the unit cell?",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        functions={"sin_rad": math.sin, "cos_abs": lambda x: abs(math.cos(math.radians(x)))},
        steps=(
            Step("S", "a * c * sin(beta)", "the area of the oblique face", "A^2"),
            Step("V", "S * b", "the volume", "A^3"),
        ),
        slips=(
            Slip("S", "a * c", "ignored the angle", "the face is a parallelogram, not a rectangle"),
            Slip("S", "a * c * cos_abs(beta)", "took the cosine",
                 "the area of a parallelogram takes the sine"),
            Slip("S", "a * c * sin(beta) ** 2", "squared the sine", "the sine stands there once"),
            Slip("S", "a * c * sin(beta) / 2", "took the area of a triangle",
                 "the face is a whole parallelogram"),
            Slip("S", "a * c * sin(beta / 2)", "halved the angle",
                 "the whole angle between the edges counts"),
            Slip("S", "a * c * sin_rad(beta)", "took the degrees as radians", "the angle is in degrees"),
            Slip("S", "a * c / sin(beta)", "divided by the sine",
                 "an oblique face is smaller than the rectangle"),
            Slip("S", "a * c * (1 + cos_abs(beta))", "added the cosine",
                 "the area is a product with the sine"),
            Slip("V", "S * a", "used an edge twice", "the third edge is the one outside the oblique face"),
        ),
    )
)  # fmt: skip
register(drill(cell, "cell a {a} b {b} c {c} beta {beta}", _drill))
