"""A Python function that the student writes, judged by unit tests in a process that can only compute."""

from __future__ import annotations

import json
import math
import os
import signal
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from socratic_env.errors import ConfigurationError, VerifierError, VerifierUnusable
from socratic_env.types import Question, Verdict
from socratic_env.verifiers.answer_block import answer_block, wrong
from socratic_env.verifiers.workers import Workers

SECONDS, MEMORY, OUTPUT = 5, 2**29, 2**20
"""What all tests of one answer may take: processor time, bytes of addresses, bytes of results."""
PATIENCE_S = 30
"""Seconds of the clock for the same: also for code that waits."""
LONGEST_CODE = 20_000
"""Characters of an answer that is run."""
_TOLERANCE = 1e-9
_FENCE = "```"

_lock = threading.Lock()
_workers: Workers | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process of an answer ended: what it wrote, its status (negative: a signal), and whether it was
    ended since it took too long or wrote too much."""

    output: str
    status: int
    late: bool
    long: bool


@dataclass(frozen=True, slots=True)
class UnitTests:
    """What a function must do.

    function: its name. calls, expected: the arguments of each test, and its value, as JSON has them (a tuple
    is a list). unchanged: the arguments must be as they were after the call.
    """

    function: str
    calls: tuple[tuple[Any, ...], ...]
    expected: tuple[Any, ...]
    unchanged: bool = False

    def as_json(self) -> str:
        """As `Question.tests` holds it."""
        return json.dumps(
            {
                "function": self.function,
                "calls": self.calls,
                "expected": self.expected,
                "unchanged": self.unchanged,
            }
        )


@lru_cache(maxsize=2**12)
def unit_tests(question_id: str, tests: str) -> UnitTests:
    """The tests of a question. Raises ConfigurationError if it has none that can be read."""
    try:
        given = json.loads(tests)
        found = UnitTests(
            given["function"], tuple(map(tuple, given["calls"])), tuple(given["expected"]),
            bool(given.get("unchanged", False)),
        )  # fmt: skip
        if not found.function.isidentifier() or not found.calls or len(found.calls) != len(found.expected):
            raise ValueError("a name, and as many values as calls, at least one, are needed")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"question {question_id!r} cannot be judged by running code: its tests cannot be read ({error}); "
            'give {"function": name, "calls": [[argument, ...], ...], "expected": [value, ...]}, or another '
            "verifier"
        ) from None
    return found


async def code(question: Question, text: str) -> Verdict:
    """One answer block with Python code that defines the function asked for, which passes all tests.

    The code may stand in a fence inside the block. Reasons name no arguments and no values, since students
    see them and the tests are hidden.

    Raises VerifierError if the process is lost, VerifierUnusable where code cannot be run safely,
    ConfigurationError for a question without tests.
    """
    tests = unit_tests(question.id, question.tests)
    source = code_of(text)
    if isinstance(source, Verdict):
        return source
    outcome = await outcomes(tests, source)
    if isinstance(outcome, str):
        return Verdict(False, source, outcome)
    passed = [_passes(tests, number, one) for number, one in enumerate(outcome)]
    if all(passed):
        return Verdict(True, source, "correct")
    raised = [one["raises"] for one in outcome if "raises" in one]
    said = f"; it raises {raised[0]}" if raised else ""
    return Verdict(False, source, f"{passed.count(False)} of {len(passed)} tests fail{said}")


def code_of(text: str) -> str | Verdict:
    """The code of a reply, without a fence around it, or the verdict that says what is wrong."""
    inside = answer_block(text)
    if isinstance(inside, Verdict):
        return inside
    if len(inside) > LONGEST_CODE:
        return wrong(f"the code is longer than {LONGEST_CODE} characters")
    lines = inside.strip("\r\n").split("\n")
    stripped = [line.strip() for line in lines]
    if len(lines) > 1 and stripped[0].startswith(_FENCE) and stripped[-1] == _FENCE:
        lines = lines[1:-1]
    if any(line.strip().startswith(_FENCE) for line in lines):
        return wrong("the answer holds more than one piece of code")
    source = textwrap.dedent("\n".join(line.rstrip() for line in lines)).strip("\n")
    return source if source.strip() else wrong("the answer block is empty")


async def outcomes(tests: UnitTests, source: str) -> list[dict[str, Any]] | str:
    """What each call does: {"value", "arguments"} or {"raises"}; or why none could be made.

    Raises VerifierError, VerifierUnusable.
    """
    task = {"code": source, "function": tests.function, "calls": tests.calls}
    return _read(tests, Ended(**await _here().ask(task)))


def _read(tests: UnitTests, ended: Ended) -> list[dict[str, Any]] | str:
    if ended.late:
        return f"the code does not end within {PATIENCE_S} s"
    if ended.long:
        return f"the code gives more than {OUTPUT // 2**20} MiB of results"
    if ended.status < 0:  # what a signal does cannot be changed there, so that it tells who sent it
        own = {
            signal.SIGXCPU: f"the code takes more than {SECONDS} s",
            signal.SIGXFSZ: "the code writes a file",
        }
        own |= dict.fromkeys((signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS), "the code crashes Python")
        if -ended.status not in own:
            raise VerifierError(
                f"the process that runs code was ended from outside, by signal {-ended.status}"
            )
        return own[signal.Signals(-ended.status)]
    begun, found = False, list[dict[str, Any]]()
    for line in ended.output.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return "the results cannot be read"
        if not isinstance(record, dict):
            return "the results cannot be read"
        if record.get("failed") == "lock" and not found:
            raise VerifierUnusable(f"verifier 'code' cannot run code safely here: {record.get('why')!s:.200}")
        if "failed" in record:
            return _failure(record, tests)
        if begun:
            found.append(record)
        begun = True
    if not begun:
        raise VerifierError(f"the process that runs code ended with status {ended.status} before it began")
    if len(found) != len(tests.calls):
        return "the code ends before all tests are run"
    return found


def _failure(record: dict[str, Any], tests: UnitTests) -> str:
    return {
        "memory": f"the code takes more than {MEMORY // 2**20} MiB",
        "syntax": "the code is no Python: its syntax is wrong",
        "missing": f"the code defines no function {tests.function!r}",
        "raises": f"the code raises {record.get('why')!s:.60} before any test",
    }.get(str(record["failed"]), "the results cannot be read")


def _passes(tests: UnitTests, number: int, outcome: dict[str, Any]) -> bool:
    if "value" not in outcome or not same(outcome["value"], tests.expected[number]):
        return False
    before = list(tests.calls[number])
    return not tests.unchanged or same(outcome.get("arguments"), before)


def same(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal: of the same kind (a whole number may be written as a float, a
    bool is no number), floats to a relative 1e-9."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        if isinstance(one, int) and isinstance(other, int):
            return one == other
        try:
            return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        except OverflowError:
            return False
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


def first_alike(outcome: Sequence[dict[str, Any]], others: Sequence[Any]) -> int | None:
    """Which of other outcomes is the same in every test; None: none is."""
    for number, other in enumerate(others):
        if not isinstance(other, str) and all(map(same, outcome, other)):
            return number
    return None


def _here() -> Workers:
    """The workers of this process."""
    global _workers
    with _lock:
        if _workers is None or not _workers.here:
            arguments = tuple(map(str, (SECONDS, MEMORY, PATIENCE_S, OUTPUT)))
            script = Path(__file__).with_name("code_worker.py")
            _workers = Workers(script, arguments, min(4, os.cpu_count() or 1), PATIENCE_S + 60.0)
        return _workers
