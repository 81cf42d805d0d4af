"""Teacher-in-the-loop reinforcement learning of language models as Gymnasium environments.

Importing registers the ids: `gym.make("SocraticSciKnow-v0")`.
"""

from envs_registry import register_ids
from socratic_env.envs.batch import SocraticBatch
from socratic_env.envs.single import SocraticEnv
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.protocols import TeachingProtocol
from socratic_env.rewards import BatchStatistics
from socratic_env.teachers import Teacher, TeacherRequest
from socratic_env.types import Attempt, Episode, Guidance, Question, StopReason, Verdict

__version__ = "0.1.0"
__all__ = [
    "Attempt",
    "BatchStatistics",
    "Episode",
    "Guidance",
    "Question",
    "SocraticBatch",
    "SocraticEnv",
    "SocraticVectorEnv",
    "StopReason",
    "Teacher",
    "TeacherRequest",
    "TeachingProtocol",
    "Verdict",
    "register_ids",
]

register_ids()
