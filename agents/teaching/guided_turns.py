"""Student and teacher take turns in the PettingZoo environment; the teacher's texts with what they earned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.learning.samples import Completion, Sampling
from agents.policies.policy import Policy
from agents.rollout import mixed_seed
from agents.teaching.teach_config import GuideConfig
from socratic_env.errors import ConfigurationError, VerifierError
from socratic_env.models.chat import Chat
from socratic_env.multi_agent import raw_env
from socratic_env.multi_agent.aec import SocraticAECEnv
from socratic_env.multi_agent.turns import STUDENT, TEACHER
from socratic_env.plugins import spec_of
from socratic_env.types import Message


@dataclass(frozen=True)
class Speaker:
    """A model that takes a seat: its sampler, its chat format and how it is sampled."""

    policy: Policy
    chat: Chat
    sampling: Sampling

    def say(self, dialogues: Sequence[Sequence[Message]], seed: int) -> list[tuple[list[int], Completion]]:
        """(prompt, response) for each chat. Raises ConfigurationError if one leaves no room."""
        prompts = [self.chat.prompt(messages) for messages in dialogues]
        longest = max(map(len, prompts), default=0) + self.sampling.max_tokens
        if longest > self.policy.max_model_len:
            raise ConfigurationError(
                f"a dialogue wants {longest} tokens with its reply, and max_model_len is "
                f"{self.policy.max_model_len}; raise it"
            )
        return list(zip(prompts, self.policy.generate(prompts, self.sampling, seed), strict=True))


@dataclass(frozen=True)
class Turn:
    """Guidance on a wrong first attempt. group: of its question in the batch; reward: the environment's, 1 if
    the next attempt is right, minus the penalty of a leak; corrected, leaked: those two; blank: there was no
    text, so that no attempt followed."""

    group: int
    prompt: list[int]
    completion: Completion
    reward: float
    corrected: bool
    leaked: bool
    blank: bool


class Turns:
    """Dialogues of two attempts with a model in each seat.

    Args:
        split: of the questions.
    """

    def __init__(self, config: GuideConfig, student: Speaker, teacher: Speaker, split: str) -> None:
        self._config, self._student, self._teacher, self._split = config, student, teacher, split
        self._rooms: list[SocraticAECEnv] = []
        if self._room(0).interaction.protocol.fixed:
            raise ConfigurationError(
                f"protocol {config.protocol!r} is a fixed text, and a teacher has no turn in it; take another"
            )

    def places(self, count: int, seed: int) -> list[str]:
        """Ids of so many random questions."""
        questions = self._room(0).questions
        drawn = np.random.default_rng(seed).integers(len(questions), size=count)
        return [questions[int(place)].id for place in drawn]

    def play(self, ids: Sequence[str], each: int, seed: int) -> list[Turn]:
        """So many guided second attempts on each question whose first one is wrong; the first attempt is the
        same for all of a question, so that they differ by the guidance alone.

        Raises VerifierError if an attempt cannot be judged, since nothing would be known of its guidance.
        """
        first = [self._open(number, question_id) for number, question_id in enumerate(ids)]
        said = self._student.say([room.infos[STUDENT]["messages"] for room in first], mixed_seed(seed, 1))
        texts = [self._student.chat.text(completion.ids) for _, completion in said]
        for room, text in zip(first, texts, strict=True):
            self._answer(room, text)
        wrong = [number for number, room in enumerate(first) if room.infos[TEACHER]["messages"]]

        rooms: list[SocraticAECEnv] = []
        for number in wrong:
            for _ in range(each):
                room = self._open(len(rooms), ids[number])
                self._answer(room, texts[number])
                rooms.append(room)
        guided = self._teacher.say([room.infos[TEACHER]["messages"] for room in rooms], mixed_seed(seed, 2))
        for room, (_, completion) in zip(rooms, guided, strict=True):
            while room.agent_selection == TEACHER and room.dialogue.stop is None:  # a leak is asked again
                room.step(self._teacher.chat.text(completion.ids))
        open_ = [number for number, room in enumerate(rooms) if room.dialogue.stop is None]
        asked = [rooms[number].infos[STUDENT]["messages"] for number in open_]
        for number, (_, completion) in zip(open_, self._student.say(asked, mixed_seed(seed, 3)), strict=True):
            self._answer(rooms[number], self._student.chat.text(completion.ids))
        return [self._turn(wrong[i // each], rooms[i], *guided[i]) for i in range(len(rooms))]

    def close(self) -> None:
        """Close the environments."""
        for room in self._rooms:
            room.close()

    @staticmethod
    def _turn(group: int, room: SocraticAECEnv, prompt: list[int], completion: Completion) -> Turn:
        attempts = room.dialogue.attempts
        leaked = attempts[0].guidance is not None and bool(attempts[0].guidance.leaks)
        corrected = len(attempts) > 1 and attempts[1].verdict.correct
        # A blank text ends the dialogue as a fault, and earns nothing.
        blank = room.infos[TEACHER]["teacher_fault"] is not None
        return Turn(group, prompt, completion, room.rewards[TEACHER], corrected, leaked, blank)

    @staticmethod
    def _answer(room: SocraticAECEnv, text: str) -> None:
        room.step(text)
        fault = room.infos[STUDENT]["verifier_fault"]
        if fault is not None:
            raise VerifierError(
                f"an attempt at question {room.dialogue.question.id!r} has no verdict: {fault}"
            )

    def _open(self, number: int, question_id: str) -> SocraticAECEnv:
        room = self._room(number)
        room.reset(options={"question_id": question_id})
        return room

    def _room(self, number: int) -> SocraticAECEnv:
        while len(self._rooms) <= number:
            config = self._config
            self._rooms.append(
                raw_env(
                    questions=spec_of(config.questions, "questions"),
                    split=self._split,
                    protocol=config.protocol,
                    max_attempts=2,
                    leak_penalty=config.leak_penalty,
                )
            )
        return self._rooms[number]
