"""pH of a strong acid after dilution with water, once or several times."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, register

ACIDS = {"HCl": 1, "HBr": 1, "HI": 1, "HNO3": 1, "HClO4": 1, "H2SO4": 2, "H2SeO4": 2}
"""Acid: protons that it gives off, all of them."""
SERIES = {1: "once", 2: "twice in a row", 3: "three times in a row"}
WEAKEST = 2e-6  # mol/L of hydrogen ions; below it water adds its own


def _draw(protons: int, volumes: range, waters: range, concentrations: range, most_times: int) -> Draw:
    acids = [acid for acid, z in ACIDS.items() if z <= protons]

    def draw(rng: random.Random) -> dict[str, Any]:
        while True:
            acid, times = rng.choice(acids), rng.randrange(1, most_times + 1)
            volume, water = rng.choice(volumes), rng.choice(waters)
            c = rng.choice(concentrations) / 1000
            weakest = ACIDS[acid] * c / ((volume + water) / volume) ** times
            if WEAKEST < weakest < 0.5:
                return {
                    "acid": acid, "z": ACIDS[acid], "c": c, "V_acid": volume, "V_water": water,
                    "series": SERIES[times], "times": times,
                }  # fmt: skip

    return draw


register(
    Template(
        name="dilution_ph",
        domain="chemistry",
        phrasings=(
            "{V_acid} mL of {acid} ({c} mol/L) are mixed with {V_water} mL of water; this is done {series}, "
            "always with the same volumes and the solution made last. What is the pH in the end? Volumes "
            "add up, and the acid gives off all its protons.",
            "A chemist dilutes {acid} of {c} mol/L by adding {V_water} mL of water to {V_acid} mL of it, "
            "{series} with equal volumes. Taking the acid as fully dissociated and volumes as additive, "
            "calculate the final pH.",
            "Find the pH of a {c} mol/L solution of the fully dissociated acid {acid} after dilution: "
            "{V_acid} mL of the solution at hand plus {V_water} mL of water, {series}.",
        ),
        draws={
            "easy": _draw(1, range(10, 101, 10), range(90, 1000, 10), range(10, 501, 10), 1),
            "medium": _draw(2, range(10, 100, 5), range(20, 1000, 5), range(2, 1000), 1),
            "hard": _draw(2, range(10, 100), range(50, 700), range(2, 1000), 3),
        },
        steps=(
            Step("V", "V_acid + V_water", "the volume after mixing", "mL"),
            Step("f", "(V / V_acid) ** times", "the factor of the whole dilution"),
            Step("h", "z * c / f", "the concentration of hydrogen ions", "mol/L"),
            Step("pH", "-lg(h)", "the pH"),
        ),
        slips=(
            Slip("f", "1", "ignored the dilution", "water spreads the acid over a larger volume"),
            Slip("f", "V / V_acid * times", "multiplied the factor by the number of dilutions",
                 "each dilution divides what the last one left"),
            Slip("f", "V / V_acid", "carried out a single dilution", "every one of them divides again"),
            Slip("f", "(V / V_acid) ** (times + 1)", "carried out a dilution too many",
                 "count them once more"),
            Slip("f", "(V / V_acid) ** (2 * times)", "squared the dilution factor",
                 "the volume enters once for each dilution"),
            Slip("f", "sqrt(V / V_acid) ** times", "took the root of the dilution factor",
                 "the concentration falls as the volume grows"),
            Slip("h", "c / f", "counted a single proton", "the acid gives off all its protons"),
            Slip("h", "z * z * c / f", "counted the protons twice", "their number enters once"),
            Slip("h", "z * c / (f * V_acid)", "divided by the volume of acid as well",
                 "it is already in the factor"),
            Slip("pH", "-ln(h)", "took the natural logarithm", "pH is defined by the logarithm to base ten"),
            Slip("pH", "14 + lg(h)", "gave the pOH", "pH is minus the logarithm itself"),
            Slip("pH", "-lg(h) / 2", "halved the pH", "no root is taken of the hydrogen ions"),
            Slip("pH", "1 - lg(h)", "moved the point by a place",
                 "one place more is a tenth of the concentration"),
        ),
    )
)  # fmt: skip
