"""Period of rotation of a planet from its radius and the speed of its equator."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, register


def _easy(rng: random.Random) -> dict[str, Any]:
    return {
        "R": rng.randrange(1000, 70_001, 1000), "R_si": 1000, "R_unit": "km",
        "v": rng.randrange(100, 2001, 100), "v_si": 1, "v_unit": "m/s", "hour": 3600,
    }  # fmt: skip


def _medium(rng: random.Random) -> dict[str, Any]:
    speed = {"v": rng.randrange(300, 9000), "v_si": 0.2778, "v_unit": "km/h (1 km/h = 0.2778 m/s)"}
    return _easy(rng) | {"R": rng.randrange(900, 80_000, 10)} | speed


def _hard(rng: random.Random) -> dict[str, Any]:
    radius = {
        "R": rng.randrange(30, 1200) / 100, "R_si": 6.371e6,
        "R_unit": "Earth radii (1 Earth radius = 6.371e6 m)",
    }  # fmt: skip
    speed = {"v": rng.randrange(201, 9900) / 1000, "v_si": 1000, "v_unit": "km/s"}
    return _easy(rng) | radius | speed


register(
    Template(
        name="rotation_period",
        domain="physics",
        phrasings=(
            "A planet has a radius of {R} {R_unit}, and a point on its equator moves at {v} {v_unit}. How "
            "long does one rotation take?",
            "The equator of a moon of radius {R} {R_unit} turns with a speed of {v} {v_unit}. What is the "
            "period of rotation?",
            "Doppler shifts show that the edge of a body of radius {R} {R_unit} rotates at {v} {v_unit}. "
            "Calculate how long its day is.",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        steps=(
            Step("r", "R * R_si", "the radius", "m"),
            Step("s", "v * v_si", "the speed", "m/s"),
            Step("L", "2 * pi * r", "the circumference", "m"),
            Step("t", "L / s", "the period in seconds", "s"),
            Step("T", "t / hour", "the period in hours", "h"),
        ),
        slips=(
            Slip("s", "v * v_si / 2", "halved the speed", "every point of the equator has the full speed"),
            Slip("s", "2 * pi * v * v_si", "took the speed for an angular one",
                 "the path of one turn holds the factor 2 pi already"),
            Slip("L", "r", "took the radius for the way", "one turn leads around the circumference"),
            Slip("L", "2 * r", "took the diameter for the way", "one turn leads around the circumference"),
            Slip("L", "pi * r", "went half around", "the circumference is pi times the diameter"),
            Slip("L", "4 * pi * r", "took the diameter for the radius",
                 "the circumference is pi times the diameter, once"),
            Slip("L", "4 * pi ** 2 * r", "put 2 pi in twice", "the circumference holds it once"),
            Slip("L", "pi ** 2 * r", "squared pi", "pi stands there once"),
            Slip("L", "4 * pi / 3 * r", "mixed up circumference and volume",
                 "the way around is a circle, not a ball"),
            Slip("L", "3 * pi * r", "took three radii for the diameter", "the diameter is two radii"),
            Slip("T", "t / hour * 60", "stopped at minutes", "an hour has 60 of them"),
            Slip("T", "t / hour / 24", "went on to days", "the period is asked in hours"),
        ),
    )
)  # fmt: skip
