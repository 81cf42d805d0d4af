"""What seeds give does not change, and a new template file changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.golden_questions import PATH, SPLITS, digest, given, pinned

from socratic_env.errors import QuestionError
from socratic_env.questions import load_questions
from socratic_env.questions.procedural import TEMPLATES
from socratic_env.questions.procedural.editions import edition, editions, templates_of
from socratic_env.questions.procedural.template import LEVELS, Template, register
from socratic_env.types import DOMAINS

ROOT = Path(__file__).resolve().parents[1]
GOLDEN: dict[str, dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))

SPRING = '''
"""Mass of a ball on a spring from its period, in a file that nothing else knows of."""

from socratic_env.questions.procedural.template import Slip, Step, Template, register


def _draw(most):
    return lambda rng: {"k": rng.randrange(20, most), "t": rng.randrange(20, 200) / 100}


SPRING = Template(
    name="spring_mass",
    domain="physics",
    phrasings=("A ball on a spring of {k} N/m swings with a period of {t} s. What is its mass?",),
    draws={"easy": _draw(90), "medium": _draw(400), "hard": _draw(2000)},
    steps=(
        Step("w", "2 * pi / t", "the angular frequency", "1/s"),
        Step("s", "w ** 2", "its square", "1/s^2"),
        Step("m", "k / s", "the mass", "kg"),
    ),
    slips=(
        Slip("w", "1 / t", "took the frequency for the angular one", "one turn is 2 pi"),
        Slip("w", "pi ** 2 / t", "squared pi", "one turn is 2 pi"),
        Slip("w", "t / (2 * pi)", "turned the fraction over", "a short period is a high frequency"),
        Slip("s", "w", "forgot to square", "the stiffness is mass times the square"),
        Slip("s", "w ** 3", "cubed", "the stiffness is mass times the square"),
        Slip("m", "k * w", "multiplied", "the stiffness is mass times the square"),
        Slip("m", "s / k", "turned the last fraction over", "a stiff spring has a short period"),
        Slip("m", "k / s * 9.81", "made a weight of it", "the mass is asked, not the weight"),
    ),
)
register(SPRING)
'''


# -- what a version promises -------------------------------------------------------------


@pytest.mark.parametrize("key", GOLDEN["items"])
def test_an_item_is_what_it_was(key: str) -> None:
    of_template, _, split = key.rpartition("/")
    assert digest(pinned()[of_template], split) == GOLDEN["items"][key]


@pytest.mark.parametrize("key", GOLDEN["seeds"])
def test_a_seed_gives_what_it_gave(key: str) -> None:
    spec, domain, split = key.split("/")
    assert given(spec, None if domain == "None" else domain, split) == GOLDEN["seeds"][key]


def test_every_template_of_an_edition_is_golden() -> None:
    """Else it could change unseen."""
    assert {f"{key}/{split}" for key in pinned() for split in SPLITS} == GOLDEN["items"].keys()


def test_the_default_mix_is_even() -> None:
    assert {*Counter(t.domain for t in edition("procedural")).keys()} == {*DOMAINS}
    assert len({*Counter(t.domain for t in edition("procedural")).values()}) == 1
    for held in editions().values():
        for names in held.values():
            assert len({*names}) == len(names)


# -- parts -------------------------------------------------------------------------------


@pytest.fixture
def newcomer(monkeypatch: pytest.MonkeyPatch) -> Template:
    """A template that is in no edition."""
    monkeypatch.setattr(
        "socratic_env.questions.procedural.editions.TEMPLATES", {f: {**t} for f, t in TEMPLATES.items()}
    )
    made = replace(TEMPLATES["procedural"]["carnot_work"], name="aaa_newcomer")
    from socratic_env.questions.procedural import editions as module

    module.TEMPLATES["procedural"][made.name] = made
    return made


def test_a_newcomer_is_reached_by_name_and_by_next(newcomer: Template) -> None:
    usual, following = load_questions("procedural"), load_questions("procedural:next")
    count = len(edition("procedural"))
    assert len(usual) == count * 1_000_000
    assert len(following) == (len(TEMPLATES["procedural"]) + 1) * 1_000_000
    assert [following[i].id for i in range(count)] == [usual[i].id for i in range(count)]
    assert following[count].id == "physics/aaa_newcomer/train/0"
    assert all(usual[i].subtask != newcomer.name for i in range(3 * count))
    alone = load_questions("procedural:aaa_newcomer", "physics", "test")
    assert [alone[i].id for i in (0, 7)] == [f"physics/aaa_newcomer/test/{i}" for i in (0, 7)]
    assert alone.find("physics/aaa_newcomer/test/7") == alone[7]
    with pytest.raises(QuestionError, match="no question"):
        usual.find("physics/aaa_newcomer/train/0")
    with pytest.raises(QuestionError, match="nothing of domain 'biology'; its domains are: physics"):
        load_questions("procedural:aaa_newcomer", "biology")


@pytest.mark.parametrize("family", editions())
def test_each_part_of_a_family(family: str) -> None:
    newest = edition(family)
    assert templates_of(family) == (newest, None)
    for template in newest:
        assert templates_of(family, template.name) == ([template], None)
        questions = load_questions(f"{family}:{template.name}")
        assert {questions[i].subtask for i in range(3)} == {template.name}
    for level in LEVELS:
        of_level = [template for template in newest if level in template.draws]
        if of_level:
            assert templates_of(family, level) == (of_level, level)
            questions = load_questions({"kind": family, "part": level})
            assert {questions[i].level for i in range(2 * len(of_level))} == {level}
    assert {t.name for t in templates_of(family, "next")[0]} == TEMPLATES[family].keys()


@pytest.mark.parametrize("part", ["edition-2", "edition-0", "edition-01", "carnt_work", "Easy", "easy:hard"])
def test_what_is_no_part_is_named(part: str) -> None:
    with pytest.raises(QuestionError, match=r"unknown part of questions 'procedural': .*edition-1.*next"):
        load_questions({"kind": "procedural", "part": part})


def test_a_template_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {name: t for name, t in TEMPLATES["procedural"].items() if name != "carnot_work"}
    monkeypatch.setitem(TEMPLATES, "procedural", left)
    with pytest.raises(QuestionError, match="edition 1 of 'procedural' holds carnot_work, and there is no"):
        load_questions("procedural")
    monkeypatch.setitem(TEMPLATES, "mine", {"carnot_work": edition("concepts")[0]})
    with pytest.raises(QuestionError, match="family 'mine' has no edition"):
        edition("mine")


@pytest.mark.parametrize("name", ["easy", "next", "edition-1", "two words", ""])
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    template = replace(TEMPLATES["procedural"]["carnot_work"], name=name)
    with pytest.raises(QuestionError, match="names no template of 'procedural'; give a name of letters"):
        register(template)


# -- one new file ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and of their tests, with one more template."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("socratic_env", "envs_registry", "tests", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    file = copy / "socratic_env" / "questions" / "procedural" / "physics" / "spring_mass.py"
    file.write_text(SPRING)
    return copy


@pytest.mark.slow
def test_one_new_file_fails_no_test_and_changes_no_question(with_new_file: Path) -> None:
    """All tests of templates that are not about a certain old one, and the golden ones above."""
    old = sorted({t.name for family in TEMPLATES.values() for t in family.values()})
    tests = ["test_editions", "test_procedural", "test_procedural_physics_material",
             "test_procedural_chemistry_biology"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA",
         *(f"tests/{name}.py" for name in tests),
         "-k", f"not one_new_file and not published and not {' and not '.join(old)} or a_seed_gives"],
        cwd=with_new_file, env={**os.environ, "PYTHONPATH": str(with_new_file)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    passed = [line for line in done.stdout.splitlines() if line.startswith("PASSED")]
    assert sum("spring_mass" in line for line in passed) > 15, "the new template is tested as all are"
    assert sum("a_seed_gives" in line for line in passed) == len(GOLDEN["seeds"])
