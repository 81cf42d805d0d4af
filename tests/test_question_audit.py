"""The audit: damage by rule, duplicates, blind rules, recomputed truths; on made and on real rows."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_data import REAL, Published
from support.real_rows import real_data

from socratic_env.errors import QuestionError
from socratic_env.questions import load_questions
from socratic_env.questions.audit import blind, damage, duplicates, recompute
from socratic_env.questions.audit.findings import KINDS, Report, audit
from socratic_env.questions.audit.molecules import molar_mass
from socratic_env.questions.files import Contents, scan_path
from socratic_env.questions.subtasks import infer
from socratic_env.types import AnswerKind, Option, Question


def ask(
    statement: str, *options: str, answer: str = "A", row: int = 0, subtask: str = "", split: str = "train"
):
    return Question(
        id=f"physics/{split}/{row}",
        domain="physics",
        kind=AnswerKind.CHOICE,
        statement=statement,
        answer=answer,
        options=tuple(Option("ABCDE"[i], text) for i, text in enumerate(options)),
        subtask=subtask,
    )


def kinds(question: Question) -> set[str]:
    return {kind for kind, _ in damage.problems(question)}


# -- sub-tasks ---------------------------------------------------------------------------


def test_inferred_subtasks_are_those_of_the_published_rows(published: Published) -> None:
    rows = [json.loads(line) for line in published.v2.read_text(encoding="utf-8").splitlines()]
    kept = [row for row in rows if row["details"]["level"] == "L3" and row["choices"]["text"]]
    assert kept
    for row in kept:
        assert infer(row["question"], row["domain"].lower()) == row["details"]["subtask"]


def test_every_published_row_has_a_subtask_of_its_domain(published: Published) -> None:
    domains: dict[str, set[str]] = {}
    for question in contents(published).questions:
        assert question.subtask
        domains.setdefault(question.subtask, set()).add(question.domain)
    assert all(len(found) == 1 for found in domains.values())
    assert len(domains) == published.subtasks


def test_a_statement_that_fits_nothing_has_no_subtask() -> None:
    assert infer("What is a cat?", "") == ""
    assert infer("What is a cat?", "physics") == "general_physics_calculation"


# -- damage ------------------------------------------------------------------------------

TAIL = "Find the magnetic field at a distance of 9 cm from the wire. Select the closest option!"


def test_a_sentence_read_as_an_option_is_found() -> None:
    broken = ask("Question: A straight wire carries a current of 9", TAIL, "6.47 T", "7.47 T", "2.0 T")
    assert kinds(broken) == {damage.MIS_SPLIT}


@pytest.mark.parametrize(
    "question",
    [
        ask("A wire carries 9 A. What is true?", TAIL, "6.47 T", "7.47 T", "2.0 T"),
        ask("Choose the best of 4", "Waves " + "go on " * 9, "Light " + "goes on " * 9, "No", "Yes"),
        ask("Data: X = 4", "X, because it is the largest one of all of these", "X", "Y", "Z"),
        ask("The field of a current of 9", "6.47 T", "7.47 T", "2.0 T", "1.0 T"),
        ask("The field of a current of 9", TAIL, "6 T"),
    ],
)
def test_long_first_options_of_whole_questions_are_left_alone(question: Question) -> None:
    assert damage.MIS_SPLIT not in kinds(question)


def test_duplicate_options_are_named() -> None:
    found = list(damage.problems(ask("How long?", "8 s", "2 s", " 8  s", answer="A")))
    assert found == [(damage.DUPLICATE_OPTIONS, "options A and C are the same (one of them is the answer)")]


def test_announced_data_that_is_missing() -> None:
    text = "Given the following data on dilute solute elements, choose the highest diffusion rate."
    options = ("Fe in P", "Fe in Mo", "Fe in Ni", "Fe in Nb")
    assert kinds(ask(text, *options, subtask="diffusion_rate_analysis")) == {damage.DATA_MISSING}
    assert kinds(ask(text + " 0.1 0.2 0.3 0.4", *options, subtask="diffusion_rate_analysis")) == set()


def test_options_that_the_data_do_not_hold() -> None:
    rows = "Ca2La6Ga8O24, 73.9, Ca2La6Mn8O24, 32.7, Ca2La6Ni8O24, 178.0, Ca2La6Sc8O24, 30.4"
    text = f"Based on the given data: {rows}"
    question = ask(
        text, "Ca2La6Ga8O24", "Ba8Fe6Pd2O24", "Ca2La6Mn8O24", "Ca2La6Sc8O24", subtask="EAH_and_FE_Analysis"
    )
    assert kinds(question) == {damage.FOREIGN_OPTIONS}


# -- duplicates --------------------------------------------------------------------------


def repeats(*rows: Question) -> list[tuple[str, str, bool, bool]]:
    return [(found.id, found.of, found.exact, found.between_splits) for found in duplicates.find(rows)]


def test_the_training_row_of_a_pair_is_named() -> None:
    one = ask("How far in 3 s from 5 m?", "1 m", "2 m")
    other = ask("How  far in 3 s from 5 m?", "2 m", "1 m", split="test")
    assert repeats(one, other) == repeats(other, one) == [(one.id, other.id, True, True)]


def test_the_same_question_with_other_distractors_is_near() -> None:
    rows = [
        ask("How far in 3 s from 5 m?", "1 m", "2 m"),
        ask("How far in 3 s from 5 m?", "9 m", "1 m", row=1),
    ]
    assert repeats(*rows) == [(rows[1].id, rows[0].id, False, False)]
    assert not duplicates.find(rows)[0].same_answer


def test_the_same_sequence_in_other_words_is_near() -> None:
    sequence = "FEIPDDPPLPAGWEMAKTSSGQ"
    rows = [
        ask(f"Find the score of '{sequence}'.", "1", "2"),
        ask(f"'{sequence}' is how stable?", "3", "2", row=1),
    ]
    assert len(repeats(*rows)) == 1


def test_other_numbers_are_another_question() -> None:
    assert repeats(ask("How far in 3 s?", "1 m", "2 m"), ask("How far in 4 s?", "1 m", "2 m", row=1)) == []
    assert repeats(ask("From 3 to 5?", "1", "2"), ask("From 5 to 3?", "1", "2", row=1)) == []


def test_one_statement_with_all_data_in_the_options_is_no_repetition() -> None:
    rows = [ask("Which mutant of TEM-1 is best?", f"MSQ{i}", f"HFR{i}", row=i) for i in range(30)]
    assert repeats(*rows) == []


# -- blind rules -------------------------------------------------------------------------


def best(rows: list[Question]) -> blind.Score:
    return blind.scores(rows)[0]


def test_each_blind_rule_is_found_where_it_is_planted() -> None:
    rng = random.Random(0)
    planted = {
        "longest option": lambda: ["ab" * 9, *("".join(rng.choices("cdefgh", k=3)) for _ in range(3))],
        "2nd largest number": lambda: [f"{50 + rng.random():.3f}", "90.000", "47.000", "1.000"],
        "4th largest number": lambda: [f"{rng.random():.3f} kg", "9.000 kg", "8.000 kg", "7.000 kg"],
        "most like the others": lambda: ["1234", "1235", "1294", "8234"],
    }  # fmt: skip
    for rule, make in planted.items():
        rows = []
        for i in range(60):
            options = make()
            right = options[0]
            rng.shuffle(options)
            rows.append(ask("?", *options, answer="ABCD"[options.index(right)], row=i))
        assert best(rows).rule == rule
        assert best(rows).accuracy == 1.0
        assert best(rows).standard_errors > 10


def test_letters_and_chance() -> None:
    rows = [ask("?", "x", "y", answer="B", row=i) for i in range(10)]
    score = best(rows)
    assert (score.rule, score.accuracy, score.chance) == ("always B", 1.0, 0.5)


def test_ties_share_a_guess() -> None:
    scores = {score.rule: score.accuracy for score in blind.scores([ask("?", "xx", "yy", "zz", "a")])}
    assert scores["longest option"] == pytest.approx(1 / 3)
    assert scores["shortest option"] == 0.0
    assert "largest number" not in scores


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8.57e+48 J", 8.57e48), ("$6.6 \\times 10^{-16} N$", 6.6e-16), ("0.88 x 10^(-5) Tesla", 0.88e-5),
        ("1,234.5 m", 1234.5), ("−3 K", -3.0), ("none", None), ("1e99999", None),
    ],
)  # fmt: skip
def test_numbers_of_options(text: str, value: float | None) -> None:
    found = blind.number_of(text)
    assert found is None if value is None else found == pytest.approx(value)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(max_size=12), min_size=2, max_size=5), st.integers(0, 4))
def test_every_rule_spends_at_most_one_guess(texts: list[str], place: int) -> None:
    question = ask("?", *texts, answer="ABCDE"[place % len(texts)])
    for rule in blind.RULES.values():
        shares = rule(question)
        assert shares is None or sum(shares) == pytest.approx(1.0)


# -- recomputed truths -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smiles", "mass"),
    [
        ("CCO", 46.07), ("c1ccccc1", 78.11), ("c1ccsc1", 84.14), ("c1cc[nH]c1", 67.09), ("Cn1cccc1", 81.12),
        ("O=C([O-])C.[Na+]", 82.03),
        ("C[N+](C)(C)C", 74.15), ("C%12CCCCC%12", 84.16), ("O=S(=O)(O)O", 98.07),
        ("C#N", 27.03), ("[2H]O[2H]", 20.0), ("OC(=O)[C@@H](N)C", 89.09),
        ("O=c1cc[nH]cc1", 95.10), ("ClCBr", 129.38),
    ],
)  # fmt: skip
def test_molar_mass_of_known_molecules(smiles: str, mass: float) -> None:
    assert molar_mass(smiles) == pytest.approx(mass, abs=0.03)


@pytest.mark.parametrize("text", ["", "C1CC", "C(C", "C)C", "[Zz]", "C C", "Ωx", "1CC", "C" * 10_000])
def test_what_is_no_smiles_has_no_mass(text: str) -> None:
    assert molar_mass(text) is None


def test_molar_masses_of_all_published_smiles_equal_those_of_rdkit(published: Published) -> None:
    chem = pytest.importorskip("rdkit.Chem")
    descriptors = pytest.importorskip("rdkit.Chem.Descriptors")
    checked = 0
    for question in contents(published).questions:
        for smiles in re.findall(r"SMILES representation '([^']+)'", question.statement):
            molecule = chem.MolFromSmiles(smiles)
            if molecule is not None:
                checked += 1
                assert molar_mass(smiles) == pytest.approx(descriptors.MolWt(molecule), rel=2e-4)
    assert checked >= published.masses


DERIVED = {
    "s2w": (
        "What is the molar weight (g/mol) of the molecule with the canonical SMILES representation 'CCO'?",
        ("46.070", "45.060", "74.100", "60.100"),
    ),
    "lattice_volume_calculation": (
        "Lattice Parameters:\n\na = 5.00 Å\nb = 5.00 Å\nc = 8.00 Å\nα = 90.00º\nβ = 90.00º\nγ = 120.00º",
        ("173.21 Å³\n", "200.00 Å³\n", "100.00 Å³\n", "168.00 Å³\n"),
    ),
    "diffusion_rate_analysis": (
        "Choose the combination with the highest diffusion rate.\n"
        "Solute Element 1: Al, Host Element 1: Zn, Diffusion Barrier 1: -0.08 eV\n"
        "Solute Element 2: Au, Host Element 2: Cd, Diffusion Barrier 2: 0.65 eV",
        ("Al in Zn", "Au in Cd"),
    ),
    "EAH_and_FE_Analysis": (
        "Ca2La6Ga8O24, energy_above_hull (meV/atom): 0.0, formation_energy (eV/atom): -2.5\n"
        "Ca2La6Mn8O24, energy_above_hull (meV/atom): 0.0, formation_energy (eV/atom): -2.1",
        ("Ca2La6Ga8O24", "Ca2La6Mn8O24"),
    ),
    "Density_and_First_IP_Factors": (
        "Stability is predicted by higher density and higher first ionization potential.\n"
        "Ba8Fe8O24, Density_AB_avg: 6.5, First Ionization Potential (V)_AB_avg: 7.1\n"
        "Ba8Co8O24, Density_AB_avg: 6.1, First Ionization Potential (V)_AB_avg: 6.9",
        ("Ba8Fe8O24", "Ba8Co8O24"),
    ),
    "valence_electron_difference_calculation": (
        "Which has the largest valence electron difference?\n"
        "Material: Pd64Ni16P20, NdValence_composition_average = 1.6, NValance_composition_average = 0.5\n"
        "Material: Pd75Si25, NdValence_composition_average = 1.5, NValance_composition_average = 0.8",
        ("Material: Pd64Ni16P20", "Material: Pd75Si25"),
    ),
}


@pytest.mark.parametrize("subtask", recompute.RULES)
def test_a_rule_derives_the_truth_wherever_it_stands(subtask: str) -> None:
    statement, options = DERIVED[subtask]
    for turn in range(len(options)):
        turned = options[turn:] + options[:turn]
        question = ask(statement, *turned, subtask=subtask)
        assert recompute.derived(question) == "ABCD"[turned.index(options[0])]


def test_a_rule_is_silent_on_ties_and_missing_data() -> None:
    for subtask, (statement, options) in DERIVED.items():
        assert recompute.derived(ask("Which?", *options, subtask=subtask)) is None
        if subtask != "lattice_volume_calculation":
            assert recompute.derived(ask(statement, options[0], options[0], subtask=subtask)) is None
    assert recompute.derived(ask("Which?", "x", "y")) is None


def test_a_value_that_no_option_has_is_said() -> None:
    statement, options = DERIVED["s2w"]
    assert recompute.derived(ask(statement, *options[1:], subtask="s2w")) == ""


# -- damaged rows ------------------------------------------------------------------------


def test_rows_that_cannot_be_loaded_are_reported_and_can_be_excluded(tmp_path: Path) -> None:
    def row(**changes: object) -> dict[str, object]:
        choices = {"text": ["x", "y"], "label": ["A", "B"]}
        return {"question": "Which?", "choices": choices, "answerKey": "A", "domain": "Physics"} | changes

    path = tmp_path / "train.jsonl"
    rows = [row(), row(answerKey="E"), row(choices={"text": [], "label": []}), ["no object"]]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows) + "{\n")
    report = audit(scan_path(path)).as_json()
    assert [(r["id"], r["problem"].split(":")[0]) for r in report["rows"]] == [
        ("physics/train/1", "label outside the options"),
        ("physics/train/2", "options missing"),
        ("unknown/train/3", "unreadable row"),
        ("unknown/train/4", "unreadable row"),
    ]
    with pytest.raises(QuestionError):
        load_questions(path)
    assert len(load_questions(path, exclude=[r["id"] for r in report["rows"]])) == 1


def test_numeric_questions_and_empty_sets_have_a_report() -> None:
    number = Question("n", "physics", AnswerKind.NUMERIC, "How much?", "3")
    (entry,) = audit(Contents([number])).subtasks
    assert (entry["rows"], entry["best_blind"], entry["letters"]) == (1, None, {})
    assert audit(Contents()).as_json() == {"rows": [], "subtasks": []}


# -- the published files, made up and real -------------------------------------------------


@cache
def contents(published: Published) -> Contents:
    return scan_path(published.rows)


@cache
def report(published: Published) -> Report:
    return audit(contents(published))


def of_kind(published: Published, kind: str) -> list[Question]:
    ids = {problem.id for problem in report(published).problems if problem.kind == kind}
    return [question for question in contents(published).questions if question.id in ids]


def test_the_mis_split_rows_are_found_by_rule(published: Published) -> None:
    found = [question for question in of_kind(published, damage.MIS_SPLIT) if question.domain == "physics"]
    assert len(found) == sum(published.mis_split.values())
    for question in found:
        assert re.search(r"current of \d+$", question.statement)
        assert "option" in question.options[0].text
    # No other row breaks off at a number before an option that asks to choose.
    others = [q for q in contents(published).questions if q not in found]
    assert not any(re.search(r"select the option", q.options[0].text) for q in others)


def test_the_label_of_mis_split_rows_stands_one_letter_early(published: Published) -> None:
    """The field of a long straight wire is 2e-7 I / d: where an option has it, it is the one after
    the label (the last option is lost, so not every row has it)."""
    hits = Counter[bool]()
    for question in of_kind(published, damage.MIS_SPLIT):
        tail = question.options[0].text
        current = re.search(r"current of (\d+)$", question.statement)
        place = re.search(r"at a distance of (\d+) cm from the wire", tail)
        if current is None or place is None or question.answer == "D":
            continue
        field = 2e-7 * int(current[1]) / (int(place[1]) / 100)
        after = question.options[question.letters.index(question.answer) + 1]
        value = blind.number_of(after.text)
        assert value is not None
        hits[abs(value - field) < 0.03 * field] += 1
    assert hits[True] >= 5
    assert hits[False] == 0


def test_a_shortcut_to_the_answers_is_found(published: Published) -> None:
    by_name = {entry["subtask"]: entry for entry in report(published).subtasks}
    for name in ("ESOL_value_prediction", "Lipophilicity_value_prediction"):
        best = by_name[name]["best_blind"]
        assert (best["rule"], best["accuracy"]) == ("2nd largest number", 1.0)
    volumes = by_name["lattice_volume_calculation"]["recomputed"]
    assert volumes["agree"] == volumes["checked"] > 0


@real_data
def test_the_findings_on_the_real_rows() -> None:
    counts = Counter(problem.kind for problem in report(REAL).problems)
    assert counts[damage.DATA_MISSING] == 11
    assert counts[damage.FOREIGN_OPTIONS] == 26
    assert len(of_kind(REAL, damage.DUPLICATE_OPTIONS)) == 6
    assert not contents(REAL).refused
    by_name = {entry["subtask"]: entry for entry in report(REAL).subtasks}
    physics = by_name["general_physics_calculation"]["best_blind"]
    assert physics["rule"] == "always B"
    assert physics["accuracy"] == pytest.approx(0.79, abs=0.01)
    agreement = {name: entry["recomputed"] for name, entry in by_name.items() if entry["recomputed"]}
    assert agreement["lattice_volume_calculation"]["checked"] > 140
    assert (
        agreement["diffusion_rate_analysis"]["agree"] == agreement["diffusion_rate_analysis"]["checked"] - 1
    )
    assert agreement["s2w"]["agree"] == agreement["s2w"]["checked"] - 5
    assert agreement["EAH_and_FE_Analysis"]["agree"] < agreement["EAH_and_FE_Analysis"]["checked"] / 2


def test_excluding_the_findings_leaves_the_rest(published: Published, tmp_path: Path) -> None:
    path = tmp_path / "skip.json"
    path.write_text(json.dumps(report(published).as_json([damage.MIS_SPLIT])))
    questions = load_questions(published.rows, "physics", "train", exclude=path)
    assert len(questions) == published.counts["physics", "train"] - published.mis_split["train"]


def test_kinds_are_distinct_and_choose_what_is_listed() -> None:
    assert len(set(KINDS)) == len(KINDS)
    twice = ask("?", "x", "x")
    made = audit(Contents([twice]))
    assert [row["id"] for row in made.as_json()["rows"]] == [twice.id]
    assert made.as_json(["data missing"])["rows"] == []
