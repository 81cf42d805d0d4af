"""Digests of the items of every edition, and what seeds give: `tests/golden/questions.json`.

`PYTHONPATH=.:tests python -m support.golden_questions` writes it again, with the lines of a new edition;
lines that were there must stay as they are.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gymnasium as gym

import socratic_env  # noqa: F401 - registers the ids
from socratic_env.questions.procedural.editions import edition, editions
from socratic_env.questions.procedural.template import Template
from socratic_env.types import DOMAINS, Question

PATH = Path(__file__).parents[1] / "golden" / "questions.json"
NUMBERS = (0, 1, 2, 3, 50, 999_999)
SPLITS = ("train", "test")


def digest(template: Template, split: str) -> str:
    """Of some items, all that a student or a teacher is told."""
    told = [_told(template.item(split, number)) for number in NUMBERS]
    return hashlib.sha256("".join(told).encode()).hexdigest()[:16]


def _told(q: Question) -> str:
    mistakes = [[m.answer, m.name, m.reasoning, m.locate, m.explain, m.next_step] for m in q.mistakes]
    told = [q.id, q.domain, q.kind.value, q.text, q.answer, q.solution, q.subtask, q.level, q.unit, q.rel_tol]
    return hashlib.sha256(json.dumps([*told, mistakes], ensure_ascii=False).encode()).hexdigest()[:16]


def pinned() -> dict[str, Template]:
    """ "domain/family/template" -> each template that is in an edition."""
    return {
        f"{template.domain}/{family}/{template.name}": template
        for family, held in editions().items()
        for number in held
        for template in edition(family, number)
    }


def given(spec: str, domain: str | None, split: str) -> list[str]:
    """The ids of the questions that the first seeds give."""
    env = gym.make("SocraticSciKnow-v0", questions=spec, domain=domain, split=split, teacher="retry")
    ids = [env.reset(seed=seed)[1]["question_id"] for seed in range(4)]
    env.close()
    return ids


def seeds() -> dict[str, list[str]]:
    """ "source/domain/split" -> what seeds give: of the default, of each edition, of a level."""
    found = {}
    for family, held in editions().items():
        levels = ["easy"] if all("easy" in template.draws for template in edition(family)) else []
        several = len({template.domain for template in edition(family)}) > 1
        for part in ("", *(f":edition-{number}" for number in held), *(f":{level}" for level in levels)):
            for domain in (None, *DOMAINS) if several else (None,):
                for split in SPLITS:
                    found[f"{family}{part}/{domain}/{split}"] = given(f"{family}{part}", domain, split)
    return found


if __name__ == "__main__":
    items = {
        f"{key}/{split}": digest(template, split) for key, template in pinned().items() for split in SPLITS
    }
    PATH.write_text(json.dumps({"items": items, "seeds": seeds()}, indent=1) + "\n", encoding="utf-8")
