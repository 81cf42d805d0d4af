"""Concepts: drills with a hidden rule, for models of 10^5 to 10^6 parameters.

"zorin 3 5 2" asks for (3 op1 5) op2 2 on digits (modulo 10). Each of the 32 concepts has its own
two of the eight operations, which nobody states: a student starts with misconceptions about
them and learns the rules from verdicts and guidance. Every confusion of one operation with
another is a mistake of the table. The reasoning is one line for each step: "add 8".
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from socratic_env.questions.procedural.template import Slip, Step, Template, register
from socratic_env.types import AnswerKind

OPERATIONS: dict[str, Callable[..., int]] = {
    "add": lambda x, y: (x + y) % 10,
    "sub": lambda x, y: (x - y) % 10,
    "rev": lambda x, y: (y - x) % 10,
    "mul": lambda x, y: (x * y) % 10,
    "max": max,
    "min": min,
    "gap": lambda x, y: abs(x - y),
    "mid": lambda x, y: (x + y) // 2,
}
NAMES = (
    "arvel", "bonto", "cirra", "dolen", "ember", "fasko", "gilda", "horun", "ister", "jopal", "kinto",
    "lerma", "mavik", "nosta", "ovell", "prido", "quill", "ranto", "sorva", "telik", "ulmen", "varda",
    "wespo", "xandi", "yorel", "zorin", "brask", "climo", "drune", "flett", "glorn", "hesk",
)  # fmt: skip
SECRET = 20260709
"""Seed of the hidden rules: another one is another world."""


def _digits(rng: random.Random) -> dict[str, Any]:
    return {symbol: rng.randrange(10) for symbol in "abd"}


def _slips(step: str, words: str, arguments: str, right: str) -> tuple[Slip, ...]:
    return tuple(
        Slip(step, f"{wrong}{arguments}", f"took {wrong} {words}", "that operation is another one")
        for wrong in OPERATIONS
        if wrong != right
    )


def _concept(name: str, first: str, second: str) -> Template:
    return Template(
        name=name,
        domain="concepts",
        family="concepts",
        kind=AnswerKind.NUMERIC,
        phrasings=(name + " {a} {b} {d}",),
        draws={"easy": _digits},
        steps=(
            Step("x", f"{first}(a, b)", "first"),
            Step("y", f"{second}(x, d)", "then"),
        ),
        slips=_slips("x", "first", "(a, b)", first) + _slips("y", "then", "(x, d)", second),
        system="",
        functions=OPERATIONS,
        line="{head} {value}",
        locate="check {words}",
        explain="not {wrong_head}",
        next_step="{words} {head}",
    )


_rng = random.Random(SECRET)
for _name in NAMES:
    register(_concept(_name, _rng.choice(list(OPERATIONS)), _rng.choice(list(OPERATIONS))))
