"""The lockstep view of a batch: each step is one attempt of every unsolved row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import TEACHERS, run
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.envs.batch import SocraticBatch
from socratic_env.envs.spaces import text_space
from socratic_env.errors import ActionError, ConfigurationError, StepError, TrackerError, check_count, unknown
from socratic_env.questions import load_questions
from socratic_env.rewards import SMALL_BATCH, BatchStatistics
from socratic_env.types import Episode, Usage

_DTYPES = {"attempt": np.int64, "correct": np.bool_}


class SocraticVectorEnv(gym.vector.VectorEnv[tuple[str, ...], Sequence[str], np.ndarray]):
    """N rows of one batch in lockstep, with exact rewards (eqs 17-19 over the whole batch).

    `reset` opens a batch. Each `step(list of N texts)` is one attempt of every row that has not
    ended, and one call of the teacher for all that failed. Rows that have ended take any text,
    earn 0, keep their observation, and report their end once. There is no autoreset.

    Row i of `reset(seed=s)` has the question of a single environment's
    `reset(seed=s + i // rollouts_per_question)`. A list of seeds has one for each group (or one for each
    row, the same in all rows of a group); None in it is a seed of chance. `options={"question_ids": [...]}`
    sets one id for each group or each row. When all rows have ended, `infos["batch"]` holds the counts
    `attempts` (m_1..m_K), `solved` (s_1..s_K) and `mu` (mu_0..mu_K).

    Args:
        num_envs: number of rows N.
        rollouts_per_question: rows that share a question; divides N.
        others: as for SocraticEnv.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        num_envs: int = 1,
        rollouts_per_question: int = 1,
        *,
        tracker: BatchStatistics | None = None,
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        for name, value in (("num_envs", num_envs), ("rollouts_per_question", rollouts_per_question)):
            check_count(name, value)
        if num_envs % rollouts_per_question:
            raise ConfigurationError(
                f"num_envs={num_envs} rows cannot be split into groups of "
                f"rollouts_per_question={rollouts_per_question}; make N a multiple of it"
            )
        if tracker is not None:
            raise TrackerError(
                "the vector environment opens its own batch at each reset; share a tracker among "
                "single environments, or read this one's counts from infos['batch']"
            )
        if render_mode is not None:
            raise unknown("render_mode of a vector environment", render_mode, ("None",))
        self.num_envs = num_envs
        self.rollouts_per_question = rollouts_per_question
        self.single_observation_space = self.single_action_space = text_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        given = EnvArguments.of(arguments, beside=("num_envs", "rollouts_per_question"))
        self.questions = load_questions(given.questions, given.domain, given.split, given.exclude)
        self.interaction = GuidedInteraction(given)
        self.interaction.teacher.check(self.questions[0])
        if self.interaction.decays and given.max_attempts > 1 and num_envs < SMALL_BATCH:
            warnings.warn(
                f"a batch of {num_envs} episodes is small for reward decay: mu_1 is often 0, and then "
                f"no corrected attempt earns anything; use at least {SMALL_BATCH} rows",
                stacklevel=2,
            )
        self._generators = self._seeded(None)
        self._batch: SocraticBatch | None = None

    @property
    def usage(self) -> dict[str, Usage]:
        """What calls have cost so far, by role."""
        return dict(self.interaction.usage)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Open a batch. Options: `question_ids`, one for each group or each row."""
        options = dict(options or {})
        ids, mask = options.pop("question_ids", None), options.pop("reset_mask", None)
        if options:
            raise unknown("reset option", next(iter(options)), ("question_ids", "reset_mask"))
        if mask is not None and not (np.shape(mask) == (self.num_envs,) and np.all(mask)):
            raise ConfigurationError(
                f"reset_mask does not name all {self.num_envs} rows, but they are one batch; "
                "reset all of them together"
            )
        if seed is not None:
            self._generators = self._seeded(seed)
        groups = len(self._generators)
        drawn = [self.questions.draw(generator) for generator in self._generators]
        if ids is not None:
            if isinstance(ids, str) or not isinstance(ids, Sequence | np.ndarray):
                raise ConfigurationError(f"question_ids is {ids!r:.80}; give a list of ids")
            if len(ids) not in (groups, self.num_envs):
                raise ConfigurationError(
                    f"question_ids has {len(ids)} ids; give one for each of the {groups} groups or "
                    f"each of the {self.num_envs} rows"
                )
            drawn = [self.questions.find(question_id) for question_id in ids]
        repeats = self.num_envs // len(drawn)
        rows = [question for question in drawn for _ in range(repeats)]
        self._batch = SocraticBatch.within(rows, self.interaction)
        return self._observe(np.ones(self.num_envs, dtype=np.bool_))

    def step(
        self, actions: Sequence[str]
    ) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One attempt of every row that has not ended."""
        batch = self._open()
        listed = isinstance(actions, Sequence | np.ndarray) and not isinstance(actions, str)
        if not listed or len(actions) != self.num_envs:
            given = f"{len(actions)} actions" if listed else f"one {type(actions).__name__}"
            raise ActionError(f"step got {given}; give a list of {self.num_envs} texts, one for each row")
        acted = np.array([batch.dialogue(row).stop is None for row in range(self.num_envs)])
        active = np.flatnonzero(acted).tolist()
        if not active:
            raise StepError("all rows of the batch have ended; call reset() first")
        for row in active:
            if not isinstance(actions[row], str):
                raise ActionError(
                    f"the action of row {row} is {type(actions[row]).__name__} "
                    f"{actions[row]!r:.60}; a reply must be a str"
                )
        batch.answer_all(active, [actions[row] for row in active])
        run(batch.advise(active), TEACHERS)
        rewards, terminated, truncated = (np.zeros(self.num_envs, dtype=t) for t in (float, bool, bool))
        observations, infos = self._observe(acted)
        for row in active:
            stop = batch.dialogue(row).stop
            rewards[row] = infos["reward_bounds"][row][0]
            truncated[row] = stop is not None and stop.truncated
            terminated[row] = stop is not None and not stop.truncated
        if batch.done:
            tracker = batch.tracker
            infos["batch"] = {
                "attempts": tracker.attempts,
                "solved": tracker.solved,
                "mu": tracker.means(),
            }
        return observations, rewards, terminated, truncated, infos

    def cut(self, rows: Sequence[int]) -> None:
        """End rows whose next prompt no longer fits the student: closed in the batch after their
        last verdict, with stop reason "context_limit"."""
        batch = self._open()
        for row in rows:
            batch.cut(row)

    @property
    def batch(self) -> SocraticBatch:
        """The batch that is open: its asynchronous face, for rows that do not wait for each other."""
        return self._open()

    @property
    def statistics(self) -> BatchStatistics:
        """The counts of the batch that is open."""
        return self._open().tracker

    def episodes(self) -> list[Episode]:
        """The finished batch with its rewards, row by row; ground truth included."""
        return self._open().episodes()

    def close_extras(self, **_kwargs: Any) -> None:
        """Close a teacher that was made from a spec."""
        self.interaction.close()

    # ------------------------------------------------------------------------------------

    def _open(self) -> SocraticBatch:
        if self._batch is None:
            raise StepError("no batch is open; call reset() first")
        return self._batch

    def _seeded(self, seed: int | Sequence[int | None] | None) -> list[np.random.Generator]:
        """One generator for each group, as single environments of seeds s, s + 1, .. have."""
        return [gym.utils.seeding.np_random(each)[0] for each in self._seeds(seed)]

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        """The seed of each group. Raises ConfigurationError for a list that does not fit."""
        size = self.rollouts_per_question
        groups = self.num_envs // size
        if seed is None:
            return [None] * groups
        if isinstance(seed, int | np.integer):
            return [int(seed) + group for group in range(groups)]
        if isinstance(seed, str) or not isinstance(seed, Sequence | np.ndarray):
            raise ConfigurationError(f"seed is {seed!r:.80}; give a whole number, a list of them, or None")
        if len(seed) not in (groups, self.num_envs):
            raise ConfigurationError(
                f"seed has {len(seed)} entries; give one for each of the {groups} groups or each of the "
                f"{self.num_envs} rows"
            )
        for each in seed:
            whole = isinstance(each, int | np.integer) and not isinstance(each, bool)
            if each is not None and not (whole and each >= 0):
                raise ConfigurationError(
                    f"seed {each!r:.80} is in the list; give whole numbers of at least 0, or None"
                )
        seeds = [None if each is None else int(each) for each in seed]
        if len(seeds) == groups:
            return seeds
        firsts = seeds[::size]
        if seeds != [first for first in firsts for _ in range(size)]:
            raise ConfigurationError(
                f"the {size} rows of a group share their question, but not their seed in {seeds!r:.80}; give "
                "one seed for each group"
            )
        return firsts

    def _observe(self, present: np.ndarray) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Observations, and infos in Gymnasium's form: an array and a mask `_key` for each key."""
        batch = self._open()
        seen = [batch.observe(row) for row in range(self.num_envs)]
        infos: dict[str, Any] = {}
        for key in seen[0][1]:
            values: np.ndarray = np.empty(self.num_envs, dtype=_DTYPES.get(key, object))
            for row, (_, info) in enumerate(seen):
                values[row] = info[key]
            infos[key], infos[f"_{key}"] = values, present.copy()
        return tuple(observation for observation, _ in seen), infos
