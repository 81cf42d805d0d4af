"""Density of a metal from its cubic lattice, molar mass and lattice parameter."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, drill, register

LATTICES = {  # name: (atoms of one cell, atoms in a drawing of the cell)
    "simple cubic": (1, 8),
    "body-centred cubic": (2, 9),
    "face-centred cubic": (4, 14),
    "diamond cubic": (8, 18),
}


def _lattice(rng: random.Random, names: tuple[str, ...]) -> dict[str, Any]:
    name = rng.choice(names)
    return {"lattice": name, "Z": LATTICES[name][0], "drawn": LATTICES[name][1]}


def _crystal(rng: random.Random, names: tuple[str, ...], M: float, digits: int) -> dict[str, Any]:
    """A lattice whose edge, in angstrom, gives the metal a density that metals have."""
    drawn = _lattice(rng, names)
    volume = drawn["Z"] * M / (6.022e23 * rng.uniform(1, 22)) * 1e24
    return drawn | {"M": M, "a": round(volume ** (1 / 3), digits), "a_cm": 1e-8, "a_unit": "angstrom"}


def _easy(rng: random.Random) -> dict[str, Any]:
    known = {"avogadro": 6e23, "avogadro_text": "6e23"}
    return _crystal(rng, tuple(LATTICES)[1:3], rng.randrange(10, 241, 5), 1) | known


def _medium(rng: random.Random) -> dict[str, Any]:
    known = {"avogadro": 6.022e23, "avogadro_text": "6.022e23"}
    return _crystal(rng, tuple(LATTICES)[:3], rng.randrange(90, 2400) / 10, 2) | known


def _hard(rng: random.Random) -> dict[str, Any]:
    made = _crystal(rng, tuple(LATTICES), rng.randrange(9000, 240_000) / 1000, 3)
    known = {"avogadro": 6.022e23, "avogadro_text": "6.022e23"}
    return made | known | {"a": round(made["a"] * 100, 1), "a_cm": 1e-10, "a_unit": "pm"}


def _drill(rng: random.Random) -> dict[str, Any]:
    numbers = {"M": rng.randrange(1, 100), "a": rng.randrange(1, 5), "avogadro": rng.randrange(1, 10)}
    return _lattice(rng, tuple(LATTICES)) | numbers | {"a_cm": 1}


density = register(
    Template(
        name="theoretical_density",
        domain="material",
        phrasings=(
            "A metal of molar mass {M} g/mol crystallises in a {lattice} lattice with a = {a} {a_unit}. What "
            "is its theoretical density? (N_A = {avogadro_text} per mole.)",
            "Calculate the density of an element from X-ray data: {lattice} cell, lattice parameter {a} "
            "{a_unit}, molar mass {M} g/mol, Avogadro constant {avogadro_text} per mole.",
            "The unit cell of an element (molar mass {M} g/mol) is {lattice}, with an edge of {a} {a_unit}. "
            "Which density follows, with N_A = {avogadro_text} per mole?",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        steps=(
            Step("m", "Z * M / avogadro", "the mass of the atoms in one cell", "g"),
            Step("V", "(a * a_cm) ** 3", "the volume of the cell", "cm^3"),
            Step("rho", "m / V", "the density", "g/cm^3"),
        ),
        slips=(
            Slip("m", "M / avogadro", "counted one atom in the cell",
                 "a centred cell holds more than one atom"),
            Slip("m", "2 * M / avogadro", "counted the atoms of a body-centred cell",
                 "the number of atoms is that of the lattice named"),
            Slip("m", "4 * M / avogadro", "counted the atoms of a face-centred cell",
                 "the number of atoms is that of the lattice named"),
            Slip("m", "drawn * M / avogadro", "counted every atom of the drawing in full",
                 "atoms at corners and on faces are shared with other cells"),
            Slip("m", "(Z + 1) * M / avogadro", "counted one atom too many",
                 "the eight corners make up one atom together"),
            Slip("m", "Z ** 2 * M / avogadro", "multiplied by the number of atoms twice",
                 "the cell holds that many atoms once"),
            Slip("V", "3 * (a * a_cm) * a_cm ** 2", "tripled the edge",
                 "the volume of a cube is the third power of its edge"),
            Slip("V", "6 * a ** 2 * a_cm ** 3", "took the surface of the cube",
                 "the volume of a cube is the third power of its edge"),
            Slip("V", "4 / 3 * pi * (a * a_cm) ** 3", "took the volume of a ball with that radius",
                 "the cell is a cube"),
            Slip("V", "4 / 3 * pi * (a * a_cm / 2) ** 3", "took the volume of a ball inside the cell",
                 "the space between the atoms counts too"),
            Slip("V", "(a * a_cm) ** 3 * sqrt(3)", "stretched the cell by its diagonal",
                 "the edge is given, not a distance between atoms"),
            Slip("rho", "m / V * (pi * sqrt(2) / 6)", "multiplied by the packing share of balls",
                 "the density is that of the whole cell, gaps included"),
            Slip("rho", "m / V / (pi * sqrt(2) / 6)", "divided by the packing share of balls",
                 "the density is that of the whole cell, gaps included"),
        ),
    )
)  # fmt: skip
register(drill(density, "density atoms {Z} drawn {drawn} mass {M} edge {a} mole {avogadro}", _drill))
