"""Reward decay (paper section 4.3, eqs 16-20): what a correct attempt earns.

A batch is all episodes that feed one optimizer batch. With `m_j` attempts made at step j,
`s_j` of them correct and `N_k = m_1 + ... + m_k`, the mean decayed reward of the attempts
1..k is `mu_k = mu_{k-1} * (N_{k-1} + s_k) / N_k` with `mu_0 = 1` (eqs 17-19), and a correct
attempt k earns `mu_{k-1}`. So rewards depend on counts only, never on the order of arrival.
"""

from __future__ import annotations

import copy
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from socratic_env.errors import ConfigurationError, TrackerError, check_count

EPSILON = 1e-8
"""Added to the deviation that advantages are divided by."""

ROLLING_WINDOW = 256
"""Ended episodes behind the estimate of a lone environment."""

SMALL_BATCH = 8
"""Below this many episodes mu_1 is often 0, so that no corrected attempt earns anything."""


def decayed_means(attempts: Sequence[int], solved: Sequence[int]) -> list[float]:
    """[mu_0, .., mu_K] from the counts m_1..m_K and s_1..s_K (eq 18); an empty step carries over."""
    means, total = [1.0], 0
    for m, s in zip(attempts, solved, strict=True):
        before, total = total, total + m
        means.append(means[-1] * (before + s) / total if m else means[-1])
    return means


def correction_rate(attempts: Sequence[int], solved: Sequence[int]) -> float:
    """Share of the second and later attempts that were correct (counts as for `decayed_means`);
    0 before the first of them."""
    made = sum(attempts[1:])
    return sum(solved[1:]) / made if made else 0.0


class BatchStatistics:
    """Counts of one batch, shared by all its environments. Thread-safe.

    Args:
        max_attempts: K, at least 1.
        batch_size: number of episodes, if known; needed for `bounds`.

    The order of records does not matter. A pickled or deep copy keeps its counts and can be
    merged, but an environment refuses it, since the batch would silently fall apart.
    """

    def __init__(self, max_attempts: int, batch_size: int | None = None) -> None:
        check_count("max_attempts", max_attempts)
        if batch_size is not None:
            check_count("batch_size", batch_size, TrackerError)
        self.max_attempts = max_attempts
        self.batch_size: int | None = batch_size
        self._made = [0] * max_attempts
        self._solved = [0] * max_attempts
        self._closed = [0] * max_attempts  # [k]: episodes given up after k attempts
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._is_copy = False

    # -- recording ---------------------------------------------------------------------

    def record(self, attempt: int, correct: bool) -> None:
        """Count one verified attempt (1-based)."""
        k = self._check(attempt, 1, "attempt")
        with self._lock:
            if k == 1 and self.batch_size is not None and self._made[0] == self.batch_size:
                raise TrackerError(
                    f"a first attempt came in after all {self.batch_size} episodes of this batch "
                    "had made theirs; open a new BatchStatistics for the next batch"
                )
            self._made[k - 1] += 1
            self._solved[k - 1] += bool(correct)

    def close(self, attempts: int) -> None:
        """Count one episode that ended unsolved after `attempts` < K attempts."""
        if attempts == self.max_attempts:
            return  # it ended by itself
        k = self._check(attempts, 0, "attempts")
        with self._lock:
            self._closed[k] += 1

    # -- reading -----------------------------------------------------------------------

    @property
    def attempts(self) -> list[int]:
        """[m_1, .., m_K]: attempts made at each step."""
        with self._lock:
            return list(self._made)

    @property
    def solved(self) -> list[int]:
        """[s_1, .., s_K]: correct attempts at each step."""
        with self._lock:
            return list(self._solved)

    def means(self) -> list[float]:
        """[mu_0, .., mu_K] of what is recorded."""
        with self._lock:
            return decayed_means(self._made, self._solved)

    def mu(self, k: int) -> float:
        """Mean decayed reward of the recorded attempts 1..k; `mu(0)` is 1 (eq 18)."""
        return self.means()[self._check(k, 0, "k")]

    def reward(self, attempt: int, correct: bool) -> float:
        """What this attempt earns (eqs 17, 19): with a known batch the lower bound while
        episodes are pending, which becomes exact; else by what is recorded so far."""
        k = self._check(attempt, 1, "attempt")
        if not correct:
            return 0.0
        return self.mu(k - 1) if self.batch_size is None else self.bounds(k)[0]

    def bounds(self, attempt: int) -> tuple[float, float]:
        """(lo, hi) of mu_{attempt-1} while episodes are pending.

        lo: every pending episode fails all its remaining attempts; hi: every one is solved at
        its next attempt. lo never falls, hi never rises, and both meet once all attempts at
        earlier steps are in.
        """
        k = self._check(attempt, 1, "attempt")
        if self.batch_size is None:
            raise TrackerError("bounds need the batch size: BatchStatistics(K, batch_size=M)")
        with self._lock:
            made, solved, closed = list(self._made), list(self._solved), list(self._closed)
        low_made, high_made, high_solved = list(made), list(made), list(solved)
        unsolved = self.batch_size  # unsolved before step j + 1
        waiting = 0  # episodes still pending that have made fewer than j + 1 attempts
        for j in range(self.max_attempts):
            pending = unsolved - closed[j] - made[j]
            if pending < 0:
                raise TrackerError(
                    f"attempt {j + 1} is recorded {made[j]} times, but at most "
                    f"{unsolved - closed[j]} episodes can have reached it; record every earlier "
                    "attempt of an episode, and close each episode once"
                )
            waiting += pending
            low_made[j] += waiting
            high_made[j] += pending
            high_solved[j] += pending
            unsolved = made[j] - solved[j]
        low = decayed_means(low_made, solved)[k - 1]
        high = decayed_means(high_made, high_solved)[k - 1]
        return low, high

    def merge(self, other: BatchStatistics) -> BatchStatistics:
        """New statistics of both batches together; neither is changed."""
        if other.max_attempts != self.max_attempts:
            raise TrackerError(
                f"cannot merge statistics of max_attempts {self.max_attempts} and "
                f"{other.max_attempts}; both must be equal"
            )
        sizes = (self.batch_size, other.batch_size)
        known = [size for size in sizes if size is not None]
        merged = BatchStatistics(self.max_attempts, sum(known) if len(known) == 2 else None)
        for part in (self, other):
            with part._lock:
                for name in ("_made", "_solved", "_closed"):
                    total = [a + b for a, b in zip(getattr(merged, name), getattr(part, name), strict=True)]
                    setattr(merged, name, total)
        return merged

    # -- copies ------------------------------------------------------------------------

    def check_fits(self, max_attempts: int) -> None:
        """Refuse to serve an environment of another K."""
        if self.max_attempts != max_attempts:
            raise TrackerError(
                f"the tracker has max_attempts={self.max_attempts}, the environment "
                f"max_attempts={max_attempts}; make both equal"
            )

    def check_shared(self) -> None:
        """Refuse to serve as a copy of the real statistics."""
        if self._is_copy or self._process != os.getpid():
            raise TrackerError(
                "this tracker is a copy (by pickle, deepcopy, env.spec or a worker process), so its "
                "batch would not be shared; use SocraticVectorEnv or SocraticBatch in one process, or "
                "give every worker its own BatchStatistics and merge them"
            )

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {k: copy.copy(v) for k, v in self.__dict__.items() if k != "_lock"}
        state["_is_copy"] = True
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BatchStatistics):
            return NotImplemented
        return self._counts() == other._counts()

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return (
            f"BatchStatistics(max_attempts={self.max_attempts}, batch_size={self.batch_size}, "
            f"attempts={self.attempts}, solved={self.solved})"
        )

    def _counts(self) -> tuple[object, ...]:
        with self._lock:
            return (
                self.max_attempts,
                self.batch_size,
                *map(tuple, (self._made, self._solved, self._closed)),
            )

    def _check(self, value: int, lowest: int, name: str) -> int:
        highest = self.max_attempts
        if isinstance(value, bool) or not isinstance(value, Integral) or not lowest <= value <= highest:
            raise TrackerError(f"{name} is {value!r}; it must be a whole number {lowest}..{highest}")
        return value


class RollingStatistics:
    """The estimate of a lone environment: eq 18 over its last ended episodes and the current one.

    There is no prior: the very first episode earns 1 at attempt 1 and 0 later.
    """

    def __init__(self, max_attempts: int, window: int = ROLLING_WINDOW) -> None:
        check_count("max_attempts", max_attempts)
        self.max_attempts = max_attempts
        self._ended: deque[tuple[bool, ...]] = deque()
        self._window = window
        self._current: list[bool] = []
        self._made = [0] * max_attempts
        self._solved = [0] * max_attempts

    def record(self, attempt: int, correct: bool) -> None:
        """Count an attempt of the current episode."""
        self._current.append(correct)
        self._made[attempt - 1] += 1
        self._solved[attempt - 1] += correct

    def end_episode(self) -> None:
        """Move the current episode, if it made an attempt, into the window."""
        if not self._current:
            return
        self._ended.append(tuple(self._current))
        self._current = []
        if len(self._ended) > self._window:
            for k, correct in enumerate(self._ended.popleft()):
                self._made[k] -= 1
                self._solved[k] -= correct

    @property
    def attempts(self) -> list[int]:
        """[m_1, .., m_K]: attempts made at each step."""
        return list(self._made)

    @property
    def solved(self) -> list[int]:
        """[s_1, .., s_K]: correct attempts at each step."""
        return list(self._solved)

    def mu(self, k: int) -> float:
        """Mean decayed reward of the attempts 1..k in the window."""
        return decayed_means(self._made, self._solved)[k]


# -- schedules ---------------------------------------------------------------------------


class Schedule(Protocol):
    """What a correct attempt earns, given its number and mu_{attempt-1}."""

    def __call__(self, attempt: int, mu: float, /) -> float:
        """The reward of a correct attempt (1-based), given mu_{attempt-1}."""
        ...


def _decay(_attempt: int, mu: float) -> float:
    return mu


def _full(_attempt: int, _mu: float) -> float:
    return 1.0


def _constant(argument: str) -> Schedule:
    try:
        factor = float(argument)
    except ValueError:
        factor = math.nan
    if not 0.0 <= factor <= 1.0:
        raise ConfigurationError(
            f"reward 'constant:{argument}' needs a factor between 0 and 1, such as 'constant:0.5'"
        )
    return lambda attempt, _mu: factor ** (attempt - 1)


def schedule(spec: str) -> Schedule:
    """The schedule "decay" (eqs 17-19), "full" (the ablation without decay) or "constant:g"
    (g ** (k - 1) at attempt k)."""
    plain: dict[str, Callable[[int, float], float]] = {"decay": _decay, "full": _full}
    if isinstance(spec, str):
        if spec in plain:
            return plain[spec]
        if spec.startswith("constant:"):
            return _constant(spec.removeprefix("constant:"))
    raise ConfigurationError(f"unknown reward {spec!r}; use 'decay', 'full' or 'constant:0.5'")


def whitened(rewards_N: ArrayLike) -> NDArray[np.float64]:
    """The advantage that fits reward decay: (r - mean) / (population std + 1e-8), each attempt of
    the batch counting once (eq 20 with t = K)."""
    rewards = np.asarray(rewards_N, dtype=np.float64)
    return (rewards - rewards.mean()) / (rewards.std() + EPSILON)
