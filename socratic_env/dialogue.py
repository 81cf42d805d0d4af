"""The rules, once: open a dialogue, answer, advise. Pure functions on frozen records.

Every face (Gymnasium, vector, asynchronous, and others) only carries these transitions:

    open_dialogue -> [answer -> (solved | out of attempts | too long) or advise]* -> stop
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from socratic_env.errors import ActionError, ConfigurationError, StepError, TeacherContextError, VerifierError
from socratic_env.types import Attempt, Guidance, Message, Question, StopReason, Verdict
from socratic_env.verifiers import Verifier, by_kind

MAX_REPLY_CHARS = 1_000_000
"""A longer reply is judged wrong unread and is kept cut to this length."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What ends a dialogue: K, the verifier, and the longest text a student may see."""

    max_attempts: int = 2
    verifier: Verifier = by_kind
    max_context_chars: int | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue so far.

    chars: the length of all its messages.
    fault: why the verifier could not judge the reply that ended it, which is then no attempt.
    rollout: tells dialogues on one question in one batch apart, 0 for the first; no student and no
        prompt sees it.
    """

    question: Question
    attempts: tuple[Attempt, ...] = ()
    stop: StopReason | None = None
    chars: int = 0
    rollout: int = 0
    fault: VerifierError | None = None

    @property
    def awaits_guidance(self) -> bool:
        """Whether the next transition is `advise`."""
        return self.stop is None and bool(self.attempts) and self.attempts[-1].guidance is None


def open_dialogue(question: Question, rollout: int = 0) -> Dialogue:
    """A dialogue in which nothing was said yet but the question."""
    return Dialogue(question, chars=len(question.system) + len(question.text), rollout=rollout)


def answer(dialogue: Dialogue, text: str, rules: Rules, finished: bool | None = None) -> Dialogue:
    """The student's reply: verified, and the end if it is right or the last one (eq 8). `finished` is only
    written down: whether it ended by itself.

    Raises:
        ActionError: the reply is no text.
        StepError: the dialogue is over, or waits for guidance.
        ConfigurationError: the verifier is asynchronous; an Interaction awaits it.
    """
    text, verdict = heard(dialogue, text)
    if verdict is None:
        found = rules.verifier(dialogue.question, text)
        if not isinstance(found, Verdict):
            raise ConfigurationError(
                f"the verifier returned {found!r:.80}, no Verdict; let an Interaction await it"
            )
        verdict = found
    return judged(dialogue, text, verdict, rules, finished)


def heard(dialogue: Dialogue, text: str) -> tuple[str, Verdict | None]:
    """A reply as it is kept, and the verdict on one that no verifier is to read. Raises as `answer`."""
    if not isinstance(text, str):
        raise ActionError(f"the action is {type(text).__name__} {text!r:.60}; a reply must be a str")
    if dialogue.stop is not None:
        raise StepError(f"the episode has ended ({dialogue.stop.value}); call reset() first")
    if dialogue.awaits_guidance:
        raise StepError("the last attempt still waits for guidance; advise before the next answer")
    if len(text) > MAX_REPLY_CHARS:
        reason = f"the reply is longer than {MAX_REPLY_CHARS} characters"
        return _clean(text[:MAX_REPLY_CHARS]), Verdict(False, None, reason)
    return _clean(text), None


def judged(dialogue: Dialogue, text: str, verdict: Verdict, rules: Rules, finished: bool | None) -> Dialogue:
    """The dialogue after a reply that was heard, with its verdict."""
    attempts = (*dialogue.attempts, Attempt(text, verdict, finished=finished))
    chars = dialogue.chars + len(text)
    stop = None
    if verdict.correct:
        stop = StopReason.SOLVED
    elif len(attempts) >= rules.max_attempts:
        stop = StopReason.OUT_OF_ATTEMPTS
    elif rules.max_context_chars is not None and chars > rules.max_context_chars:
        stop = StopReason.CONTEXT_LIMIT
    return replace(dialogue, attempts=attempts, stop=stop, chars=chars)


def unjudged(dialogue: Dialogue, fault: VerifierError) -> Dialogue:
    """The end of a dialogue whose last reply nobody could judge: that reply is no attempt."""
    return replace(dialogue, stop=StopReason.VERIFIER_FAILED, fault=fault)


def advise(dialogue: Dialogue, guidance: Guidance, rules: Rules) -> Dialogue:
    """The teacher's guidance on the last attempt (eq 10), or its fault, which ends the dialogue: as a full
    context where the dialogue no longer fits the teacher, since to go on later would not help."""
    if not dialogue.awaits_guidance:
        raise StepError("no attempt waits for guidance")
    guidance = replace(guidance, text=_clean(guidance.text))
    attempts = (*dialogue.attempts[:-1], replace(dialogue.attempts[-1], guidance=guidance))
    chars = dialogue.chars + len(guidance.text)
    stop = None
    if guidance.fault is not None:
        full = isinstance(guidance.fault, TeacherContextError)
        stop = StopReason.CONTEXT_LIMIT if full else StopReason.TEACHER_FAILED
    elif rules.max_context_chars is not None and chars > rules.max_context_chars:
        stop = StopReason.CONTEXT_LIMIT
    return replace(dialogue, attempts=attempts, stop=stop, chars=chars)


def cut(dialogue: Dialogue) -> Dialogue:
    """End a dialogue whose next prompt no longer fits the student, after its last verdict."""
    if dialogue.stop is not None:
        raise StepError(f"the episode has ended ({dialogue.stop.value}) and cannot be cut")
    return replace(dialogue, stop=StopReason.CONTEXT_LIMIT)


def messages(dialogue: Dialogue) -> list[Message]:
    """The dialogue as the student sees it, as fresh chat messages."""
    question = dialogue.question
    out: list[Message] = []
    if question.system:
        out.append({"role": "system", "content": question.system})
    out.append({"role": "user", "content": question.text})
    for attempt in dialogue.attempts:
        out.append({"role": "assistant", "content": attempt.text})
        if attempt.guidance is not None and attempt.guidance.fault is None:
            out.append({"role": "user", "content": attempt.guidance.text})
    return out


def text(dialogue: Dialogue) -> str:
    """The dialogue as one text, each message under its role."""
    return transcript(messages(dialogue))


def transcript(chat: Sequence[Message]) -> str:
    """Chat messages as one text, each under its role."""
    return "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in chat)


def _clean(reply: str) -> str:
    """Lone surrogates replaced, so that every text is valid Unicode and valid JSON."""
    if reply.isascii():
        return reply
    return reply.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
