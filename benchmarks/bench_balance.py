"""Share of the learners' time that is useful when several processes wait for each other, by simulation.

    PYTHONPATH=. python benchmarks/bench_balance.py [--processes 4] [--micro-batch-tokens 32768]

Batches of 32 questions x 8 rollouts as in Table 5, mini-batches of 8 questions. Responses have lognormal
lengths, at most 8192; every second episode has a second attempt after its first answer and guidance. The
groups are those that the learner makes; a group costs its tokens (padded ones too), and each round takes the
time of its heaviest group. Useful are the tokens without padding. Attention, which grows with the square of a
row, is left out.
"""

from __future__ import annotations

import argparse

import numpy as np

from agents.learning.rows import micro_batches


def lengths_of(rng: np.random.Generator, count: int, median: float, spread: float) -> np.ndarray:
    """Tokens of the rows of so many episodes."""

    def responses() -> np.ndarray:
        return np.minimum(8192, rng.lognormal(np.log(median), spread, count)).astype(int) + 1

    prompts, guidance = rng.integers(200, 700, count), rng.integers(100, 600, count)
    second = rng.random(count) < 0.5
    return prompts + responses() + second * (guidance + responses())


def useful(
    lengths: np.ndarray, groups: list[list[int]], processes: int, packing: bool
) -> tuple[float, float]:
    """(useful tokens, process time in tokens) of the passes over some rows."""
    costs = [sum(lengths[g]) if packing else len(g) * max(lengths[g]) for g in groups]
    rounds = [costs[i : i + processes] for i in range(0, len(costs), processes)]
    return float(sum(lengths)), float(processes * sum(map(max, rounds)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--micro-batch-tokens", type=int, default=32768)
    parser.add_argument("--batches", type=int, default=50)
    options = parser.parse_args()
    print("median  packing  in turns  balanced")
    for median in (1000.0, 3000.0):
        for packing in (False, True):
            rng = np.random.default_rng(0)
            sums = np.zeros((2, 2))
            for _ in range(options.batches):
                for _ in range(4):
                    lengths = lengths_of(rng, 64, median, 0.8)
                    for i, processes in enumerate((1, options.processes)):
                        found = micro_batches(
                            lengths.tolist(), options.micro_batch_tokens, packing, processes
                        )
                        sums[i] += useful(lengths, found, options.processes, packing)
            shares = sums[:, 0] / sums[:, 1]
            print(f"{median:6.0f}  {packing!s:7}  {shares[0]:8.1%}  {shares[1]:8.1%}")


if __name__ == "__main__":
    main()
