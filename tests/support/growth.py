"""How the time for a text grows with its length, for tests against quadratic time."""

from __future__ import annotations

import time
from collections.abc import Callable


def repeated(unit: str) -> Callable[[int], str]:
    """A text of a given length made of copies of `unit`."""
    return lambda length: (unit * (length // len(unit) + 1))[:length]


def growth(work: Callable[[str], object], make: Callable[[int], str], length: int) -> float:
    """The time for the text `make(4 * length)` over that for `make(length)`.

    4 is linear, 16 quadratic; ask for less than 8, which the noise of a busy machine does not reach. Each is
    the best of five (of long ones, of two), in this thread's processor time, whatever else the machine does,
    and half a millisecond, in which allocation and caches show. So choose a length at which linear work takes
    about as long, and quadratic work far longer.
    """

    def seconds(text: str) -> float:
        times: list[float] = []
        while len(times) < 2 or (len(times) < 5 and sum(times) < 0.15):
            start = time.thread_time()
            work(text)
            times.append(time.thread_time() - start)
        return min(times) + 0.0005

    return seconds(make(4 * length)) / seconds(make(length))
