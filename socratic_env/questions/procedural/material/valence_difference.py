"""Which alloy has the largest valence electron difference, averages of two kinds given."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any, TypeAlias

from socratic_env.questions.procedural.template import Slip, Step, Template, register

ELEMENTS = (
    "Mg", "Al", "Si", "Ca", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "Sr", "Y", "Zr",
    "Nb", "Mo", "Ru", "Rh", "Pd", "Ag", "Sn", "La", "Ce", "Hf", "Ta", "Pt", "Au",
)  # fmt: skip
_COUNT = 6
Table: TypeAlias = tuple[tuple[str, float, float], ...]
"""Alloy, averages of NdValence and NValence."""


def _named(values: dict[str, float]) -> str:
    return ", ".join(f"{alloy} {round(value, 6):g}" for alloy, value in values.items())


def differences(table: Table) -> str:
    """The distance of the two averages, for each alloy."""
    return _named({alloy: abs(x - y) for alloy, x, y in table})


def signed(table: Table, sign: int) -> str:
    """NdValence - NValence, or the other way round."""
    return _named({alloy: sign * (x - y) for alloy, x, y in table})


def sums(table: Table) -> str:
    """The distance of the sum of both averages from zero."""
    return _named({alloy: abs(x + y) for alloy, x, y in table})


def bare(table: Table) -> str:
    """The difference of the numbers without their signs."""
    return _named({alloy: abs(abs(x) - abs(y)) for alloy, x, y in table})


def column(table: Table, number: int) -> str:
    """The size of the averages of one kind alone."""
    return _named({row[0]: abs(row[number]) for row in table})  # type: ignore[arg-type]


def _read(text: str) -> dict[str, float]:
    return {alloy: float(value) for alloy, value in (part.split() for part in text.split(", "))}


def largest(text: str) -> str:
    """The alloy of the largest number."""
    values = _read(text)
    return max(values, key=lambda alloy: values[alloy])


def smallest(text: str) -> str:
    """The alloy of the smallest number."""
    values = _read(text)
    return min(values, key=lambda alloy: values[alloy])


def _alloy(rng: random.Random, parts: int) -> str:
    cuts = [0, *sorted(rng.sample(range(5, 100, 5), parts - 1)), 100]
    shares = [end - start for start, end in pairwise(cuts)]
    return "".join(f"{e}{share}" for e, share in zip(rng.sample(ELEMENTS, parts), shares, strict=True))


def _item(rng: random.Random, parts: int, digits: int, most: float) -> dict[str, Any]:
    table: list[tuple[str, float, float]] = []
    while len(table) < _COUNT:
        x, y = (round(rng.uniform(-most, most), digits) for _ in range(2))
        alloy = _alloy(rng, parts)
        gaps = [abs(abs(x - y) - abs(other - another)) for _, other, another in table]
        if alloy not in (row[0] for row in table) and min(gaps, default=1.0) > 10**-digits / 2:
            table.append((alloy, x, y))
    listed = "; ".join(f"{alloy}: NdValence {x:g}, NValence {y:g}" for alloy, x, y in table)
    return {"table": tuple(table), "listed": listed}


def _easy(rng: random.Random) -> dict[str, Any]:
    return _item(rng, 2, 1, 2)


def _medium(rng: random.Random) -> dict[str, Any]:
    return _item(rng, 3, 2, 1)


def _hard(rng: random.Random) -> dict[str, Any]:
    return _item(rng, 4, 5, 0.9)


register(
    Template(
        name="valence_difference",
        domain="material",
        phrasings=(
            "The valence electron difference of a material is the distance between its averages of "
            "NdValence and NValence. Which alloy has the largest? {listed}.",
            "Given are the composition averages of the number of d valence electrons (NdValence) and of all "
            "valence electrons (NValence), standardised: {listed}. In which alloy do the two differ most?",
            "Determine the material with the largest valence electron difference |NdValence - NValence|. "
            "Data: {listed}.",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        line="{words}: {value}{unit}",
        next_step="Work out {words} once more, then redo what follows.",
        functions={
            "differences": differences, "signed": signed, "sums": sums, "bare": bare, "column": column,
            "largest": largest, "smallest": smallest,
        },
        steps=(
            Step("gaps", "differences(table)", "the distances |NdValence - NValence|"),
            Step("alloy", "largest(gaps)", "the alloy with the largest distance"),
        ),
        slips=(
            Slip("gaps", "signed(table, 1)", "kept the sign of the difference",
                 "a large negative difference is a large distance"),
            Slip("gaps", "signed(table, -1)", "subtracted the other way round and kept the sign",
                 "a large negative difference is a large distance"),
            Slip("gaps", "sums(table)", "added the two averages", "a distance is a difference"),
            Slip("gaps", "bare(table)", "dropped the signs of the averages before subtracting",
                 "numbers on either side of zero lie apart by the sum of their sizes"),
            Slip("gaps", "column(table, 1)", "compared NdValence only",
                 "the distance takes both averages"),
            Slip("gaps", "column(table, 2)", "compared NValence only", "the distance takes both averages"),
            Slip("alloy", "smallest(gaps)", "picked the smallest distance", "the largest one is asked for"),
        ),
    )
)  # fmt: skip
