"""How different viewpoints are: a teacher that says the same of everything has stopped to look."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from socratic_env.viewpoints.viewpoint import KINDS, Viewpoint


def diversity(viewpoints: Iterable[Viewpoint]) -> dict[str, float]:
    """Of all viewpoints of a step: "distinct", how many different ones; "entropy" of which one it is, in nats
    (0: always the same); and the share of each kind, "share_<kind>". Empty where there are none."""
    said = list(viewpoints)
    if not said:
        return {}
    shares = [count / len(said) for count in Counter(one.id for one in said).values()]
    kinds = Counter(one.kind for one in said)
    return {
        "distinct": float(len(shares)),
        "entropy": -sum(share * math.log(share) for share in shares),
        **{f"share_{kind}": kinds[kind] / len(said) for kind in KINDS},
    }
