"""Which generators of reasoning-gym pass `check_questions` in both splits.

    python benchmarks/question_sources/reasoning_gym_conformance.py [--size 60] [NAME ...]

Prints one JSON line for each: `problem` is null or what the check says; `again` of `size` training questions
repeat another one.
"""

from __future__ import annotations

import argparse
import json
import time

from socratic_env.checks import check_questions
from socratic_env.errors import SocraticError
from socratic_env.questions import load_questions
from socratic_env.questions.reasoning_gym import names


def measured(name: str, size: int) -> dict[str, object]:
    start = time.perf_counter()
    found: dict[str, object] = {"dataset": name, "problem": None, "size": size}
    spec = {"kind": "reasoning-gym", "dataset": name, "size": size}
    try:
        train = load_questions(spec)
        test = load_questions(spec, split="test")
        found["again"] = size - len({train[i].statement for i in range(size)})
        check_questions(train, held_out=test, number=30)
        check_questions(test, number=30)
    except SocraticError as error:
        found["problem"] = str(error)[:300]
    return found | {"seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="*", help="all if none is named")
    parser.add_argument("--size", type=int, default=60)
    options = parser.parse_args()
    for name in options.datasets or names():
        print(json.dumps(measured(name, options.size)), flush=True)


if __name__ == "__main__":
    main()
