"""The sub-task of a SciKnowEval question, read from its statement.

The paper's parquet rows and the SDPO lines carry no sub-task, so it is inferred here by the first
pattern that is found in the statement. Where the published v2 rows name the sub-task, that name
is used. Names marked with * are ours, made in the style of the published ones, because no
published row at hand shows them:

| sub-task                               | the statement holds                                     |
|----------------------------------------|---------------------------------------------------------|
| s2w, i2w                               | "molar weight" of a SMILES / an IUPAC name               |
| s2hbondacc, i2hbondacc*                | "hydrogen bond acceptors"                               |
| s2hbonddon*, i2hbonddon*               | "hydrogen bond donors"                                  |
| s2rotbonds, i2rotbonds*                | "rotatable bonds"                                       |
| i2heavyatoms, s2heavyatoms*            | "heavy atoms"                                           |
| i2atoms*, s2atoms*                     | "How many atoms"                                        |
| ESOL_value_prediction                  | "logarithmic solubility value"                          |
| Lipophilicity_value_prediction         | "distribution coefficient logD"                         |
| retrosynthesis_mcq                     | "reactant used in the synthesis"                        |
| reaction_pred_mcq                      | "reactants and reagents"                                |
| GB1_ftness_prediction                  | "protein sequence" and "fitness"                        |
| beta_lactamase_activity_prediction     | "beta-lactamase"                                        |
| fluorescence_prediction                | "avGFP"                                                 |
| stability_prediction                   | "stability score"                                       |
| Protein_Protein_Interaction            | "relationship between protein"                          |
| lattice_volume_calculation             | "volume of the unit cell"                               |
| valence_electron_difference_calculation| "valence" and "electron" or "_composition_average"      |
| diffusion_rate_analysis                | "diffusion barrier" or "diffusion rate"                 |
| EAH_and_FE_Analysis                    | "energy above hull"                                     |
| Density_and_First_IP_Factors           | "density" and "first ionization"                        |
| perovskite_other*                      | "perovskite" without either                             |
| physics_closest_option*                | "closest to the correct answer" or "constants might be" |
|                                        | or it breaks off at "current of 9" (see the audit)      |
| physics_short_question*                | begins with "Question:" without either                  |
| general_physics_calculation            | of the domain physics, and nothing above                |
"""

from __future__ import annotations

import re

_MOLECULE = {
    "w": "molar weight",
    "hbondacc": "hydrogen bond acceptors",
    "hbonddon": "hydrogen bond donors",
    "rotbonds": "rotatable bonds",
    "heavyatoms": "heavy atoms",
    "atoms": "How many atoms",
}

PATTERNS: tuple[tuple[str, str], ...] = (
    *((f"s2{name}", rf"\b{words}\b.*\bSMILES\b") for name, words in _MOLECULE.items()),
    *((f"i2{name}", rf"\b{words}\b.*\bIUPAC name\b") for name, words in _MOLECULE.items()),
    ("ESOL_value_prediction", r"logarithmic solubility value"),
    ("Lipophilicity_value_prediction", r"distribution coefficient logD"),
    ("retrosynthesis_mcq", r"reactants? used in the synthesis"),
    ("reaction_pred_mcq", r"reactants and reagents"),
    ("beta_lactamase_activity_prediction", r"beta-lactamase"),
    ("fluorescence_prediction", r"avGFP"),
    ("stability_prediction", r"stability score"),
    ("GB1_ftness_prediction", r"protein sequence.*fitness|fitness.*protein sequence"),
    ("Protein_Protein_Interaction", r"relationship between protein"),
    ("lattice_volume_calculation", r"volume of the unit cell"),
    ("valence_electron_difference_calculation", r"[Vv]al[ea]nce.{0,40}([Ee]lectron|_composition_average)"),
    ("diffusion_rate_analysis", r"[Dd]iffusion ([Bb]arrier|rate)"),
    ("EAH_and_FE_Analysis", r"energy[ _]above[ _]hull|formation[ _]energy"),
    ("Density_and_First_IP_Factors", r"[Dd]ensity.*[Ff]irst [Ii]oniz|[Ff]irst [Ii]oniz.*[Dd]ensity"),
    ("perovskite_other", r"perovskite"),
    (
        "physics_closest_option",
        r"\AQuestion:.*(closest to the correct|constants might be used|\bcurrent of \d+\s*\Z)",
    ),
    ("physics_short_question", r"\AQuestion:"),
)
"""(sub-task, pattern); the first one found counts."""

OTHER_PHYSICS = "general_physics_calculation"

_COMPILED = tuple((name, re.compile(pattern, re.DOTALL)) for name, pattern in PATTERNS)


def infer(statement: str, domain: str) -> str:
    """The sub-task that a statement belongs to by the table above; "" if it fits none."""
    for name, pattern in _COMPILED:
        if pattern.search(statement):
            return name
    return OTHER_PHYSICS if domain == "physics" else ""
