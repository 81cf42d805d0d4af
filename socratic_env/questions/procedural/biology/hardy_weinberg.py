"""Number of carriers of a recessive allele in a population in Hardy-Weinberg equilibrium."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, register


def _round(rng: random.Random) -> dict[str, Any]:
    """The allele's frequency is a whole number of per cent."""
    percent, thousands = rng.randrange(2, 46), 10 * rng.randrange(1, 61)
    return {"N": 1000 * thousands, "n": percent**2 * thousands // 10}


def _draw(rng: random.Random) -> dict[str, Any]:
    return {"N": 1000 * rng.randrange(20, 401), "n": rng.randrange(12, 2001)}


def _odd(rng: random.Random) -> dict[str, Any]:
    size = rng.randrange(2_001, 900_000)
    return {"N": size, "n": int(size * rng.uniform(0.01, 0.4) ** 2) + 1}


register(
    Template(
        name="hardy_weinberg",
        domain="biology",
        phrasings=(
            "In a population of {N} people in Hardy-Weinberg equilibrium, {n} have a recessive genetic "
            "disorder. How many are carriers without the disorder?",
            "{n} of the {N} animals of a randomly mating herd show a recessive coat colour. Assuming "
            "Hardy-Weinberg proportions, how many animals are heterozygous?",
            "A survey of {N} plants finds {n} with a recessive trait. How many heterozygotes does the "
            "Hardy-Weinberg law predict?",
        ),
        draws={"easy": _round, "medium": _draw, "hard": _odd},
        digits=5,
        steps=(
            Step("f", "n / N", "the frequency of affected individuals"),
            Step("q", "sqrt(f)", "the frequency of the recessive allele"),
            Step("p", "1 - q", "the frequency of the dominant allele"),
            Step("H", "2 * p * q * N", "the number of heterozygotes"),
        ),
        slips=(
            Slip("q", "f", "forgot the square root", "the affected are the fraction q^2, not q"),
            Slip("q", "f / 2", "halved the frequency",
                 "the allele frequency is the root of q^2, not its half"),
            Slip("p", "1", "took the dominant allele's frequency as 1", "p and q add up to 1"),
            Slip("p", "1 - f", "took away the affected fraction", "p is 1 - q, and q is not q^2"),
            Slip("H", "p * q * N", "forgot the factor 2", "the allele can come from either parent"),
            Slip("H", "2 * q * q * N", "took q for p", "a heterozygote has one allele of each kind"),
            Slip("H", "p * p * N", "counted the dominant homozygotes",
                 "carriers have one allele of each kind"),
            Slip("H", "(1 - q * q) * N", "counted all unaffected",
                 "the dominant homozygotes are no carriers"),
            Slip("H", "4 * p * q * N", "doubled twice", "the factor 2 counts both parents already"),
        ),
    )
)  # fmt: skip
