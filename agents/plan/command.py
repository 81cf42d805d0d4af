"""`python -m agents.plan --preset P --gpu G`: memory and seconds of a run by part, before one is rented.

The arithmetic of memory, tokens and FLOP is checked against real updates on the CPU; seconds follow from a
card's data sheet and from assumptions, which are printed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace

import tyro

from agents.options import PlanOptions
from agents.runs.presets import PRESETS
from socratic_env.errors import SocraticError, unknown


def main(arguments: list[str] | None = None) -> int:
    """Plan and print; 0: it fits, 1: it does not, 2: unusable arguments."""
    options = tyro.cli(PlanOptions, args=arguments, prog="python -m agents.plan", description=__doc__)
    try:
        if options.preset not in PRESETS:
            raise unknown("preset", options.preset, PRESETS)
        config = PRESETS[options.preset]
        if options.student is not None:
            config = replace(config, student=options.student)
        from agents.plan.planner import plan  # the learner's grouping of rows imports torch

        found = plan(config, options)
    except SocraticError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"preset": options.preset, **asdict(found)}, indent=1, allow_nan=False))
        return 0 if found.fits else 1
    print(f"{options.preset} on {found.gpus} x {found.gpu}: {'fits' if found.fits else 'DOES NOT FIT'}")
    print(f"{found.parameters:,} parameters; {found.limits}")
    for title, parts, unit in (
        ("memory by part at its largest, GiB", found.memory, ".2f"),
        ("seconds of a step", {**found.seconds, "in all": sum(found.seconds.values())}, ".1f"),
        ("tokens of a step", found.tokens, ",.0f"),
    ):
        print(f"\n{title}")
        for part, value in parts.items():
            print(f"  {part:<26} {value:>14{unit}}")
    print()
    for card in found.cards:
        print(
            f"{card['count']} x {card['kind']}: {card['needed']:.1f} GiB of {card['there']:.1f}"
            f"{'' if card['fits'] else '  TOO MUCH'}"
        )
    print(f"update: {found.flop:.3g} FLOP")
    print("assumed: " + ", ".join(f"{name}={value}" for name, value in found.assumed.items()))
    return 0 if found.fits else 1
