"""Molar mass from SMILES with the standard library: a reader of atoms, bonds and rings.

Supports what canonical SMILES of PubChem hold: organic-subset atoms, brackets with isotope,
hydrogens and charge, aromatic atoms, branches, ring closures (also %nn) and dots. Hydrogens that
are not written fill the lowest normal valence; an aromatic atom gives one electron to its ring.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MASSES = {
    "H": 1.008, "He": 4.0026, "Li": 6.94, "Be": 9.0122, "B": 10.81, "C": 12.011, "N": 14.007,
    "O": 15.999, "F": 18.998, "Ne": 20.180, "Na": 22.990, "Mg": 24.305, "Al": 26.982, "Si": 28.085,
    "P": 30.974, "S": 32.06, "Cl": 35.45, "Ar": 39.95, "K": 39.098, "Ca": 40.078, "Sc": 44.956,
    "Ti": 47.867, "V": 50.942, "Cr": 51.996, "Mn": 54.938, "Fe": 55.845, "Co": 58.933, "Ni": 58.693,
    "Cu": 63.546, "Zn": 65.38, "Ga": 69.723, "Ge": 72.630, "As": 74.922, "Se": 78.971, "Br": 79.904,
    "Kr": 83.798, "Rb": 85.468, "Sr": 87.62, "Y": 88.906, "Zr": 91.224, "Nb": 92.906, "Mo": 95.95,
    "Tc": 97.0, "Ru": 101.07, "Rh": 102.91, "Pd": 106.42, "Ag": 107.87, "Cd": 112.41, "In": 114.82,
    "Sn": 118.71, "Sb": 121.76, "Te": 127.60, "I": 126.90, "Xe": 131.29, "Cs": 132.91, "Ba": 137.33,
    "La": 138.91, "Ce": 140.12, "Pr": 140.91, "Nd": 144.24, "Sm": 150.36, "Eu": 151.96, "Gd": 157.25,
    "Tb": 158.93, "Dy": 162.50, "Ho": 164.93, "Er": 167.26, "Tm": 168.93, "Yb": 173.05, "Lu": 174.97,
    "Hf": 178.49, "Ta": 180.95, "W": 183.84, "Re": 186.21, "Os": 190.23, "Ir": 192.22, "Pt": 195.08,
    "Au": 196.97, "Hg": 200.59, "Tl": 204.38, "Pb": 207.2, "Bi": 208.98, "Th": 232.04, "U": 238.03,
}  # fmt: skip
"""Standard atomic weights in g/mol."""
_VALENCES = {
    "B": (3,), "C": (4,), "N": (3, 5), "O": (2,), "P": (3, 5), "S": (2, 4, 6), "F": (1,), "Cl": (1,),
    "Br": (1,), "I": (1,),
}  # fmt: skip
_TOKEN = re.compile(
    r"\[(?P<isotope>\d*)(?P<symbol>[A-Z][a-z]?|[a-z]{1,2})@*(?:H(?P<hydrogens>\d*))?"
    r"(?P<charge>[+-]*\d*)(?::\d+)?\]"
    r"|(?P<organic>Cl|Br|[BCNOPSFI])|(?P<aromatic>[bcnops])"
    r"|(?P<bond>[-=#$:/\\])|(?P<ring>%\d\d|\d)|(?P<open>\()|(?P<close>\))|(?P<dot>\.)"
)
_ORDERS = {"-": 1, "=": 2, "#": 3, "$": 4, ":": 1, "/": 1, "\\": 1}
_LONGEST = 5000


@dataclass(slots=True)
class _Atom:
    """An atom of the organic subset, or (element None) one in brackets, whose hydrogens are given."""

    element: str | None
    aromatic: bool = False
    bonds: int = 0

    @property
    def hydrogens(self) -> int:
        """Those that fill the lowest normal valence which holds the bonds."""
        if self.element is None:
            return 0
        valences = _VALENCES[self.element]
        if self.aromatic:  # one electron goes to the ring; a ring O or S gives a pair and needs none
            return max(0, valences[0] - self.bonds - 1)
        return next((valence - self.bonds for valence in valences if valence >= self.bonds), 0)


def molar_mass(smiles: str) -> float | None:
    """g/mol; None if the text is no SMILES that this reader knows."""
    if not smiles or len(smiles) > _LONGEST:
        return None
    total, at, order = 0.0, 0, 0
    atoms: list[_Atom] = []
    previous: _Atom | None = None
    stack: list[_Atom | None] = []
    rings: dict[str, tuple[_Atom, int]] = {}
    while at < len(smiles):
        match = _TOKEN.match(smiles, at)
        if match is None:
            return None
        at = match.end()
        if match["bond"]:
            order = _ORDERS[match["bond"]]
        elif match["open"]:
            stack.append(previous)
        elif match["close"]:
            if not stack:
                return None
            previous = stack.pop()
        elif match["dot"]:
            previous = None
        elif match["ring"]:
            if previous is None:
                return None
            if match["ring"] in rings:
                start, before = rings.pop(match["ring"])
                _bond(start, previous, order or before)
            else:
                rings[match["ring"]] = (previous, order)
            order = 0
        else:
            element = (match["symbol"] or match["organic"] or match["aromatic"]).capitalize()
            if element not in MASSES:
                return None
            total += float(match["isotope"] or MASSES[element])
            if match["symbol"]:
                written = match["hydrogens"]
                total += 0 if written is None else MASSES["H"] * int(written or 1)
                atoms.append(_Atom(None))
            else:
                atoms.append(_Atom(element, bool(match["aromatic"])))
            if previous is not None:
                _bond(previous, atoms[-1], order)
            previous, order = atoms[-1], 0
    if rings or stack:
        return None
    return total + MASSES["H"] * sum(atom.hydrogens for atom in atoms)


def _bond(one: _Atom, other: _Atom, order: int) -> None:
    one.bonds += order or 1
    other.bonds += order or 1
