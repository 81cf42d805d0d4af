"""Balancing a combustion: the whole-number coefficient of oxygen."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, drill, register


def clear(atoms: float, h: int, n: int) -> int:
    """The smallest factor that makes O2 (atoms / 2), water (h / 2) and N2 (n / 2) whole."""
    return next(m for m in (1, 2, 4) if not any(m * part % 2 for part in (atoms, h, n)))


def _formula(**counts: int) -> str:
    return "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in counts.items() if count)


def _draw(carbons: range, oxygens: range, nitrogens: range) -> Draw:
    def draw(rng: random.Random) -> dict[str, Any]:
        while True:
            c, o, n = rng.choice(carbons), rng.choice(oxygens), rng.choice(nitrogens)
            h = 2 * c + 2 + n - 2 * rng.randrange(c)
            if o < c:
                return {"fuel": _formula(C=c, H=h, N=n, O=o), "c": c, "h": h, "o": o, "n": n}

    return draw


def _small(rng: random.Random) -> dict[str, Any]:
    while True:
        c, h, o = rng.randrange(1, 13), 2 * rng.randrange(1, 13), rng.randrange(6)
        if h <= 2 * c + 2 and 2 * c + h / 2 - o > 4:  # the answer is no number of the formulas
            return {"c": c, "h": h, "o": o, "n": 0}


combustion = register(
    Template(
        name="combustion",
        domain="chemistry",
        phrasings=(
            "{fuel} burns completely to CO2 and H2O (any nitrogen leaves as N2). Balance the equation with "
            "the smallest whole numbers. What is the coefficient of O2?",
            "Write the balanced equation of the complete combustion of {fuel}; products are carbon "
            "dioxide, water and, where the fuel holds nitrogen, N2. Which smallest whole number stands "
            "before O2?",
            "An engine burns {fuel} without residue to water, carbon dioxide and (if there is nitrogen in "
            "it) nitrogen gas. How many O2 does the equation take in smallest whole numbers?",
            "Find the coefficient of oxygen gas when the full combustion of {fuel} to H2O, CO2 and "
            "possibly N2 is balanced with whole numbers that have no common factor.",
        ),
        draws={
            "easy": _draw(range(3, 13), range(2), range(1)),
            "medium": _draw(range(5, 25), range(9), range(1)),
            "hard": _draw(range(9, 41), range(1, 12), range(1, 6)),
        },
        functions={"clear": clear},
        steps=(
            Step("atoms", "2 * c + h / 2 - o", "the oxygen atoms that one fuel molecule takes from the air"),
            Step("m", "clear(atoms, h, n)", "the smallest factor that makes every coefficient whole"),
            Step("y", "m * atoms / 2", "the coefficient of oxygen"),
        ),
        slips=(
            Slip("atoms", "2 * c + h / 2", "ignored the oxygen in the fuel",
                 "its atoms need not come from the air"),
            Slip("atoms", "2 * c + h / 2 + o", "added the oxygen of the fuel",
                 "its atoms need not come from the air, so they are taken away"),
            Slip("atoms", "2 * c + h / 2 - 2 * o", "took each oxygen of the fuel for a molecule",
                 "an oxygen in the fuel is one atom only"),
            Slip("atoms", "c + h / 2 - o", "gave carbon dioxide a single oxygen atom",
                 "each carbon atom binds two oxygen atoms"),
            Slip("atoms", "2 * c + h - o", "made a water molecule of every hydrogen",
                 "a water molecule holds two of them"),
            Slip("atoms", "2 * c - o", "left out the oxygen in the water",
                 "the hydrogen binds oxygen too"),
            Slip("y", "-(-atoms // 2)", "rounded up what is left over",
                 "a fraction is cleared by multiplying every coefficient"),
            Slip("y", "m * atoms", "counted atoms for molecules", "oxygen comes as molecules of two atoms"),
            Slip("y", "m * c", "gave the coefficient of carbon dioxide",
                 "the question asks for the oxygen on the left"),
            Slip("y", "m * h / 2", "gave the coefficient of water",
                 "the question asks for the oxygen on the left"),
            Slip("y", "m * atoms / 2 + m", "added the fuel's coefficient",
                 "each substance has a coefficient of its own"),
        ),
    )
)  # fmt: skip

register(drill(combustion, "burn {c} {h} {o}", _small))
