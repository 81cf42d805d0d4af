"""The genetic code and the masses of amino acids, for the templates of biology."""

from __future__ import annotations

_BASES = "TCAG"
_LETTERS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
AMINO_ACIDS = {
    first + second + third: _LETTERS[16 * i + 4 * j + k]
    for i, first in enumerate(_BASES)
    for j, second in enumerate(_BASES)
    for k, third in enumerate(_BASES)
}
"""Codon of the coding strand: one-letter amino acid, or * for stop."""
CODONS = tuple(codon for codon, letter in AMINO_ACIDS.items() if letter != "*")
STOPS = tuple(codon for codon, letter in AMINO_ACIDS.items() if letter == "*")
INITIALS = {
    letter: name[0].upper()
    for letter, name in {
        "A": "alanine", "R": "arginine", "N": "asparagine", "D": "aspartate", "C": "cysteine",
        "Q": "glutamine", "E": "glutamate", "G": "glycine", "H": "histidine", "I": "isoleucine",
        "L": "leucine", "K": "lysine", "M": "methionine", "F": "phenylalanine", "P": "proline",
        "S": "serine", "T": "threonine", "W": "tryptophan", "Y": "tyrosine", "V": "valine", "*": "*",
    }.items()
}  # fmt: skip
"""One-letter amino acid: the first letter of its name, which it is often mistaken for."""
MASSES = {
    "A": 89.09, "R": 174.20, "N": 132.12, "D": 133.10, "C": 121.16, "Q": 146.14, "E": 147.13, "G": 75.07,
    "H": 155.15, "I": 131.17, "L": 131.17, "K": 146.19, "M": 149.21, "F": 165.19, "P": 115.13, "S": 105.09,
    "T": 119.12, "W": 204.23, "Y": 181.19, "V": 117.15,
}  # fmt: skip
"""One-letter amino acid: the mass of the free molecule in g/mol."""
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def complement(bases: str) -> str:
    """The bases opposite to these, in the same direction."""
    return bases.translate(_COMPLEMENT)


def backwards(bases: str) -> str:
    """The same bases, read from the other end."""
    return bases[::-1]
