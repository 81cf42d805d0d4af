"""Rate of an enzyme with an inhibitor, by Michaelis and Menten."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, drill, register

TYPES = {"competitive": (1, 0), "uncompetitive": (0, 1), "noncompetitive": (1, 1)}
"""Type: whether the inhibitor binds the free enzyme, and whether it binds the complex."""


def _draw(types: tuple[str, ...], whole: bool) -> Draw:
    """Whole numbers of one unit, or decimals and the inhibitor in another unit."""

    def concentration(rng: random.Random, least: int, most: int) -> float:
        return rng.randrange(least, most) if whole else rng.randrange(10 * least, 10 * most) / 10

    def draw(rng: random.Random) -> dict[str, Any]:
        kind = rng.choice(types)
        free, bound = TYPES[kind]
        unit, per = ("umol/L", 1) if whole else ("nmol/L", 1000)
        inhibition = concentration(rng, 2, 16) if whole else concentration(rng, 5, 60)
        ratio = rng.randrange(1, 6) if whole else rng.uniform(0.3, 5.0)
        amount = round(inhibition * ratio, 1)
        return {
            "v_max": 5 * rng.randrange(4, 61), "S": concentration(rng, 2, 90),
            "K_m": concentration(rng, 2, 60), "K_i": inhibition, "type": kind,
            "dose": f"{round(amount * per)} {unit}", "amount": round(amount * per), "per": per,
            "free": free, "bound": bound,
        }  # fmt: skip

    return draw


def _small(rng: random.Random) -> dict[str, Any]:
    while True:
        factor, inhibition = rng.randrange(2, 6), rng.randrange(1, 6)
        m, s = rng.randrange(1, 10), rng.randrange(1, 10)
        v_max = (factor * m + s) * rng.randrange(1, 6)
        if s != m and v_max < 100 and v_max * s // (factor * m + s) > 1:
            return {
                "v_max": v_max, "S": s, "K_m": m, "I": (factor - 1) * inhibition, "K_i": inhibition,
                "free": 1, "bound": 0,
            }  # fmt: skip


_STEPS = (
    Step("I", "amount / per", "the concentration of the inhibitor", "umol/L"),
    Step("alpha", "1 + I / K_i", "the factor of inhibition"),
    Step("K", "K_m * alpha ** free", "the share of the free enzyme", "umol/L"),
    Step("E", "K + S * alpha ** bound", "the denominator", "umol/L"),
    Step("v", "v_max * S / E", "the rate", "nmol/s"),
)
_SLIPS = (
    Slip("alpha", "I / K_i", "left out the one in the factor",
         "without inhibitor the factor must not vanish"),
    Slip("alpha", "1 + K_i / I", "turned the ratio of inhibitor and its constant over",
         "more inhibitor must make the factor larger"),
    Slip("alpha", "1", "ignored the inhibitor", "it slows the enzyme down"),
    Slip("alpha", "1 + I", "left out the inhibition constant",
         "the concentration counts in units of that constant"),
    Slip("alpha", "1 + I / K_m", "took the Michaelis constant for the inhibition constant",
         "the inhibitor has a constant of its own"),
    Slip("K", "K_m / alpha ** free", "divided the Michaelis constant by the factor",
         "an inhibitor weakens the binding, so the constant grows"),
    Slip("E", "K_m * alpha ** bound + S * alpha ** free", "mixed up competitive and uncompetitive",
         "the factor goes with what the inhibitor binds to"),
    Slip("E", "(K_m + S) * alpha", "took the inhibitor for a noncompetitive one",
         "this one binds to a single form of the enzyme"),
    Slip("E", "K_m * alpha + S", "took the inhibitor for a competitive one",
         "this one binds to the complex too, or to that only"),
    Slip("E", "K", "left the substrate out of the denominator", "the enzyme saturates"),
    Slip("E", "S * alpha ** bound", "left the Michaelis constant out of the denominator",
         "the enzyme is not saturated"),
    Slip("v", "v_max * K_m / E", "put the Michaelis constant above the bar", "the substrate stands there"),
    Slip("v", "v_max * S / (E * alpha)", "slowed the enzyme by the factor once more",
         "the denominator holds it already"),
)  # fmt: skip
_UNIT = Slip("I", "amount", "kept the inhibitor in the unit given",
             "the constants are in umol/L, so the inhibitor must be too")  # fmt: skip
_NEVER_IN_DRILLS = (
    "took the inhibitor for a competitive one",
    "turned the ratio of inhibitor and its constant over",
)

michaelis_menten = register(
    Template(
        name="michaelis_menten",
        domain="biology",
        phrasings=(
            "An enzyme has a maximal rate of {v_max} nmol/s and a Michaelis constant of {K_m} umol/L. How "
            "fast does it turn over {S} umol/L of substrate beside {dose} of {type} inhibitor "
            "(inhibition constant {K_i} umol/L)?",
            "Calculate the initial rate with {type} inhibition: Vmax = {v_max} nmol/s, Km = {K_m} umol/L, "
            "substrate {S} umol/L, inhibitor {dose}, Ki = {K_i} umol/L.",
            "A drug of the {type} kind (Ki = {K_i} umol/L) is added at {dose} to an enzyme with "
            "Km = {K_m} umol/L and Vmax = {v_max} nmol/s. What rate remains at a substrate concentration "
            "of {S} umol/L?",
        ),
        draws={
            "easy": _draw(("competitive",), whole=True),
            "medium": _draw(tuple(TYPES), whole=True),
            "hard": _draw(tuple(TYPES), whole=False),
        },
        steps=_STEPS,
        slips=(_UNIT, *_SLIPS),
    )
)

register(
    drill(
        michaelis_menten,
        "rate {v_max} {S} {K_m} {I} {K_i}",
        _small,
        steps=_STEPS[1:],
        slips=tuple(slip for slip in _SLIPS if slip.name not in _NEVER_IN_DRILLS),
    )
)
