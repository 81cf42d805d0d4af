"""The learner's own sampler as a student, for measuring what viewpoints are worth to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.learning.samples import Sampling
from agents.policies.policy import Policy
from agents.rollout import mixed_seed
from socratic_env.models.chat import Chat
from socratic_env.students import Student, StudentReply, StudentRequest
from socratic_env.types import Usage


class PolicyStudent(Student):
    """Answers as the policy samples. `usage` counts its tokens."""

    def __init__(self, policy: Policy, chat: Chat, sampling: Sampling, seed: int) -> None:
        self._policy, self._chat, self._sampling, self._seed = policy, chat, sampling, seed
        self.usage = Usage()

    async def answer(self, requests: Sequence[StudentRequest]) -> list[StudentReply]:
        """One reply for each request, all in one batch."""
        prompts = [self._chat.prompt(request.messages) for request in requests]
        seed = mixed_seed(self._seed, requests[0].rollout)
        said = self._policy.generate(prompts, self._sampling, seed)
        self.usage += replace(
            Usage(),
            calls=len(said),
            prompt_tokens=sum(map(len, prompts)),
            completion_tokens=sum(len(one.ids) for one in said),
        )
        return [StudentReply(self._chat.text(one.ids), one.finished) for one in said]
