"""Made-up SciKnowEval files, as the published ones lie on a disk: their forms, their sub-tasks and every
known trap, a few rows of each. Where real rows are (`real_rows`), the same tests read them too."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.published_forms import paper_row, sdpo_row, v2_row, write
from support.real_rows import REAL_DATA

DOMAINS = ("biology", "chemistry", "material", "physics")
SYSTEM = "\nGiven a question and four options, please select the right answer.\n"


@dataclass(frozen=True, eq=False)
class Published:
    """A folder with sciknoweval/<domain>/<split>.parquet and samples/, and what is known of its rows.

    counts: rows of each (domain, split); two_options: rows with two; lines: options that span lines;
    cut: rows whose `extra_info.question` is cut; mis_split: physics rows of each split; subtasks: how many
    there are; masses: SMILES at least whose mass is asked for; tells: the id of a row whose text tells its
    answer.
    """

    folder: Path
    counts: Mapping[tuple[str, str], int]
    two_options: int
    lines: int
    cut: int
    mis_split: Mapping[str, int]
    subtasks: int
    masses: int
    tells: str

    @property
    def rows(self) -> Path:
        return self.folder / "sciknoweval"

    @property
    def v2(self) -> Path:
        return self._sample("hicai_v2_L3.jsonl")

    @property
    def sdpo(self) -> Path:
        return self._sample("sdpo_lines.jsonl")

    def _sample(self, name: str) -> Path:
        path = self.folder / "samples" / name
        if not path.is_file():
            pytest.skip(f"no {path}: docs/testing.md says what it holds")
        return path


REAL = Published(
    REAL_DATA,
    {
        ("chemistry", "train"): 1890, ("chemistry", "test"): 210,
        ("physics", "train"): 720, ("physics", "test"): 80,
        ("biology", "train"): 450, ("biology", "test"): 50,
        ("material", "train"): 841, ("material", "test"): 94,
    },
    two_options=200, lines=500, cut=145, mis_split={"train": 64, "test": 9}, subtasks=28, masses=400,
    tells="physics/train/279",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """options: as they stand; right: the place of the answer."""

    subtask: str
    statement: str
    options: tuple[str, ...]
    right: int


MASSES = {
    "CCO": 46.07, "c1ccccc1": 78.11, "CC(=O)O": 60.05, "CCN": 45.08, "Oc1ccccc1": 94.11,
    "C1CCCCC1": 84.16, "CC(C)=O": 58.08, "O=C(O)c1ccccc1": 122.12,
}  # fmt: skip


def _shuffled(rng: random.Random, right: str, *wrong: str) -> tuple[tuple[str, ...], int]:
    options = [right, *wrong]
    rng.shuffle(options)
    return tuple(options), options.index(right)


def _second_largest(rng: random.Random) -> tuple[tuple[str, ...], int]:
    largest, right, *wrong = sorted(rng.sample(range(-90, 30), 4), reverse=True)
    digits = rng.choice((1, 2, 3))
    return _shuffled(rng, *(f"{value / 10:.{digits}f}" for value in (right, largest, *wrong)))


def _chemistry(rng: random.Random, number: int) -> Iterator[Row]:
    smiles = list(MASSES)[number % len(MASSES)]
    tail = "C" * (number // len(MASSES)) + smiles
    yield Row(
        "ESOL_value_prediction",
        f'What is the logarithmic solubility value of the molecule "{tail}" in water?',
        *_second_largest(rng),
    )
    yield Row(
        "Lipophilicity_value_prediction",
        f'What is the distribution coefficient logD of the molecule "{tail}" at a pH of 7.4?',
        *_second_largest(rng),
    )
    if number < len(MASSES):
        mass = MASSES[smiles]
        asked = "What is the molar weight (g/mol) of the molecule with the canonical SMILES representation"
        wrong = (f"{mass * factor:.3f}" for factor in (0.7, 1.2, 1.9))
        yield Row("s2w", f"{asked} '{smiles}'?", *_shuffled(rng, f"{mass:.3f}", *wrong))


def _physics(rng: random.Random, number: int) -> Iterator[Row]:
    metres, seconds = 12 * (number + 1), rng.choice((2, 3, 4))
    speeds = [f"{metres * factor / seconds:.1f} m/s" for factor in (1, 2, 0.5, 3)]
    yield Row(
        "general_physics_calculation",
        f"A cart covers {metres} m in {seconds} s at a steady speed. How fast is it?",
        *_shuffled(rng, *speeds),
    )
    if number % 2:  # ".. a current of 9 A. Find .." was read as option A: all stand a letter late
        current, distance = 5 + number, 2 + number
        field = 2e-7 * current / (distance / 100)
        texts, right = _shuffled(rng, *(f"{field * factor:.3e} T" for factor in (1, 0.5, 2)))
        find = f"Find the magnetic field at a distance of {distance} cm from the wire. "
        yield Row(
            "physics_closest_option",
            f"Question: A long straight wire carries a current of {current}",
            (find + "Please select the option closest to it!", *texts),
            right,
        )


def _protein(rng: random.Random) -> str:
    return "M" + "".join(rng.choices("ACDEFGHIKLNPQRSTVWY", k=30))


def _biology(rng: random.Random, number: int) -> Iterator[Row]:
    yield Row(
        "stability_prediction",
        f"What is the folding stability score of the protein sequence '{_protein(rng)}'?",
        tuple(f"{rng.uniform(-1, 3):.2f}" for _ in range(4)),
        rng.randrange(4),
    )
    yield Row(
        "beta_lactamase_activity_prediction",
        f"Which of the two mutants of a beta-lactamase, in assay {number}, is the more active one?",
        (_protein(rng), _protein(rng)),
        rng.randrange(2),
    )


def _material(rng: random.Random, number: int) -> Iterator[Row]:
    a, b, c = (round(rng.uniform(3, 9), 2) for _ in range(3))
    cell = f"a = {a} Å\nb = {b} Å\nc = {c} Å\nα = 90.0º\nβ = 90.0º\nγ = 90.0º"
    volumes = (f"{a * b * c * factor:.2f} Å³\n" for factor in (1, 1.3, 0.6, 1.8))
    yield Row(
        "lattice_volume_calculation",
        f"Given the parameters of crystal {number}:\n\n{cell}\n\nWhat is the volume of the unit cell?",
        *_shuffled(rng, *volumes),
    )
    hosts = rng.sample(("Fe", "Ni", "Cu", "Zn", "Mo", "Nb"), 4)
    barriers = [round(0.2 + 0.3 * place + 0.01 * number, 2) for place in range(4)]
    data = "\n".join(
        f"Solute Element {i}: Al, Host Element {i}: {host}, Diffusion Barrier {i}: {barrier} eV"
        for i, (host, barrier) in enumerate(zip(hosts, barriers, strict=True), 1)
    )
    yield Row(
        "diffusion_rate_analysis",
        f"Which of these combinations has the highest diffusion rate?\n{data}",
        *_shuffled(rng, *(f"Al in {host}" for host in hosts)),
    )


MAKERS = {"biology": _biology, "chemistry": _chemistry, "material": _material, "physics": _physics}
ROUNDS = {"train": range(8, 20), "test": range(8)}
TWICE = Row("general_physics_calculation", "How many sides has a hexagon?", ("4", "5", "6", "8"), 2)
ODD = {
    ("physics", "train"): [
        TWICE,
        Row(
            "general_physics_calculation",
            "The work is 0.15 J. The answer is 0.15. Which one is it?",
            ("0.15", "0.30", "0.45", "0.60"),
            0,
        ),
    ],
    ("physics", "test"): [TWICE],
    ("material", "train"): [
        Row(
            "diffusion_rate_analysis",
            "Given the following data on dilute solute elements, which has the highest diffusion rate?",
            ("Al in Fe", "Al in Ni", "Al in Cu", "Al in Zn"),
            1,
        ),
        Row("diffusion_rate_analysis", "Which diffusion rate is highest?", ("Al", "Fe", " Al", "Ni"), 1),
    ],
}
"""In both splits; telling the answer; data left out; an option that stands twice."""


def rows_of(domain: str, split: str) -> list[Row]:
    """The made-up rows of a file."""
    rng = random.Random(f"{domain}/{split}")
    made = [row for number in ROUNDS[split] for row in MAKERS[domain](rng, number)]
    return made + ODD.get((domain, split), [])


def made_data(folder: Path) -> None:
    """Write the files."""
    lines, sample = [], []
    for domain in DOMAINS:
        for split in ROUNDS:
            rows = []
            for index, row in enumerate(rows_of(domain, split)):
                options = dict(zip("ABCD", row.options, strict=False))
                texts = (row.statement, options, "ABCD"[row.right])
                made = paper_row(*texts) | {"data_source": f"sciknoweval/{domain}"}
                made["prompt"][0]["content"] = SYSTEM
                made["extra_info"] |= {"index": index, "split": split}
                rows.append(made)
                if split == "test" and row is not TWICE:
                    details = {"level": "L3", "task": "made", "subtask": row.subtask, "source": "made"}
                    sample.append(v2_row(*texts) | {"domain": domain.title(), "details": details})
                if split == "test" and index < 2:
                    lines.append(sdpo_row(*texts) | {"idx": index, "system": SYSTEM.strip()})
            write(folder / "sciknoweval" / domain / f"{split}.parquet", rows)
    sample[0]["choices"]["text"].append("a text without a label")
    easy = v2_row("Which is a gas?") | {"details": {"level": "L1", "subtask": "recall"}}
    filling = {"type": "filling", "choices": {"text": [], "label": []}, "answerKey": ""}
    sample[3:3] = [easy, v2_row("Balance H2 + O2 = H2O.") | filling | {"answer": "2 H2 + O2 = 2 H2O"}]
    write(folder / "samples" / "sdpo_lines.jsonl", lines)
    write(folder / "samples" / "hicai_v2_L3.jsonl", sample)


def made(folder: Path) -> Published:
    """What is known of the files that `made_data` wrote."""
    rows = {(domain, split): rows_of(domain, split) for domain in DOMAINS for split in ROUNDS}
    every = [row for some in rows.values() for row in some]
    broken = {split: sum("current of" in row.statement for row in rows["physics", split]) for split in ROUNDS}
    return Published(
        folder,
        {key: len(some) for key, some in rows.items()},
        two_options=sum(len(row.options) == 2 for row in every),
        lines=sum("\n" in text for row in every for text in row.options),
        cut=sum("\n\n" in row.statement for row in every),
        mis_split=broken,
        subtasks=len({row.subtask for row in every}),
        masses=len(MASSES),
        tells=f"physics/train/{len(rows['physics', 'train']) - 1}",
    )
