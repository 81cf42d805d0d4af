"""Average mass of a peptide, phosphorylated or not, from its sequence."""

from __future__ import annotations

import random
from typing import Any

from socratic_env.questions.procedural.biology.code import MASSES
from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, drill, register

STATES = {
    0: "unmodified",
    1: "phosphorylated at one residue",
    2: "phosphorylated at two residues",
    3: "phosphorylated at three residues",
}
WATER, PHOSPHATE, PHOSPHORIC_ACID = 18.015, 79.980, 97.995


def free(sequence: str) -> float:
    """Sum of the masses of free amino acids."""
    return sum(MASSES[letter] for letter in sequence)


def kinds(sequence: str) -> str:
    """Every amino acid of a sequence once."""
    return "".join(sorted(set(sequence)))


def _draw(lengths: range, most_sites: int) -> Draw:
    def draw(rng: random.Random) -> dict[str, Any]:
        n = rng.choice(lengths)
        sequence = "".join(rng.choices(list(MASSES), k=n))
        sites = min(rng.randrange(most_sites + 1), sum(map(sequence.count, "STY")))
        return {
            "sequence": sequence, "n": n, "state": STATES[sites], "sites": sites, "m_water": WATER,
            "m_phosphate": PHOSPHATE, "m_acid": PHOSPHORIC_ACID,
        }  # fmt: skip

    return draw


def _small(rng: random.Random) -> dict[str, Any]:
    n = rng.randrange(2, 7)
    water = rng.randrange(2, 7)
    return {
        "total": rng.randrange(n * water + 1, 61), "n": n, "m_water": water, "sites": rng.randrange(4),
        "m_phosphate": rng.randrange(2, 10),
    }  # fmt: skip


_STEPS = (
    Step("total", "free(sequence)", "the mass of the free amino acids", "g/mol"),
    Step("bonds", "n - 1", "the number of peptide bonds"),
    Step("chain", "total - bonds * m_water", "the mass of the bare chain", "g/mol"),
    Step("M", "chain + sites * m_phosphate", "the mass of the peptide", "g/mol"),
)
_READING = (
    Slip("total", "free(kinds(sequence))", "counted repeated residues once", "every letter is a residue"),
    Slip("total", "free(sequence[1:])", "started with the second residue",
         "the first residue belongs to the peptide"),
    Slip("total", "n * 110", "took the mean mass of a residue for each",
         "the sequence tells the masses themselves"),
)  # fmt: skip
_SLIPS = (
    Slip("bonds", "n", "took a bond for every residue", "the last residue binds no further one"),
    Slip("bonds", "n + 1", "counted bonds at both ends", "bonds lie between residues only"),
    Slip("bonds", "1", "took away the water of a single bond", "every bond sets a water free"),
    Slip("chain", "total", "forgot the water", "every peptide bond sets a water free"),
    Slip("chain", "total + bonds * m_water", "added the water", "forming a bond sets it free"),
    Slip("chain", "total - 2 * bonds * m_water", "took away the water twice",
         "the two ends of a bond lose a single water together"),
    Slip("M", "chain", "forgot the phosphate", "each phosphate adds its mass"),
    Slip("M", "chain + least(sites, 1) * m_phosphate", "counted a single phosphate",
         "there are several of them"),
    Slip("M", "chain - sites * m_phosphate", "took the phosphate away", "each phosphate adds its mass"),
)  # fmt: skip
_WHOLE_ACID = Slip(
    "M",
    "chain + sites * m_acid",
    "added whole phosphoric acid",
    "its bond to the peptide sets a water free as well",
)

peptide_mass = register(
    Template(
        name="peptide_mass",
        domain="biology",
        phrasings=(
            "What is the average molar mass of the linear peptide {sequence}, {state}?",
            "A mass spectrum is taken of the peptide {sequence} ({state}, free ends). Which average "
            "mass do you expect for the neutral molecule?",
            "Calculate the molecular weight of {sequence} in one-letter code; the chain is {state}.",
            "A peptide of sequence {sequence} was made on a synthesizer and is {state}. How much does one "
            "mole of it weigh?",
        ),
        draws={
            "easy": _draw(range(3, 6), 0),
            "medium": _draw(range(5, 10), 1),
            "hard": _draw(range(9, 16), 3),
        },
        digits=5,
        functions={"free": free, "kinds": kinds, "least": min},
        steps=_STEPS,
        slips=(*_READING, *_SLIPS, _WHOLE_ACID),
    )
)

register(
    drill(
        peptide_mass,
        "peptide {total} {n} {m_water} {sites} {m_phosphate}",
        _small,
        steps=_STEPS[1:],
        slips=_SLIPS,
    )
)
