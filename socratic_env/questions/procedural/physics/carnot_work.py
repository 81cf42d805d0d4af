"""Largest work of a heat engine per cycle, the temperatures given in degrees Celsius."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, register


def _easy(rng: random.Random) -> dict[str, Any]:
    hot, cold = rng.randrange(127, 928, 50), rng.randrange(-23, 78, 25)
    return {"t_hot": hot, "t_cold": cold, "zero": 273, "Q": rng.randrange(50, 1001, 50)}


def _medium(rng: random.Random) -> dict[str, Any]:
    hot, cold = rng.randrange(120, 901), rng.randrange(-20, 81)
    return {"t_hot": hot, "t_cold": cold, "zero": 273, "Q": rng.randrange(20, 1000)}


def _hard(rng: random.Random) -> dict[str, Any]:
    hot, cold = rng.randrange(1000, 12_000) / 10, rng.randrange(-1500, 900) / 10
    return {"t_hot": hot, "t_cold": cold, "zero": 273.15, "Q": rng.randrange(1001, 99_999) / 100}


register(
    Template(
        name="carnot_work",
        domain="physics",
        phrasings=(
            "A heat engine takes {Q} kJ per cycle from a reservoir at {t_hot} degrees Celsius and gives "
            "heat to one at {t_cold} degrees Celsius. How much work can it do per cycle at most? "
            "(0 degrees Celsius are {zero} K.)",
            "Of {Q} kJ of heat drawn at {t_hot} degrees Celsius, what part can an ideal engine turn into "
            "work if its surroundings are at {t_cold} degrees Celsius? Take absolute zero as -{zero} "
            "degrees Celsius.",
            "A Carnot engine runs between {t_hot} and {t_cold} degrees Celsius and absorbs {Q} kJ in every "
            "cycle. Find the work of one cycle, with T = t + {zero}.",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        steps=(
            Step("T_hot", "t_hot + zero", "the absolute temperature of the hot reservoir", "K"),
            Step("T_cold", "t_cold + zero", "the absolute temperature of the cold reservoir", "K"),
            Step("eta", "1 - T_cold / T_hot", "the efficiency"),
            Step("W", "eta * Q", "the work", "kJ"),
        ),
        slips=(
            Slip("T_hot", "t_hot", "kept the hot temperature in Celsius",
                 "the efficiency takes absolute temperatures"),
            Slip("T_cold", "t_cold", "kept the cold temperature in Celsius",
                 "the efficiency takes absolute temperatures"),
            Slip("eta", "1 - t_cold / t_hot", "took the ratio of Celsius temperatures",
                 "only absolute temperatures have a ratio that means something"),
            Slip("eta", "T_cold / T_hot", "took the share of the heat that is given away",
                 "the work is what remains of the heat"),
            Slip("eta", "(T_hot - T_cold) / T_cold", "divided by the cold temperature",
                 "the difference is compared with the hot side, where the heat comes from"),
            Slip("eta", "T_cold / (T_hot - T_cold)", "took the coefficient of a refrigerator",
                 "an engine is judged by its work for each unit of heat taken in"),
            Slip("eta", "T_hot / (T_hot - T_cold)", "took the coefficient of a heat pump",
                 "no engine gives more work than it takes in as heat"),
            Slip("eta", "(T_hot - T_cold) / (T_hot + T_cold)", "divided by the sum of the temperatures",
                 "the difference is compared with the hot temperature alone"),
            Slip("eta", "1 - sqrt(T_cold / T_hot)", "took the efficiency at the largest power",
                 "the largest work belongs to a reversible cycle, without a root"),
            Slip("W", "eta ** 2 * Q", "applied the efficiency twice", "the heat is multiplied by it once"),
            Slip("W", "Q / (1 + eta)", "divided the heat by one plus the efficiency",
                 "the efficiency is the share of the heat that becomes work"),
        ),
    )
)  # fmt: skip
