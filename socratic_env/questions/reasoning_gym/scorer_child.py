"""The process that holds reasoning-gym: makes items and scores answers, one JSON line each way (before a
score, an empty one when its item is there).

Started as a file, so that it imports nothing of this package. Some of the scorers evaluate the student's
text as Python or sympy, so a process that can be ended does it, and it starts no programs, opens no
connections and writes no files while it scores. That is a guard against accidents, no sandbox:
docs/questions.md says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import resource
import sys
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

SPLITS = ("train", "test")
MEMORY = 4 * 2**30
"""Bytes of address space that the process may have."""
_ENTRIES = 20_000
"""Items that are remembered between being asked and being scored."""
_OWN_ANSWERS = {
    "graph_color": "possible_answer",
    "propositional_logic": "example_answer",
    "rubiks_cube": "example_correct_answer",
}
"""Where generators without one answer keep one that their scorers take."""
TRIES = 16
"""Items that may stand for one: the first of them that is of the split and has an answer that its scorer
takes, and does not take anything."""
_ANYTHING = "something else"
_DENIED = (
    "subprocess.", "socket.", "shutil.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.kill", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod",
    "os.chown", "os.truncate", "ctypes.",
)  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC

_scoring = False


class Refused(Exception):
    """A request that cannot be met, in words for the user."""


def _watch(event: str, given: tuple[Any, ...]) -> None:
    """Refuse what no scorer has to do."""
    if not _scoring:
        return
    opens = event == "open" and isinstance(given[2], int) and given[2] & _WRITES
    if opens or event.startswith(_DENIED):
        raise PermissionError(f"{event} is not allowed to an answer")


@lru_cache(maxsize=64)
def dataset(spec: str) -> Any:
    """The dataset of {"dataset", "datasets", "settings", "level", "seed", "size", "split"}, given as JSON."""
    import reasoning_gym
    from reasoning_gym.composite import DatasetSpec

    asked = json.loads(spec)
    common = {"seed": asked["seed"], "size": TRIES * asked["size"]}
    if asked["datasets"] is None:
        return reasoning_gym.create_dataset(asked["dataset"], **_settings(asked["dataset"], asked), **common)
    parts = [
        DatasetSpec(part["dataset"], part["weight"], _settings(part["dataset"], part))
        for part in asked["datasets"]
    ]
    return reasoning_gym.create_dataset("composite", datasets=parts, **common)


def _settings(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a generator is configured with: a curriculum's level, and above it the settings by name."""
    from reasoning_gym.factory import DATASETS, create_curriculum, has_curriculum

    known = [field.name for field in dataclasses.fields(DATASETS[name][1])]
    for setting in asked["settings"]:
        if setting not in known:
            raise Refused(f"{name} has no setting {setting!r}; its settings are {', '.join(known)}")
    level = asked["level"]
    if level is None:
        return dict(asked["settings"])
    if not has_curriculum(name):
        raise Refused(f"{name} has no curriculum, so level is of no use; leave it out")
    curriculum = create_curriculum(name)
    highest = {key: len(each.levels) - 1 for key, each in curriculum.attributes.items()}
    steps = level if isinstance(level, dict) else {key: min(level, top) for key, top in highest.items()}
    for key, step in steps.items():
        if key not in highest:
            raise Refused(f"the curriculum of {name} has no {key!r}; it has {', '.join(highest)}")
        if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= highest[key]:
            raise Refused(f"level {key!r} of {name} is {step!r}; give 0 to {highest[key]}")
        curriculum.set_attr_level(key, step)
    if not isinstance(level, dict) and level > max(highest.values(), default=0):
        raise Refused(f"level is {level}; the curriculum of {name} goes from 0 to {max(highest.values())}")
    return {
        key: value
        for key, value in vars(curriculum.generate_configuration()).items()
        if key in known and key not in ("seed", "size")
    } | asked["settings"]


@lru_cache(maxsize=_ENTRIES)
def entry(spec: str, index: int) -> dict[str, Any]:
    """An item, the same each time: the few generators that draw from global streams get these seeded."""
    import numpy

    made = dataset(spec)
    stream = (json.loads(spec)["seed"] + index) % 2**32
    random.seed(stream)
    numpy.random.seed(stream)
    found: dict[str, Any] = made[index]
    return found


def item(spec: str, index: int) -> dict[str, Any]:
    """What is asked, an answer that scores as right, which generator it is from, and its number there."""
    asked = json.loads(spec)
    for number in range(index, TRIES * asked["size"], asked["size"]):
        found = entry(spec, number)
        name = found["metadata"]["source_dataset"]
        if _split(found["question"]) != asked["split"]:
            continue
        answer = found["answer"]
        if answer is None and name in _OWN_ANSWERS:
            held = found["metadata"][_OWN_ANSWERS[name]]
            answer = held if isinstance(held, str) else json.dumps(held)
        if isinstance(answer, str) and answer.strip():
            answer = answer.strip()
            right, other = (score(spec, number, text)["score"] for text in (answer, _ANYTHING))
            if right >= asked["threshold"] > other:
                return {"question": found["question"], "answer": answer, "dataset": name, "index": number}
    raise Refused(
        f"{name} gives no {asked['split']} question whose answer its own scorer takes for right, and "
        f"{_ANYTHING!r} for wrong, in {TRIES} items for number {index}; choose another dataset, or settings "
        "with more to ask"
    )


def _split(question: str) -> str:
    """The split that a question belongs to by its words: small generators repeat questions under any seed."""
    return SPLITS[hashlib.blake2b(question.encode("utf-8", "replace"), digest_size=1).digest()[0] % 2]


def hold(spec: str, index: int, **_score: Any) -> dict[str, Any]:
    """Make an item ready to be scored, which is not the fault of the answer where it takes long."""
    entry(spec, index)
    return {}


def score(spec: str, index: int, answer: str) -> dict[str, Any]:
    """What the generator's own scorer gives, 0 to 1, or why it could not."""
    global _scoring
    made, found = dataset(spec), entry(spec, index)
    found = json.loads(json.dumps(found)) if _plain(found) else found  # a scorer may write into its entry
    _scoring = True
    try:
        given = float(made.score_answer(answer, found))
    except Exception as error:  # noqa: BLE001 - a scorer may raise anything on what a student writes
        return {"score": 0.0, "trouble": type(error).__name__}
    finally:
        _scoring = False
    return {
        "score": given if 0 <= given <= 1 else 0.0,
        "trouble": None if 0 <= given <= 1 else "a score outside 0..1",
    }


def _plain(found: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(json.dumps(found)) == found)
    except (TypeError, ValueError):
        return False


def names() -> dict[str, Any]:
    """The names of all generators, and the package's version."""
    from importlib.metadata import version

    from reasoning_gym.factory import DATASETS

    return {"names": sorted(set(DATASETS) - {"composite"}), "version": version("reasoning-gym")}


def answered(request: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to one request."""
    asked = dict(request)
    do: Any = {"names": names, "item": item, "hold": hold, "score": score}[asked.pop("do")]
    try:
        return do(**asked)
    except Refused as refused:
        return {"refused": str(refused)}
    except Exception as error:  # noqa: BLE001 - a generator may raise anything at settings that it cannot use
        return {"refused": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer until the input ends."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a generator prints is no reply
    sys.addaudithook(_watch)
    sys.setrecursionlimit(2000)
    for line in sys.stdin:
        request = json.loads(line)
        held = answered({**request, "do": "hold"}) if request["do"] == "score" else {}
        if request["do"] == "score" and not held:
            out.write("{}\n")
            out.flush()
        out.write(json.dumps(held or answered(request)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
