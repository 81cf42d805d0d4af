"""Force between two point charges, in units that must be converted."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, drill, register


def _easy(rng: random.Random) -> dict[str, Any]:
    return {
        "k": 9e9, "k_text": "9e9", "p": rng.randrange(1, 10), "p_si": 1e-6, "p_unit": "microcoulomb",
        "q": rng.randrange(1, 10), "q_si": 1e-6, "q_unit": "microcoulomb",
        "d": rng.randrange(10, 91, 5), "d_si": 0.01, "d_unit": "cm", "N_si": 1000,
    }  # fmt: skip


def _medium(rng: random.Random) -> dict[str, Any]:
    charges = {"p": rng.randrange(11, 200) / 10, "q": rng.randrange(11, 200) / 10}
    return _easy(rng) | charges | {"k": 8.99e9, "k_text": "8.99e9", "d": rng.randrange(11, 90)}


def _hard(rng: random.Random) -> dict[str, Any]:
    p, q, d = rng.randrange(101, 990) / 100, rng.randrange(2000, 9000) / 10, rng.randrange(200, 800) / 10
    units = {"q_si": 1e-9, "q_unit": "nanocoulomb", "d_si": 0.001, "d_unit": "mm"}
    return _medium(rng) | {"k": 8.988e9, "k_text": "8.988e9", "p": p, "q": q, "d": d} | units


def _drill(rng: random.Random) -> dict[str, Any]:
    numbers = {"k": rng.randrange(1, 100), "p": rng.randrange(1, 10), "q": rng.randrange(1, 10)}
    return numbers | {"d": rng.randrange(1, 10), "p_si": 1, "q_si": 1, "d_si": 1, "N_si": 1}


coulomb = register(
    Template(
        name="coulomb_force",
        domain="physics",
        phrasings=(
            "Two point charges of {p} {p_unit} and {q} {q_unit} are {d} {d_unit} apart in vacuum. With what "
            "force do they repel each other? Take k = {k_text} N m^2/C^2.",
            "A charge of {p} {p_unit} sits at a distance of {d} {d_unit} from another of {q} {q_unit}. "
            "Calculate the electrostatic force on either (Coulomb constant {k_text} N m^2/C^2).",
            "What force acts between small spheres that carry {p} {p_unit} and {q} {q_unit}, their centres "
            "{d} {d_unit} apart? The Coulomb constant is {k_text} N m^2/C^2.",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        steps=(
            Step("r", "d * d_si", "the distance", "m"),
            Step("P", "p * p_si * q * q_si", "the product of the charges", "C^2"),
            Step("F", "k * P / r ** 2 * N_si", "the force", "mN"),
        ),
        slips=(
            Slip("r", "d", "kept the unit of the distance", "the constant is made for metres"),
            Slip("r", "d * d_si / 2", "halved the distance", "the distance is that of the centres"),
            Slip("P", "(p + q) * p_si * q_si", "added the charges", "the force takes their product"),
            Slip("P", "p ** 2 * p_si ** 2", "took the first charge twice",
                 "each of the charges stands in the product once"),
            Slip("P", "q ** 2 * q_si ** 2", "took the second charge twice",
                 "each of the charges stands in the product once"),
            Slip("P", "p * p_si * q * p_si", "took both charges in the first one's unit",
                 "each charge has a unit of its own"),
            Slip("F", "k * P / r * N_si", "forgot to square the distance",
                 "the force falls with the square of the distance"),
            Slip("F", "k * P / r ** 3 * N_si", "cubed the distance",
                 "the force falls with the square of the distance"),
            Slip("F", "2 * k * P / r ** 2 * N_si", "added the forces on both charges",
                 "either charge feels the whole force, and feels it once"),
            Slip("F", "k * P / r ** 2 * N_si / 2", "shared the force between the charges",
                 "either charge feels the whole force"),
            Slip("F", "k * P / (4 * pi * r ** 2) * N_si", "divided by 4 pi once more",
                 "the constant holds 4 pi already"),
            Slip("F", "4 * pi * k * P / r ** 2 * N_si", "multiplied by 4 pi",
                 "the constant holds 4 pi already"),
        ),
    )
)  # fmt: skip
register(drill(coulomb, "coulomb k {k} p {p} q {q} d {d}", _drill))
