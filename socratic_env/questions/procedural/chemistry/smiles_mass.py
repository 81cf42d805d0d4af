"""Molar mass of an organic molecule from its SMILES, whose hydrogens are implicit."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from socratic_env.questions.procedural.template import Draw, Slip, Step, Template, register


class Piece(NamedTuple):
    """A link of the chain: SMILES, atoms of it, rings, double bonds, and C, N, O, Cl in brackets."""

    smiles: str
    c: int
    n: int = 0
    o: int = 0
    cl: int = 0
    rings: int = 0
    doubles: int = 0
    side_c: int = 0
    side_n: int = 0
    side_o: int = 0
    side_cl: int = 0


PLAIN = (
    Piece("C", 1),
    Piece("CC", 2),
    Piece("C(C)", 2, side_c=1),
    Piece("CCC", 3),
    Piece("C(CC)", 3, side_c=2),
)
END = PLAIN[:2]
RINGS = (
    Piece("c1ccc(cc1)", 6, rings=1, doubles=3, side_c=2),
    Piece("C1CCC(CC1)", 6, rings=1, side_c=2),
    Piece("c1cc(O)c(cc1)", 6, o=1, rings=1, doubles=3, side_c=2, side_o=1),
    Piece("c1cc(Cl)c(cc1)", 6, cl=1, rings=1, doubles=3, side_c=2, side_cl=1),
)
SIMPLE = (
    Piece("C(O)", 1, o=1, side_o=1),
    Piece("C(=O)", 1, o=1, doubles=1, side_o=1),
    Piece("C(Cl)", 1, cl=1, side_cl=1),
    Piece("C(N)", 1, n=1, side_n=1),
    Piece("C=C", 2, doubles=1),
)
LINKS = (  # these end in another element, so a plain piece follows
    Piece("CO", 1, o=1),
    Piece("CN", 1, n=1),
    Piece("C(=O)O", 1, o=2, doubles=1, side_o=1),
    Piece("C(=O)N", 1, n=1, o=1, doubles=1, side_o=1),
)


def _draw(plain: range, groups: range, kinds: tuple[Piece, ...], rings: range) -> Draw:
    def draw(rng: random.Random) -> dict[str, Any]:
        middle = [rng.choice(kinds) for _ in range(rng.choice(groups))]
        middle += [rng.choice(RINGS) for _ in range(rng.choice(rings))]
        rng.shuffle(middle)
        chain = [rng.choice(PLAIN)]
        for piece in middle:
            chain += [piece, rng.choice(PLAIN)]
        chain += [rng.choice(PLAIN) for _ in range(rng.choice(plain))]
        chain.append(rng.choice(END))
        sums = [sum(counts) for counts in zip(*(piece[1:] for piece in chain), strict=True)]
        drawn = dict(zip(Piece._fields[1:], sums, strict=True))
        return {
            "smiles": "".join(piece.smiles for piece in chain), **drawn,
            "m_H": 1.008, "m_C": 12.011, "m_N": 14.007, "m_O": 15.999, "m_Cl": 35.45,
        }  # fmt: skip

    return draw


register(
    Template(
        name="smiles_mass",
        domain="chemistry",
        phrasings=(
            "What is the molar mass of the molecule with the SMILES {smiles}?",
            "A compound is written {smiles} in SMILES notation. Calculate its molecular weight.",
            "A database lists the structure {smiles} (SMILES). How much does one mole of it weigh?",
            "Work out the molecular mass of {smiles}, hydrogens included.",
        ),
        draws={
            "easy": _draw(range(2), range(1, 4), SIMPLE, range(1)),
            "medium": _draw(range(2), range(1, 3), SIMPLE + LINKS, range(1, 2)),
            "hard": _draw(range(2), range(2, 5), SIMPLE + LINKS, range(2, 3)),
        },
        steps=(
            Step("H", "2 * c + 2 + n - cl - 2 * (rings + doubles)", "the number of implicit hydrogens"),
            Step("heavy", "c * m_C + n * m_N + o * m_O + cl * m_Cl", "the mass of the other atoms", "g/mol"),
            Step("M", "heavy + H * m_H", "the molar mass", "g/mol"),
        ),
        slips=(
            Slip("H", "4 * c", "gave every carbon four hydrogens",
                 "bonds to other atoms take the place of hydrogens"),
            Slip("H", "c", "gave every carbon one hydrogen", "a carbon has as many as its four bonds leave"),
            Slip("H", "2 * c + 2 + n - cl", "ignored the rings and double bonds",
                 "each of them costs two hydrogens"),
            Slip("heavy", "c * m_C + n * m_N + cl * m_Cl", "left out the oxygens",
                 "they add their mass too"),
            Slip("heavy", "c * m_C + n * m_N + 2 * o * m_O + cl * m_Cl",
                 "took each oxygen for a molecule of two atoms", "a letter of the SMILES is one atom"),
            Slip("heavy", "c * m_C + n * m_N + o * m_O", "overlooked the chlorine",
                 "it is an atom of its own, heavier than the others"),
            Slip("heavy", "(c + cl) * m_C + n * m_N + o * m_O", "read chlorine as carbon",
                 "the two letters stand for one atom together"),
            Slip("heavy", "(c - side_c) * m_C + (n - side_n) * m_N + (o - side_o) * m_O "
                 "+ (cl - side_cl) * m_Cl", "left out what stands in brackets",
                 "brackets hold branches of the molecule"),
            Slip("heavy", "(c + side_c) * m_C + (n + side_n) * m_N + (o + side_o) * m_O "
                 "+ (cl + side_cl) * m_Cl", "counted what stands in brackets twice",
                 "brackets hold a branch, and nothing doubles it"),
            Slip("heavy", "(c + 2 * rings) * m_C + n * m_N + o * m_O + cl * m_Cl",
                 "took the ring digits for further atoms",
                 "a pair of them only joins two atoms that are written already"),
            Slip("heavy", "(c + doubles) * m_C + n * m_N + o * m_O + cl * m_Cl",
                 "counted a further carbon for each double bond", "a bond weighs nothing"),
            Slip("M", "heavy", "left out the implicit hydrogens", "SMILES leaves them unwritten"),
            Slip("M", "heavy + 2 * H * m_H", "took each hydrogen for a molecule of two atoms",
                 "the hydrogens are single atoms here"),
            Slip("M", "heavy + H * m_C", "gave the hydrogens the mass of carbon",
                 "a hydrogen weighs about a twelfth of it"),
        ),
    )
)  # fmt: skip
