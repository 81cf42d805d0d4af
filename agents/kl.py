"""`python -m agents.kl --student DIR --teacher DIR`: how far a student is from a teacher (Figure 6)."""

from __future__ import annotations

import json
import sys

import tyro

from agents.options import KLMeasure
from socratic_env.errors import SocraticError
from socratic_env.evaluation.html import shares


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0: fine, 2: unusable arguments."""
    options = tyro.cli(KLMeasure, args=arguments, prog="python -m agents.kl")
    from agents.runs.kl_measure import measure  # torch and transformers take seconds

    try:
        found = measure(options)
    except SocraticError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        for name in ("kl_k1", "kl_k3", "kl_full"):
            print(f"{name:<8} {shares(found[name], 4)} nats per token")
        print(
            f"{found['answers']} answers to {found['number']} questions, {found['tokens']} tokens; brackets: "
            "95 % intervals over questions"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
