"""`python -m benchmarks.socratic_rl.page`: tables and figures of the committed results, nothing is run.

Writes `page.html` (self-contained) and the tables of `README.md` between its marks.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.socratic_rl.arms import (
    ARMS,
    BASELINE,
    ENSEMBLES,
    GATES,
    LATER,
    LESSONS,
    METHODS,
    SEEDS,
    TARGETS,
    VIEWPOINT_ARM,
)
from benchmarks.socratic_rl.run import RESULTS
from benchmarks.study.page import curves, markdown
from benchmarks.study.summary import estimate, share
from socratic_env.evaluation.html import document, paragraph, table
from socratic_env.records.run_folder import read_lines

HERE = Path(__file__).parent
Records = Sequence[Mapping[str, Any]]
Table = tuple[str, Sequence[str], list[list[str]]]


def of(records: Records, experiment: str, arm: str) -> dict[int, Mapping[str, Any]]:
    """By seed, the last record of an arm."""
    return {r["seed"]: r for r in records if (r["experiment"], r["arm"]) == (experiment, arm)}


def reached(found: Mapping[int, Mapping[str, Any]], target: float, place: int) -> str:
    """The median over seeds of what it took to reach an accuracy, and how many did; "never" is more than
    everything."""
    values = [r["reached"][str(target)] for r in found.values()]
    numbers = [np.inf if value is None else float(value[place]) for value in values]
    median = float(np.median(numbers))
    told = "more than was run" if np.isinf(median) else f"{median:.0f}"
    return f"{told} ({len(numbers) - int(np.isinf(numbers).sum())} of {len(numbers)})"


def kept(found: Mapping[int, Mapping[str, Any]]) -> list[float]:
    """Of each seed the share of what was right (greedy) before that still is; none of a seed where nothing
    was."""
    return [r["kept"] for r in found.values() if r["kept"] is not None]


def told(values: Sequence[float], seeds: int) -> str:
    """A share over seeds, and on how many of them it is defined, where that is not all."""
    if not values:
        return "-"
    return str(share(values)) + (f" ({len(values)} of {seeds} seeds)" if len(values) < seeds else "")


def loop_row(records: Records, arm: str) -> list[str]:
    """One line of the table of the loop."""
    found = of(records, "loop", arm)
    curve = {point[0]: [r["curve"][i][3] for r in found.values()] for i, point in
             enumerate(next(iter(found.values()))["curve"])}  # fmt: skip
    held = kept(found)
    return [
        f"{arm} (added later)" if arm in LATER else arm,
        str(len(found)),
        *(str(share(curve[episodes])) for episodes in AT),
        *(reached(found, target, 0) for target in TARGETS),
        *(reached(found, target, 2) for target in TARGETS),
        told(held, len(found)),
        f"{np.mean([r['probe_episodes'] for r in found.values()]):.0f}",
        f"{np.mean([r['seconds'] for r in found.values()]):.0f}",
    ]


AT = (0, 384, 1920, 2880)
"""Episodes at which accuracies are shown."""
LOOP_HEADS = (
    "arm", "seeds", *(f"at {episodes} episodes" for episodes in AT),
    *(f"episodes to {target}, median (seeds)" for target in TARGETS),
    *(f"student tokens to {target}, probes included" for target in TARGETS),
    "right before and kept", "probe episodes", "seconds",
)  # fmt: skip


def recovered(found: Mapping[int, Mapping[str, Any]]) -> str:
    """The share of the uplift that is there without viewpoints: of the means, and its interval by leaving out
    one seed at a time (jackknife)."""
    gained = np.array([r["unassisted"] - r["before"] for r in found.values()])
    uplift = np.array([r["uplift"] for r in found.values()])
    ratio, count = gained.sum() / uplift.sum(), len(gained)
    if count < 2:
        return f"{ratio:.2f} (n = {count})"
    low, high = jackknife(gained, uplift)
    return f"{ratio:.2f} [{low:.2f}, {high:.2f}]"


def jackknife(top: np.ndarray, bottom: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of sum(top) / sum(bottom) over seeds."""
    ratio, count = top.sum() / bottom.sum(), len(top)
    without = (top.sum() - top) / (bottom.sum() - bottom)
    found = estimate((count * ratio - (count - 1) * without).tolist())
    assert found.low is not None
    assert found.high is not None
    half = (found.high - found.low) / 2
    return float(ratio - half), float(ratio + half)


def distillation_row(records: Records, method: str) -> list[str]:
    """One line of the table of distillations."""
    found = of(records, "distillation", method)

    def mean(name: str, estimated: Callable[[Sequence[float]], Any] = share) -> str:
        values = [r[name] for r in found.values() if r.get(name) is not None]
        return str(estimated(values)) if values else "-"

    return [
        method, str(len(found)), mean("before"), mean("informed"), mean("unassisted"), recovered(found),
        told(kept(found), len(found)), mean("kl_before", estimate), mean("kl_after", estimate),
        mean("others_before"), mean("others_after"), f"{np.mean([r['seconds'] for r in found.values()]):.0f}",
    ]  # fmt: skip


DISTILLATION_HEADS = (
    "method", "seeds", "before", "with viewpoints, before", "without, after", "uplift recovered",
    "right before and kept", "KL before, nats a token", "KL after", "other principle in context, before",
    "the same, after", "seconds",
)  # fmt: skip


def means_of(found: Mapping[int, Mapping[str, Any]], name: str, shares: bool = False) -> str:
    """The mean of a value over seeds, with its interval."""
    values = [r[name] for r in found.values() if r.get(name) is not None]
    return str((share if shares else estimate)(values)) if values else "-"


TEACHING_HEADS = (
    "teacher", "seeds", "utility before", "after", "gain", "on targeted probes before", "after",
    "speaks of a mistake of the trace", "entropy at the end, nats", "implicit-reward accuracy",
    "probe episodes", "seconds",
)  # fmt: skip


def teaching_rows(records: Records) -> list[list[str]]:
    """Teachers that learn; at the end the rule-based one on the same traces."""
    rows = []
    lessons = [name for name in LESSONS if of(records, "teaching", name)]
    for name in lessons:
        found = of(records, "teaching", name)
        rows.append(
            [
                name,
                str(len(found)),
                *(means_of(found, key) for key in ("before", "after", "gain")),
                *(means_of(found, key) for key in ("targeted_before", "targeted_after")),
                means_of(found, "names_error", shares=True),
                means_of(found, "diversity"),
                means_of(found, "implicit_accuracy", shares=True),
                *(
                    f"{np.mean([r[key] for r in found.values()]):.0f}"
                    for key in ("probe_episodes", "seconds")
                ),
            ]
        )
    if lessons:
        found = of(records, "teaching", lessons[0])
        ruled = [means_of(found, key) for key in ("rule", "rule_targeted")]
        rows.append(["rule-based", str(len(found)), "-", ruled[0], "-", "-", ruled[1], "1", *["-"] * 4])
    return rows


ENSEMBLE_HEADS = (
    "teachers", "seeds", "before", "with V, before the first distillation", "at the end, without V",
    "viewpoints taken", "of them poisoned", "probe episodes", "seconds",
)  # fmt: skip


def ensemble_row(records: Records, name: str) -> list[str]:
    """One line of the table of ensembles."""
    found = of(records, "ensemble", name)
    return [
        name, str(len(found)),
        *(means_of(found, key, shares=True) for key in ("before", "informed", "unassisted")),
        *(means_of(found, key) for key in ("taken", "poison_taken")),
        *(f"{np.mean([r[key] for r in found.values()]):.0f}" for key in ("probe_episodes", "seconds")),
    ]  # fmt: skip


def later_verdicts(records: Records) -> list[tuple[str, bool]]:
    """What the gates on teaching and ensembles found."""
    found = []
    for name in ("policy gradient", "dpo"):
        values = [r["gain"] for r in of(records, "teaching", name).values()]
        if not values:
            found.append(("not run", False))
            continue
        gains = estimate(values)
        found.append((str(gains), gains.low is not None and gains.low > 0))
    clean, poisoned = (of(records, "ensemble", name) for name in ("clean, gate", "one of three, gate"))
    seeds = sorted(clean.keys() & poisoned.keys())
    lost = [clean[seed]["informed"] - poisoned[seed]["informed"] for seed in seeds]
    if not lost:
        return [*found, ("not run", False)]
    points = estimate([100 * value for value in lost])
    found.append((f"{points} points fewer, with V", bool(np.mean(lost) <= 0.02)))
    return found


def verdicts(records: Records) -> list[list[str]]:
    """Each gate with what was found, and whether it is met."""
    mine, theirs = of(records, "loop", VIEWPOINT_ARM), of(records, "loop", BASELINE)
    seeds = sorted(mine.keys() & theirs.keys())

    def episodes(record: Mapping[str, Any]) -> float:
        found = record["reached"][str(TARGETS[0])]
        return np.inf if found is None else float(found[0])

    fewer = sum(episodes(mine[seed]) < episodes(theirs[seed]) for seed in seeds)
    tuned, cloned = (of(records, "distillation", name) for name in ("instruction", "kl"))

    def ratio(found: Mapping[int, Mapping[str, Any]]) -> float:
        gained = sum(r["unassisted"] - r["before"] for r in found.values())
        return float(gained / sum(r["uplift"] for r in found.values()))

    mine_kept, tuned_kept = kept(mine), kept(tuned)
    found: list[tuple[str, bool]] = [
        (f"{fewer} of {len(seeds)}", fewer >= 7),
        (points_lost(mine_kept, len(mine)), bool(np.mean(mine_kept) > 0.95)),
        (recovered(tuned), ratio(tuned) >= 0.9),
        (told(tuned_kept, len(tuned)), bool(np.mean(tuned_kept) >= 0.95)),
        (recovered(cloned), ratio(cloned) >= 0.9),
        *later_verdicts(records),
    ]
    later = [of(records, "teaching", name) for name in ("policy gradient", "dpo")]
    later.append(of(records, "ensemble", "one of three, gate"))
    whole = {len(seeds), len(tuned), len(cloned), *map(len, later)} == {len(SEEDS)}
    return [
        [experiment, what, said, ("met" if met else "missed") + ("" if whole else " so far")]
        for (experiment, what), (said, met) in zip(GATES, found, strict=True)
    ]


def points_lost(values: Sequence[float], seeds: int) -> str:
    """What was right before and is no longer, in points."""
    of = f" ({len(values)} of {seeds} seeds)" if len(values) < seeds else ""
    return f"{100 * (1 - np.mean(values)):.1f} points lost{of}"


def tables(records: Records) -> list[Table]:
    """(title, heads, rows) of every table."""
    loops = [arm for arm in ARMS if of(records, "loop", arm)]
    methods = [method for method in METHODS if of(records, "distillation", method)]
    return [
        ("Gates, fixed before the runs", ("experiment", "gate", "found", "verdict"), verdicts(records)),
        ("The loop: held-out accuracy without viewpoints", LOOP_HEADS, [loop_row(records, a) for a in loops]),
        (
            "Distillation of two principles",
            DISTILLATION_HEADS,
            [distillation_row(records, m) for m in methods],
        ),
        ("Teachers that learn to write viewpoints: held-out utility", TEACHING_HEADS, teaching_rows(records)),
        (
            "Ensembles with poisoned teachers: accuracy",
            ENSEMBLE_HEADS,
            [ensemble_row(records, name) for name in ENSEMBLES if of(records, "ensemble", name)],
        ),
    ]


def page(records: Records) -> str:
    """The whole page."""
    loops = [record for record in records if record["experiment"] == "loop"]
    seeds = sorted({record["seed"] for record in records})
    parts = [
        paragraph(
            f"{len(records)} records, seeds {', '.join(map(str, seeds))}. A seed is a student with its "
            "misconceptions, and the sampling. Intervals are 95 %, Student's t over seeds."
        ),
        curves(loops, list(ARMS), "Accuracy without viewpoints over episodes", unit="episodes"),
    ]
    for title, heads, cells in tables(records):
        parts += [f"<h2>{html.escape(title)}</h2>", table(heads, cells)]
    versions = ", ".join(sorted({record["version"] for record in records}))
    parts.append(paragraph(f"Code: {versions}. Made by python -m benchmarks.socratic_rl.page", note=True))
    return document("Socratic-RL", *parts)


def with_tables(text: str, records: Records) -> str:
    """The README with its tables made anew."""
    made = "\n\n".join(f"### {title}\n\n{markdown(heads, rows)}" for title, heads, rows in tables(records))
    return re.sub(
        r"(<!-- tables -->\n).*?(<!-- end of tables -->)",
        lambda match: f"{match[1]}\n{made}\n\n{match[2]}",
        text,
        flags=re.DOTALL,
    )


def main(results: Path = RESULTS, folder: Path = HERE) -> int:
    """Make the page; 0: fine, 2: there are no results."""
    if not results.is_file():
        print(f"error: {results} is not there; run python -m benchmarks.socratic_rl.run", file=sys.stderr)
        return 2
    records = read_lines(results)
    (folder / "page.html").write_text(page(records), encoding="utf-8")
    readme = folder / "README.md"
    if readme.is_file():
        readme.write_text(with_tables(readme.read_text(encoding="utf-8"), records), encoding="utf-8")
    print(folder / "page.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
