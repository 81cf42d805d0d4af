"""Small Python functions to be written: a question shows examples, hidden tests judge, and each question
knows the bugs that are usual in it.

A template is a function with a few constants, and its bugs: a line of it written wrongly, with what to say of
that. What the tests expect is what the right function gives.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from socratic_env.errors import QuestionError
from socratic_env.questions.question_set import CLOSING, QuestionSet, code_system
from socratic_env.questions.splits import held_out
from socratic_env.types import AnswerKind, Mistake, Question
from socratic_env.verifiers.code_verifier import UnitTests, same

VISIBLE, HIDDEN = 2, 8
"""Examples in the statement, and drawn tests beside the template's edge cases."""
Draw = Callable[[random.Random], list[Any]]
"""The arguments of a call, drawn."""


@dataclass(frozen=True)
class Bug:
    """A usual mistake: a line of the right function, written wrongly.

    kind: what it is called. line, wrong: the right line and the wrong one, without their indentation.
    locate, explain, next_step: hints of growing strength, none of which holds the line.
    """

    kind: str
    line: str
    wrong: str
    locate: str
    explain: str
    next_step: str


@dataclass(frozen=True)
class Template:
    """A function with constants in it, written as $name$.

    name: of the function. task: what it does, in words. source: the right function. draw: arguments.
    edges: arguments of tests that every question of it has. bugs: see `Bug`. constants: the values of each.
    """

    name: str
    task: str
    source: str
    draw: Draw
    edges: tuple[list[Any], ...]
    bugs: tuple[Bug, ...]
    constants: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def _numbers(rng: random.Random, least: int = 0, most: int = 8) -> list[int]:
    return [rng.randint(-20, 20) for _ in range(rng.randint(least, most))]


def _word(rng: random.Random) -> str:
    return "".join(rng.choice("abcdefgh") for _ in range(rng.randint(1, 5)))


TEMPLATES = {
    one.name: one
    for one in (
        Template(
            "sum_of_multiples", "returns the sum of all multiples of $k$ from $k$ up to n, n included.",
            """def sum_of_multiples(n):
    total = 0
    for value in range($k$, n + 1, $k$):
        total += value
    return total""",
            lambda rng: [rng.randint(1, 60)], ([0], [1], [30], [60], [210]),
            (
                Bug("off by one", "for value in range($k$, n + 1, $k$):", "for value in range($k$, n, $k$):",
                    "Look again at where the loop ends.", "The loop stops before n, and n itself counts.",
                    "Let the end of the range lie one past the last value that counts."),
                Bug("wrong start", "total = 0", "total = $k$",
                    "Look again at the value that the total begins with.",
                    "The total begins with a value that the loop adds again.",
                    "Begin with the sum of no values at all."),
            ),
            {"k": (2, 3, 4, 5, 6, 7)},
        ),
        Template(
            "average", "returns the mean of a list of numbers times $k$ as a float, and 0.0 for an "
            "empty list.",
            """def average(values):
    if not values:
        return 0.0
    return sum(values) * $k$ / len(values)""",
            lambda rng: [_numbers(rng, 1)], ([[]], [[1, 2]], [[0, 0, 1]], [[-1, 2, 4, 4]]),
            (
                Bug("integer division", "return sum(values) * $k$ / len(values)",
                    "return float(sum(values) * $k$ // len(values))", "Look again at the division.",
                    "This division drops what is behind the point.",
                    "Divide so that the result keeps its fraction."),
                Bug("wrong base case", "return 0.0", "return None",
                    "Look again at what comes back for an empty list.",
                    "An empty list has a value of its own in the task, and this is another.",
                    "Give back the number that the task names for an empty list."),
            ),
            {"k": (1, 2, 3, 5, 7)},
        ),
        Template(
            "running_max", "returns a list whose i-th value is the largest of the first i + 1 values, "
            "plus $k$.",
            """def running_max(values):
    result = []
    for i, value in enumerate(values):
        best = value if i == 0 else max(best, value)
        result.append(best + $k$)
    return result""",
            lambda rng: [_numbers(rng)], ([[]], [[-3]], [[-5, -2, -7]], [[4, 1, 9]], [[9, 1, 4]]),
            (
                Bug("wrong base case", "best = value if i == 0 else max(best, value)",
                    "best = max(0 if i == 0 else best, value)",
                    "Look again at the value that the first one is compared with.",
                    "A list of negative numbers has a negative maximum, and this one can never be below 0.",
                    "Let the first value itself be the largest so far."),
                Bug("compares neighbours only", "best = value if i == 0 else max(best, value)",
                    "best = value if i == 0 else max(values[i - 1], value)",
                    "Look again at what each value is compared with.",
                    "Only the value before it is looked at, and an earlier one may be larger.",
                    "Compare with the largest value so far."),
            ),
            {"k": (0, 1, 2, 3, 10)},
        ),
        Template(
            "without_small", "returns a new list of the values that are at least $t$, in their order. "
            "The list that is "
            "given stays as it is.",
            """def without_small(values):
    result = list(values)
    for value in values:
        if value < $t$:
            result.remove(value)
    return result""",
            lambda rng: [_numbers(rng)], ([[]], [[-9, -9, -9, 7]], [[7, -8, -8, 20]], [[-3, 3, 4, 5, 6]]),
            (
                Bug("mutated input", "result = list(values)", "result = values",
                    "Look again at the list that values are removed from.",
                    "It is the list that was given, so that the caller's list changes, and the loop "
                    "over it skips "
                    "values.",
                    "Remove from a copy, and loop over the list that was given."),
                Bug("wrong comparison", "if value < $t$:", "if value <= $t$:",
                    "Look again at the comparison.", "A value that is just the limit must stay.",
                    "Remove only what is strictly below the limit."),
            ),
            {"t": (3, 4, 5, 6)},
        ),
        Template(
            "power", "returns base to the power of exponent (a whole number of at least 0), times $k$.",
            """def power(base, exponent):
    if exponent == 0:
        return $k$
    return base * power(base, exponent - 1)""",
            lambda rng: [rng.randint(-4, 5), rng.randint(0, 5)], ([3, 0], [0, 0], [2, 1], [-2, 3]),
            (
                Bug("wrong base case", "return $k$", "return 0", "Look again at what the recursion ends "
                "with.",
                    "Every product that ends with this value is 0.",
                    "End with the value of the empty product, times the factor of the task."),
                Bug("off by one", "if exponent == 0:", "if exponent <= 1:",
                    "Look again at where the recursion ends.", "It ends one factor too early.",
                    "Go on until no factor is left."),
            ),
            {"k": (1, 2, 3, 4, 5)},
        ),
        Template(
            "count_jumps", "returns how many neighbours in a list differ by more than $d$ from each other.",
            """def count_jumps(values):
    count = 0
    for i in range(len(values) - 1):
        if abs(values[i + 1] - values[i]) > $d$:
            count += 1
    return count""",
            lambda rng: [_numbers(rng, 2)], ([[]], [[5]], [[0, 19]], [[19, 0]], [[0, 20, 0, 20]]),
            (
                Bug("off by one", "for i in range(len(values) - 1):", "for i in range(len(values) - 2):",
                    "Look again at how far the loop goes.", "The last two values are never compared.",
                    "There is one pair less than there are values."),
                Bug("forgot the sign", "if abs(values[i + 1] - values[i]) > $d$:",
                    "if values[i + 1] - values[i] > $d$:", "Look again at the difference.",
                    "A fall is a difference too, and it is negative here.",
                    "Compare the size of the difference, whatever its sign."),
            ),
            {"d": (1, 2, 4, 6, 8, 12)},
        ),
        Template(
            "digit_sum", "returns the sum of the decimal digits of n (a whole number of at least 0), "
            "times $k$.",
            """def digit_sum(n):
    total = 0
    while n > 0:
        total += n % 10
        n = n // 10
    return total * $k$""",
            lambda rng: [rng.randint(0, 99999)], ([0], [7], [10], [908], [99999]),
            (
                Bug("off by one", "while n > 0:", "while n > 9:", "Look again at where the loop ends.",
                    "A number of one digit is left, and is never added.",
                    "Go on while any digit is left."),
                Bug("integer division", "n = n // 10", "n = round(n / 10)", "Look again at how n gets "
                "shorter.",
                    "This rounds up where the last digit is large, and so changes the next one.",
                    "Drop the last digit without rounding."),
            ),
            {"k": (1, 2, 3, 4, 6)},
        ),
        Template(
            "rotate", "returns a new list, rotated to the left by $k$ places. The list that is given "
            "stays as it is.",
            """def rotate(values):
    if not values:
        return []
    k = $k$ % len(values)
    return values[k:] + values[:k]""",
            lambda rng: [_numbers(rng, 1)], ([[]], [[1]], [[1, 2]], [[1, 2, 3, 4, 5]], [[1, 2, 3]],
             [[3, 1, 4, 1, 5, 9, 2]]),
            (
                Bug("short lists", "k = $k$ % len(values)", "k = $k$",
                    "Look again at lists that are shorter than the rotation.",
                    "Past the length of a list a rotation begins anew, and here nothing moves.",
                    "Reduce the number of places by the length of the list first."),
                Bug("wrong direction", "return values[k:] + values[:k]",
                    "return values[len(values) - k:] + values[:len(values) - k]",
                    "Look again at which part comes first.", "This rotates to the right.",
                    "Begin with what stands k places from the left."),
            ),
            {"k": (3, 4, 7, 8, 9)},
        ),
        Template(
            "find_sorted", "returns the index at which target stands in a sorted list of different "
            "numbers, plus $k$, "
            "and -1 if it does not.",
            """def find_sorted(values, target):
    low, high = 0, len(values) - 1
    while low <= high:
        middle = (low + high) // 2
        if values[middle] == target:
            return middle + $k$
        if values[middle] < target:
            low = middle + 1
        else:
            high = middle - 1
    return -1""",
            lambda rng: [sorted(rng.sample(range(30), 6)), rng.randint(0, 29)],
            ([[], 3], [[4], 4], [[1, 5], 5], [[1, 5, 9], 1], [[2, 4, 6, 8], 8], [[2, 4, 6], 5]),
            (
                Bug("off by one", "while low <= high:", "while low < high:", "Look again at when the "
                "search ends.",
                    "It ends while one value is left that was never looked at.",
                    "Go on while low and high are the same place too."),
                Bug("wrong base case", "return -1", "return None",
                    "Look again at what comes back if the target is not there.",
                    "The task names a value for that, and this is another.",
                    "Give back the number that the task names."),
            ),
            {"k": (0, 1, 2, 3)},
        ),
        Template(
            "sequence", "returns the n-th number (n from 0) of the sequence that begins with $a$, $b$ "
            "and in which each "
            "number is the sum of the two before it.",
            """def sequence(n):
    first, second = $a$, $b$
    for _ in range(n):
        first, second = second, first + second
    return first""",
            lambda rng: [rng.randint(0, 20)], ([0], [1], [2], [3], [10]),
            (
                Bug("off by one", "for _ in range(n):", "for _ in range(1, n):",
                    "Look again at how often the loop runs.", "It runs once too few from n = 1 on.",
                    "For n = 1 it has to run once."),
                Bug("overwritten too early", "first, second = second, first + second",
                    "first = second; second = first + second",
                    "Look again at the order in which the two numbers change.",
                    "The first one is changed before it is added.",
                    "Work out both new numbers from the old ones."),
            ),
            {"a": (0, 1, 2, 3), "b": (1, 3, 4, 5)},
        ),
        Template(
            "median", "returns the median of a list of at least one number as a float, plus $k$. The "
            "list that is given "
            "stays as it is.",
            """def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle] + $k$)
    return (ordered[middle - 1] + ordered[middle]) / 2 + $k$""",
            lambda rng: [_numbers(rng, 1)], ([[3]], [[2, 1]], [[5, 1, 4]], [[9, 1, 4, 3]]),
            (
                Bug("mutated input", "ordered = sorted(values)", "ordered = values; ordered.sort()",
                    "Look again at what is sorted.", "The list that was given is sorted in its place.",
                    "Sort a copy."),
                Bug("integer division", "return (ordered[middle - 1] + ordered[middle]) / 2 + $k$",
                    "return float((ordered[middle - 1] + ordered[middle]) // 2 + $k$)",
                    "Look again at the division.", "This division drops a half.",
                    "Divide so that the half stays."),
                Bug("forgot even lengths", "if len(ordered) % 2:", "if True:",
                    "Look again at lists with an even number of values.",
                    "Such a list has two values in its middle, and one of them is left out.",
                    "Take the mean of both."),
            ),
            {"k": (0, 1, 2, 5)},
        ),
        Template(
            "count_words", "returns a dictionary that maps each word of a text (words are separated by "
            "blanks) with at "
            "least $n$ letters to how often it occurs.",
            """def count_words(text):
    counts = {}
    for word in text.split():
        if len(word) >= $n$:
            counts[word] = counts.get(word, 0) + 1
    return counts""",
            lambda rng: [" ".join(_word(rng) for _ in range(rng.randint(0, 8)))],
            ([""], ["a  bb   a ccc bb"], ["abcd abcd abcd ab"], ["abc ab a abcde abc"]),
            (
                Bug("wrong start", "counts[word] = counts.get(word, 0) + 1",
                    "counts[word] = counts.get(word, 1) + 1",
                    "Look again at the count that a new word begins with.",
                    "A word that is seen for the first time is counted twice.",
                    "Begin with no occurrence, and add the one that is seen."),
                Bug("wrong comparison", "if len(word) >= $n$:", "if len(word) > $n$:",
                    "Look again at the comparison.", "A word of just that length must count.",
                    "Let words of exactly the least length pass."),
            ),
            {"n": (1, 2, 3, 4)},
        ),
    )
}  # fmt: skip


class CodeQuestions(QuestionSet):
    """Every template with each choice of its constants, and several draws of tests; a tenth is held out."""

    DRAWS = 12
    """Questions of the same constants, which differ by their examples and tests."""

    def __init__(self, split: str = "train") -> None:
        self._split = split
        all_ = [
            (name, *constants, draw)
            for name, one in TEMPLATES.items()
            for constants in product(*one.constants.values())
            for draw in range(self.DRAWS)
        ]
        out = held_out(np.arange(len(all_)))
        self._items = [item for item, test in zip(all_, out, strict=True) if test == (split == "test")]
        self._places = {_id(split, item): place for place, item in enumerate(self._items)}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Question:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} is none of 0..{len(self) - 1}")
        return question(self._split, *self._items[index])

    def find(self, question_id: str) -> Question:
        """The question of an id such as "code/train/rotate/3-7"."""
        if question_id not in self._places:
            raise QuestionError(f"no question {question_id!r}; ids look like {self[0].id}")
        return self[self._places[question_id]]


def _id(split: str, item: tuple[Any, ...]) -> str:
    return f"code/{split}/{item[0]}/{'-'.join(map(str, item[1:]))}"


@lru_cache(maxsize=2**13)
def question(split: str, name: str, *item: Any) -> Question:
    """One question: a template's name, its constants, and the number of the draw."""
    template, found = TEMPLATES[name], _id(split, (name, *item))
    filled = {f"${key}$": str(value) for key, value in zip(template.constants, item[:-1], strict=True)}

    def with_constants(text: str) -> str:
        for key, value in filled.items():
            text = text.replace(key, value)
        return text

    source = with_constants(template.source)
    rng = random.Random(found)
    shown = [template.draw(rng) for _ in range(VISIBLE)]
    calls = [*template.edges, *(template.draw(rng) for _ in range(HIDDEN))]
    tests = UnitTests(
        name, tuple(map(tuple, calls)), tuple(_value(source, name, call) for call in calls), unchanged=True
    )
    examples = "\n".join(f"{name}({_told(call)}) == {_value(source, name, call)!r}" for call in shown)
    signature = source.split("\n")[0].removeprefix("def ").removesuffix(":")
    return Question(
        id=found,
        domain="code",
        kind=AnswerKind.TEXT,
        statement=f"Write a Python function {signature} that "
        f"{with_constants(template.task)}\n\nExamples:\n{examples}",
        answer=source,
        system=code_system(),
        closing=CLOSING,
        subtask=name,
        solution=source,
        mistakes=tuple(_mistake(bug, source, with_constants) for bug in template.bugs),
        verifier="code",
        tests=tests.as_json(),
    )


def _mistake(bug: Bug, source: str, with_constants: Callable[[str], str]) -> Mistake:
    lines = source.split("\n")
    place = [line.strip() for line in lines].index(with_constants(bug.line))
    indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    lines[place] = indent + with_constants(bug.wrong)
    wrong = "\n".join(lines)
    return Mistake(
        answer=wrong,
        name=bug.kind,
        reasoning=wrong,
        wrong_line=place,
        locate=bug.locate,
        explain=bug.explain,
        next_step=bug.next_step,
    )


def _told(call: list[Any]) -> str:
    return ", ".join(map(repr, call))


@lru_cache(maxsize=2**12)
def _compiled(source: str, name: str) -> Callable[..., Any]:
    scope: dict[str, Any] = {}
    exec(source, scope)
    function: Callable[..., Any] = scope[name]
    return function


def _value(source: str, name: str, call: list[Any]) -> Any:
    return _compiled(source, name)(*copy.deepcopy(call))


def behaviour(source: str, tests: UnitTests) -> list[dict[str, Any]]:
    """What a function of this family does in each test, as `verifiers.code_verifier.outcomes` says it. For
    code of templates alone: it runs in this process."""
    function, found = _compiled(source, tests.function), []
    for call in tests.calls:
        arguments = json.loads(json.dumps(call))
        try:
            value = function(*arguments)
        except Exception as error:  # noqa: BLE001 - a bug may raise
            found.append({"raises": type(error).__name__})
        else:
            found.append({"value": value, "arguments": arguments})
    return found


def passes(source: str, tests: UnitTests) -> bool:
    """Whether a function of this family passes its tests, judged in this process."""
    return all(
        "value" in one and same(one["value"], value) and same(one["arguments"], list(call))
        for one, value, call in zip(behaviour(source, tests), tests.expected, tests.calls, strict=True)
    )
