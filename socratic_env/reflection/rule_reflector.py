"""The rule-based reflecting teacher (roadmap, phase 1): multi-step arithmetic, read line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from socratic_env.errors import ConfigurationError, check_count
from socratic_env.questions.procedural.misconceptions import MISTAKES
from socratic_env.reflection.reflector import Reflection, Reflector, reference
from socratic_env.traces import SLIP, Diagnosis, Explanation, InteractionTrace, Status, diagnose
from socratic_env.traces.derivations import worth
from socratic_env.traces.diagnosis import avoided
from socratic_env.traces.expression_reader import expression_in
from socratic_env.viewpoints import Viewpoint, applies

VERSION = "1"
_ORDER = {name: place for place, name in enumerate((*MISTAKES, SLIP))}

Error: TypeAlias = "tuple[str, str, str]"
"""(class, what was done, the rule): mistakes at a plus and at a times are two."""


@dataclass(frozen=True)
class _Read:
    """A trace with its diagnosis. made: for each line with an error, those that explain it. avoided: the
    errors that could have been made in its right lines, and were not."""

    trace: InteractionTrace
    diagnosis: Diagnosis
    made: tuple[tuple[Error, ...], ...]
    avoided: frozenset[Error]


class RuleReflector(Reflector):
    """Diagnoses every trace, and proposes a viewpoint for each class of error that was seen often enough.

    Lines that fit several classes are counted for the class that explains most of the batch, so that one
    habit of a student makes one viewpoint. Successes teach too: where an error was made now and then, and
    right answers came where it was avoided, that is said.

    Args:
        min_seen: in how many traces of the batch a class must be seen before a viewpoint is proposed.
        successes: whether right answers are reflected on.
        modulus: of a world whose numbers are reduced.
    """

    def __init__(self, min_seen: int = 8, successes: bool = True, modulus: int | None = None) -> None:
        check_count("reflector 'rule': min_seen", min_seen)
        if not isinstance(successes, bool):
            raise ConfigurationError(f"reflector 'rule': successes is {successes!r}; give true or false")
        self._min_seen, self._successes, self._modulus = int(min_seen), successes, modulus

    def __repr__(self) -> str:
        return f"RuleReflector(min_seen={self._min_seen})"

    async def consider(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """The viewpoints of a batch; traces of questions that are no arithmetic are `unread`."""
        read = [one for one in map(self._read, traces) if one is not None]
        blamed = _blamed(read)
        proposed = [
            self._viewpoint(error, [read[i] for i in seen])
            for error, seen in blamed.items()
            if len(seen) >= self._min_seen
        ]
        if self._successes:
            often = {error for error, seen in blamed.items() if len(seen) >= self._min_seen}
            proposed += self._of_successes(read, [error for error in blamed if error not in often])
        return Reflection(tuple(proposed), unread=len(traces) - len(read))

    def _read(self, trace: InteractionTrace) -> _Read | None:
        expression = expression_in(trace.question.statement)
        if expression is None or str(worth(expression, self._modulus)) != trace.question.answer.strip():
            return None  # it may well hold numbers, such as a range, but working them out is not its point
        diagnosis = diagnose(trace.text, trace.question.statement, self._modulus)
        wrong = (*diagnosis.errors, *diagnosis.slips)
        made = tuple(tuple(map(_error, one.explanations)) for one in wrong if one.explanations)
        right = [one for one in diagnosis.readings if one.status is Status.RIGHT]
        kept = frozenset(_error(each) for one in right for each in avoided(one, self._modulus))
        return _Read(trace, diagnosis, made, kept)

    def _of_successes(self, read: Sequence[_Read], rare: Iterable[Error]) -> list[Viewpoint]:
        """What right traces did where others went wrong, for errors too rare for a viewpoint of their own."""
        found = []
        for error in rare:
            right = [
                one for one in read if one.trace.correct and one.diagnosis.clean and error in one.avoided
            ]
            if error[0] != SLIP and len(right) >= self._min_seen:
                found.append(self._viewpoint(error, right, succeeded=True))
        return found

    def _viewpoint(self, error: Error, seen: Sequence[_Read], succeeded: bool = False) -> Viewpoint:
        name, did, _ = error
        text = _principle(error)
        if succeeded:
            text = f"It came out right where this was kept: {text[0].lower()}{text[1:]}"
        kind = "causal" if succeeded else "heuristic" if name == SLIP else "principle"
        trigger = "" if name == SLIP else did
        for one in seen:
            viewpoint = Viewpoint(text, kind, trigger, reference(one.trace), "rule", VERSION)
            if applies(viewpoint, one.trace.question):
                return viewpoint
        return replace(viewpoint, trigger="")  # questions that do not name their mistakes


def _error(explanation: Explanation) -> Error:
    return explanation.mistake, explanation.did, explanation.rule


def _principle(error: Error) -> str:
    name, did, rule = error
    if name == "swap":
        sign, means = rule.removeprefix("the sign there is "), did.partition(" instead of ")[2]
        return f"Read the sign before each step: {sign} means {means}."
    return f"{rule[0].upper()}{rule[1:]}."


def _blamed(read: Sequence[_Read]) -> Mapping[Error, list[int]]:
    """Error -> the traces in which it is to blame: of those that explain a line, the one that explains most
    lines of the batch that nothing else before it has explained; the earlier of equals."""
    lines = {(i, j): set(errors) for i, one in enumerate(read) for j, errors in enumerate(one.made)}
    found: dict[Error, list[int]] = {}
    while lines:
        every = sorted({error for errors in lines.values() for error in errors}, key=_place)
        explained = {error: [line for line, errors in lines.items() if error in errors] for error in every}
        most = max(every, key=lambda error: len(explained[error]))
        found[most] = sorted({i for i, _ in explained[most]})
        lines = {line: errors for line, errors in lines.items() if most not in errors}
    return found


def _place(error: Error) -> tuple[int, str]:
    return _ORDER[error[0]], error[1]
