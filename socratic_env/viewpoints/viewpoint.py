"""What a viewpoint is: a short piece of knowledge, where it applies, where it came from, what it is worth."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from socratic_env.errors import ConfigurationError, unknown

KINDS = ("principle", "heuristic", "causal", "counter_example")
"""What a viewpoint can be; causal: an explanation of what made a trace wrong, or right."""
LONGEST = 2000
"""Characters a viewpoint's text may have: it stands in every prompt to which it applies."""
_ENDS = " .,;:!\"'“”‘’"


def normalised(text: str) -> str:
    """A text without what makes no difference: case, blanks, forms of characters, marks at its ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_ENDS)


def normalised_trigger(trigger: str) -> str:
    """A trigger the same way, part by part; `_` is a blank."""
    return " / ".join(filter(None, (normalised(part.replace("_", " ")) for part in trigger.split(" / "))))


@dataclass(frozen=True, slots=True)
class Trace:
    """The attempt that a viewpoint came from, and what is needed to find it again.

    question_id: of its question.
    source: the folder of the run or evaluation whose episodes hold it, or the file ("": of none).
    step: the run's step (None: not of a run).
    rollout: which of the episodes on the question.
    attempt: which attempt of the episode, from 1.
    text: what the student wrote ("": not kept).
    """

    question_id: str
    source: str = ""
    step: int | None = None
    rollout: int = 0
    attempt: int = 1
    text: str = ""

    def __post_init__(self) -> None:
        _check_text("trace: question_id", self.question_id)


@dataclass(frozen=True, slots=True)
class Utility:
    """What a viewpoint was worth to one student on one set of probes: mean score with it, minus without.

    interval: of the value, 95 % (None: nothing is known of it).
    n: the probes. wins, losses: those on which the score rose, and fell.
    student: the version of the student. probes: the digest of the probes. beside: ids of the other
    viewpoints that were active.
    """

    value: float
    interval: tuple[float, float] | None = None
    n: int = 0
    wins: int = 0
    losses: int = 0
    student: str = ""
    probes: str = ""
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ends = (self.value, *(self.interval or ()))
        if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
            raise ConfigurationError(f"utility is {self.value!r} in {self.interval!r}; give finite numbers")
        if self.interval is not None and len(self.interval) != 2:
            raise ConfigurationError(f"utility: interval is {self.interval!r}; give its two ends")


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """One viewpoint.

    text: what the student reads.
    kind: one of `KINDS`.
    trigger: where it applies, in words that `triggers.labels` says of a question; "": everywhere. Parts
        joined by " / " must all hold.
    trace: what it came from (None: written by hand).
    teacher, teacher_version: who wrote it.
    utility: as last measured (None: never).
    created: when, ISO 8601 in UTC ("": not yet in a base).
    merged: the duplicates that were proposed later, each as it was.
    vetoed: why it must not be used ("": it may).
    """

    text: str
    kind: str = "principle"
    trigger: str = ""
    trace: Trace | None = None
    teacher: str = ""
    teacher_version: str = ""
    utility: Utility | None = None
    created: str = ""
    merged: tuple[Viewpoint, ...] = field(default=(), repr=False)
    vetoed: str = ""

    def __post_init__(self) -> None:
        _check_text("viewpoint: text", self.text)
        if len(self.text) > LONGEST:
            raise ConfigurationError(
                f"viewpoint {self.text!r:.60} has {len(self.text)} characters; give at most {LONGEST}"
            )
        if self.kind not in KINDS:
            raise unknown("kind of viewpoint", self.kind, KINDS)
        for name in ("trigger", "teacher", "teacher_version", "created", "vetoed"):
            if not isinstance(getattr(self, name), str):
                raise ConfigurationError(f"viewpoint: {name} is {getattr(self, name)!r:.60}; give a text")

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits: duplicates (the same text and trigger, `normalised`) have the same."""
        key = f"{normalised(self.text)}\0{normalised_trigger(self.trigger)}"
        return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:12]

    @property
    def traces(self) -> tuple[Trace, ...]:
        """Every trace it came from, the duplicates' too."""
        return tuple(one.trace for one in (self, *self.merged) if one.trace is not None)

    def as_json(self) -> dict[str, Any]:
        """As plain data; `of` reads it again."""
        return asdict(self)

    @classmethod
    def of(cls, given: Viewpoint | Mapping[str, Any] | str) -> Viewpoint:
        """A viewpoint from its text, from its fields (as of `as_json`), or as it is.

        Raises ConfigurationError for anything else, an unknown field or a value that does not fit.
        """
        if isinstance(given, Viewpoint):
            return given
        if isinstance(given, str):
            return cls(given)
        values = _fields_of(cls, given)
        if values.get("trace") is not None and not isinstance(values["trace"], Trace):
            values["trace"] = Trace(**_fields_of(Trace, values["trace"]))
        if values.get("utility") is not None and not isinstance(values["utility"], Utility):
            values["utility"] = utility_of(values["utility"])
        values["merged"] = tuple(map(cls.of, values.get("merged") or ()))
        return cls(**values)


def utility_of(given: Mapping[str, Any]) -> Utility:
    """A utility from its fields, lists in place of tuples. Raises ConfigurationError."""
    values = _fields_of(Utility, given)
    if values.get("interval") is not None:
        values["interval"] = tuple(values["interval"])
    return Utility(**{**values, "beside": tuple(values.get("beside") or ())})


def _fields_of(record: type[Any], given: object) -> dict[str, Any]:
    what = record.__name__.lower()
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{what} is {given!r:.80}; give a text or a mapping of its fields")
    known = [each.name for each in fields(record)]
    for name in given:
        if name not in known:
            raise unknown(f"field of a {what}", name, known)
    needed = known[0]  # the only one of each record without a default
    if needed not in given:
        raise ConfigurationError(f"{what} {dict(given)!r:.80} has no {needed!r}; give it")
    return dict(given)


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{what} is {value!r:.60}; give a text that is not blank")
