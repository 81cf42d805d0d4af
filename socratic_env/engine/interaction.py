"""The rules of an interaction, whoever teaches in it, and how guidance comes before the student."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

from socratic_env import dialogue as rules_of
from socratic_env.dialogue import Dialogue, Rules
from socratic_env.engine.arguments import EnvArguments
from socratic_env.errors import VerifierError, VerifierFaultWarning
from socratic_env.leakage import detect
from socratic_env.protocols import protocol as protocol_of
from socratic_env.rewards import schedule
from socratic_env.teachers import TeacherRequest
from socratic_env.teachers.retry_teacher import RETRY_PROMPT
from socratic_env.types import Guidance, Question, Usage, Verdict
from socratic_env.verifiers import verifier_from_spec
from socratic_env.verifiers.verdicts import Begun, Outcome, begin, finish, finish_all
from socratic_env.viewpoints import InContext

SAFE_HINT = "Your answer is incorrect. Go through your reasoning line by line and find the first that fails."
LEAK_WARNING = (
    "Your last guidance gave the answer away. Write it anew without the right option, its letter, its text "
    "or its value, in any form."
)


class Interaction:
    """Rules, protocol and pay of an interaction; takes guidance from anyone.

    Guidance goes `accept` -> (once more, where `asks_again`, and `second`) -> `tell`.
    """

    def __init__(self, arguments: EnvArguments) -> None:
        self.rules = Rules(
            int(arguments.max_attempts), verifier_from_spec(arguments.verifier), arguments.max_context_chars
        )
        self.protocol = protocol_of(arguments.protocol)
        self.schedule = schedule(arguments.reward)
        self.decays = arguments.reward == "decay"
        self.on_teacher_failure = arguments.on_teacher_failure
        self.viewpoints = InContext(arguments.viewpoints)
        self.usage: dict[str, Usage] = {"teacher": Usage()}
        self._warned_of_verifier = False

    def open(self, question: Question, rollout: int = 0) -> Dialogue:
        """A new dialogue on a question, with the viewpoints that apply to it."""
        return rules_of.open_dialogue(self.viewpoints.before(question), rollout)

    def answer(self, dialogue: Dialogue, text: str, finished: bool | None = None) -> Dialogue:
        """The student's reply, verified; `finished` as of Attempt. A fault of the verifier ends the dialogue.

        It waits for a verifier that is asynchronous: on an event loop await `judge` instead.
        """
        text, begun = self._begin(dialogue, text)
        if not isinstance(begun, Verdict):
            (begun,) = finish_all([begun])
        return self._end(dialogue, text, begun, finished)

    def answer_all(self, dialogues: Sequence[Dialogue], texts: Sequence[str]) -> list[Dialogue]:
        """`answer` for several dialogues, all verified together."""
        begun = [self._begin(*each) for each in zip(dialogues, texts, strict=True)]
        outcomes = finish_all([each for _, each in begun])
        return [
            self._end(dialogue, text, outcome, None)
            for dialogue, (text, _), outcome in zip(dialogues, begun, outcomes, strict=True)
        ]

    async def judge(self, dialogue: Dialogue, text: str, finished: bool | None = None) -> Dialogue:
        """`answer` on an event loop."""
        text, begun = self._begin(dialogue, text)
        return self._end(dialogue, text, await finish(begun), finished)

    def _begin(self, dialogue: Dialogue, text: str) -> tuple[str, Begun]:
        text, verdict = rules_of.heard(dialogue, text)
        return text, verdict or begin(self.rules.verifier, dialogue.question, text)

    def _end(self, dialogue: Dialogue, text: str, outcome: Outcome, finished: bool | None) -> Dialogue:
        if not isinstance(outcome, VerifierError):
            return rules_of.judged(dialogue, text, outcome, self.rules, finished)
        if not self._warned_of_verifier:
            self._warned_of_verifier = True
            warnings.warn(
                f"the verifier gave no verdict: {outcome}; its episode ends, open. Later faults get no "
                "warning; environments tell each in info['verifier_fault']",
                VerifierFaultWarning,
                stacklevel=1,
            )
        return rules_of.unjudged(dialogue, outcome)

    def request(self, dialogue: Dialogue, again: bool = False) -> TeacherRequest:
        """What a teacher is asked on a dialogue that awaits guidance; `again` after a leak."""
        if not again:
            return TeacherRequest(dialogue, self.protocol)
        warned = replace(self.protocol, prompt=f"{self.protocol.prompt}\n\n{LEAK_WARNING}")
        return TeacherRequest(dialogue, warned)

    def accept(self, guidance: Guidance, dialogue: Dialogue) -> Guidance:
        """Guidance as it is recorded: counted, its fault dealt with, cut, searched for leaks."""
        self.usage["teacher"] += guidance.usage
        if guidance.fault is not None:
            if self.on_teacher_failure == "raise":
                raise guidance.fault
            if self.on_teacher_failure == "retry_prompt":
                return Guidance(RETRY_PROMPT, stands_for=guidance.fault, usage=guidance.usage)
            return guidance
        longest = self.protocol.max_guidance_chars
        if len(guidance.text) > longest:
            guidance = replace(guidance, text=guidance.text[:longest], truncated=True)
        return replace(guidance, leaks=tuple(detect(dialogue.question, guidance.text)))

    def asks_again(self, guidance: Guidance) -> bool:
        """Whether this first guidance leaks so that the protocol wants another."""
        return bool(guidance.leaks) and self.protocol.on_leak == "ask_again"

    def second(self, first: Guidance, again: Guidance) -> Guidance:
        """What counts after asking again: the new guidance, or the first where that is a fault."""
        return replace(first if again.fault is not None else again, usage=first.usage + again.usage)

    def tell(self, dialogue: Dialogue, guidance: Guidance) -> Dialogue:
        """The dialogue after accepted guidance; a leak is replaced unless the protocol keeps it."""
        if guidance.leaks and self.protocol.on_leak != "keep":
            guidance = replace(guidance, text=SAFE_HINT, truncated=False, blocked=True)
        return rules_of.advise(dialogue, guidance, self.rules)

    def tell_fixed(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue after the fixed text of a protocol that asks no teacher."""
        return rules_of.advise(dialogue, self.accept(Guidance(self.protocol.fixed), dialogue), self.rules)
