"""What all faces share: the rules, the teacher, and what happens when the teacher fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from socratic_env import dialogue as rules_of
from socratic_env.dialogue import Dialogue, Rules
from socratic_env.errors import ConfigurationError, TeacherError, unknown
from socratic_env.leakage import detect
from socratic_env.protocols import TeachingProtocol
from socratic_env.protocols import protocol as protocol_of
from socratic_env.rewards import check_max_attempts, schedule
from socratic_env.spaces import UnicodeText
from socratic_env.teachers import TeacherRequest, TeacherSpec, from_spec
from socratic_env.teachers.base import Teacher, run
from socratic_env.teachers.retry import RETRY_PROMPT
from socratic_env.types import Guidance, Question, Usage
from socratic_env.verifiers import NAMED, Verifier, by_kind

FAILURE_POLICIES = ("truncate", "retry_prompt", "raise")
LONGEST_OBSERVATION = 2**31 - 1
SAFE_HINT = "Your answer is incorrect. Go through your reasoning line by line and find the first that fails."
LEAK_WARNING = (
    "Your last guidance gave the answer away. Write it anew without the right option, its letter, its text "
    "or its value, in any form."
)


class Classroom:
    """Rules, teacher and failure policy; opens dialogues and carries them on.

    Arguments are those of `gym.make` of the same names.
    """

    def __init__(
        self,
        *,
        teacher: TeacherSpec = "rule",
        protocol: str | TeachingProtocol = "paper",
        verifier: str | Verifier | None = None,
        max_attempts: int = 2,
        reward: str = "decay",
        on_teacher_failure: str = "truncate",
        max_context_chars: int | None = None,
    ) -> None:
        check_max_attempts(max_attempts)
        if on_teacher_failure not in FAILURE_POLICIES:
            raise unknown("on_teacher_failure", on_teacher_failure, FAILURE_POLICIES)
        if max_context_chars is not None and not (
            isinstance(max_context_chars, int) and max_context_chars > 0
        ):
            raise ConfigurationError(
                f"max_context_chars is {max_context_chars!r}; give a number of characters or None"
            )
        self.rules = Rules(int(max_attempts), _verifier(verifier), max_context_chars)
        self.protocol = protocol_of(protocol)
        self.schedule = schedule(reward)
        self.decays = reward == "decay"
        self.on_teacher_failure = on_teacher_failure
        self.usage: dict[str, Usage] = {"teacher": Usage()}
        self.teacher: Teacher = from_spec(teacher)
        self._owns_teacher = not isinstance(teacher, Teacher)

    def open(self, question: Question, rollout: int = 0) -> Dialogue:
        """A new dialogue on a question that this teacher can teach."""
        self.teacher.check(question)
        return rules_of.open_dialogue(question, rollout)

    def answer(self, dialogue: Dialogue, text: str) -> Dialogue:
        """The student's reply, verified."""
        return rules_of.answer(dialogue, text, self.rules)

    async def advise(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        """One teacher call for all these dialogues, each of which awaits guidance."""
        if not dialogues:
            return []
        if self.protocol.fixed:
            accepted = [self._accept(Guidance(self.protocol.fixed), dialogue) for dialogue in dialogues]
        else:
            given = await self._guide([TeacherRequest(dialogue, self.protocol) for dialogue in dialogues])
            accepted = [self._accept(*pair) for pair in zip(given, dialogues, strict=True)]
            accepted = await self._without_leaks(accepted, dialogues)
        return [
            rules_of.advise(dialogue, guidance, self.rules)
            for dialogue, guidance in zip(dialogues, accepted, strict=True)
        ]

    def close(self) -> None:
        """Close the teacher, if it was made here from a spec."""
        if self._owns_teacher:
            run(self.teacher.close())

    async def _guide(self, requests: Sequence[TeacherRequest]) -> list[Guidance]:
        try:
            given = await self.teacher.guide(requests)
        except TeacherError as fault:
            given = [Guidance(fault=fault, usage=Usage(calls=1, failures=1)) for _ in requests]
        if len(given) != len(requests):
            raise ConfigurationError(
                f"{type(self.teacher).__name__}.guide returned {len(given)} guidances for "
                f"{len(requests)} requests; it must return one for each"
            )
        return given

    async def _without_leaks(self, accepted: list[Guidance], dialogues: Sequence[Dialogue]) -> list[Guidance]:
        """Guidance that leaks is asked for again and then replaced, where the protocol says so."""
        leaking = [row for row, guidance in enumerate(accepted) if guidance.leaks]
        if self.protocol.on_leak == "keep" or not leaking:
            return accepted
        out = list(accepted)
        if self.protocol.on_leak == "ask_again":
            warned = replace(self.protocol, prompt=f"{self.protocol.prompt}\n\n{LEAK_WARNING}")
            again = await self._guide([TeacherRequest(dialogues[row], warned) for row in leaking])
            for row, guidance in zip(leaking, again, strict=True):
                second = self._accept(guidance, dialogues[row])
                usage = accepted[row].usage + guidance.usage
                if second.fault is None:
                    out[row] = replace(second, usage=usage)
        for row in leaking:
            if out[row].leaks:
                out[row] = replace(out[row], text=SAFE_HINT, truncated=False, blocked=True)
        return out

    def _accept(self, guidance: Guidance, dialogue: Dialogue) -> Guidance:
        self.usage["teacher"] += guidance.usage
        if guidance.fault is not None:
            if self.on_teacher_failure == "raise":
                raise guidance.fault
            if self.on_teacher_failure == "retry_prompt":
                return Guidance(RETRY_PROMPT, usage=guidance.usage)
            return guidance
        longest = self.protocol.max_guidance_chars
        if len(guidance.text) > longest:
            guidance = replace(guidance, text=guidance.text[:longest], truncated=True)
        return replace(guidance, leaks=tuple(detect(dialogue.question, guidance.text)))


def _verifier(spec: str | Verifier | None) -> Verifier:
    if spec is None:
        return by_kind
    if isinstance(spec, str):
        if spec not in NAMED:
            raise unknown("verifier", spec, NAMED)
        return NAMED[spec]
    if not callable(spec):
        raise ConfigurationError(f"verifier is {spec!r}; give a name, a function or None")
    return spec


def observe(dialogue: Dialogue, reward_bounds: tuple[float, float]) -> tuple[str, dict[str, Any]]:
    """(observation, info) of a dialogue. Fresh objects, no ground truth, no timings."""
    last = dialogue.attempts[-1] if dialogue.attempts else None
    guidance = last.guidance if last is not None else None
    return rules_of.text(dialogue), {
        "messages": rules_of.messages(dialogue),
        "question_id": dialogue.question.id,
        "domain": dialogue.question.domain,
        "attempt": len(dialogue.attempts),
        "correct": last.verdict.correct if last is not None else False,
        "answer": last.verdict.answer if last is not None else None,
        "verdict": last.verdict.reason if last is not None else None,
        "guidance": guidance.text if guidance is not None and guidance.fault is None else None,
        "stop_reason": dialogue.stop.value if dialogue.stop is not None else None,
        "reward_bounds": reward_bounds,
    }


def text_space() -> UnicodeText:
    """The space of observations and actions."""
    return UnicodeText(LONGEST_OBSERVATION)
