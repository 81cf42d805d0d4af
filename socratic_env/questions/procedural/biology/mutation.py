"""Calling a mutation: from a changed base of the coding sequence to the protein."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from socratic_env.questions.procedural.biology.code import (
    AMINO_ACIDS,
    CODONS,
    INITIALS,
    backwards,
    complement,
)
from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, register


def codon_at(sequence: str, number: int, late: int = 0) -> str:
    """Codon `number` (from 1) of a sequence, read some bases late."""
    start = 3 * (number - 1) + late
    if start < 0 or start + 3 > len(sequence):
        raise ValueError(f"the sequence has no codon {number}")
    return sequence[start : start + 3]


def exchange(codon: str, place: int, base: str) -> str:
    """The codon with another base at a place (1 to 3)."""
    return codon[: place - 1] + base + codon[place:]


def aa(codon: str) -> str:
    """The amino acid of a codon, in one letter."""
    return AMINO_ACIDS[codon]


def initial(amino_acid: str) -> str:
    """The first letter of an amino acid's name."""
    return INITIALS[amino_acid]


def change(old: str, number: int, new: str) -> str:
    """How a change of the protein is written; raises where there is none to write."""
    if old in (new, "*") or number < 1:
        raise ValueError("no change that begins with an amino acid")
    return f"p.{old}{number}{new}"


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "codon_at": codon_at, "exchange": exchange, "aa": aa, "initial": initial, "change": change,
    "complement": complement, "backwards": backwards,
}  # fmt: skip


def _draw(lengths: range, places: range) -> Draw:
    def draw(rng: random.Random) -> dict[str, Any]:
        while True:
            n = rng.choice(lengths)
            sequence = "ATG" + "".join(rng.choices(CODONS, k=n - 1))
            number, place = rng.randrange(2, n), rng.choice(places)
            pos = 3 * (number - 1) + place
            ref = sequence[pos - 1]
            alt = rng.choice([base for base in "ACGT" if base != ref])
            old = codon_at(sequence, number)
            new = exchange(old, place, alt)
            if aa(new) != aa(old):
                return {"sequence": sequence, "pos": pos, "ref": ref, "alt": alt}

    return draw


register(
    Template(
        name="mutation",
        domain="biology",
        phrasings=(
            "The coding sequence {sequence} (base 1 is the A of the start codon) carries the substitution "
            "c.{pos}{ref}>{alt}. How is the change of the protein written?",
            "Sequencing a patient shows c.{pos}{ref}>{alt} in a gene that begins {sequence}, "
            "numbered from the A of ATG as 1. Name the change of the protein in one-letter code.",
            "In the reading frame {sequence} the base at position {pos}, counted from 1, mutates from "
            "{ref} to {alt}. Which change of the protein results?",
        ),
        draws={
            "easy": _draw(range(5, 9), range(1, 3)),
            "medium": _draw(range(8, 15), range(1, 4)),
            "hard": _draw(range(15, 31), range(1, 4)),
        },
        functions=FUNCTIONS,
        steps=(
            Step("k", "(pos - 1) // 3 + 1", "the number of the codon"),
            Step("place", "(pos - 1) % 3 + 1", "the place of the base in its codon"),
            Step("old", "codon_at(sequence, k)", "the codon before"),
            Step("new", "exchange(old, place, alt)", "the codon after"),
            Step("call", "change(aa(old), k, aa(new))", "the change of the protein"),
        ),
        slips=(
            Slip("k", "(pos - 1) // 3", "numbered the codons from zero", "the start codon is the first"),
            Slip("k", "(pos - 1) // 3 + 2", "went on to the next codon",
                 "a codon is complete with its third base"),
            Slip("place", "pos % 3 + 1", "changed the next base of the codon",
                 "the place is counted from the codon's first base"),
            Slip("place", "(pos - 2) % 3 + 1", "changed the base before",
                 "the place is counted from the codon's first base"),
            Slip("old", "codon_at(sequence, k, 1)", "read the codons one base late",
                 "the frame is set by the start codon"),
            Slip("old", "codon_at(sequence, k, -1)", "read the codons one base early",
                 "the frame is set by the start codon"),
            Slip("old", "codon_at(sequence, k - 1)", "looked up the codon before",
                 "the start codon is the first"),
            Slip("old", "codon_at(sequence, k + 1)", "looked up the codon behind",
                 "the start codon is the first"),
            Slip("new", "exchange(old, place, complement(alt))", "put in the complementary base",
                 "the sequence given is the coding strand itself"),
            Slip("call", "change(aa(new), k, aa(old))", "swapped before and after",
                 "the amino acid of the reference stands first"),
            Slip("call", "change(aa(complement(old)), k, aa(complement(new)))",
                 "translated the template strand", "the sequence given is the coding strand itself"),
            Slip("call", "change(aa(backwards(old)), k, aa(backwards(new)))", "read the codons backwards",
                 "codons are read from left to right, as the sequence is written"),
            Slip("call", "change(aa(backwards(complement(old))), k, aa(backwards(complement(new))))",
                 "read the opposite strand", "the sequence given is the coding strand itself"),
            Slip("call", "change(initial(aa(old)), k, initial(aa(new)))",
                 "took the first letters of the names", "some amino acids have another letter"),
            Slip("call", "change(aa(old), pos, aa(new))", "gave the number of the base",
                 "a protein's change takes the number of the codon"),
        ),
    )
)  # fmt: skip
