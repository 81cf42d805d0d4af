"""Translating a reading frame of a given strand, from a given base up to the first stop."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from socratic_env.questions.procedural.biology.code import (
    AMINO_ACIDS,
    CODONS,
    STOPS,
    backwards,
    complement,
)
from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, register

SHORTEST = 3  # residues of a peptide that can be an option


def tail(bases: str, start: int) -> str:
    """The bases from number `start` (from 1) on."""
    return bases[start - 1 :]


def _residues(bases: str, step: int) -> list[str]:
    return [AMINO_ACIDS[bases[i : i + 3]] for i in range(0, len(bases) - 2, step)]


def _peptide(residues: str) -> str:
    if len(residues) < SHORTEST:
        raise ValueError("too short for a peptide")
    return residues


def translate(bases: str, step: int = 3) -> str:
    """The peptide up to the first stop or the end, a codon beginning at every so many bases."""
    return _peptide("".join(_residues(bases, step)).partition("*")[0])


def through(bases: str) -> str:
    """The peptide with stops read over."""
    return _peptide("".join(_residues(bases, 3)).replace("*", ""))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "tail": tail, "translate": translate, "through": through, "peptide": _peptide,
    "complement": complement, "backwards": backwards, "same": str,
}  # fmt: skip


def _draw(starts: range, codons: range, behind: range, strands: tuple[str, ...]) -> Draw:
    def draw(rng: random.Random) -> dict[str, Any]:
        start, strand = rng.choice(starts), rng.choice(strands)
        open_frame = "".join(rng.choices(CODONS, k=rng.choice(codons))) + rng.choice(STOPS)
        lead = "".join(rng.choices("ACGT", k=start - 1))
        rest = "".join(rng.choices("ACGT", k=rng.choice(behind)))
        bases = lead + open_frame + rest
        opposite = strand == "opposite"
        return {
            "sequence": backwards(complement(bases)) if opposite else bases, "start": start,
            "strand": strand, "opposite": int(opposite),
        }  # fmt: skip

    return draw


def reading(sequence: str, opposite: int) -> str:
    """The strand to be read, from its 5' end."""
    return backwards(complement(sequence)) if opposite else sequence


register(
    Template(
        name="reading_frame",
        domain="biology",
        phrasings=(
            "The strand 5'-{sequence}-3' is given. Translate the {strand} strand from its own base number "
            "{start} (counted from 1 at its 5' end) up to the first stop. Which peptide results?",
            "A reading frame begins at base {start} of the {strand} strand, counted from 1 at the 5' end of "
            "that strand. The given strand is 5'-{sequence}-3'. What does the frame encode, up to its "
            "first stop codon?",
            "Given is the DNA strand 5'-{sequence}-3'. On the {strand} strand a frame is open from base "
            "{start} on (the base at that strand's 5' end is number 1). Give the peptide before the stop.",
        ),
        draws={
            "easy": _draw(range(1, 3), range(4, 8), range(3, 7), ("given",)),
            "medium": _draw(range(1, 9), range(6, 11), range(3, 9), ("given",)),
            "hard": _draw(range(2, 13), range(9, 16), range(3, 11), ("given", "opposite")),
        },
        functions=FUNCTIONS | {"reading": reading},
        steps=(
            Step("bases", "reading(sequence, opposite)", "the strand to read"),
            Step("frame", "tail(bases, start)", "the reading frame"),
            Step("peptide", "translate(frame)", "the peptide"),
        ),
        slips=(
            Slip("bases", "reading(sequence, 1 - opposite)", "read the other strand",
                 "the question says which strand is meant"),
            Slip("bases", "complement(reading(sequence, opposite))", "read the strand from its 3' end",
                 "a strand is read from its 5' end, and the two run against each other"),
            Slip("bases", "backwards(reading(sequence, opposite))", "read the bases backwards",
                 "a strand is read from its 5' end"),
            Slip("frame", "tail(bases, start + 1)", "counted the bases from zero",
                 "the base at the end has the number one"),
            Slip("frame", "tail(bases, start + 2)", "began two bases late",
                 "the frame begins at the base given"),
            Slip("frame", "tail(bases, start + 3)", "left out the first codon",
                 "translation begins with the base given"),
            Slip("frame", "tail(bases, 1)", "began at the first base", "the frame begins at the base given"),
            Slip("frame", "tail(bases, 3 * start)", "counted codons for bases", "the number is one of bases"),
            Slip("peptide", "through(frame)", "read over the stop", "a stop codon ends the chain"),
            Slip("peptide", "peptide(translate(frame)[:-1])", "stopped a codon early",
                 "the codon before the stop counts too"),
            Slip("peptide", "backwards(translate(frame))", "wrote the peptide from its end",
                 "peptides are written in the order of translation"),
            Slip("peptide", "translate(frame, 2)", "let the codons overlap",
                 "each base belongs to one codon"),
            Slip("peptide", "translate(frame, 4)", "left a base out between codons",
                 "codons follow each other without a gap"),
        ),
    )
)  # fmt: skip
