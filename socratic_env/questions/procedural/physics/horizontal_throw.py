"""Range of a horizontal throw, the speed given in km/h."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, drill, register

GRAVITIES = (1.62, 3.71, 8.87, 9.81, 10.44, 24.79)
"""Moon, Mars, Venus, Earth, Saturn, Jupiter in m/s^2."""


def _easy(rng: random.Random) -> dict[str, Any]:
    return {"v_kmh": rng.randrange(18, 181, 9), "h": rng.randrange(5, 126, 5), "g": 10}


def _medium(rng: random.Random) -> dict[str, Any]:
    return {"v_kmh": rng.randrange(18, 181, 2), "h": rng.randrange(5, 121), "g": 9.81}


def _hard(rng: random.Random) -> dict[str, Any]:
    speed, height = rng.randrange(101, 4000) / 10, rng.randrange(31, 2500) / 10
    return {"v_kmh": speed, "h": height, "g": rng.choice(GRAVITIES)}


def _drill(rng: random.Random) -> dict[str, Any]:
    g, t = 2 * rng.randrange(1, 50), rng.randrange(1, 10)
    return {"v_kmh": rng.randrange(18, 91, 18), "h": g * t * t // 2, "g": g}


throw = register(
    Template(
        name="horizontal_throw",
        domain="physics",
        phrasings=(
            "A stone is thrown horizontally at {v_kmh} km/h from a cliff {h} m high. How far from the foot "
            "of the cliff does it land? Take g = {g} m/s^2 and neglect air resistance.",
            "From a tower of height {h} m a ball leaves horizontally with a speed of {v_kmh} km/h. Find its "
            "horizontal range, with g = {g} m/s^2 and without air drag.",
            "A drone flying level at {v_kmh} km/h drops a parcel from {h} m. What horizontal distance does "
            "the parcel cover before it hits the ground (g = {g} m/s^2, no drag)?",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        steps=(
            Step("v", "v_kmh / 3.6", "the speed", "m/s"),
            Step("t", "sqrt(2 * h / g)", "the time of the fall", "s"),
            Step("x", "v * t", "the range", "m"),
        ),
        slips=(
            Slip("v", "v_kmh", "kept the speed in km/h",
                 "the height is in metres, so the speed must be in m/s"),
            Slip("v", "v_kmh * 3.6", "multiplied by 3.6", "a speed in m/s is a smaller number than in km/h"),
            Slip("t", "sqrt(h / g)", "forgot the factor 2", "a fall from rest covers h = g t^2 / 2"),
            Slip("t", "2 * h / g", "forgot the square root", "2 h / g is the square of the time"),
            Slip("t", "sqrt(2 * h) / g", "took the root of the numerator only",
                 "the root covers the whole fraction"),
            Slip("t", "v / g", "took the time in which g would stop it",
                 "gravity takes nothing from the horizontal speed"),
            Slip("t", "2 * v / g", "took the time of a throw straight up and back",
                 "the time is that of a fall from the height"),
            Slip("x", "v * t / 2", "halved the range",
                 "the horizontal speed is constant, not growing from zero"),
            Slip("x", "v * t - g * t ** 2 / 2", "slowed the flight by gravity",
                 "gravity acts downwards only"),
            Slip("x", "v * t + g * t ** 2 / 2", "sped the flight up by gravity",
                 "gravity acts downwards only"),
            Slip("x", "sqrt((v * t) ** 2 + h ** 2)", "measured the straight line from the top",
                 "the range is measured along the ground"),
            Slip("x", "sqrt(v ** 2 + 2 * g * h) * t", "took the speed at the impact",
                 "only the horizontal speed carries it along"),
        ),
    )
)  # fmt: skip
register(drill(throw, "throw kmh {v_kmh} h {h} g {g}", _drill))
