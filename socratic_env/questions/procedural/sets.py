"""The set of questions that a family of templates makes."""

from __future__ import annotations

import re

from socratic_env.errors import QuestionError
from socratic_env.questions.procedural.editions import templates_of
from socratic_env.questions.question_set import QuestionSet
from socratic_env.types import Question

_ID = re.compile(r"(?P<domain>[^/]+)/(?P<name>[^/]+)/(?P<split>[^/]+)/(?P<number>0|[1-9][0-9]{0,5})")
_ITEMS_PER_TEMPLATE = 1_000_000


class ProceduralSet(QuestionSet):
    """The items of a family, or of a part of it (`templates_of`), interleaved by template; a million for
    each. An item depends on its template and number alone, so that templates do not touch each other."""

    def __init__(self, family: str, domain: str | None, split: str, part: str | None = None) -> None:
        self._made_of = (family, domain, split, part)
        templates, level = templates_of(family, part)
        self._templates = [t for t in templates if domain is None or t.domain == domain]
        self._split = split
        if not self._templates:
            raise QuestionError(
                f"questions {family + (f':{part}' if part else '')!r} has nothing of domain {domain!r}; its "
                f"domains are: {', '.join(sorted({t.domain for t in templates}))}"
            )
        self._level = level

    def __reduce__(self) -> tuple[type[ProceduralSet], tuple[str, str | None, str, str | None]]:
        return ProceduralSet, self._made_of  # templates are modules, which cannot be pickled

    def __len__(self) -> int:
        return len(self._templates) * _ITEMS_PER_TEMPLATE

    def __getitem__(self, index: int) -> Question:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} is none of 0..{len(self) - 1}")
        number, place = divmod(index, len(self._templates))
        template = self._templates[place]
        if self._level is not None:  # the items of one level lie this far apart
            levels = tuple(template.draws)
            number = (number * len(levels) + levels.index(self._level)) % _ITEMS_PER_TEMPLATE
        return template.item(self._split, number)

    def find(self, question_id: str) -> Question:
        """The item of an id such as "physics/horizontal_throw/train/12"."""
        match = _ID.fullmatch(question_id) if isinstance(question_id, str) else None
        if match is not None and match["split"] == self._split:
            for template in self._templates:
                if (template.domain, template.name) == (match["domain"], match["name"]):
                    return template.item(self._split, int(match["number"]))
        raise QuestionError(f"no question {question_id!r}; ids look like {self[0].id}")
