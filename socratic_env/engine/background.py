"""The event loops of `socratic_env.loops`, by the name that the faces and the agent know them by."""

from __future__ import annotations

from socratic_env.loops import SAMPLERS, TEACHERS, VERIFIERS, await_on, loop_of, run

__all__ = ["SAMPLERS", "TEACHERS", "VERIFIERS", "await_on", "loop_of", "run"]
