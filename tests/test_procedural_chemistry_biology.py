"""Chemistry and biology templates: truth and every mistake, re-derived by routes of their own.

The routes read the statement alone and lean on rdkit, periodictable and Biopython, or on balances
that the templates do not use.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import periodictable
import pytest
from Bio.Data.CodonTable import unambiguous_dna_by_id
from Bio.Data.IUPACData import protein_letters_1to3, protein_weights
from Bio.Seq import Seq
from rdkit import Chem
from rdkit.Chem.Descriptors import MolWt
from support.procedural_items import items, pinned

from socratic_env.questions.procedural.biology import code
from socratic_env.questions.procedural.biology.mutation import aa
from socratic_env.questions.procedural.chemistry import limiting_reagent, molar_mass
from socratic_env.questions.procedural.template import LEVELS, Template
from socratic_env.types import Question

Facts = dict[str, str]
Numbers = SimpleNamespace
DOMAINS = ("chemistry", "biology")
MADE = [template for family in ("procedural", "drills") for template in pinned(family, DOMAINS)]
QUIZZES = [template for template in MADE if template.family == "procedural"]
DRILLS = [template for template in MADE if template.family == "drills"]
TEXTS = [template for template in QUIZZES if template.name in ("mutation", "reading_frame")]
SOME = 200
BLIND_LIMIT = 0.45

every = pytest.mark.parametrize("template", MADE, ids=lambda t: f"{t.family}-{t.name}")
every_quiz = pytest.mark.parametrize("template", QUIZZES, ids=lambda t: t.name)
every_drill = pytest.mark.parametrize("template", DRILLS, ids=lambda t: t.name)
every_text = pytest.mark.parametrize("template", TEXTS, ids=lambda t: t.name)


def facts(template: Template, question: Question) -> Facts:
    """What the statement gives."""
    for phrasing in template.phrasings:
        pattern = re.sub(r"\\\{(ref|alt)\\\}", r"(?P<\1>[ACGT])", re.escape(phrasing))
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", pattern)
        if match := re.fullmatch(pattern, question.statement):
            return match.groupdict()
    raise AssertionError(f"{question.statement!r} follows no phrasing of {template.name}")


def mass(formula: str) -> float:
    return periodictable.formula(formula).mass


def atoms(formula: str) -> Counter[str]:
    counted = periodictable.formula(formula).atoms
    return Counter({element.symbol: count for element, count in counted.items()})


# -- chemistry ---------------------------------------------------------------------------


def read_molar_mass(given: Facts) -> Numbers:
    match = re.fullmatch(r"([A-Z][a-z]?)(\d?)\(([A-Z][a-z]?)O(\d)\)(\d) \. (\d+) H2O", given["formula"])
    assert match is not None
    metal, n, central, o, k, w = match.groups()
    salt = given["formula"].partition(" ")[0]
    return Numbers(
        metal=mass(metal), n=int(n or 1), central=mass(central), anion=mass(f"{central}O{o}"), k=int(k),
        w=int(w), more_oxygen=int(o) - 1, water=mass("H2O"), oxygen=mass("O"), salt=mass(salt),
        right=mass(salt) + int(w) * mass("H2O"),
    )  # fmt: skip


MOLAR_MASS: dict[str, Callable[[Numbers], float]] = {
    "ignored the subscript of oxygen": lambda q: q.right - q.k * q.more_oxygen * q.oxygen,
    "gave the subscript of oxygen to the whole anion": lambda q: q.right + q.k * q.more_oxygen * q.central,
    "ignored the number after the bracket": lambda q: q.right - (q.k - 1) * q.anion,
    "gave the number after the bracket to the metal too": lambda q: q.right + (q.k - q.n) * q.metal,
    "swapped the numbers of metal and anion": lambda q: q.right + (q.k - q.n) * (q.metal - q.anion),
    "dropped the crystal water": lambda q: q.salt,
    "counted the crystal water once": lambda q: q.salt + q.water,
    "counted the crystal water twice": lambda q: q.right + q.w * q.water,
    "multiplied the salt by the number of water molecules": lambda q: q.right + (q.w - 1) * q.salt,
}


def balance(c: int, h: int, n: int, o: Fraction | int) -> dict[str, Fraction]:
    """The first equation, by growing number of fuel molecules, that has whole coefficients."""
    for fuel in range(1, 9):
        made = {"CO2": Fraction(fuel * c), "H2O": Fraction(fuel * h, 2), "N2": Fraction(fuel * n, 2)}
        oxygen = (2 * made["CO2"] + made["H2O"] - fuel * Fraction(o)) / 2
        equation = {"fuel": Fraction(fuel), "O2": oxygen, **made}
        if all(coefficient.denominator == 1 for coefficient in equation.values()):
            return equation
    raise AssertionError("eight fuel molecules are always enough")


def read_combustion(given: Facts) -> Numbers:
    if "fuel" in given:
        held = atoms(given["fuel"])
        c, h, n, o = (held[symbol] for symbol in ("C", "H", "N", "O"))
    else:
        c, h, n, o = int(given["c"]), int(given["h"]), 0, int(given["o"])
    equation = balance(c, h, n, o)

    def oxygen(pretended: Fraction | int) -> Fraction:
        return balance(c, h, n, pretended)["O2"]

    return Numbers(c=c, h=h, o=o, oxygen=oxygen, right=equation["O2"], **equation)


COMBUSTION: dict[str, Callable[[Numbers], Any]] = {
    "ignored the oxygen in the fuel": lambda q: q.oxygen(0),
    "added the oxygen of the fuel": lambda q: q.oxygen(-q.o),
    "took each oxygen of the fuel for a molecule": lambda q: q.oxygen(2 * q.o),
    "gave carbon dioxide a single oxygen atom": lambda q: q.oxygen(q.o + q.c),
    "made a water molecule of every hydrogen": lambda q: q.oxygen(q.o - Fraction(q.h, 2)),
    "left out the oxygen in the water": lambda q: q.oxygen(q.o + Fraction(q.h, 2)),
    "rounded up what is left over": lambda q: math.ceil(q.right / q.fuel),
    "counted atoms for molecules": lambda q: 2 * q.right,
    "gave the coefficient of carbon dioxide": lambda q: q.CO2,
    "gave the coefficient of water": lambda q: q.H2O,
    "added the fuel's coefficient": lambda q: q.right + q.fuel,
}


def sides(equation: str) -> tuple[dict[str, int], dict[str, int]]:
    def side(text: str) -> dict[str, int]:
        terms = (re.fullmatch(r"(?:(\d+) )?(\S+)", term) for term in text.split(" + "))
        return {term[2]: int(term[1] or 1) for term in terms if term is not None}

    left, right = equation.split(" -> ")
    return side(left), side(right)


def read_limiting_reagent(given: Facts) -> Numbers:
    if "equation" in given:
        reagents, products = sides(given["equation"])
        assert list(reagents) == [given["first"], given["second"]]
        (a, b), p = reagents.values(), products[given["product"]]
        product_mass = mass(given["product"])
        weighed = [float(given["m_first"]), float(given["m_second"])]
        one, two = weighed[0] / mass(given["first"]), weighed[1] / mass(given["second"])
    else:
        a, b, p = int(given["a"]), int(given["b"]), int(given["p"])
        one, two = float(given["n_first"]), float(given["n_second"])
        weighed, product_mass = [one, two], 1.0
    # The second reagent lasts if what the first one needs of it is there.
    right = (one * p / a if one * b / a <= two else two * p / b) * product_mass
    return Numbers(
        one=one, two=two, a=a, b=b, p=p, unit=product_mass, weighed=sum(weighed), right=right,
        by_one=one * p / a * product_mass, by_two=two * p / b * product_mass,
    )  # fmt: skip


LIMITING_REAGENT: dict[str, Callable[[Numbers], float]] = {
    "put the first coefficient into the molar mass": lambda q: min(q.by_one / q.a, q.by_two),
    "put the second coefficient into the molar mass": lambda q: min(q.by_one, q.by_two / q.b),
    "took the reagent that is left over": lambda q: max(q.by_one, q.by_two),
    "ignored the coefficients of the reagents": lambda q: min(q.one, q.two) * q.p * q.unit,
    "multiplied the amounts by their coefficients":
        lambda q: min(q.by_one * q.a**2, q.by_two * q.b**2),
    "swapped the coefficients of the reagents":
        lambda q: min(q.by_one * q.a / q.b, q.by_two * q.b / q.a),
    "added up what both reagents allow": lambda q: q.by_one + q.by_two,
    "averaged what both reagents allow": lambda q: statistics.fmean((q.by_one, q.by_two)),
    "forgot the coefficient of the product": lambda q: q.right / q.p,
    "divided by the coefficient of the product": lambda q: q.right / q.p**2,
    "turned all the reagents into product": lambda q: (q.one + q.two) * q.p * q.unit,
    "added the masses of the reagents": lambda q: q.weighed,
    "put the product's coefficient in twice": lambda q: q.right * q.p,
}  # fmt: skip


def read_dilution_ph(given: Facts) -> Numbers:
    protons = atoms(given["acid"])["H"]
    volume, water, start = float(given["V_acid"]), float(given["V_water"]), float(given["c"])
    times = ["once", "twice in a row", "three times in a row"].index(given["series"]) + 1

    def ph(rounds: float, protons: float = protons) -> float:
        """By the amount that is left, one dilution after the other."""
        c = start
        for _ in range(int(rounds)):
            c = c * volume / (volume + water)
        return -math.log2(protons * c) / math.log2(10)

    factor = (volume + water) / volume
    return Numbers(z=protons, ph=ph, times=times, factor=factor, volume=volume, right=ph(times))


DILUTION_PH: dict[str, Callable[[Numbers], float]] = {
    "ignored the dilution": lambda q: q.ph(0),
    "multiplied the factor by the number of dilutions": lambda q: q.ph(1) + math.log10(q.times),
    "carried out a single dilution": lambda q: q.ph(1),
    "carried out a dilution too many": lambda q: q.ph(q.times + 1),
    "squared the dilution factor": lambda q: q.ph(2 * q.times),
    "took the root of the dilution factor": lambda q: (q.ph(0) + q.right) / 2,
    "counted a single proton": lambda q: q.ph(q.times, 1),
    "counted the protons twice": lambda q: q.ph(q.times, q.z**2),
    "divided by the volume of acid as well": lambda q: q.right + math.log10(q.volume),
    "took the natural logarithm": lambda q: q.right * math.log(10),
    "gave the pOH": lambda q: 14 - q.right,
    "halved the pH": lambda q: q.right / 2,
    "moved the point by a place": lambda q: 1 + q.right,
}

ELEMENT = re.compile(r"Cl|[CNOcno]")


def _bracketed(smiles: str) -> str:
    """What stands in brackets of a SMILES."""
    inside, depth = [], 0
    for character in smiles:
        depth += (character == "(") - (character == ")")
        inside.append(character if depth else " ")
    return "".join(inside)


def read_smiles_mass(given: Facts) -> Numbers:
    smiles = given["smiles"]
    molecule = Chem.MolFromSmiles(smiles)
    assert molecule is not None
    held = Counter(atom.GetSymbol() for atom in molecule.GetAtoms())
    assert set(held) <= {"C", "N", "O", "Cl"}
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    doubles = sum(bond.GetBondType() == Chem.BondType.DOUBLE for bond in molecule.GetBonds())
    side = Counter(symbol.capitalize() for symbol in ELEMENT.findall(_bracketed(smiles)))
    right = MolWt(Chem.MolFromSmiles(smiles))
    hydrogens = sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
    return Numbers(
        held=held, doubles=doubles, rings=molecule.GetRingInfo().NumRings(),
        digits=sum(map(str.isdigit, smiles)),
        side=sum(mass(symbol) * count for symbol, count in side.items()), h=mass("H"), hydrogens=hydrogens,
        right=right, **{symbol: mass(symbol) for symbol in ("C", "O", "Cl")},
    )  # fmt: skip


SMILES_MASS: dict[str, Callable[[Numbers], float]] = {
    "gave every carbon four hydrogens": lambda q: q.right + (4 * q.held["C"] - q.hydrogens) * q.h,
    "gave every carbon one hydrogen": lambda q: q.right + (q.held["C"] - q.hydrogens) * q.h,
    "ignored the rings and double bonds": lambda q: q.right + 2 * (q.rings + q.doubles) * q.h,
    "left out the oxygens": lambda q: q.right - q.held["O"] * q.O,
    "took each oxygen for a molecule of two atoms": lambda q: q.right + q.held["O"] * q.O,
    "overlooked the chlorine": lambda q: q.right - q.held["Cl"] * q.Cl,
    "read chlorine as carbon": lambda q: q.right - q.held["Cl"] * (q.Cl - q.C),
    "left out what stands in brackets": lambda q: q.right - q.side,
    "counted what stands in brackets twice": lambda q: q.right + q.side,
    "took the ring digits for further atoms": lambda q: q.right + q.digits * q.C,
    "counted a further carbon for each double bond": lambda q: q.right + q.doubles * q.C,
    "left out the implicit hydrogens": lambda q: q.right - q.hydrogens * q.h,
    "took each hydrogen for a molecule of two atoms": lambda q: q.right + q.hydrogens * q.h,
    "gave the hydrogens the mass of carbon": lambda q: q.right + q.hydrogens * (q.C - q.h),
}

# -- biology -----------------------------------------------------------------------------


def read_hardy_weinberg(given: Facts) -> Numbers:
    """By the balance of the three genotypes."""
    everyone, affected = float(given["N"]), float(given["n"])
    q = math.sqrt(affected / everyone)
    dominant = everyone * (1 - 2 * q) + affected
    return Numbers(q=q, N=everyone, n=affected, dominant=dominant, right=everyone - affected - dominant)


HARDY_WEINBERG: dict[str, Callable[[Numbers], float]] = {
    "forgot the square root": lambda q: 2 * (q.n - q.n**2 / q.N),
    "halved the frequency": lambda q: q.n - q.n**2 / (2 * q.N),
    "took the dominant allele's frequency as 1": lambda q: q.right + 2 * q.n,
    "took away the affected fraction": lambda q: 2 * q.q * (q.N - q.n),
    "forgot the factor 2": lambda q: q.right / 2,
    "took q for p": lambda q: 2 * q.n,
    "counted the dominant homozygotes": lambda q: q.dominant,
    "counted all unaffected": lambda q: q.N - q.n,
    "doubled twice": lambda q: 2 * q.right,
}


def read_peptide_mass(given: Facts) -> Numbers:
    if "sequence" in given:
        sequence = given["sequence"]
        words = ["unmodified", *(f"phosphorylated at {n} residue" for n in ("one", "two", "three"))]
        weights = [protein_weights[letter] for letter in sequence]
        n, sites = len(sequence), words.index(given["state"].removesuffix("s"))
        total, water, phosphate = sum(weights), mass("H2O"), mass("HPO3")
        once, first = sum(protein_weights[letter] for letter in set(sequence)), weights[0]
    else:
        total, n, water, sites, phosphate = (int(number) for number in given.values())
        once = first = 0
    right = float(total + sites * phosphate)
    for _ in range(n - 1):
        right -= water
    return Numbers(
        n=n, total=total, once=once, first=first, water=water, sites=sites, phosphate=phosphate, right=right
    )


PEPTIDE_MASS: dict[str, Callable[[Numbers], float]] = {
    "counted repeated residues once": lambda q: q.right - q.total + q.once,
    "started with the second residue": lambda q: q.right - q.first,
    "took the mean mass of a residue for each": lambda q: q.right - q.total + 110 * q.n,
    "took a bond for every residue": lambda q: q.right - q.water,
    "counted bonds at both ends": lambda q: q.right - 2 * q.water,
    "took away the water of a single bond": lambda q: q.right + (q.n - 2) * q.water,
    "forgot the water": lambda q: q.right + (q.n - 1) * q.water,
    "added the water": lambda q: q.right + 2 * (q.n - 1) * q.water,
    "took away the water twice": lambda q: q.right - (q.n - 1) * q.water,
    "forgot the phosphate": lambda q: q.right - q.sites * q.phosphate,
    "counted a single phosphate": lambda q: q.right - max(q.sites - 1, 0) * q.phosphate,
    "took the phosphate away": lambda q: q.right - 2 * q.sites * q.phosphate,
    "added whole phosphoric acid": lambda q: q.right + q.sites * q.water,
}


def rate(vmax: float, s: float, *, free: float, bound: float) -> float:
    """By the weights of the enzyme's forms beside the free one: s, and what inhibitor binds."""
    return vmax * s / (1 + s + free + bound * s)


def read_michaelis_menten(given: Facts) -> Numbers:
    if "dose" in given:
        amount, unit = given["dose"].split()
        i, kept = float(amount) / {"umol/L": 1, "nmol/L": 1000}[unit], float(amount)
    else:
        i = kept = float(given["I"])
    vmax, s, km, ki = (float(given[name]) for name in ("v_max", "S", "K_m", "K_i"))
    kind = given.get("type", "competitive")

    def at(load: float, kind: str = kind) -> float:
        free, bound = load * (kind != "uncompetitive"), load * (kind != "competitive")
        return rate(vmax, s / km, free=free, bound=bound)

    load = i / ki
    on_free, on_bound = load * (kind != "uncompetitive"), load * (kind != "competitive")
    return Numbers(
        at=at, load=load, i=i, ki=ki, km=km, s=s, vmax=vmax, kept=kept, on_free=on_free, on_bound=on_bound,
        kind=kind, right=at(load),
    )  # fmt: skip


OTHER = {"competitive": "uncompetitive", "uncompetitive": "competitive", "noncompetitive": "noncompetitive"}
MICHAELIS_MENTEN: dict[str, Callable[[Numbers], float]] = {
    "kept the inhibitor in the unit given": lambda q: q.at(q.kept / q.ki),
    "left out the one in the factor": lambda q: q.at(q.load - 1),
    "turned the ratio of inhibitor and its constant over": lambda q: q.at(1 / q.load),
    "ignored the inhibitor": lambda q: q.at(0),
    "left out the inhibition constant": lambda q: q.at(q.i),
    "took the Michaelis constant for the inhibition constant": lambda q: q.at(q.i / q.km),
    "divided the Michaelis constant by the factor":
        lambda q: q.vmax / (q.km / q.s / (1 + q.on_free) + 1 + q.on_bound),
    "mixed up competitive and uncompetitive": lambda q: q.at(q.load, OTHER[q.kind]),
    "took the inhibitor for a noncompetitive one": lambda q: q.at(q.load, "noncompetitive"),
    "took the inhibitor for a competitive one": lambda q: q.at(q.load, "competitive"),
    "left the substrate out of the denominator": lambda q: q.vmax * q.s / q.km / (1 + q.on_free),
    "left the Michaelis constant out of the denominator": lambda q: q.vmax / (1 + q.on_bound),
    "put the Michaelis constant above the bar": lambda q: q.right * q.km / q.s,
    "slowed the enzyme by the factor once more": lambda q: q.right / (1 + q.load),
}  # fmt: skip


def read_mutation(given: Facts) -> Numbers:
    """By translating the whole sequence, and the whole of its mutant."""
    bases, at, alt = given["sequence"], int(given["pos"]) - 1, given["alt"]
    assert bases[at] == given["ref"] != alt

    def call(codon: int, place: int, base: str = alt, late: int = 0, number: int = 0) -> str:
        """The change at a codon and place (from 0) of the sequence, read some bases late."""
        frame = bases[3 * codon + late :][:3]
        old, new = Seq(frame).translate(), Seq(frame[:place] + base + frame[place + 1 :]).translate()
        return f"p.{old}{number or codon + 1}{new}"

    before, after = Seq(bases).translate(), Seq(bases[:at] + alt + bases[at + 1 :]).translate()
    changed = [k for k, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert len(changed) == 1
    k = changed[0]
    codon, mutant = bases[3 * k :][:3], (bases[:at] + alt + bases[at + 1 :])[3 * k :][:3]

    def translated(read: Callable[[Seq], Seq]) -> str:
        return f"p.{read(Seq(codon)).translate()}{k + 1}{read(Seq(mutant)).translate()}"

    return Numbers(
        call=call, k=k, place=at % 3, old=before[k], new=after[k], pos=at + 1, translated=translated,
        other=str(Seq(alt).complement()), right=f"p.{before[k]}{k + 1}{after[k]}",
    )  # fmt: skip


def first_of_name(letter: str) -> str:
    names = {"D": "Aspartate", "E": "Glutamate", "N": "Asparagine", "Q": "Glutamine", "W": "Tryptophan"}
    return names.get(letter, protein_letters_1to3.get(letter, letter))[0]


MUTATION: dict[str, Callable[[Numbers], str]] = {
    "numbered the codons from zero": lambda q: q.call(q.k - 1, q.place),
    "went on to the next codon": lambda q: q.call(q.k + 1, q.place),
    "changed the next base of the codon": lambda q: q.call(q.k, (q.place + 1) % 3),
    "changed the base before": lambda q: q.call(q.k, (q.place - 1) % 3),
    "read the codons one base late": lambda q: q.call(q.k, q.place, late=1),
    "read the codons one base early": lambda q: q.call(q.k, q.place, late=-1),
    "looked up the codon before": lambda q: q.call(q.k - 1, q.place, number=q.k + 1),
    "looked up the codon behind": lambda q: q.call(q.k + 1, q.place, number=q.k + 1),
    "put in the complementary base": lambda q: q.call(q.k, q.place, q.other),
    "swapped before and after": lambda q: f"p.{q.new}{q.k + 1}{q.old}",
    "translated the template strand": lambda q: q.translated(Seq.complement),
    "read the codons backwards": lambda q: q.translated(lambda codon: codon[::-1]),
    "read the opposite strand": lambda q: q.translated(Seq.reverse_complement),
    "took the first letters of the names": lambda q: (
        f"p.{first_of_name(q.old)}{q.k + 1}{first_of_name(q.new)}"
    ),
    "gave the number of the base": lambda q: f"p.{q.old}{q.pos}{q.new}",
}


def read_reading_frame(given: Facts) -> Numbers:
    shown, start = Seq(given["sequence"]), int(given["start"]) - 1
    strand = shown if given["strand"] == "given" else shown.reverse_complement()
    other = shown.reverse_complement() if given["strand"] == "given" else shown

    def read(bases: Seq, start: int = start) -> str:
        whole = bases[start:]
        return str(whole[: len(whole) // 3 * 3].translate(to_stop=True))

    whole = strand[start:]
    codons = {step: [whole[i : i + 3] for i in range(0, len(whole) - 2, step)] for step in (2, 3, 4)}
    by_step = {step: str(Seq("").join(found).translate(to_stop=True)) for step, found in codons.items()}
    through = str(Seq("").join(codons[3]).translate()).replace("*", "")
    return Numbers(
        read=read,
        strand=strand,
        other=other,
        start=start,
        by_step=by_step,
        through=through,
        right=read(strand),
    )


READING_FRAME: dict[str, Callable[[Numbers], str]] = {
    "read the other strand": lambda q: q.read(q.other),
    "read the strand from its 3' end": lambda q: q.read(q.strand.complement()),
    "read the bases backwards": lambda q: q.read(q.strand[::-1]),
    "counted the bases from zero": lambda q: q.read(q.strand, q.start + 1),
    "began two bases late": lambda q: q.read(q.strand, q.start + 2),
    "left out the first codon": lambda q: q.right[1:],
    "began at the first base": lambda q: q.read(q.strand, 0),
    "counted codons for bases": lambda q: q.read(q.strand, 3 * q.start + 2),
    "read over the stop": lambda q: q.through,
    "stopped a codon early": lambda q: q.right[:-1],
    "wrote the peptide from its end": lambda q: "".join(reversed(q.right)),
    "let the codons overlap": lambda q: q.by_step[2],
    "left a base out between codons": lambda q: q.by_step[4],
}

Route = tuple[Callable[[Facts], Numbers], dict[str, Callable[[Numbers], Any]]]
ROUTES: dict[str, Route] = {
    "molar_mass": (read_molar_mass, MOLAR_MASS),
    "combustion": (read_combustion, COMBUSTION),
    "limiting_reagent": (read_limiting_reagent, LIMITING_REAGENT),
    "dilution_ph": (read_dilution_ph, DILUTION_PH),
    "smiles_mass": (read_smiles_mass, SMILES_MASS),
    "hardy_weinberg": (read_hardy_weinberg, HARDY_WEINBERG),
    "peptide_mass": (read_peptide_mass, PEPTIDE_MASS),
    "michaelis_menten": (read_michaelis_menten, MICHAELIS_MENTEN),
    "mutation": (read_mutation, MUTATION),
    "reading_frame": (read_reading_frame, READING_FRAME),
}


def shown(question: Question, answer: str) -> str:
    """The text of an option, or the number itself."""
    texts = {option.letter: option.text for option in question.options}
    return texts.get(answer, answer)


def assert_same(template: Template, text: str, expected: Any) -> None:
    if isinstance(expected, str):
        assert text == expected
    else:
        tables = 2e-4 if template.family == "procedural" else 1e-12  # tables of weights differ a little
        half_a_digit = 0.5 * 10.0 ** (1 - template.digits)
        assert float(text.split()[0]) == pytest.approx(float(expected), rel=1.01 * half_a_digit + tables)


# -- truth and mistakes ------------------------------------------------------------------


@every
def test_every_mistake_has_a_route_of_its_own(template: Template) -> None:
    routes = ROUTES[template.name][1]
    names = [slip.name for slip in template.slips]
    assert len(names) == len(set(names)) >= 8
    assert set(names) <= set(routes)
    if template.family == "procedural":
        assert set(names) == set(routes)


@every
def test_the_truth_by_another_route(template: Template) -> None:
    read, _ = ROUTES[template.name]
    for split, some in (("train", SOME), ("test", 100)):
        for question in items(template, split, some):
            expected = read(facts(template, question)).right
            assert_same(template, shown(question, question.answer), expected)


@every
def test_every_mistake_by_another_route(template: Template) -> None:
    read, routes = ROUTES[template.name]
    for question in items(template, count=SOME):
        found = read(facts(template, question))
        for mistake in question.mistakes:
            assert_same(template, shown(question, mistake.answer), routes[mistake.name](found))


@every
def test_no_two_mistakes_always_agree(template: Template) -> None:
    """Such a pair could not be told apart by the answer."""
    read, routes = ROUTES[template.name]
    found = [read(facts(template, question)) for question in items(template, count=60)]
    results = {slip.name: [routes[slip.name](numbers) for numbers in found] for slip in template.slips}
    for one, other in combinations(results, 2):
        assert results[one] != results[other], (one, other)


# -- levels, counts and drills -----------------------------------------------------------

SIZES: dict[str, Callable[[Facts, Numbers], float]] = {
    "molar_mass": lambda given, q: q.right,
    "combustion": lambda given, q: q.c,
    "limiting_reagent": lambda given, q: q.a + q.b,
    "dilution_ph": lambda given, q: len(given["c"] + given["V_acid"] + given["V_water"]) + q.times,
    "smiles_mass": lambda given, q: q.right,
    "hardy_weinberg": lambda given, q: len(given["N"].rstrip("0")),
    "peptide_mass": lambda given, q: q.n,
    "michaelis_menten": lambda given, q: sum(map(len, given.values())),
    "mutation": lambda given, q: len(given["sequence"]),
    "reading_frame": lambda given, q: len(given["sequence"]),
}


@every_quiz
def test_levels_grow(template: Template) -> None:
    assert tuple(template.draws) == LEVELS
    sizes: dict[str, list[float]] = {level: [] for level in LEVELS}
    for question in items(template, count=SOME):
        given = facts(template, question)
        sizes[question.level].append(SIZES[template.name](given, ROUTES[template.name][0](given)))
    easy, medium, hard = (statistics.fmean(sizes[level]) for level in LEVELS)
    assert easy < medium < hard


# -- tables ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_the_equations_are_balanced_and_their_masses_right(level: str) -> None:
    for equation, entry in limiting_reagent.REACTIONS[level].items():
        left, right = (
            sum((Counter({s: n * k for s, n in atoms(f).items()}) for f, k in side.items()), Counter())
            for side in sides(equation)
        )
        assert left == right, equation
        assert math.gcd(*(k for side in sides(equation) for k in side.values())) == 1
        a, first, m_first, b, second, m_second, p, product, m_product = entry
        assert list(sides(equation)[0].items()) == [(first, a), (second, b)]
        assert sides(equation)[1][product] == p
        for formula, molar in ((first, m_first), (second, m_second), (product, m_product)):
            assert molar == pytest.approx(mass(formula), rel=1e-4), formula


def test_the_atomic_weights_are_right() -> None:
    for symbol, (weight, _) in molar_mass.METALS.items():
        assert weight == pytest.approx(mass(symbol), rel=1e-4), symbol
    for formula, (central, oxygens, _) in molar_mass.ANIONS.items():
        assert central + oxygens * molar_mass.OXYGEN == pytest.approx(mass(formula), rel=1e-4), formula


def test_the_genetic_code_and_the_amino_acids_are_right() -> None:
    table = unambiguous_dna_by_id[1]
    assert table.forward_table == {codon: aa(codon) for codon in code.CODONS}
    assert sorted(table.stop_codons) == sorted(code.STOPS)
    for letter, weight in code.MASSES.items():
        assert weight == pytest.approx(protein_weights[letter], abs=0.01), letter
        assert code.INITIALS[letter] == first_of_name(letter)


# -- blind rules for texts ---------------------------------------------------------------


def _edits(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def _features(text: str) -> tuple[str, ...]:
    """The parts of a change such as p.K12R; of a peptide its ends and its length."""
    match = re.fullmatch(r"p\.(.)(\d+)(.)", text)
    return match.groups() if match else (text[0], str(len(text)), text[-1])


BLIND_RULES: dict[str, Callable[[str, list[str]], float]] = {
    "fewest edits from the others": lambda x, others: -sum(_edits(x, y) for y in others),
    "nearest neighbour": lambda x, others: -min(_edits(x, y) for y in others),
    "most edits from the others": lambda x, others: sum(_edits(x, y) for y in others),
    "part of the others": lambda x, others: sum(x in y or y in x for y in others),
    "most letters shared": lambda x, others: sum(min(x.count(a), y.count(a)) for y in others for a in set(x)),
    "most parts shared": lambda x, others: sum(
        a == b for y in others for a, b in zip(_features(x), _features(y), strict=True)
    ),
    "no stop": lambda x, others: "*" not in x,
}


@pytest.mark.parametrize("rule", BLIND_RULES)
@every_text
def test_no_blind_rule_for_texts_finds_the_answer(template: Template, rule: str) -> None:
    hits, trials = 0.0, 600
    for question in items(template, count=trials):
        texts = {option.letter: option.text for option in question.options}
        scores = {
            letter: BLIND_RULES[rule](text, [texts[other] for other in texts if other != letter])
            for letter, text in texts.items()
        }
        best = [letter for letter, score in scores.items() if score == max(scores.values())]
        hits += (question.answer in best) / len(best)
    assert hits / trials <= BLIND_LIMIT
