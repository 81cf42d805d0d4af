"""What Gymnasium asks of an environment: its own checker, the order of calls, rendering, the spec."""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import gymnasium as gym
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.utils.env_checker import data_equivalence

from socratic_env.checks.steps import EnvExam
from socratic_env.errors import SocraticError, TrackerError

_COLOUR = re.compile("\x1b\\[[0-9;]*m")


@contextmanager
def _strictly() -> Iterator[None]:
    """Warnings are errors, but the one that there is a wrapper."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # render mode "human" prints
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version")
        yield


def check_gymnasium(exam: EnvExam) -> None:
    """Gymnasium's checker passes, on the bare environment and through its wrappers, without a warning."""
    try:
        with _strictly():
            bare = exam.env.unwrapped  # without a spec it cannot be made in other render modes
            gymnasium_check(bare, skip_render_check=bare.spec is None, skip_close_check=True)
            if exam.env.unwrapped is not exam.env:
                gymnasium_check(exam.env, skip_render_check=True, skip_close_check=True)
    except TrackerError as error:
        exam.fail(f"{error}; check the environment with tracker=None")
    except SocraticError:
        raise  # names its own remedy
    except Exception as error:  # noqa: BLE001 - the checker raises many kinds
        exam.fail(f"Gymnasium's check_env says: {_COLOUR.sub('', str(error))}")


def check_spaces(exam: EnvExam) -> None:
    """Both spaces are texts."""
    for name in ("observation_space", "action_space"):
        space = getattr(exam.env, name, None)
        if not isinstance(space, gym.spaces.Text):
            exam.fail(
                f"it is no text environment: its {name} is a {type(space).__name__}; check_env takes "
                "environments after the contract of SocraticEnv, with texts (UnicodeText) as both spaces"
            )


def check_needs_reset(exam: EnvExam) -> None:
    """A step before the first reset is an error."""
    exam.refuses_step(exam.env.unwrapped, "", "step before reset")


def check_render(exam: EnvExam, env_id: str) -> None:
    """Mode "ansi" renders the dialogue."""
    if "ansi" not in exam.env.metadata.get("render_modes", []):
        exam.fail("metadata['render_modes'] lacks 'ansi'; render the dialogue as text")
    env: gym.Env[str, str] = gym.make(env_id, render_mode="ansi")
    try:
        with exam.naming("an episode in render mode 'ansi'", "render in any state after reset"):
            env.reset(seed=0)
            observation, *_ = env.step("I do not know.")
            shown: Any = env.render()
        if not isinstance(shown, str) or observation not in shown:
            exam.fail(f"render in mode 'ansi' gives {shown!r:.60}; give the dialogue as the student sees it")
    finally:
        env.close()


def check_spec(exam: EnvExam) -> None:
    """A copy of the spec makes the same environment, as worker processes need it."""
    try:
        twin: gym.Env[str, str] = gym.make(pickle.loads(pickle.dumps(exam.env.spec)))
    except Exception as error:  # noqa: BLE001 - anything may go wrong in a user's class
        exam.fail(
            f"its spec does not survive pickling ({type(error).__name__}: {error}); give texts, numbers and "
            "functions of a module as arguments"
        )
    try:
        with exam.naming("reset of a copy of its spec", "keep all that matters in its arguments"):
            same = data_equivalence(twin.reset(seed=4), exam.env.reset(seed=4))
        if not same:
            exam.fail("a copy of its spec makes another environment; keep all that matters in its arguments")
    finally:
        twin.close()
