"""`socratic serve ID`: an environment as an OpenEnv server, for clients in other processes and languages."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium as gym
import tyro

import socratic_env  # noqa: F401 - registers the ids
from envs_registry import SINGLE
from socratic_env.errors import ConfigurationError, check_count
from socratic_env.plugins import spec_of
from socratic_env.viewpoints import viewpoints_of


@dataclass(frozen=True)
class Serve:
    """Serve an environment: reset, step, state, schema and many sessions at once, each its own episode.

    The teacher, its key and the truth stay on the server's side.
    """

    id: Annotated[str, tyro.conf.Positional] = "SocraticSciKnow-v0"
    """Environment id; `socratic envs` lists them."""
    questions: str | None = None
    """A source, a path, "module:name", or JSON with its options; none given: those of the id."""
    domain: str | None = None
    """Domain of the questions; none given: that of the id."""
    split: str | None = None
    """"train" or "test"; none given: train."""
    viewpoints: str | None = None
    """Knowledge shown before each question that it fits: the path of a knowledge base, or a JSON list."""
    exclude: str | None = None
    """JSON file of `socratic audit --out` with questions to leave out."""
    teacher: str | None = None
    """"rule", "retry", or a JSON object such as {"kind": "openai", ...}; none given: that of the id."""
    protocol: str | None = None
    """What the teacher sees and is asked: a name, or the path of a file (.md); none given: that of the id."""
    verifier: str | None = None
    """A verifier's name, or module:name; none given: that of each question."""
    max_attempts: int | None = None
    """Attempts at each question; none given: that of the id."""
    reward: str | None = None
    """"decay", "full" or "constant:g"; none given: that of the id."""
    on_teacher_failure: str | None = None
    """"truncate", "retry_prompt" or "raise"; none given: that of the id."""
    host: str = "127.0.0.1"
    """Address to listen on; "0.0.0.0" lets other machines in, and nobody is asked for a password."""
    port: int = 8000
    """Port; 0 takes a free one."""
    max_sessions: int = 512
    """Sessions at once; more are refused until one ends."""
    web: bool = False
    """Add OpenEnv's page for trying it by hand, at /web."""


_ARGUMENTS = (
    "questions", "domain", "split", "exclude", "teacher", "protocol", "verifier", "max_attempts", "reward",
    "on_teacher_failure",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Serve until interrupted."""
    options = tyro.cli(Serve, args=arguments, prog="socratic serve")
    check_count("--max-sessions", options.max_sessions)
    given = _arguments(options)
    try:
        import uvicorn

        from socratic_env.adapters.openenv import Served, create_app
    except ImportError as error:
        raise ConfigurationError(
            f"socratic serve needs openenv-core ({error}): pip install 'socratic-env[openenv]'"
        ) from None
    served = Served(given, options.max_sessions, options.id)
    app = create_app(served, options.max_sessions, options.web)
    print(f"serving {options.id} on {options.host}, port {options.port or 'of its choice'}", file=sys.stderr)
    uvicorn.run(app, host=options.host, port=options.port, log_level="info", ws_max_size=16 * 2**20)
    return 0


def _arguments(options: Serve) -> dict[str, Any]:
    """Those of the id, and above them the ones that were given."""
    try:
        spec = gym.spec(options.id)
    except gym.error.Error as error:
        raise ConfigurationError(f"{options.id}: {error}; `socratic envs` lists the ids") from None
    if spec.entry_point != SINGLE:
        raise ConfigurationError(
            f"{options.id} is no text environment of this package; `socratic envs` lists them, and those "
            "named Discrete take no text"
        )
    chosen = {name: getattr(options, name) for name in _ARGUMENTS if getattr(options, name) is not None}
    for name in ("questions", "teacher"):
        if name in chosen:
            chosen[name] = spec_of(chosen[name], f"--{name}")
    if options.viewpoints is not None:
        chosen["viewpoints"] = viewpoints_of(options.viewpoints, "--viewpoints")
    return {**spec.kwargs, **chosen}
