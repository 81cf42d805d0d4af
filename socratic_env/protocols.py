"""Teaching protocols: what a teacher sees of a failed dialogue, and what it is asked.

A protocol is one file, of `envs_registry/variants` or of one's own: front matter, then the prompt.
Placeholders are filled in one pass, so that braces in a question or a reply stay what they are, and the
student's text is fenced and cannot forge chat tokens or the fence.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import envs_registry
from socratic_env.dialogue import Dialogue
from socratic_env.errors import ConfigurationError, unknown
from socratic_env.types import HINT_STRENGTHS, Message, Question

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{(question|student_answer|reference_solution|ground_truth_block)\}")
_CHAT_TOKEN = re.compile(
    r"<(?=[|\uff5c]|[\s/]*(?:student_answer|system|user|assistant|(?:start|end)_of_turn|(?:s|bos|eos|sys)>))"
    r"|\[(?=/?inst\])",
    re.IGNORECASE,
)
ON_LEAK = ("keep", "replace", "ask_again")
_BREAK = "\\g<0>\u200b"
_NOT_SHOWN = "(not provided)"


@dataclass(frozen=True, slots=True)
class TeachingProtocol:
    """What a teacher sees and is asked.

    name: as in `gym.make(..., protocol=name)`; of a file of one's own, the file's name without ".md".
    prompt: the teacher's prompt with placeholders in braces.
    summary: one line for people.
    dialogue: "last" shows the latest reply, "whole" everything said so far.
    ground_truth, reference_solution: whether the teacher is shown the answer, the solution.
    max_guidance_chars: longer guidance is cut there and marked.
    rule_hints: what the rule-based teacher gives, strengths of `HINT_STRENGTHS` in order.
    fixed: if not empty, what the student is told after every mistake; no teacher is asked then.
    on_leak: guidance that leaks is kept, replaced by a safe hint, or asked for once more and
        replaced if that leaks too. Leaks are recorded in any case.
    """

    name: str
    prompt: str
    summary: str = ""
    dialogue: str = "last"
    ground_truth: bool = False
    reference_solution: bool = False
    max_guidance_chars: int = 4096
    rule_hints: tuple[str, ...] = ("explain", "next_step")
    fixed: str = ""
    on_leak: str = "keep"

    def __post_init__(self) -> None:
        def refuse(key: str, wanted: str) -> ConfigurationError:
            return ConfigurationError(
                f"protocol {self.name!r}: {key} is {getattr(self, key)!r}; give {wanted}"
            )

        if self.dialogue not in ("last", "whole"):
            raise refuse("dialogue", "'last' or 'whole'")
        if self.on_leak not in ON_LEAK:
            raise refuse("on_leak", f"one of {', '.join(ON_LEAK)}")
        if not isinstance(self.fixed, str):
            raise refuse("fixed", "a text")
        for key in ("ground_truth", "reference_solution"):
            if not isinstance(getattr(self, key), bool):
                raise refuse(key, "true or false")
        longest = self.max_guidance_chars
        if not isinstance(longest, int) or isinstance(longest, bool) or longest < 1:
            raise refuse("max_guidance_chars", "a number of characters")
        if not isinstance(self.rule_hints, tuple) or not self.rule_hints:
            raise refuse("rule_hints", f"a list of {', '.join(HINT_STRENGTHS)}")
        for strength in self.rule_hints:
            if strength not in HINT_STRENGTHS:
                raise unknown(f"hint strength in protocol {self.name!r}:", strength, HINT_STRENGTHS)
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise refuse("prompt", "the teacher's prompt, after the front matter")


def front_matter(what: str, text: str) -> tuple[dict[str, Any], str]:
    """(settings, what follows) of a file that begins with a block of settings. what: the file, for messages.

    Raises ConfigurationError."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        raise ConfigurationError(f"{what} has no front matter; begin it with a '---' block")
    try:
        settings: dict[str, Any] = yaml.safe_load(match[1]) or {}
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{what}: its front matter is no valid YAML: {reason}") from None
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{what}: its front matter must be lines of 'key: value'")
    return settings, match[2].strip()


def parse_protocol(name: str, text: str) -> TeachingProtocol:
    """A protocol from the text of its file; a wrong key or value is named."""
    settings, prompt = front_matter(f"protocol {name!r}", text)
    known = {f.name for f in fields(TeachingProtocol)} - {"name", "prompt"}
    for key in settings:
        if key not in known:
            raise unknown(f"key in the front matter of protocol {name!r}:", key, known)
    if isinstance(settings.get("rule_hints"), list):
        settings["rule_hints"] = tuple(settings["rule_hints"])
    return TeachingProtocol(name=name, prompt=prompt, **settings)


def protocol_text(protocol: TeachingProtocol) -> str:
    """The text of a protocol's file; `parse_protocol` reads it again."""
    settings = {
        each.name: getattr(protocol, each.name)
        for each in fields(TeachingProtocol)
        if each.name not in ("name", "prompt")
    }
    settings["rule_hints"] = list(protocol.rule_hints)
    head = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{head}---\n{protocol.prompt}\n"


@cache
def protocols() -> dict[str, TeachingProtocol]:
    """All protocols of the registry by name."""
    return {name: parse_protocol(name, text) for name, text in envs_registry.protocol_texts().items()}


def protocol(spec: str | Path | TeachingProtocol) -> TeachingProtocol:
    """The protocol of that name, of the file with that path (.md), or the protocol itself."""
    if isinstance(spec, TeachingProtocol):
        return spec
    if isinstance(spec, str) and spec in protocols():
        return protocols()[spec]
    if isinstance(spec, Path) or (isinstance(spec, str) and _is_path(spec)):
        return _of_file(Path(spec))
    raise unknown("protocol", spec, [*protocols(), "the path of a file (.md)"])


def _is_path(spec: str) -> bool:
    return spec.endswith(".md") or "/" in spec or os.sep in spec


def _of_file(path: Path) -> TeachingProtocol:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a null character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"protocol {str(path)!r} cannot be read: {reason}; give the path of a file of front matter and "
            f"prompt, or one of: {', '.join(protocols())}"
        ) from None
    return parse_protocol(path.stem, text)


def neutralise(text: str) -> str:
    """Student text in which chat tokens and forged fences are broken by an invisible character."""
    return _CHAT_TOKEN.sub(_BREAK, text)


def _student_answer(dialogue: Dialogue, whole: bool) -> str:
    def fence(text: str) -> str:
        return f"<student_answer>\n{neutralise(text)}\n</student_answer>"

    if not whole:
        return fence(dialogue.attempts[-1].text)
    parts = []
    for attempt in dialogue.attempts:
        parts.append(fence(attempt.text))
        if attempt.guidance is not None:
            parts.append(f"Your guidance then:\n{neutralise(attempt.guidance.text)}")
    return "\n\n".join(parts)


def _truth(question: Question) -> str:
    texts = {o.letter: o.text for o in question.options}
    option = texts.get(question.answer)
    return f"{question.answer}: {option}" if option is not None else question.answer


def teacher_messages(dialogue: Dialogue, protocol: TeachingProtocol) -> list[Message]:
    """The chat that asks a language-model teacher for guidance on the last attempt (eq 9)."""
    question = dialogue.question
    solution = question.solution if protocol.reference_solution else None
    values = {
        "question": question.text,
        "student_answer": _student_answer(dialogue, protocol.dialogue == "whole"),
        "reference_solution": solution or _NOT_SHOWN,
        "ground_truth_block": _truth(question) if protocol.ground_truth else _NOT_SHOWN,
    }
    content = _PLACEHOLDER.sub(lambda m: values[m.group(1)], protocol.prompt)
    return [{"role": "user", "content": content}]
