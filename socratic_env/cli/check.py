"""`socratic check ID`: whether an environment, its questions and its verifier keep their contracts."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import tyro
from rich.console import Console

import socratic_env
from socratic_env.checks.env_report import report
from socratic_env.plugins import spec_of

_SIGNS = {"passed": "ok", "failed": "FAILED", "skipped": "-"}


@dataclass(frozen=True)
class CheckEnvironment:
    """Run all checks on an environment: also on one with questions from elsewhere, such as a generator of
    reasoning-gym, a data set of the hub or a taskset of verifiers (with --teacher retry).
    """

    id: Annotated[str, tyro.conf.Positional] = "SocraticSciKnow-v0"
    """Environment id; `socratic envs` lists them."""
    questions: str | None = None
    """A source, a path, "module:name", or JSON with its options; none given: those of the id."""
    domain: str | None = None
    """Domain of the questions; none given: that of the id."""
    split: str | None = None
    """"train" or "test"; none given: train."""
    exclude: str | None = None
    """JSON file of `socratic audit --out` with questions to leave out."""
    teacher: str | None = None
    """A deterministic one: "rule", "retry", or a JSON object; none given: that of the id."""
    protocol: str | None = None
    """What the teacher sees and is asked: a name, or the path of a file (.md); none given: that of the id."""
    verifier: str | None = None
    """A verifier's name, or module:name; none given: that of each question."""
    max_attempts: int | None = None
    """Attempts at each question; none given: that of the id."""
    json: bool = False
    """Print JSON for machines."""


def main(arguments: list[str]) -> int:
    """Print the findings; 1 if a check of severity "error" failed."""
    options = tyro.cli(CheckEnvironment, args=arguments, prog="socratic check")
    chosen: dict[str, Any] = {
        name: value
        for name, value in asdict(options).items()
        if name not in ("id", "json") and value is not None
    }
    for name in ("questions", "teacher"):
        if name in chosen:
            chosen[name] = spec_of(chosen[name], f"--{name}")
    with Console(stderr=True).status("checking") as status:
        found = report(options.id, chosen, lambda check: status.update(f"checking: {check}"))
    passed = not any(one.status == "failed" and one.severity == "error" for one in found)
    if options.json:
        told = {
            "environment": options.id,
            "arguments": chosen,
            "version": socratic_env.__version__,
            "passed": passed,
            "checks": [{**asdict(one), "seconds": round(one.seconds, 3)} for one in found],
        }
        print(json.dumps(told, indent=1))
        return 0 if passed else 1
    shown = Console(highlight=False, markup=False, soft_wrap=True)
    for one in found:
        severity = "warning" if (one.status, one.severity) == ("failed", "warning") else _SIGNS[one.status]
        shown.print(f"{severity:8} {one.level:12} {one.id:20} {one.message}".rstrip())
    if not passed:
        print("error: a check failed", file=sys.stderr)
    return 0 if passed else 1
