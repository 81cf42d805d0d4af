"""A process that compares formulas: a script, which gets one JSON line for each pair and answers with one.

It is started by its path, so that nothing else of this package is loaded in it. What it may spend on one pair
is limited by the kernel: too much processor time ends it (SIGXCPU), too much memory is refused.
"""

from __future__ import annotations

import functools
import json
import math
import os
import resource
import sys
from typing import Any


def main(seconds: int, memory: int) -> None:
    """Answer until the input ends. seconds: of the processor, for one pair. memory: bytes of addresses."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints is no answer
    from math_verify import LatexExtractionConfig, parse, verify

    reads = [LatexExtractionConfig()]

    @functools.lru_cache(1024)
    def read(formula: str) -> Any:
        return parse(f"${formula}$", reads, parsing_timeout=None, raise_on_error=True)

    def compared(truth: str, given: str) -> str:
        try:
            right = read(truth)
        except Exception:  # noqa: BLE001 - whatever the package raises
            right = []
        if not right:
            return "truth"
        try:
            found = read(given)
            if not found:
                return "unread"
            equal = verify(right, found, timeout_seconds=None, raise_on_error=True)
        except MemoryError:
            return "memory"
        except Exception:  # noqa: BLE001 - whatever the package raises on what cannot be compared
            return "unread"
        return "right" if equal else "wrong"

    compared("1", "2")  # loads what is loaded late, before the limits hold
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps("ready"), file=said, flush=True)
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        most = math.ceil(used.ru_utime + used.ru_stime + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
        outcome = compared(*json.loads(line))
        print(json.dumps(outcome), file=said, flush=True)
        if outcome == "memory":
            return  # what is left of it may hold the memory still


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
