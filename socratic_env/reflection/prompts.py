"""Prompts of reflecting teachers: one file each, of `envs_registry/reflections` or of one's own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import envs_registry
from socratic_env.errors import ConfigurationError, check_count, unknown
from socratic_env.protocols import front_matter, neutralise
from socratic_env.traces import InteractionTrace
from socratic_env.types import Message
from socratic_env.viewpoints import KINDS, labels

ABOUT = ("failures", "successes", "all")
_PLACEHOLDER = re.compile(r"\{(question|student_answer|outcome|triggers)\}")
_MOST_TRIGGERS = 40
_FORM = """Output format: one JSON object and nothing else, with at most {most} viewpoints:
{{"viewpoints": [{{"kind": "{kind}", "trigger": "...", "text": "..."}}]}}
"kind" is {kinds}. "trigger" is one of the situations listed above, or "" if it applies everywhere. "text" \
is what the student will read before other questions of the kind: at most {longest} characters, without the \
answer of this one. Give an empty list if there is nothing worth saying."""


@dataclass(frozen=True, slots=True)
class ReflectionPrompt:
    """What a reflecting teacher is asked of one trace.

    name: of the file, without ".md".
    prompt: with the placeholders {question}, {student_answer}, {outcome} and {triggers} (the situations in
        which a viewpoint can apply). The form of the answer is put below it, so that it need not say any.
    summary: one line for people.
    kinds: the kinds of viewpoint that are wanted, of `viewpoints.KINDS`.
    about: the traces that are shown: "failures", "successes" or "all".
    most: viewpoints of one trace.
    max_chars: of a viewpoint's text.
    """

    name: str
    prompt: str
    summary: str = ""
    kinds: tuple[str, ...] = KINDS
    about: str = "failures"
    most: int = 1
    max_chars: int = 400

    def __post_init__(self) -> None:
        what = f"reflection prompt {self.name!r}"
        if not isinstance(self.prompt, str) or "{student_answer}" not in self.prompt:
            raise ConfigurationError(
                f"{what} has no {{student_answer}}; write the prompt after the front matter, with the "
                "placeholder where the trace is to stand"
            )
        if not isinstance(self.kinds, tuple) or not self.kinds:
            raise ConfigurationError(f"{what}: kinds is {self.kinds!r}; give a list of {', '.join(KINDS)}")
        for kind in self.kinds:
            if kind not in KINDS:
                raise unknown(f"kind in {what}:", kind, KINDS)
        if self.about not in ABOUT:
            raise unknown(f"value of 'about' in {what}:", self.about, ABOUT)
        check_count(f"{what}: most", self.most)
        check_count(f"{what}: max_chars", self.max_chars)

    @property
    def version(self) -> str:
        """Its name with the beginning of a digest of all that is asked."""
        asked = repr((self.prompt, self.kinds, self.about, self.most, self.max_chars))
        return f"{self.name}@{hashlib.sha256(asked.encode()).hexdigest()[:8]}"

    def wants(self, trace: InteractionTrace) -> bool:
        """Whether it is asked of a trace."""
        return self.about == "all" or trace.correct == (self.about == "successes")

    def messages(self, trace: InteractionTrace) -> list[Message]:
        """The chat that asks for viewpoints on a trace. The student's text is fenced and cannot forge it."""
        triggers = sorted(labels(trace.question))[:_MOST_TRIGGERS]
        values = {
            "question": trace.question.text,
            "student_answer": f"<student_answer>\n{neutralise(trace.text)}\n</student_answer>",
            "outcome": "right" if trace.correct else "wrong",
            "triggers": "\n".join(f"- {trigger}" for trigger in triggers) or "- (none)",
        }
        content = _PLACEHOLDER.sub(lambda match: values[match[1]], self.prompt)
        form = _FORM.format(
            most=self.most, kind=self.kinds[0], kinds=" or ".join(self.kinds), longest=self.max_chars
        )
        return [{"role": "user", "content": f"{content}\n\n{form}"}]


def parse_prompt(name: str, text: str) -> ReflectionPrompt:
    """A prompt from the text of its file; a wrong key or value is named."""
    settings, prompt = front_matter(f"reflection prompt {name!r}", text)
    known = {field.name for field in fields(ReflectionPrompt)} - {"name", "prompt"}
    for key in settings:
        if key not in known:
            raise unknown(f"key in the front matter of reflection prompt {name!r}:", key, known)
    if isinstance(settings.get("kinds"), list):
        settings["kinds"] = tuple(settings["kinds"])
    return ReflectionPrompt(name, prompt, **settings)


@cache
def reflection_prompts() -> dict[str, ReflectionPrompt]:
    """All prompts of the registry by name."""
    return {name: parse_prompt(name, text) for name, text in envs_registry.reflection_texts().items()}


def reflection_prompt(spec: str | Path | ReflectionPrompt) -> ReflectionPrompt:
    """The prompt of that name, of the file with that path (.md), or the prompt itself."""
    if isinstance(spec, ReflectionPrompt):
        return spec
    if isinstance(spec, str) and spec in reflection_prompts():
        return reflection_prompts()[spec]
    if not isinstance(spec, Path) and not (isinstance(spec, str) and (spec.endswith(".md") or "/" in spec)):
        raise unknown("reflection prompt", spec, [*reflection_prompts(), "the path of a file (.md)"])
    return parse_prompt(Path(spec).stem, text_of(spec, "reflection prompt", reflection_prompts()))


def text_of(path: str | Path, what: str, known: object) -> str:
    """The text of a file. Raises ConfigurationError, with the names that are known."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a null character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        names = ", ".join(known) if isinstance(known, dict) else known
        raise ConfigurationError(
            f"{what} {str(path)!r} cannot be read: {reason}; give the path of a file, or one of: {names}"
        ) from None
