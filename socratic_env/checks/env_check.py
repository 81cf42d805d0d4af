"""Does an environment keep Gymnasium's contract and that of this package?"""

from __future__ import annotations

import copy
from itertools import count
from typing import Any

import gymnasium as gym

from socratic_env.checks.interface import (
    check_gymnasium,
    check_needs_reset,
    check_render,
    check_spaces,
    check_spec,
)
from socratic_env.checks.parts import Form
from socratic_env.checks.secrecy import check_secrecy
from socratic_env.checks.steps import EnvProbe, Step
from socratic_env.envs.discrete import DiscreteView
from socratic_env.errors import CheckError
from socratic_env.types import reply

_ODD_REPLIES = ("", "\x00 \u200b \U0001f600", "\ud800", "{0} %s {{x.__class__}} <|im_end|>", "a" * 1_100_000)
_SEEDS = range(8)
_MOST_ATTEMPTS = 1000
_AROUND = 20
"""Characters that are shown before a difference."""


def check_env(
    env: str | gym.Env[str, str],
    *,
    form: Form = reply,
    max_attempts: int | None = None,
) -> None:
    """Check an environment: an id, or one that follows the contract of SocraticEnv, such as a subclass
    or a wrapper. Plays about 65 episodes, and asks its teacher as often.

    Gymnasium's own checker, in which every warning counts; the observation, `info` and rewards of solved,
    lost and odd episodes; what ends an episode, and what a step after that does; no ground truth in what
    the student sees; `question_id`; equal episodes for equal seeds and actions; rendering and the spec.
    The teacher must be deterministic ("rule", a recorded one). A wrapper must leave the attribute
    `question`, the current question, to be found by Gymnasium's `get_wrapper_attr`. Of a `DiscreteView`
    Gymnasium's part is checked, and the text environment that it shows in full.

    Args:
        env: an id that `gymnasium.make` knows, or an environment, which is left open.
        form: (reasoning, answer) -> a reply in the form that its verifier reads.
        max_attempts: K, if it is to be checked.

    Raises:
        CheckError: what is wrong, and the remedy. Another SocraticError, such as that of a teacher that is
            down: it names its own remedy.
    """
    if isinstance(env, str):
        made = gym.make(env)
        try:
            _check(EnvProbe(made, env, form), max_attempts, env)
        finally:
            made.close()
    elif isinstance(env, gym.Env):
        _check(EnvProbe(env, type(env).__name__, form), max_attempts, None)
    else:
        raise CheckError(f"env is {env!r:.80}; give an id, or an object derived from gymnasium.Env")


def _check(probe: EnvProbe, max_attempts: int | None, env_id: str | None) -> None:
    if isinstance(view := probe.env.unwrapped, DiscreteView):
        check_gymnasium(probe)
        if env_id is not None:
            check_spec(probe)
        _check(EnvProbe(view.env, probe.name, probe.form), max_attempts, None)
        return
    check_spaces(probe)
    if env_id is not None:
        check_needs_reset(probe)
    check_gymnasium(probe)
    attempts = check_lost(probe, max_attempts)
    check_solved(probe, attempts)
    check_odd(probe)
    check_reset(probe)
    check_secrecy(probe)
    check_deterministic(probe, attempts)
    if env_id is not None:
        check_render(probe, env_id)
        check_spec(probe)


# -- episodes ------------------------------------------------------------------------------


def _check_ended(probe: EnvProbe) -> None:
    probe.refuses_step(probe.env, probe.right(), "step after the end of an episode")


def check_lost(probe: EnvProbe, max_attempts: int | None) -> int:
    """Wrong answers up to the end; the number of attempts, K if the dialogue may grow so long."""
    probe.reset(seed=0)
    for attempt in count(1):
        _, _, terminated, truncated, info = probe.step(probe.wrong(attempt))
        if info["correct"]:
            probe.fail("it takes a wrong answer for right; see check_verifier, or pass form=")
        if info["attempt"] != attempt:
            probe.fail(
                f"info['attempt'] is {info['attempt']} after {attempt} attempts; count each step as one"
            )
        if terminated or truncated:
            _check_ended(probe)
            if terminated and max_attempts not in (None, attempt):
                probe.fail(
                    f"it ended after {attempt} wrong attempts, but K is {max_attempts}; end it after K"
                )
            return attempt
        if not info["guidance"]:
            probe.fail("there is no guidance after a wrong answer that is not the last; ask the teacher")
        if attempt == _MOST_ATTEMPTS:
            probe.fail(f"{attempt} wrong attempts do not end an episode; terminate it after K")
    raise AssertionError


def check_solved(probe: EnvProbe, attempts: int) -> None:
    """The right answer at every attempt that there is, up to the third."""
    for solved_at in range(1, min(attempts, 3) + 1):
        probe.reset(seed=1)
        for attempt in range(1, solved_at):
            *_, terminated, truncated, _ = probe.step(probe.wrong(attempt))
            if terminated or truncated:
                return  # this dialogue has grown too long before K
        _, reward, *_, info = probe.step(probe.right())
        if not info["correct"]:
            probe.fail(
                f"it refuses the right answer ({info['verdict']}) to question {info['question_id']!r}; see "
                "check_verifier, or pass form= for the form of reply that it reads"
            )
        if info["answer"] is None:
            probe.fail("info['answer'] is None after a right answer; give what was read")
        if solved_at == 1 and reward != 1:
            probe.fail(
                f"a right first attempt earned {reward:g}; it earns 1 in every reward schedule, so pay "
                "mu_0 = 1, with bounds (1, 1)"
            )
        _check_ended(probe)


def check_odd(probe: EnvProbe) -> None:
    """Odd replies are wrong answers, and what is no text is an error."""
    for action in _ODD_REPLIES:
        probe.reset(seed=2)
        *_, info = probe.step(action)
        if info["correct"]:
            probe.fail(f"it takes {action!r:.40} for a right answer; see check_verifier")
        if info["answer"] is not None and info["answer"] not in action:
            probe.fail(
                f"info['answer'] is {info['answer']!r:.40}, which the student did not say; give what was read"
            )
    probe.reset(seed=2)
    try:
        probe.env.step(7)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - any error will do
        return
    probe.fail(
        "it takes a number for a reply; raise an error (socratic_env.errors.ActionError) if it is no str"
    )


def check_reset(probe: EnvProbe) -> None:
    """Seeds choose questions, and so does the option."""
    first = probe.reset(seed=0)
    others = {probe.reset(seed=seed)[1]["question_id"] for seed in _SEEDS}
    questions = getattr(probe.env.unwrapped, "questions", None)
    if len(others) == 1 and questions is not None and len(questions) > len(_SEEDS):
        probe.fail(
            f"{len(_SEEDS)} seeds draw the same question; draw by self.np_random, which reset(seed=) sets"
        )
    probe.reset(seed=1)
    again = probe.reset(options={"question_id": first[1]["question_id"]})
    if again != first:
        probe.fail(
            f"reset(options={{'question_id': {first[1]['question_id']!r}}}) gives {again[1]['question_id']!r}"
        )
    for options in ({"question_id": "no question has this id"}, {"no such option": 1}):
        try:
            probe.env.reset(options=options)
        except Exception:  # noqa: BLE001 - any error will do
            continue
        probe.fail(f"reset(options={options}) is taken; raise an error that names what it knows")


def check_deterministic(probe: EnvProbe, attempts: int) -> None:
    """Equal seeds and actions give equal episodes."""

    def episodes() -> list[Any]:
        seen: list[Any] = [probe.reset(seed=3)]
        for script in (attempts, 1, min(attempts, 2)):
            for attempt in range(1, script + 1):
                last = probe.step(probe.right() if attempt == script else probe.wrong(attempt))
                seen.append(_untimed(copy.deepcopy(last)))
                last[4]["messages"].clear()  # what a caller does with it must not matter
                if last[2] or last[3]:
                    break  # the dialogue may be too long before K
            seen.append(probe.reset())
        return seen

    for step, (one, other) in enumerate(zip(episodes(), episodes(), strict=True)):
        if one != other:
            probe.fail(
                f"equal seeds and actions gave, at step {step}, {_difference(one, other)}; keep no state "
                "past reset(seed=), and check with a deterministic teacher and tracker=None"
            )


def _untimed(step: Step) -> Step:
    """The step without the seconds that Gymnasium's RecordEpisodeStatistics counts."""
    if isinstance(counts := step[4].get("episode"), dict):
        counts.pop("t", None)
    return step


def _difference(one: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    """The first field that differs, and both its values around the place."""
    fields = ("observation", "reward", "terminated", "truncated") if len(one) > 2 else ("observation",)
    values = dict(zip(fields, zip(one, other, strict=True), strict=False))
    for key in one[-1] | other[-1]:
        values[f"info[{key!r}]"] = one[-1].get(key, "(absent)"), other[-1].get(key, "(absent)")
    name, (mine, theirs) = next((name, pair) for name, pair in values.items() if pair[0] != pair[1])
    mine, theirs = repr(mine), repr(theirs)
    pairs = enumerate(zip(mine, theirs, strict=False))
    same = next((at for at, (a, b) in pairs if a != b), min(len(mine), len(theirs)))
    shown = slice(max(0, same - _AROUND), same + 2 * _AROUND)
    return f"{name} {mine[shown]} and then {theirs[shown]}"
