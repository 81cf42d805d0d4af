"""The PettingZoo face: student and teacher are agents, the verifier stays in the environment.

    from socratic_env import multi_agent
    env = multi_agent.env(max_attempts=3)  # turn by turn (AEC)
    parallel = multi_agent.parallel_env(max_attempts=3)  # all agents' actions in one dictionary

Needs `pip install socratic-env[pettingzoo]`.
"""

try:
    import pettingzoo  # type: ignore[import-untyped]  # noqa: F401
except ImportError:
    raise ImportError("socratic_env.multi_agent needs PettingZoo: install socratic-env[pettingzoo]") from None

from socratic_env.multi_agent.aec import SocraticAECEnv
from socratic_env.multi_agent.conversions import env, guide, parallel_env, raw_env

__all__ = ["SocraticAECEnv", "env", "guide", "parallel_env", "raw_env"]
