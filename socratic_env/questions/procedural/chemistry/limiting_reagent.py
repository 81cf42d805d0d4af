"""Mass of product from two weighed reagents, one of which runs out first."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, drill, register

REACTIONS = {  # level: equation: (a, first, its g/mol, b, second, its g/mol, p, product, its g/mol)
    "easy": {
        "2 H2 + O2 -> 2 H2O": (2, "H2", 2.016, 1, "O2", 31.998, 2, "H2O", 18.015),
        "N2 + 3 H2 -> 2 NH3": (1, "N2", 28.014, 3, "H2", 2.016, 2, "NH3", 17.031),
        "2 Mg + O2 -> 2 MgO": (2, "Mg", 24.305, 1, "O2", 31.998, 2, "MgO", 40.304),
        "2 Na + Cl2 -> 2 NaCl": (2, "Na", 22.990, 1, "Cl2", 70.90, 2, "NaCl", 58.44),
        "2 CO + O2 -> 2 CO2": (2, "CO", 28.010, 1, "O2", 31.998, 2, "CO2", 44.009),
        "CH4 + 2 O2 -> CO2 + 2 H2O": (1, "CH4", 16.043, 2, "O2", 31.998, 2, "H2O", 18.015),
    },
    "medium": {
        "4 Al + 3 O2 -> 2 Al2O3": (4, "Al", 26.982, 3, "O2", 31.998, 2, "Al2O3", 101.961),
        "2 Al + 3 Cl2 -> 2 AlCl3": (2, "Al", 26.982, 3, "Cl2", 70.90, 2, "AlCl3", 133.332),
        "4 NH3 + 5 O2 -> 4 NO + 6 H2O": (4, "NH3", 17.031, 5, "O2", 31.998, 4, "NO", 30.006),
        "P4 + 6 Cl2 -> 4 PCl3": (1, "P4", 123.895, 6, "Cl2", 70.90, 4, "PCl3", 137.324),
        "4 Fe + 3 O2 -> 2 Fe2O3": (4, "Fe", 55.845, 3, "O2", 31.998, 2, "Fe2O3", 159.687),
        "3 Mg + N2 -> Mg3N2": (3, "Mg", 24.305, 1, "N2", 28.014, 1, "Mg3N2", 100.929),
        "Fe2O3 + 3 CO -> 2 Fe + 3 CO2": (1, "Fe2O3", 159.687, 3, "CO", 28.010, 2, "Fe", 55.845),
        "P4 + 5 O2 -> 2 P2O5": (1, "P4", 123.895, 5, "O2", 31.998, 2, "P2O5", 141.943),
    },
    "hard": {
        "2 C8H18 + 25 O2 -> 16 CO2 + 18 H2O": (2, "C8H18", 114.232, 25, "O2", 31.998, 16, "CO2", 44.009),
        "4 FeS2 + 11 O2 -> 2 Fe2O3 + 8 SO2": (4, "FeS2", 119.965, 11, "O2", 31.998, 8, "SO2", 64.058),
        "2 C6H6 + 15 O2 -> 12 CO2 + 6 H2O": (2, "C6H6", 78.114, 15, "O2", 31.998, 6, "H2O", 18.015),
        "3 Cu + 8 HNO3 -> 3 Cu(NO3)2 + 2 NO + 4 H2O":
            (3, "Cu", 63.546, 8, "HNO3", 63.012, 3, "Cu(NO3)2", 187.554),
        "3 Fe3O4 + 8 Al -> 9 Fe + 4 Al2O3": (3, "Fe3O4", 231.531, 8, "Al", 26.982, 9, "Fe", 55.845),
        "2 KMnO4 + 16 HCl -> 2 KCl + 2 MnCl2 + 5 Cl2 + 8 H2O":
            (2, "KMnO4", 158.032, 16, "HCl", 36.458, 5, "Cl2", 70.90),
        "P4S3 + 8 O2 -> 2 P2O5 + 3 SO2": (1, "P4S3", 220.075, 8, "O2", 31.998, 3, "SO2", 64.058),
    },
}  # fmt: skip
NAMES = ("a", "first", "M_first", "b", "second", "M_second", "p", "product", "M_product")


def _draw(level: str) -> Draw:
    def draw(rng: random.Random) -> dict[str, Any]:
        equation = rng.choice(list(REACTIONS[level]))
        drawn: dict[str, Any] = dict(zip(NAMES, REACTIONS[level][equation], strict=True))
        runs = rng.uniform(0.05, 3.0)  # moles of conversions by the reagent that runs out
        spare = runs * rng.uniform(1.1, 2.5)
        of_a, of_b = rng.choice(((runs, spare), (spare, runs)))
        grams = [of_a * drawn["a"] * drawn["M_first"], of_b * drawn["b"] * drawn["M_second"]]
        digits = 0 if level == "easy" else 1
        m_first, m_second = (round(g, digits) if digits else round(g) for g in grams)
        if min(m_first, m_second) < 1:
            return draw(rng)
        return {"equation": equation, **drawn, "m_first": m_first, "m_second": m_second}

    return draw


def _moles(rng: random.Random) -> dict[str, Any]:
    while True:
        a, b, p = rng.randrange(1, 5), rng.randrange(1, 5), rng.randrange(1, 5)
        i, j = rng.randrange(1, 10), rng.randrange(1, 10)
        if i != j and (a, b) != (1, 1):
            return {"a": a, "b": b, "p": p, "n_first": a * i, "n_second": b * j}


_STEPS = (
    Step("n_first", "m_first / M_first", "the amount of the first reagent", "mol"),
    Step("n_second", "m_second / M_second", "the amount of the second reagent", "mol"),
    Step("runs", "least(n_first / a, n_second / b)", "how often the equation can run", "mol"),
    Step("n", "p * runs", "the amount of product", "mol"),
    Step("m", "n * M_product", "the mass of product", "g"),
)
_SLIPS = (
    Slip("n_first", "m_first / (M_first * a)", "put the first coefficient into the molar mass",
         "the molar mass belongs to one formula unit"),
    Slip("n_second", "m_second / (M_second * b)", "put the second coefficient into the molar mass",
         "the molar mass belongs to one formula unit"),
    Slip("runs", "most(n_first / a, n_second / b)", "took the reagent that is left over",
         "the one that runs out first sets the product"),
    Slip("runs", "least(n_first, n_second)", "ignored the coefficients of the reagents",
         "each amount is shared out by its coefficient"),
    Slip("runs", "least(n_first * a, n_second * b)", "multiplied the amounts by their coefficients",
         "a run of the equation uses up that many moles, so divide"),
    Slip("runs", "least(n_first / b, n_second / a)", "swapped the coefficients of the reagents",
         "each amount goes with its own coefficient"),
    Slip("runs", "n_first / a + n_second / b", "added up what both reagents allow",
         "both are needed at once"),
    Slip("runs", "(n_first / a + n_second / b) / 2", "averaged what both reagents allow",
         "the scarcer one alone decides"),
    Slip("n", "runs", "forgot the coefficient of the product", "one run makes as many as it says"),
    Slip("n", "runs / p", "divided by the coefficient of the product",
         "one run makes as many as it says"),
    Slip("n", "p * (n_first + n_second)", "turned all the reagents into product",
         "they combine in the ratio of the equation, and the rest is left over"),
)  # fmt: skip
_WEIGHING = (
    Slip("m", "m_first + m_second", "added the masses of the reagents",
         "one of them is left over, and there can be other products"),
    Slip("m", "p * n * M_product", "put the product's coefficient in twice",
         "it is already in the amount"),
)  # fmt: skip

limiting_reagent = register(
    Template(
        name="limiting_reagent",
        domain="chemistry",
        phrasings=(
            "{m_first} g of {first} and {m_second} g of {second} react as far as they can: {equation}. "
            "What mass of {product} forms?",
            "How many grams of {product} can be made from {m_first} g of {first} with {m_second} g of "
            "{second}? The equation is {equation}.",
            "A vessel holds {m_first} g of {first} and {m_second} g of {second}, which react by {equation} "
            "until one of them is used up. Calculate the mass of {product}.",
        ),
        draws={level: _draw(level) for level in REACTIONS},
        functions={"least": min, "most": max},
        steps=_STEPS,
        slips=_SLIPS + _WEIGHING,
    )
)

register(
    drill(
        limiting_reagent,
        "limit {n_first} {a} {n_second} {b} {p}",
        _moles,
        steps=_STEPS[2:4],
        slips=_SLIPS[2:],
    )
)
