"""What may change when an interrupted run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.config import TrainConfig
from agents.settings import lasting
from socratic_env.errors import ConfigurationError

_ENDPOINT = frozenset({"base_url", "api_key_env", "deadline_s", "connect_s", "retries", "concurrency"})
"""Of a teacher's spec: where it is and how it is asked, which may change too."""


def check_unchanged(before: TrainConfig, now: TrainConfig) -> None:
    """Raise ConfigurationError if a run would go on with other settings than it has."""
    old, new = _lasting(before), _lasting(now)
    changed = [f"{name} is {old[name]!r}, not {new[name]!r}" for name in old if old[name] != new[name]]
    if changed:
        raise ConfigurationError(
            f"--resume {before.run_dir}: the run's {'; its '.join(changed)}, and that cannot change midway; "
            "leave it out, or start a new run"
        )


def _lasting(config: TrainConfig) -> dict[str, Any]:
    return lasting(config) | {"teacher": _without_endpoint(config.teacher_spec())}


def _without_endpoint(spec: Any) -> Any:
    if isinstance(spec, Mapping):
        return {k: _without_endpoint(v) for k, v in spec.items() if k not in _ENDPOINT}
    return [_without_endpoint(part) for part in spec] if isinstance(spec, list) else spec
