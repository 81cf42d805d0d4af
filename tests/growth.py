"""How the time for a text grows with its length, for tests against quadratic time."""

from __future__ import annotations

import time
from collections.abc import Callable


def growth(work: Callable[[str], object], unit: str, length: int) -> float:
    """The time for a text of `2 * length` characters over that for `length`, both of repeated units.

    2 is linear, 4 quadratic. Each is the best of five, in this thread's processor time, whatever
    else the machine does, and half a millisecond, in which allocation and caches show.
    """

    def seconds(text: str) -> float:
        times = []
        for _ in range(5):
            start = time.thread_time()
            work(text)
            times.append(time.thread_time() - start)
        return min(times) + 0.0005

    repeated = unit * (2 * length // len(unit) + 1)
    return seconds(repeated[: 2 * length]) / seconds(repeated[:length])
