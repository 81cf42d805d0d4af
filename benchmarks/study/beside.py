"""`python -m benchmarks.study.beside RUN`: a run beside the study's committed runs on the same world.

For runs of the preset "chains": one with `--questions chains:SEED --seed SEED` begins with the student of the
study's seed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.config import TrainConfig
from benchmarks.study.run import RESULTS
from benchmarks.study.summary import Records
from socratic_env.errors import ConfigurationError
from socratic_env.records.run_folder import CONFIG, METRICS, check_run, read_lines

AGAINST = ("reinforce++", "grpo")


def seed_of(config: TrainConfig) -> int:
    """The study's seed of a run's world. Raises ConfigurationError for other questions."""
    spec = config.questions_spec()
    kind, _, seed = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if isinstance(spec, dict):
        kind, seed = spec.get("kind", ""), str(spec.get("seed", 0))
    if kind != "chains" or not (seed or "0").isdecimal():
        raise ConfigurationError(f"the run's questions are {config.questions!r}; give a run on chains:SEED")
    return int(seed or 0)


def accuracy_at(records: Records, arm: str, seed: int, tokens: float) -> float | None:
    """Unassisted accuracy of a committed run after so many student tokens; None where it has no curve that
    goes so far."""
    runs = [r["curve"] for r in records if (r["arm"], r["seed"]) == (arm, seed)]
    curve: list[list[float]] = max(runs, key=len, default=[])
    if len(curve) < 2 or tokens > curve[-1][1]:
        return None
    return float(np.interp(tokens, [point[1] for point in curve], [point[3] for point in curve]))


def table(folder: Path, records: Records) -> list[str]:
    """Lines: step, student tokens, the run's unassisted accuracy, that of the committed runs."""
    check_run(folder)
    seed = seed_of(TrainConfig.from_json((folder / CONFIG).read_text(encoding="utf-8")))
    lines = [f"unassisted accuracy on held-out questions of world {seed}, at equal student tokens", ""]
    lines.append(f"{'step':>5} {'tokens':>8}  {'this run':>9}" + "".join(f"  {arm:>12}" for arm in AGAINST))
    tokens = 0.0
    for record in read_lines(folder / METRICS):
        if record["kind"] == "train":
            tokens += record["response_tokens"]
            continue
        theirs = [accuracy_at(records, arm, seed, tokens) for arm in AGAINST]
        told = "".join(f"  {'-' if value is None else f'{value:.3f}':>12}" for value in theirs)
        lines.append(f"{record['step']:>5} {tokens:>8.0f}  {record['sampled_unassisted']:>9.3f}{told}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0: fine, 2: unusable arguments."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1 or given[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if given[:1] in (["-h"], ["--help"]) else 2
    try:
        print("\n".join(table(Path(given[0]), read_lines(RESULTS))))
    except (ConfigurationError, OSError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
