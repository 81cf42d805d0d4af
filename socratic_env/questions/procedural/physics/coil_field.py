"""Magnetic field at the centre of a flat circular coil, its diameter given."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, drill, register


def _easy(rng: random.Random) -> dict[str, Any]:
    turns, current = rng.randrange(10, 101, 10), rng.randrange(1, 11)
    return {
        "N": turns, "I": current, "I_si": 1, "I_unit": "A", "d": rng.randrange(4, 41, 4),
        "d_si": 0.01, "d_unit": "cm", "mu": 1.26,
    }  # fmt: skip


def _medium(rng: random.Random) -> dict[str, Any]:
    numbers = {"N": rng.randrange(11, 400), "I": rng.randrange(11, 99) / 10, "d": rng.randrange(31, 600) / 10}
    return _easy(rng) | numbers | {"mu": 1.257}


def _hard(rng: random.Random) -> dict[str, Any]:
    numbers = {"N": rng.randrange(11, 900), "I": rng.randrange(51, 990), "d": rng.randrange(201, 990)}
    units = {"I_si": 0.001, "I_unit": "mA", "d_si": 0.001, "d_unit": "mm"}
    return _easy(rng) | numbers | units | {"mu": 1.2566}


def _drill(rng: random.Random) -> dict[str, Any]:
    numbers = {"N": rng.randrange(1, 50), "I": rng.randrange(1, 25), "d": 2 * rng.randrange(1, 13)}
    return numbers | {"mu": rng.randrange(2, 10), "I_si": 1, "d_si": 1}


coil = register(
    Template(
        name="coil_field",
        domain="physics",
        phrasings=(
            "A flat circular coil of {N} turns and {d} {d_unit} diameter carries {I} {I_unit}. How large is "
            "the magnetic field at its centre? Take mu0 = {mu} microtesla m/A.",
            "Through a narrow ring of {N} windings flows a current of {I} {I_unit}; the ring is {d} {d_unit} "
            "across. Find the magnetic flux density in its middle (mu0 = {mu} microtesla m/A).",
            "What field does a current of {I} {I_unit} produce at the centre of a thin coil with {N} turns "
            "whose diameter is {d} {d_unit}? Use mu0 = {mu} microtesla m/A.",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        steps=(
            Step("r", "d * d_si / 2", "the radius", "m"),
            Step("J", "N * I * I_si", "the current through all turns", "A"),
            Step("H", "J / (2 * r)", "the field strength", "A/m"),
            Step("F", "mu * H", "the flux density", "microtesla"),
        ),
        slips=(
            Slip("r", "d * d_si", "took the diameter for the radius", "the radius is half of it"),
            Slip("r", "d * d_si / 4", "halved the diameter twice", "the radius is half the diameter"),
            Slip("J", "I * I_si", "forgot the turns", "every turn adds its own field"),
            Slip("J", "N ** 2 * I * I_si", "squared the number of turns",
                 "that square belongs to the inductance"),
            Slip("J", "(N + 1) * I * I_si / 2", "took half of the turns",
                 "all turns carry the current past the centre"),
            Slip("H", "J / (2 * pi * r)", "took the formula of a straight wire",
                 "at the centre of a ring there is no pi in it"),
            Slip("H", "J / r", "forgot the factor 2", "the field at the centre is J over the diameter"),
            Slip("H", "J / (pi * r ** 2)", "divided by the area", "the field falls with the radius itself"),
            Slip("H", "pi * J / (2 * r)", "multiplied by pi",
                 "the circumference and the distance squared leave no pi over"),
            Slip("H", "J / (2 * r ** 2)", "squared the radius",
                 "one power of the radius cancels against the length of the wire"),
            Slip("F", "mu * H / (4 * pi)", "divided by 4 pi", "mu0 is meant as it stands"),
            Slip("F", "mu ** 2 * H", "multiplied by mu0 twice", "the flux density takes it once"),
        ),
    )
)  # fmt: skip
register(drill(coil, "coil turns {N} current {I} across {d} mu {mu}", _drill))
