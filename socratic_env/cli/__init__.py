"""The console script `socratic`: a command is one file here, with `main(arguments) -> exit status`.

Its name is that of the file (`bench_teachers.py`: bench-teachers), and what it does is the first line of its
docstring, after the usage: "`socratic audit PATH`: damage of a question set."
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from socratic_env.errors import SocraticError, unknown
from socratic_env.terminal import forgive_encodings


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0: fine, 1: ran and failed, 2: unusable arguments, 130: interrupted."""
    forgive_encodings()
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


@cache
def commands() -> Mapping[str, str]:
    """Command -> what it does. The files are read, not imported, so that help comes at once."""
    found = {}
    for path in sorted(file for folder in __path__ for file in Path(folder).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        is_command = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
        if is_command and path.name != "__init__.py":
            summary = (ast.get_docstring(tree) or "").partition("\n")[0]
            found[path.stem.replace("_", "-")] = summary.rpartition("`: ")[2].removesuffix(".")
    return found


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: socratic COMMAND [options]\n\ncommands:")
        for name, summary in commands().items():
            print(f"  {name:<16}{summary}")
        print("\n'socratic COMMAND --help' shows a command's settings, 'socratic --version' the version.")
        return 0 if arguments else 2
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        print(f"socratic-env {import_module('socratic_env').__version__}")
        return 0
    try:
        if name not in commands():
            raise unknown("command", name, [*commands(), "--help", "--version"])
        command: Callable[[list[str]], int] = import_module(f"{__name__}.{name.replace('-', '_')}").main
        return command(rest)
    except SocraticError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
