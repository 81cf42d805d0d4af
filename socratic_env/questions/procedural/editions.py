"""Editions: which templates a family mixes, in which order. What stands in an edition never changes.

`editions.json` holds family -> edition -> names of templates. A new template file is in none: what seeds give
stays as it is, and the template is reached by its name or by "next" until a later edition takes it in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from socratic_env.errors import QuestionError, unknown
from socratic_env.questions.procedural.template import LEVELS, NEXT, TEMPLATES, Template

_EDITION = re.compile(r"edition-([1-9][0-9]*)")


def templates_of(family: str, part: str | None = None) -> tuple[Sequence[Template], str | None]:
    """(templates in their order, level or None for all levels) of a part of a family.

    part: None for the newest edition; a level of it ("easy"); an older edition ("edition-1"); one template,
    in an edition or not ("carnot_work"); or "next", the newest edition and behind it all that is in none.

    Raises QuestionError for a part that there is not.
    """
    if not part:
        return edition(family), None
    if part in TEMPLATES[family]:
        return [TEMPLATES[family][part]], None
    if part == NEXT:
        known = edition(family)
        more = sorted(TEMPLATES[family].keys() - {template.name for template in known})
        return [*known, *(TEMPLATES[family][name] for name in more)], None
    numbered = _EDITION.fullmatch(part)
    if numbered is not None and int(numbered[1]) in _editions_of(family):
        return edition(family, int(numbered[1])), None
    of_level = [template for template in edition(family) if part in template.draws]
    if of_level:
        return of_level, part
    raise _unknown(family, part)


def edition(family: str, number: int | None = None) -> list[Template]:
    """The templates of an edition, in its order; None: of the newest.

    Raises QuestionError if a template of it is gone.
    """
    known = _editions_of(family)
    chosen = max(known) if number is None else number
    gone = [name for name in known[chosen] if name not in TEMPLATES[family]]
    if gone:
        raise QuestionError(
            f"edition {chosen} of {family!r} holds {', '.join(gone)}, and there is no such template; "
            "editions do not change: put its file back, and leave it out of the next edition"
        )
    return [TEMPLATES[family][name] for name in known[chosen]]


@cache
def editions() -> Mapping[str, Mapping[int, Sequence[str]]]:
    """Family -> number of the edition -> names of its templates."""
    text = resources.files(__package__).joinpath("editions.json").read_text(encoding="utf-8")
    return {
        family: {int(number): tuple(names) for number, names in held.items()}
        for family, held in json.loads(text).items()
    }


def _editions_of(family: str) -> Mapping[int, Sequence[str]]:
    if family not in editions():
        raise QuestionError(
            f"family {family!r} has no edition; name its templates in editions.json, in the order in which "
            "they are mixed"
        )
    return editions()[family]


def _unknown(family: str, part: str) -> Exception:
    levels = {level for template in edition(family) for level in LEVELS if level in template.draws}
    known = [*levels, *(f"edition-{number}" for number in _editions_of(family)), NEXT, *TEMPLATES[family]]
    return unknown(f"part of questions {family!r}:", part, known, QuestionError)
