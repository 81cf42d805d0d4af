"""What verifiers looks for in an environment package: its taskset and its environment."""

from socratic_env.adapters.verifiers import SocraticTaskset, SocraticVerifiersEnv

__all__ = ["SocraticTaskset", "SocraticVerifiersEnv"]
