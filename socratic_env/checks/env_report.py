"""All checks of an environment one by one, each with an id that stays, a level and a severity.

Where a check of OpenEnv's draft for validating environments (RFC 008) asks the same, the id is its id.
Levels: "static" needs no episode, "runtime" plays some, "semantic" reads the questions with their truth,
"statistical" is a number with a bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from socratic_env.checks import env_check, interface
from socratic_env.checks.question_set_check import check_disjoint, check_questions
from socratic_env.checks.secrecy import check_secrecy
from socratic_env.checks.steps import EnvProbe
from socratic_env.checks.verifier_check import check_verifier
from socratic_env.envs.single import SocraticEnv
from socratic_env.errors import ConfigurationError, QuestionError, SocraticError
from socratic_env.questions import QuestionSet, load_questions
from socratic_env.questions.audit.blind import scores
from socratic_env.types import Question, reply
from socratic_env.verifiers import verifier_from_spec

_EPISODES = 24
"""Episodes that a statistical check plays."""
_BLIND = 400
"""Questions that blind rules are scored on."""
_MOST_ABOVE_CHANCE = 0.1
"""How far above chance the best blind rule may be, where that is no luck."""
_LUCK = 4.0
"""Standard errors above chance that the best of the rules reaches by luck."""
_LEAST_GAP = 0.5


class Skipped(Exception):
    """A check that has nothing to look at here; the message says why."""


@dataclass(frozen=True)
class Finding:
    """What one check found. status: "passed", "failed" or "skipped"; message: why, with the remedy."""

    id: str
    level: str
    severity: str
    status: str
    message: str
    seconds: float


class Subject:
    """The environment that is looked at, its questions of both splits, and what all checks share."""

    def __init__(self, env_id: str, arguments: Mapping[str, Any]) -> None:
        try:
            self.env: gym.Env[str, str] = gym.make(env_id, **arguments)
        except (gym.error.Error, TypeError) as error:
            raise ConfigurationError(f"{env_id}: {error}; `socratic envs` lists the ids") from error
        if not isinstance(self.env.unwrapped, SocraticEnv):
            self.env.close()
            raise ConfigurationError(f"{env_id} is no text environment of this package, or derived from one")
        self.probe = EnvProbe(self.env, env_id, reply)
        self._attempts: int | None = None
        self.kwargs = {**(self.env.spec.kwargs if self.env.spec else {}), **arguments}

    @property
    def questions(self) -> QuestionSet:
        """Those of the environment."""
        made: QuestionSet = self.env.get_wrapper_attr("questions")
        return made

    def lose(self) -> None:
        """Wrong answers earn nothing, and end an episode after as many attempts as there are."""
        self._attempts = env_check.check_lost(self.probe, None)

    @property
    def attempts(self) -> int:
        """K, or as many as the dialogue may grow. Raises Skipped where `lose` has failed."""
        if self._attempts is None:
            raise Skipped("canary_floor failed")
        return self._attempts

    def some(self, number: int) -> list[Question]:
        """The first questions."""
        return [self.questions[index] for index in range(min(number, len(self.questions)))]

    def earned(self, say: Callable[[Question], str]) -> float:
        """The mean reward of first attempts that say this."""
        total = 0.0
        for seed in range(_EPISODES):
            self.probe.reset(seed=seed)
            total += self.probe.step(say(self.probe.question))[1]
        return total / _EPISODES


def _no_shared_questions(subject: Subject) -> None:
    chosen = {name: subject.kwargs.get(name) for name in ("domain", "exclude")}
    spec = subject.kwargs.get("questions", "procedural")
    other = "test" if subject.kwargs.get("split", "train") == "train" else "train"
    try:
        held_out = load_questions(spec, split=other, **chosen)
    except QuestionError as error:
        raise Skipped(f"there is no split {other}: {error}") from None
    if len(held_out) == len(subject.questions) and held_out[0].statement == subject.questions[0].statement:
        raise Skipped("the source has one set of questions for both splits")
    check_disjoint(subject.questions, held_out)


def _verifier(subject: Subject) -> None:
    kinds = {(question.kind, question.subtask): question for question in subject.some(50)}
    check_verifier(verifier_from_spec(subject.kwargs.get("verifier")), list(kinds.values())[:4])


def _blind(subject: Subject) -> None:
    found = scores(subject.some(_BLIND))
    if not found:
        raise Skipped("no question has options")
    best = found[0]
    if best.standard_errors > _LUCK and best.accuracy > best.chance + _MOST_ABOVE_CHANCE:
        subject.probe.fail(
            f"the rule {best.rule!r} is right on {best.accuracy:.2f} of {best.rows} questions unread "
            f"(chance: {best.chance:.2f}); see `socratic audit`, and read scores beside this one"
        )


def _floor_gap(subject: Subject) -> None:
    right = subject.earned(lambda question: reply("So.", question.answer))
    idle = max(
        subject.earned(say)
        for say in (lambda _q: "", lambda _q: reply("", ""), lambda _q: reply("", "something else"))
    )
    if right - idle < _LEAST_GAP:
        subject.probe.fail(
            f"right answers earn {right:.2f} and replies that say nothing {idle:.2f} at the first attempt; a "
            f"gap of {_LEAST_GAP} is the least to learn from, so see verifier_contract"
        )


@dataclass(frozen=True)
class Check:
    """One check. severity: "error", or "warning" where an environment may be meant so."""

    id: str
    level: str
    severity: str
    run: Callable[[Subject], object]


CHECKS = (
    Check("observation_schema", "static", "error", lambda s: interface.check_spaces(s.probe)),
    Check("needs_reset", "static", "error", lambda s: interface.check_needs_reset(s.probe)),
    Check("gymnasium_api", "runtime", "error", lambda s: interface.check_gymnasium(s.probe)),
    Check("canary_floor", "runtime", "error", lambda s: s.lose()),
    Check("oracle_max", "runtime", "error", lambda s: env_check.check_solved(s.probe, s.attempts)),
    Check("odd_replies", "runtime", "error", lambda s: env_check.check_odd(s.probe)),
    Check("seed_control", "runtime", "error", lambda s: env_check.check_reset(s.probe)),
    Check(
        "episode_determinism",
        "runtime",
        "error",
        lambda s: env_check.check_deterministic(s.probe, s.attempts),
    ),
    Check("replayability", "runtime", "error", lambda s: interface.check_spec(s.probe)),
    Check("no_solution_leakage", "semantic", "error", lambda s: check_secrecy(s.probe)),
    Check("question_set", "semantic", "error", lambda s: check_questions(s.questions)),
    Check("no_shared_questions", "semantic", "error", _no_shared_questions),
    Check("verifier_contract", "semantic", "error", _verifier),
    Check("blind_floor", "statistical", "warning", _blind),
    Check("floor_gap", "statistical", "error", _floor_gap),
)


def report(
    env_id: str, arguments: Mapping[str, Any], told: Callable[[str], object] = lambda _check: None
) -> list[Finding]:
    """Run every check on an environment made with these arguments; `told` is called with each id before.

    Its teacher must be deterministic ("rule", "retry", a recorded one). Raises SocraticError where the
    environment cannot be made at all.
    """
    subject = Subject(env_id, arguments)
    found = []
    try:
        for check in CHECKS:
            told(check.id)
            found.append(_finding(check, subject))
    finally:
        subject.env.close()
    return found


def _finding(check: Check, subject: Subject) -> Finding:
    start, status, message = time.perf_counter(), "passed", ""
    try:
        check.run(subject)
    except Skipped as reason:
        status, message = "skipped", str(reason)
    except SocraticError as error:
        status, message = "failed", str(error)
    except Exception as error:  # noqa: BLE001 - a part of anyone's may raise anything
        status, message = "failed", f"it raised {type(error).__name__}: {error}"
    return Finding(check.id, check.level, check.severity, status, message, time.perf_counter() - start)
