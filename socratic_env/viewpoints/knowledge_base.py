"""The base of all viewpoints ever proposed, and the few that are active: a file of events, only added to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from socratic_env.errors import ConfigurationError, RecordingError, check_count
from socratic_env.records.journal import Journal, whole_lines
from socratic_env.viewpoints.viewpoint import Utility, Viewpoint, normalised_trigger, utility_of

EVENTS = ("proposed", "merged", "vetoed", "activated", "retired", "measured", "distilled")
"""What happens to viewpoints, each a line of the file."""
CAP = 8
"""Viewpoints that are active at once, unless a base is given another number."""


def _utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history.

    number: from 1, its line in the file. time: ISO 8601 in UTC. what: one of `EVENTS`.
    ids: the viewpoints concerned: one, but any number of a distillation.
    reason: why, of a veto or a retirement; the new student's version, of a distillation.
    viewpoint: of a proposal, and the duplicate of a merger. utility: of a measurement.
    """

    number: int
    time: str
    what: str
    ids: tuple[str, ...]
    reason: str = ""
    viewpoint: Viewpoint | None = None
    utility: Utility | None = None

    def as_json(self) -> dict[str, Any]:
        """As plain data, without what is empty."""
        return {name: value for name, value in asdict(self).items() if value or name == "ids"}


class KnowledgeBase:
    """All viewpoints with their history, and V, the active ones.

    Nothing is ever taken out of the base: a distillation empties V alone. At every moment V holds at most
    `cap` viewpoints, none of them vetoed, and no two with the same trigger (those without one share only the
    cap). Each event is one line that is written whole or not at all, so that a kill at any moment leaves a
    base that opens again.

    Args:
        path: the file, new or to go on with; None: kept in memory alone.
        cap: most viewpoints of V.
        clock: the time of an event, for tests.

    Raises RecordingError if the file cannot be written, another writer holds it, or it is no knowledge base.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        cap: int = CAP,
        clock: Callable[[], datetime] = _utc,
    ) -> None:
        check_count("cap", cap)
        self.path = None if path is None else Path(path)
        self.cap = int(cap)
        self._clock = clock
        self._journal: Journal | None = None
        self._read_only = self._is_copy = False
        self._process = os.getpid()
        self._all: dict[str, Viewpoint] = {}
        self._active: tuple[str, ...] = ()
        self._history: list[Event] = []
        if self.path is not None:
            journal = Journal(self.path, "close the other writer, or read it with KnowledgeBase.read")
            try:
                self._replay(journal.lines)
            except RecordingError:
                journal.close()
                raise
            self._journal = journal

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """A base as its file has it now, to look at: others may go on writing, nothing can be added here."""
        base = cls()
        base.path, base._read_only = Path(path), True
        try:
            lines = whole_lines(base.path)
        except OSError as error:
            raise RecordingError(
                f"{path}: cannot be read ({error.strerror}); give the file of a knowledge base"
            ) from None
        base._replay(lines)
        return base

    # -- what is in it -------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Viewpoint]:
        """All viewpoints as they stand now, in the order of their proposal."""
        return iter(list(self._all.values()))

    def __contains__(self, viewpoint: object) -> bool:
        return isinstance(viewpoint, Viewpoint) and viewpoint.id in self._all

    def __getitem__(self, viewpoint_id: str) -> Viewpoint:
        """A viewpoint by its id, or by a beginning that no other id has. Raises ConfigurationError."""
        if viewpoint_id in self._all:
            return self._all[viewpoint_id]
        found = [one for one in self._all if one.startswith(viewpoint_id)] if viewpoint_id else []
        if len(found) != 1:
            why = f"{len(found)} viewpoints begin so" if found else "there is none"
            raise ConfigurationError(
                f"viewpoint {viewpoint_id!r}: {why} among the {len(self._all)}; give the beginning of one id"
            )
        return self._all[found[0]]

    @property
    def active(self) -> tuple[Viewpoint, ...]:
        """V, those activated first in front."""
        return tuple(self._all[one] for one in self._active)

    @property
    def history(self) -> tuple[Event, ...]:
        """Every event, the first one in front."""
        return tuple(self._history)

    def measured(self, viewpoint_id: str) -> list[Utility]:
        """Every measurement of a viewpoint, in order."""
        wanted = self[viewpoint_id].id
        return [event.utility for event in self._history if event.utility is not None and wanted in event.ids]

    # -- what happens to it ---------------------------------------------------------------

    def propose(self, viewpoint: Viewpoint | Mapping[str, Any] | str) -> Viewpoint:
        """Add a viewpoint, or merge a duplicate into the one that is there; how it then stands in the base.

        It is not active yet. A duplicate of a vetoed one is merged, and stays vetoed.
        """
        new = Viewpoint.of(viewpoint)
        new = replace(new, created=new.created or self._now())
        known = new.id in self._all
        return self._write("merged" if known else "proposed", new.id, viewpoint=new)

    def veto(self, viewpoint_id: str, reason: str) -> Viewpoint:
        """Forbid a viewpoint, for a reason; it leaves V."""
        viewpoint = self[viewpoint_id]
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigurationError(f"the veto on {viewpoint.id} has the reason {reason!r}; give a text")
        return self._write("vetoed", viewpoint.id, reason=reason)

    def activate(self, viewpoint_id: str) -> Viewpoint:
        """Put a viewpoint into V. The one with the same trigger makes room for it; where V is full, the one
        of the lowest utility (never measured: 0), and of these the one that came first.

        Raises ConfigurationError if it is vetoed. An active one stays as it is.
        """
        viewpoint = self[viewpoint_id]
        if viewpoint.vetoed:
            raise ConfigurationError(f"viewpoint {viewpoint.id} is vetoed ({viewpoint.vetoed}); leave it out")
        if viewpoint.id in self._active:
            return viewpoint
        trigger = normalised_trigger(viewpoint.trigger)
        for one in self.active:
            if trigger and normalised_trigger(one.trigger) == trigger:
                self.retire(one.id, f"{viewpoint.id} has its trigger")
        while len(self._active) >= self.cap:
            weakest = min(self.active, key=lambda one: one.utility.value if one.utility else 0.0)
            self.retire(weakest.id, f"makes room for {viewpoint.id}; V holds {self.cap}")
        return self._write("activated", viewpoint.id)

    def retire(self, viewpoint_id: str, reason: str) -> Viewpoint:
        """Take a viewpoint out of V, for a reason. Raises ConfigurationError if it is not active."""
        viewpoint = self[viewpoint_id]
        if viewpoint.id not in self._active:
            raise ConfigurationError(f"viewpoint {viewpoint.id} is not active, and cannot be retired")
        return self._write("retired", viewpoint.id, reason=reason)

    def measure(self, viewpoint_id: str, utility: Utility) -> Viewpoint:
        """Write down what a viewpoint was found to be worth."""
        return self._write("measured", self[viewpoint_id].id, utility=utility)

    def distil(self, student: str = "", ids: Sequence[str] | None = None) -> tuple[Viewpoint, ...]:
        """A new student has taken viewpoints in: V is empty, and the base is kept.

        student: its version. ids: what it was taught; None: V.

        Returns what it was taught.
        """
        taught = self._active if ids is None else tuple(self[one].id for one in ids)
        self._append(Event(len(self._history) + 1, self._now(), "distilled", taught, reason=student))
        return tuple(self._all[one] for one in taught)

    def close(self) -> None:
        """Let others write."""
        if self._journal is not None:
            self._journal.close()
            self._journal, self._read_only = None, True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_shared(self) -> None:
        """Refuse to serve where what becomes active later is not seen. Raises ConfigurationError."""
        if self._is_copy or self._process != os.getpid():
            raise ConfigurationError(
                "viewpoints is a copy of a KnowledgeBase (by pickle or in a worker process), which does not "
                "see what becomes active later; give list(base.active) or the base's path: they stand still"
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The base itself: there is one of it, also where Gymnasium copies an environment's arguments."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """A copy is one to look at, since a file has one writer."""
        return {**self.__dict__, "_journal": None, "_read_only": True, "_clock": _utc, "_is_copy": True}

    # ------------------------------------------------------------------------------------

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")

    def _write(self, what: str, viewpoint_id: str, **detail: Any) -> Viewpoint:
        self._append(Event(len(self._history) + 1, self._now(), what, (viewpoint_id,), **detail))
        return self._all[viewpoint_id]

    def _append(self, event: Event) -> None:
        if self._read_only:
            raise RecordingError(
                f"{self.path or 'this copy of a base'}: cannot be written, since it was opened to be read, "
                "is closed, or is a copy; use the KnowledgeBase(path) that holds the file"
            )
        if self._journal is not None:
            written = {name: value for name, value in event.as_json().items() if name != "number"}
            self._journal.append(json.dumps(written).encode())
        self._apply(event)

    def _replay(self, lines: Sequence[bytes]) -> None:
        for number, line in enumerate(lines, 1):
            try:
                self._apply(_event_of(number, json.loads(line)))
            except (ValueError, TypeError, KeyError, RecursionError, ConfigurationError) as error:
                raise RecordingError(
                    f"{self.path}, line {number}: no event of a knowledge base ({type(error).__name__}: "
                    f"{error}); mend or delete that line, or give another file"
                ) from None

    def _apply(self, event: Event) -> None:
        """The state after an event, from its line alone, so that a base read again is the same."""
        one = event.ids[0] if event.ids else ""
        unknown = [each for each in event.ids if each not in self._all]
        if event.what == "proposed":
            assert event.viewpoint is not None
            self._all[one] = event.viewpoint
        elif unknown:
            raise ConfigurationError(f"{event.what}: viewpoint {unknown[0]!r} was never proposed")
        elif event.what == "merged":
            assert event.viewpoint is not None
            self._all[one] = replace(self._all[one], merged=(*self._all[one].merged, event.viewpoint))
        elif event.what == "vetoed":
            self._all[one] = replace(self._all[one], vetoed=event.reason)
        elif event.what == "measured":
            self._all[one] = replace(self._all[one], utility=event.utility)
        elif event.what == "activated":
            self._active = (*self._active, one)
        if event.what in ("vetoed", "retired"):
            self._active = tuple(each for each in self._active if each != one)
        elif event.what == "distilled":
            self._active = ()
        self._history.append(event)


def _event_of(number: int, line: Mapping[str, Any]) -> Event:
    """The event of a line. Raises KeyError, TypeError or ConfigurationError for another form."""
    what, viewpoint, utility = line["what"], line.get("viewpoint"), line.get("utility")
    if what not in EVENTS:
        raise ConfigurationError(f"{what!r} is none of {', '.join(EVENTS)}")
    if (viewpoint is None) == (what in ("proposed", "merged")) or (utility is None) == (what == "measured"):
        raise ConfigurationError(f"{what!r} has other fields than it needs")
    return Event(
        number,
        line["time"],
        what,
        tuple(line["ids"]),
        line.get("reason", ""),
        None if viewpoint is None else Viewpoint.of(viewpoint),
        None if utility is None else utility_of(utility),
    )
