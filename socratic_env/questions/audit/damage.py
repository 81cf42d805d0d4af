"""Rows that load but are damaged, found by rules on the text alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from socratic_env.numbers import numbers_in, plain
from socratic_env.types import AnswerKind, Option, Question

MIS_SPLIT = "mis-split options"
DUPLICATE_OPTIONS = "duplicate options"
FOREIGN_OPTIONS = "options outside the data"
DATA_MISSING = "data missing"

_PROSE = 8
"""Words from which an option counts as a sentence."""
_BROKEN_OFF = re.compile(r"[0-9A-Za-z]\Z")
_ANNOUNCED = re.compile(
    r"\b(?:given|provided|following) (?:the )?(?:[\w ]{0,40} )?(?:data|dataset|parameters|barriers)\b"
    r"|\bbased on the (?:given |provided )?data",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d+(?:\.\d+)?){2,}")

_WITH_DATA = (
    "lattice_volume_calculation", "valence_electron_difference_calculation", "diffusion_rate_analysis",
    "EAH_and_FE_Analysis", "Density_and_First_IP_Factors", "perovskite_other",
)  # fmt: skip
"""Sub-tasks whose questions give a table of data."""


def problems(question: Question) -> Iterator[tuple[str, str]]:
    """(kind, explanation) of everything that is wrong with a question by itself."""
    if question.kind is not AnswerKind.CHOICE:
        return
    tail = mis_split(question)
    if tail is not None:
        yield (
            MIS_SPLIT,
            f"option A is the end of the question ({tail.text[:40]!r} ..), so options stand a "
            f"letter late and the label {question.answer} may stand one early",
        )
    for kept, again in duplicate_options(question):
        right = " (one of them is the answer)" if question.answer in (kept, again) else ""
        yield DUPLICATE_OPTIONS, f"options {kept} and {again} are the same{right}"
    missing = data_missing(question)
    if missing:
        yield DATA_MISSING, missing
    elif foreign := foreign_options(question):
        yield FOREIGN_OPTIONS, f"options {', '.join(foreign)} are not in the data that the question gives"


def mis_split(question: Question) -> Option | None:
    """Option A, where it is the rest of a sentence of the question: the text before breaks off
    without punctuation, A is a sentence, no other option has half as many words, and A does not
    begin as another option does (then it is an option with an explanation)."""
    if len(question.options) < 3:
        return None
    first, others = question.options[0], question.options[1:]
    words = first.text.split()
    if len(words) < _PROSE or len(words) < 2 * max(len(option.text.split()) for option in others):
        return None
    if not _BROKEN_OFF.search(question.statement.rstrip()):
        return None
    begin = words[0].strip(",.:;")
    if any(option.text.startswith(begin) for option in others):
        return None
    return first if re.fullmatch(r"[A-Z][a-z]*,?", words[0]) else None


def duplicate_options(question: Question) -> list[tuple[str, str]]:
    """Pairs of letters whose texts are equal but for blanks."""
    seen: dict[str, str] = {}
    pairs = []
    for option in question.options:
        text = "".join(option.text.split())
        if text in seen:
            pairs.append((seen[text], option.letter))
        seen.setdefault(text, option.letter)
    return pairs


def data_missing(question: Question) -> str:
    """Why a question that announces data cannot be answered: fewer numbers follow than it has
    options. "" if nothing is missing."""
    announced = _ANNOUNCED.search(question.statement) if question.subtask in _WITH_DATA else None
    if announced is None:
        return ""
    numbers = list(numbers_in(plain(question.statement[announced.end() :])))
    if len(numbers) >= len(question.options):
        return ""
    return f"it announces {announced[0]!r:.60} but gives {len(numbers)} numbers after it"


def foreign_options(question: Question) -> list[str]:
    """Letters of options that name a composition which the question's data do not hold."""
    known = set(_FORMULA.findall(question.statement)) if question.subtask in _WITH_DATA else set()
    if not known:
        return []
    named = {option.letter: _FORMULA.findall(option.text) for option in question.options}
    return [letter for letter, found in named.items() if found and known.isdisjoint(found)]
