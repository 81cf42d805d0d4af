"""Unit tests of a row whose question is answered with code."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from socratic_env.questions.problems import Problems, Row
from socratic_env.verifiers.code_verifier import UnitTests

_FORMS = (
    'a list of {"args": [...], "expected": value} beside a field \'function\', or of texts '
    '"assert name(arguments) == value"'
)


def tests_of(row: Row, problems: Problems) -> str:
    """The tests of a row as `Question.tests` holds them, "" for a row without any.

    Field `tests` (a list, or the same as a text in JSON), with `function`, its name, unless every test is an
    assertion that names it; `unchanged` true in an object around both: arguments must stay as they are.
    """
    given = row.get("tests")
    if given is None:
        return ""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            problems.add("tests", given, "which is no JSON", f"give {_FORMS}")
            return ""
    unchanged = False
    function = row.get("function")
    if isinstance(given, Mapping):
        unchanged, function = bool(given.get("unchanged", False)), given.get("function", function)
        given = given.get("tests", given.get("cases"))
    if not isinstance(given, list) or not given:
        problems.add("tests", given, "which is no list, or an empty one", f"give {_FORMS}")
        return ""
    read = [_one(test, i, function, problems) for i, test in enumerate(given)]
    cases = [case for case in read if case is not None]
    names = {name for name, _, _ in cases}
    if len(cases) < len(read):
        return ""
    if len(names) != 1 or not next(iter(names)).isidentifier():
        problems.add("function", sorted(names), "and tests must be of one function", "name one")
        return ""
    made = UnitTests(
        names.pop(),
        tuple(tuple(call) for _, call, _ in cases),
        tuple(value for _, _, value in cases),
        unchanged,
    )
    try:
        return made.as_json()
    except (TypeError, ValueError) as error:
        problems.add(
            "tests", given, f"of which a value is none of JSON ({error})", "use lists, texts, numbers"
        )
        return ""


def _one(test: Any, number: int, function: Any, problems: Problems) -> tuple[str, list[Any], Any] | None:
    """(function, arguments, value) of a test."""
    field = f"tests[{number}]"
    if isinstance(test, str):
        try:
            return _assertion(test)
        except (ValueError, SyntaxError, RecursionError):
            problems.add(field, test, "which is no assertion of that form", f"give {_FORMS}")
            return None
    if (
        not isinstance(test, Mapping)
        or not isinstance(test.get("args"), list | tuple)
        or "expected" not in test
    ):
        problems.add(field, test, "which has no 'args' (a list) and 'expected'", f"give {_FORMS}")
        return None
    if not isinstance(function, str) or not function.isidentifier():
        problems.add("function", function, "which is no name of a function", "give the name that tests call")
        return None
    return function, list(test["args"]), test["expected"]


def _assertion(text: str) -> tuple[str, list[Any], Any]:
    """Of "assert name(literals) == literal". Raises ValueError."""
    body = ast.parse(text.strip()).body
    match body:
        case [
            ast.Assert(
                test=ast.Compare(
                    left=ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]),
                    ops=[ast.Eq()],
                    comparators=[value],
                )
            )
        ]:
            return name, [ast.literal_eval(each) for each in arguments], ast.literal_eval(value)
    raise ValueError("another form")
