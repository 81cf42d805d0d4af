"""The console script `socratic`: one module for each command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module

from socratic_env.errors import SocraticError
from socratic_env.terminal import forgive_encodings

COMMANDS = {
    "envs": "the environment ids, one line each",
    "play": "answer questions in the terminal",
    "eval": "accuracy of a student, alone and with a teacher",
    "bench-teachers": "teaching variants side by side",
    "audit": "damage and blind shortcuts of a question set",
    "view": "a run's report in the browser, or its episodes in the terminal",
}
"""Command -> what it does. The module of the same name has `main(arguments) -> exit status`."""

USAGE = "usage: socratic COMMAND [options]\n\ncommands:\n" + "".join(
    f"  {name:<16}{summary}\n" for name, summary in COMMANDS.items()
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0: fine, 1: ran and failed, 2: unusable arguments."""
    forgive_encodings()
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{USAGE}\n'socratic COMMAND --help' shows the settings of a command.")
        return 0 if arguments else 2
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        print(f"error: unknown command {name!r}\n\n{USAGE}", file=sys.stderr)
        return 2
    module = import_module(f"socratic_env.cli.{name.replace('-', '_')}")
    command: Callable[[list[str]], int] = module.main
    try:
        return command(rest)
    except SocraticError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
