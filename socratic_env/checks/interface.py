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

from socratic_env.checks.steps import EnvProbe
from socratic_env.errors import SocraticError, TrackerError

_COLOUR = re.compile("\x1b\\[[0-9;]*m")


@contextmanager
def _strictly() -> Iterator[None]:
    """Warnings are errors, but the one that there is a wrapper."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # render mode "human" prints
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version")
        yield


def check_gymnasium(probe: EnvProbe) -> None:
    """Gymnasium's checker passes, on the bare environment and through its wrappers, without a warning."""
    try:
        with _strictly():
            bare = probe.env.unwrapped  # without a spec it cannot be made in other render modes
            gymnasium_check(bare, skip_render_check=bare.spec is None, skip_close_check=True)
            if probe.env.unwrapped is not probe.env:
                gymnasium_check(probe.env, skip_render_check=True, skip_close_check=True)
    except TrackerError as error:
        probe.fail(f"{error}; check the environment with tracker=None")
    except SocraticError:
        raise  # names its own remedy
    except Exception as error:  # noqa: BLE001 - the checker raises many kinds
        probe.fail(f"Gymnasium's check_env says: {_COLOUR.sub('', str(error))}")


def check_spaces(probe: EnvProbe) -> None:
    """Both spaces are texts."""
    for name in ("observation_space", "action_space"):
        space = getattr(probe.env, name, None)
        if not isinstance(space, gym.spaces.Text):
            probe.fail(
                f"it is no text environment: its {name} is a {type(space).__name__}; check_env takes "
                "environments after the contract of SocraticEnv, with texts (UnicodeText) as both spaces"
            )


def check_needs_reset(probe: EnvProbe) -> None:
    """A step before the first reset is an error."""
    probe.refuses_step(probe.env.unwrapped, "", "step before reset")


def check_render(probe: EnvProbe, env_id: str) -> None:
    """Mode "ansi" renders the dialogue."""
    if "ansi" not in probe.env.metadata.get("render_modes", []):
        probe.fail("metadata['render_modes'] lacks 'ansi'; render the dialogue as text")
    env: gym.Env[str, str] = gym.make(env_id, render_mode="ansi")
    try:
        with probe.naming("an episode in render mode 'ansi'", "render in any state after reset"):
            env.reset(seed=0)
            observation, *_ = env.step("I do not know.")
            shown: Any = env.render()
        if not isinstance(shown, str) or observation not in shown:
            probe.fail(f"render in mode 'ansi' gives {shown!r:.60}; give the dialogue as the student sees it")
    finally:
        env.close()


def check_spec(probe: EnvProbe) -> None:
    """A copy of the spec makes the same environment, as worker processes need it."""
    try:
        twin: gym.Env[str, str] = gym.make(pickle.loads(pickle.dumps(probe.env.spec)))
    except Exception as error:  # noqa: BLE001 - anything may go wrong in a user's class
        probe.fail(
            f"its spec does not survive pickling ({type(error).__name__}: {error}); give texts, numbers and "
            "functions of a module as arguments"
        )
    try:
        with probe.naming("reset of a copy of its spec", "keep all that matters in its arguments"):
            same = data_equivalence(twin.reset(seed=4), probe.env.reset(seed=4))
        if not same:
            probe.fail("a copy of its spec makes another environment; keep all that matters in its arguments")
    finally:
        twin.close()
