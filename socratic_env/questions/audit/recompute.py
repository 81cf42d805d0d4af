"""Truths that follow from the question's own text by a stated rule, to compare labels with.

Each rule gives the letter that it derives, "" where it derives that no option is right, or None
where it does not apply (data that cannot be read, ties, several options within tolerance).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from socratic_env.numbers import DECIMAL, first_number
from socratic_env.questions.audit.blind import number_of
from socratic_env.questions.audit.molecules import molar_mass
from socratic_env.types import Question

_NUMBER = DECIMAL
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*(?:\.\d+)?){2,}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in words, and the function that applies it."""

    text: str
    apply: Callable[[Question], str | None]


def _value(text: str) -> float:
    value = first_number(text)
    assert value is not None, f"{text!r} was matched as a number"
    return float(value)


def _near(question: Question, truth: float, tolerance: float, rounding: float = 0.0) -> str | None:
    """The option nearest to a value, if it lies within a relative tolerance and at least three
    times as near as any other; "" if none lies within; None if options cannot be told apart, also
    because two lie within the rounding of published values."""
    errors = []
    for option in question.options:
        value = number_of(option.text)
        if value is None:
            return None
        errors.append((abs(value - truth), option.letter))
    errors.sort()
    if errors[0][0] > tolerance * abs(truth):
        return ""
    second = errors[1][0]
    return errors[0][1] if second >= 3 * errors[0][0] and second > rounding else None


def _smiles_mass(question: Question) -> str | None:
    found = re.search(r"SMILES representation ['\"]([^'\"]+)['\"]", question.statement)
    mass = molar_mass(found[1]) if found else None
    return None if mass is None else _near(question, mass, 0.002, rounding=0.06)


def _cell_volume(question: Question) -> str | None:
    found = {}
    for sign in ("a", "b", "c", "α", "β", "γ"):
        match = re.search(rf"(?<!\w){sign}\s*[=:]\s*({_NUMBER})", question.statement)
        if match is None:
            return None
        found[sign] = _value(match[1])
    x, y, z = (math.cos(math.radians(found[sign])) for sign in "αβγ")
    root = 1 + 2 * x * y * z - x * x - y * y - z * z
    if root <= 0:
        return None
    return _near(question, found["a"] * found["b"] * found["c"] * math.sqrt(root), 0.005)


_BARRIER = re.compile(
    r"Solute Element[^:\n]*:\s*(?P<solute>[A-Z][a-z]?)\b[^\n]*?"
    r"Host Element[^:\n]*:\s*(?P<host>[A-Z][a-z]?)\b"
    rf"[^\n]*?Barrier[^:\n]*:\s*(?P<barrier>{_NUMBER})"
)


def _diffusion(question: Question) -> str | None:
    if not re.search(r"highest diffusion rate|lowest (?:diffusion )?barrier", question.statement):
        return None
    barriers = {
        f"{m['solute']} in {m['host']}": _value(m["barrier"]) for m in _BARRIER.finditer(question.statement)
    }
    named = {}
    for option in question.options:
        match = re.search(r"\b([A-Z][a-z]?) in ([A-Z][a-z]?)\b", option.text)
        if match is None or match[0] not in barriers:
            return None
        named[option.letter] = barriers[match[0]]
    return _lowest(named)


def _lowest(values: Mapping[str, float | tuple[float, ...]]) -> str | None:
    """The letter of the one lowest value; None for a tie."""
    if not values:
        return None
    least = min(values.values())
    letters = [letter for letter, value in values.items() if value == least]
    return letters[0] if len(letters) == 1 else None


def _per_material(question: Question, *patterns: str) -> dict[str, tuple[float, ...]] | None:
    """Letter -> the values that the data give for the composition that the option names."""
    rows = {}
    pattern = re.compile(r"(?P<name>(?:[A-Z][a-z]?\d*(?:\.\d+)?){2,})[^\n]*?" + "[^\n]*?".join(patterns))
    for match in pattern.finditer(question.statement):
        rows[match["name"]] = tuple(_value(value) for value in match.groups()[1:])
    named = {}
    for option in question.options:
        names = [name for name in _FORMULA.findall(option.text) if name in rows]
        if not names:
            return None
        named[option.letter] = rows[names[0]]
    return named


def _hull(question: Question) -> str | None:
    found = _per_material(
        question, rf"energy_above_hull[^:\n]*:\s*({_NUMBER})", rf"formation_energy[^:\n]*:\s*({_NUMBER})"
    )
    return None if found is None else _lowest(found)


def _density(question: Question) -> str | None:
    if not re.search(r"higher (?:values of )?(?:the )?density", question.statement, re.IGNORECASE):
        return None
    found = _per_material(question, rf"Density_AB_avg:\s*({_NUMBER})", rf"_AB_avg:\s*({_NUMBER})")
    if found is None:
        return None
    by_each = {_lowest({letter: -pair[i] for letter, pair in found.items()}) for i in (0, 1)}
    return by_each.pop() if len(by_each) == 1 else None


def _valence(question: Question) -> str | None:
    asked = re.search(r"\b(largest|smallest|highest|lowest)\b", question.statement)
    number = rf"average\d*\s*[=:]\s*({_NUMBER})"
    found = _per_material(
        question, rf"Nd?Val[ea]nce_composition_{number}", rf"NVal[ea]nce_composition_{number}"
    )
    if found is None or asked is None:
        return None
    sign = 1 if asked[1] in ("smallest", "lowest") else -1
    signed = _lowest({letter: sign * (d - n) for letter, (d, n) in found.items()})
    absolute = _lowest({letter: sign * abs(d - n) for letter, (d, n) in found.items()})
    return signed if signed == absolute else None


RULES: dict[str, Rule] = {
    "s2w": Rule("molar mass summed from the SMILES, within 0.2 %", _smiles_mass),
    "lattice_volume_calculation": Rule(
        "abc times the root of the angles' determinant, within 0.5 %", _cell_volume
    ),
    "diffusion_rate_analysis": Rule(
        "the highest rate has the lowest barrier (negative ones included)", _diffusion
    ),
    "EAH_and_FE_Analysis": Rule(
        "the most stable has the lowest energy above hull, then the lowest formation energy", _hull
    ),
    "Density_and_First_IP_Factors": Rule(
        "only where the question says that higher is more stable: highest in density and ionization", _density
    ),
    "valence_electron_difference_calculation": Rule(
        "largest (or smallest) NdValence - NValence, only where its size gives the same", _valence
    ),
}
"""Sub-task -> its rule."""


def derived(question: Question) -> str | None:
    """The letter that the sub-task's rule derives, "" for none of the options, None where no rule
    applies."""
    rule = RULES.get(question.subtask)
    return None if rule is None else rule.apply(question)
