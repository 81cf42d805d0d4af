"""Molar mass of a hydrated salt whose formula has brackets, such as Al2(SO4)3 . 9 H2O."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, register

METALS = {  # symbol: (mass in g/mol, charge)
    "Mg": (24.305, 2), "Ca": (40.078, 2), "Mn": (54.938, 2), "Co": (58.933, 2), "Ni": (58.693, 2),
    "Cu": (63.546, 2), "Zn": (65.38, 2), "Sr": (87.62, 2), "Cd": (112.414, 2), "Sn": (118.710, 2),
    "Ba": (137.327, 2), "Pb": (207.2, 2), "Al": (26.982, 3), "Sc": (44.956, 3), "Cr": (51.996, 3),
    "Fe": (55.845, 3), "Ga": (69.723, 3), "Y": (88.906, 3), "In": (114.818, 3), "La": (138.905, 3),
    "Ce": (140.116, 3), "Nd": (144.242, 3), "Gd": (157.25, 3), "Er": (167.259, 3), "Bi": (208.980, 3),
}  # fmt: skip
ANIONS = {  # formula: (central mass, O atoms, charge)
    "NO3": (14.007, 3, 1), "ClO3": (35.45, 3, 1), "ClO4": (35.45, 4, 1), "BrO3": (79.904, 3, 1),
    "IO3": (126.904, 3, 1), "MnO4": (54.938, 4, 1), "ReO4": (186.207, 4, 1), "SO4": (32.06, 4, 2),
    "SeO4": (78.971, 4, 2), "CrO4": (51.996, 4, 2), "MoO4": (95.95, 4, 2), "WO4": (183.84, 4, 2),
    "PO4": (30.974, 4, 3), "AsO4": (74.922, 4, 3), "VO4": (50.942, 4, 3),
}  # fmt: skip
OXYGEN, WATER = 15.999, 18.015


def _draw(charges: tuple[tuple[int, int], ...], waters: range) -> Draw:
    """Salts of these charges of metal and anion, so that the anion stands in brackets."""
    salts = [
        (metal, anion)
        for metal, (_, plus) in METALS.items()
        for anion, (_, _, minus) in ANIONS.items()
        if (plus, minus) in charges
    ]

    def draw(rng: random.Random) -> dict[str, Any]:
        metal, anion = rng.choice(salts)
        (mass, k), (central, oxygens, n) = METALS[metal], ANIONS[anion]
        w = rng.choice(waters)
        salt = f"{metal}{n if n > 1 else ''}({anion}){k}"
        return {
            "formula": f"{salt} . {w} H2O", "metal": metal, "m_metal": mass, "n": n, "m_central": central,
            "o": oxygens, "k": k, "w": w, "m_O": OXYGEN, "m_water": WATER,
        }  # fmt: skip

    return draw


register(
    Template(
        name="molar_mass",
        domain="chemistry",
        phrasings=(
            "What is the molar mass of the hydrate {formula}?",
            "Calculate the mass of one mole of {formula}, crystal water included.",
            "A student weighs out exactly one mole of {formula}. What mass is that?",
        ),
        draws={
            "easy": _draw(((2, 1),), range(2, 7)),
            "medium": _draw(((2, 1), (3, 1)), range(2, 13)),
            "hard": _draw(((2, 3), (3, 2)), range(5, 19)),
        },
        steps=(
            Step("anion", "m_central + o * m_O", "the mass of one anion", "g/mol"),
            Step("salt", "n * m_metal + k * anion", "the mass of the salt without water", "g/mol"),
            Step("M", "salt + w * m_water", "the molar mass", "g/mol"),
        ),
        slips=(
            Slip("anion", "m_central + m_O", "ignored the subscript of oxygen",
                 "the anion holds several oxygen atoms"),
            Slip("anion", "o * (m_central + m_O)", "gave the subscript of oxygen to the whole anion",
                 "it belongs to the oxygen only"),
            Slip("salt", "n * m_metal + anion", "ignored the number after the bracket",
                 "it multiplies everything in the bracket"),
            Slip("salt", "k * (m_metal + anion)", "gave the number after the bracket to the metal too",
                 "it multiplies the bracket only"),
            Slip("salt", "k * m_metal + n * anion", "swapped the numbers of metal and anion",
                 "each number belongs to what stands before it"),
            Slip("M", "salt", "dropped the crystal water", "the dot adds water molecules to the formula"),
            Slip("M", "salt + m_water", "counted the crystal water once",
                 "the number before the water says how many there are"),
            Slip("M", "salt + w * 2 * m_water", "counted the crystal water twice",
                 "the subscript of hydrogen is already in the mass of water"),
            Slip("M", "w * (salt + m_water)", "multiplied the salt by the number of water molecules",
                 "that number belongs to the water only"),
        ),
    )
)  # fmt: skip
