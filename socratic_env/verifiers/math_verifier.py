"""Formulas: equal as mathematics, however they are written, by the package math-verify (the extra `math`)."""

from __future__ import annotations

import os
import re
import threading
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path

from socratic_env.errors import ConfigurationError
from socratic_env.types import Question, Verdict
from socratic_env.verifiers.answer_block import answer_block, wrong
from socratic_env.verifiers.workers import Workers

LONGEST_FORMULA = 500
"""Characters of a formula that is looked at."""
SECONDS, MEMORY = 5, 2 * 2**30
"""What comparing one formula may take: processor time, and bytes of addresses."""
_PATIENCE_S = 120.0
_DEEPEST = 30
_MARKS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_NAME = re.compile(r"\s*\\?[A-Za-z]+(_\{?\w+\}?)?(\([A-Za-z, ]+\))?\s*=")
_SEVERAL = re.compile(
    r"\\(text|mbox|mathrm|textrm|textbf)\b[^a-zA-Z]*(or|and)\b|\\(lor|vee|quad|qquad|newline)\b|\\\\"
)

_lock = threading.Lock()
_workers: Workers | None = None


async def math(question: Question, text: str) -> Verdict:
    """One answer block with one formula, in LaTeX or plain, that equals the truth.

    "x = 3" is read as 3. What the comparison may take is limited; a formula that takes more is wrong.

    Raises VerifierError if the process that compares is lost, ConfigurationError if the truth is no formula
    or math-verify is not installed.
    """
    inside = answer_block(text)
    if isinstance(inside, Verdict):
        return inside
    given = _formula(inside)
    truth = _formula(question.answer)
    if isinstance(truth, Verdict):
        raise _no_formula(question)
    if isinstance(given, Verdict):
        return given
    if _equals(given) and not _equals(truth):
        named = _NAME.match(given)
        if named is None or _equals(given) > 1:
            return wrong("the answer is an equation, not a value")
        given = given[named.end() :]
    outcome = await _here().ask([truth, given])
    if outcome == "truth":
        raise _no_formula(question)
    reasons = {
        "right": "correct",
        "wrong": "wrong value",
        "unread": "the answer cannot be read as a formula",
        "time": f"to compare the answer takes more than {SECONDS} s",
        "memory": f"to compare the answer takes more than {MEMORY // 2**20} MiB",
        "crash": "to compare the answer takes too deep a recursion",
    }
    if outcome in ("right", "wrong"):
        return Verdict(outcome == "right", given, reasons[outcome])
    return wrong(reasons[outcome])


def _formula(text: str) -> str | Verdict:
    """The one formula of a text, without the marks around it."""
    if len(text) > LONGEST_FORMULA:
        return wrong(f"the formula is longer than {LONGEST_FORMULA} characters")
    if not text.isascii() or any(not (c.isprintable() or c in "\n\t\r") for c in text):
        return wrong("the formula holds other characters than ASCII; write it in LaTeX")
    text = " ".join(text.split())
    for opened, closed in _MARKS:
        if text.startswith(opened) and text.endswith(closed) and len(text) > len(opened + closed):
            text = text[len(opened) : -len(closed)].strip()
            break
    if not text:
        return wrong("the answer block is empty")
    depths = _depths(text)
    if min(depths) < 0 or max(depths) > _DEEPEST or depths[-1] != 0:
        return wrong(f"the brackets of the formula do not close, or are more than {_DEEPEST} deep")
    if "$" in text or text.count(r"\boxed") > 1 or _SEVERAL.search(text):
        return wrong("the answer holds more than one formula")
    return text


def _depths(text: str) -> list[int]:
    """How many brackets of any kind are open after each character."""
    return list(accumulate((c in "([{") - (c in ")]}") for c in text))


def _equals(formula: str) -> int:
    """How many signs of equality stand outside of all brackets."""
    return sum(c == "=" and not depth for c, depth in zip(formula, _depths(formula), strict=True))


def _no_formula(question: Question) -> ConfigurationError:
    return ConfigurationError(
        f"question {question.id!r} cannot be judged as a formula: its own answer is none; use verifier=None "
        "or a verifier that fits its kind"
    )


def _here() -> Workers:
    """The workers of this process."""
    global _workers
    with _lock:
        if _workers is None or not _workers.here:
            if find_spec("math_verify") is None:
                raise ConfigurationError(
                    "verifier 'math' needs the package math-verify; pip install 'socratic-env[math]'"
                )
            script = Path(__file__).with_name("math_worker.py")
            count = min(4, os.cpu_count() or 1)
            _workers = Workers(script, (str(SECONDS), str(MEMORY)), count, _PATIENCE_S)
        return _workers
