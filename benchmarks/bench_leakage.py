"""Precision and recall of the leakage detector on the labelled cases of tests/data.

Run: python benchmarks/bench_leakage.py [--json] [--errors tuned|held-out|all]

A third of the cases was written before the detector and never used to tune it; it is reported
apart. `--errors` lists wrong verdicts; look at those of the held-out part only to report them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

from socratic_env.leakage import KINDS, detect
from socratic_env.types import AnswerKind, Option, Question

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"


def questions(path: Path = DATA / "leakage_questions.jsonl") -> dict[str, Question]:
    """The questions of the labelled set by id, frozen with it."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        row["kind"] = AnswerKind(row["kind"])
        row["options"] = tuple(Option(*option) for option in row["options"])
        found[row["id"]] = Question(**row)
    return found


def cases(path: Path = DATA / "leakage.jsonl") -> list[dict[str, Any]]:
    """The labelled cases: question (id), text, kinds (empty if clean), held_out."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a share."""
    if not total:
        return 0.0, 1.0
    z, p = 1.96, hits / total
    middle, half = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total**2))
    return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


def measure(rows: list[dict[str, Any]], asked: dict[str, Question]) -> dict[str, Any]:
    """Counts, precision and recall of leak against clean, recall by labelled kind, and errors."""
    hit = [(row, detect(asked[row["question"]], row["text"])) for row in rows]
    true = sum(1 for row, found in hit if row["kinds"] and found)
    flagged = sum(1 for _, found in hit if found)
    leaking = sum(1 for row, _ in hit if row["kinds"])
    by_kind = {}
    for kind in KINDS:
        of_kind = [found for row, found in hit if kind in row["kinds"]]
        by_kind[kind] = {"cases": len(of_kind), "found": sum(1 for found in of_kind if found)}
    return {
        "cases": len(rows),
        "leaking": leaking,
        "precision": true / flagged if flagged else 1.0,
        "precision_interval": wilson(true, flagged),
        "recall": true / leaking if leaking else 1.0,
        "recall_interval": wilson(true, leaking),
        "by_kind": by_kind,
        "errors": [{**row, "found": found} for row, found in hit if bool(found) != bool(row["kinds"])],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines (default: a table)")
    parser.add_argument("--errors", choices=("none", "tuned", "held-out", "all"), default="none",
                        help="list wrong verdicts of this part (default: none)")  # fmt: skip
    options = parser.parse_args()
    asked, rows = questions(), cases()
    parts = {
        name: measure([row for row in rows if row["held_out"] == held], asked)
        for name, held in (("tuned", False), ("held-out", True))
    }
    shown = {name: {k: v for k, v in part.items() if k != "errors"} for name, part in parts.items()}
    if options.json:
        print(json.dumps(shown, indent=1))
        return
    for name, part in shown.items():
        (p_low, p_high), (r_low, r_high) = part["precision_interval"], part["recall_interval"]
        print(
            f"{name:9} {part['cases']} cases, {part['leaking']} leaking: "
            f"precision {part['precision']:.3f} [{p_low:.3f}, {p_high:.3f}], "
            f"recall {part['recall']:.3f} [{r_low:.3f}, {r_high:.3f}]"
        )
        print("          " + ", ".join(f"{k} {v['found']}/{v['cases']}" for k, v in part["by_kind"].items()))
        if options.errors in (name, "all"):
            for row in parts[name]["errors"]:
                verdict = "missed" if row["kinds"] else "false "
                print(f"  {verdict} {row['question']}: {row['text']!r} {row['found']}")
    started = time.perf_counter()
    detect(asked["throw"], "The time of the fall is 3.029 s, so look at option B again. " * 17_000)
    print(f"1 MB of text: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
