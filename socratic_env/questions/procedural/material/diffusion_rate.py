"""In which host a solute diffuses fastest: prefactor, barrier and temperature given."""

from __future__ import annotations

import math
import random
from typing import Any, TypeAlias

from socratic_env.questions.procedural.template import Slip, Step, Template, register

HOSTS = (
    "aluminium", "chromium", "cobalt", "copper", "gallium", "germanium", "hafnium", "magnesium", "manganese",
    "molybdenum", "nickel", "niobium", "palladium", "platinum", "rhodium", "silver", "tantalum", "titanium",
    "tungsten", "vanadium", "yttrium", "zinc", "zirconium",
)  # fmt: skip
SOLUTES = ("carbon", "hydrogen", "nitrogen", "boron", "oxygen", "sulfur", "silicon")
GAS = 0.008314
"""kJ/(mol K)."""
_COUNT = 5
_CLEARLY = 0.9
Table: TypeAlias = tuple[tuple[str, float, float], ...]
"""Host, prefactor in m^2/s, barrier in kJ/mol."""


def _named(values: dict[str, float]) -> str:
    return ", ".join(f"{host} {value:.3g}" for host, value in values.items())


def _read(text: str) -> dict[str, float]:
    return {host: float(value) for host, value in (part.split() for part in text.split(", "))}


def rates(table: Table, T: float, factor: float = 1.0, base: float = math.e) -> str:
    """Diffusion coefficients, D = D0 * base ** (-factor * Q / (R T))."""
    return _named({host: D0 * base ** (-factor * Q / (GAS * T)) for host, D0, Q in table})


def ratios(table: Table) -> str:
    """Prefactors divided by barriers."""
    return _named({host: D0 / Q for host, D0, Q in table})


def prefactors(table: Table) -> str:
    """Prefactors alone."""
    return _named({host: D0 for host, D0, _ in table})


def barriers(table: Table, sign: int = 1) -> str:
    """Barriers alone, or their opposites."""
    return _named({host: sign * Q for host, _, Q in table})


def largest(text: str) -> str:
    """The host of the largest number."""
    values = _read(text)
    return max(values, key=lambda host: values[host])


def smallest(text: str) -> str:
    """The host of the smallest number."""
    values = _read(text)
    return min(values, key=lambda host: values[host])


def largest_digits(text: str) -> str:
    """The host of the largest digits, powers of ten ignored."""
    values = _read(text)
    return max(values, key=lambda host: float(f"{values[host]:e}".partition("e")[0]))


def _table(rng: random.Random, step: float, digits: int, kelvin: float) -> Table:
    """Five hosts whose prefactors grow with their barriers, as measured ones often do."""
    rows = []
    for host in rng.sample(HOSTS, _COUNT):
        Q = round(round(rng.uniform(60, 300) / step) * step, 1)
        drift = rng.uniform(0.3, 1.1) * (Q - 180) / (GAS * kelvin) / math.log(10)
        rows.append((host, float(f"{10 ** (rng.uniform(-7, -5) + drift):.{digits}g}"), Q))
    return tuple(rows)


def _item(rng: random.Random, step: float, digits: int, t: int, zero: int) -> dict[str, Any]:
    """A table in which the fastest is clearly so."""
    while True:
        table = _table(rng, step, digits, t + zero)
        fast, fastest = sorted(_read(rates(table, t + zero)).values())[-2:]
        if fast < _CLEARLY * fastest:
            break
    listed = "; ".join(f"{host}: D0 = {D0:g} m^2/s, Q = {Q:g} kJ/mol" for host, D0, Q in table)
    return {
        "table": table, "listed": listed, "solute": rng.choice(SOLUTES), "t": t, "zero": zero,
        "heat": f"{t} degrees Celsius ({zero} K more on the absolute scale)" if zero else f"{t} K",
    }  # fmt: skip


def _easy(rng: random.Random) -> dict[str, Any]:
    return _item(rng, 20, 1, rng.randrange(700, 1501, 100), 0)


def _medium(rng: random.Random) -> dict[str, Any]:
    return _item(rng, 1, 2, rng.randrange(600, 1500, 10), 0)


def _hard(rng: random.Random) -> dict[str, Any]:
    return _item(rng, 0.1, 3, rng.randrange(200, 900), 273)


register(
    Template(
        name="diffusion_rate",
        domain="material",
        phrasings=(
            "In which host does {solute} diffuse fastest at {heat}? Prefactors and barriers are: "
            "{listed}. Take R = 8.314 J/(mol K).",
            "Prefactors D0 and barriers Q of the diffusion of {solute} were measured: {listed}. "
            "Which host has the highest rate at {heat}, with R = 8.314 J/(mol K)?",
            "Compare the diffusion coefficients of dilute {solute} in five hosts at {heat}: {listed}. "
            "Where is it the largest? Use R = 8.314 J/(mol K).",
        ),
        draws={"easy": _easy, "medium": _medium, "hard": _hard},
        line="{words}: {value}{unit}",
        next_step="Work out {words} once more, then redo what follows.",
        functions={
            "rates": rates, "ratios": ratios, "prefactors": prefactors, "barriers": barriers,
            "largest": largest, "smallest": smallest, "largest_digits": largest_digits,
        },
        steps=(
            Step("T", "t + zero", "the absolute temperature", "K"),
            Step("coefficients", "rates(table, T)", "the diffusion coefficients D0 exp(-Q / (R T))"),
            Step("host", "largest(coefficients)", "the host with the largest coefficient"),
        ),
        slips=(
            Slip("T", "t", "kept the temperature in Celsius", "the exponent takes the absolute temperature"),
            Slip("coefficients", "barriers(table, -1)", "compared the barriers only",
                 "a high prefactor can outweigh a high barrier"),
            Slip("coefficients", "barriers(table)", "took the highest barrier for the fastest",
                 "a barrier slows diffusion down"),
            Slip("coefficients", "prefactors(table)", "compared the prefactors only",
                 "the barrier stands in an exponent and weighs far more"),
            Slip("coefficients", "rates(table, T, -1)", "lost the minus sign of the exponent",
                 "a higher barrier means slower diffusion"),
            Slip("coefficients", "ratios(table)", "divided the prefactor by the barrier",
                 "the barrier stands in an exponent"),
            Slip("coefficients", "rates(table, T, 1, 10)", "took a power of ten",
                 "the base of the exponential is e, not ten"),
            Slip("coefficients", "rates(table, T, 0.5)", "halved the barrier",
                 "the whole barrier stands in the exponent"),
            Slip("host", "smallest(coefficients)", "picked the slowest",
                 "the largest coefficient means the fastest diffusion"),
            Slip("host", "largest_digits(coefficients)", "ignored the powers of ten",
                 "the power of ten decides before the leading digits do"),
        ),
    )
)  # fmt: skip
