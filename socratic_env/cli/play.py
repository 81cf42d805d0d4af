"""`socratic play ID`: answer questions in the terminal, with verdict, guidance and reward."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium as gym
import tyro
from rich.console import Console

import socratic_env  # noqa: F401 - registers the ids
from socratic_env.engine.interaction import Interaction
from socratic_env.envs.single import SocraticEnv
from socratic_env.errors import ConfigurationError, SocraticError
from socratic_env.numbers import parse_number
from socratic_env.plugins import spec_of
from socratic_env.types import AnswerKind, Question, reply
from socratic_env.viewpoints import viewpoints_of

OPEN, CLOSE = "<answer>", "</answer>"


@dataclass(frozen=True)
class Play:
    """Answer questions yourself: type a letter, a number, or a whole reply with an answer block.

    A line that is a letter of the options, or a number, is made a reply of the form asked for. A
    reply with <answer> is read up to the line with </answer>. End of input (Ctrl-D) leaves.
    """

    id: Annotated[str, tyro.conf.Positional] = "SocraticSciKnow-v0"
    """Environment id; `socratic envs` lists them."""
    questions: str | None = None
    """A source ("procedural", "concepts:zorin", ...), a path, "module:name", or JSON with its options; none
    given: those of the id."""
    domain: str | None = None
    """Domain of the questions; none given: that of the id."""
    split: str | None = None
    """"train" or "test"; none given: train."""
    teacher: str | None = None
    """"rule", "retry", or a JSON object such as {"kind": "openai", ...}; none given: that of the id."""
    protocol: str | None = None
    """What the teacher sees and is asked: a name, or the path of a file (.md); none given: that of the id."""
    max_attempts: int | None = None
    """Attempts at each question; none given: that of the id."""
    viewpoints: str | None = None
    """Knowledge shown before each question that it fits: the path of a knowledge base, or a JSON list."""
    seed: int | None = None
    """Seed of the first question; none given: a random one."""
    episodes: int = 1
    """Questions to play."""
    json: bool = False
    """Print the transcript as JSON at the end; the dialogue goes to stderr."""


def main(arguments: list[str]) -> int:
    """Play; leaving early is fine."""
    options = tyro.cli(Play, args=arguments, prog="socratic play")
    env = _make(options)
    shown = Console(stderr=options.json, highlight=False, markup=False, soft_wrap=True)
    transcript: list[dict[str, Any]] = []
    status = 0
    try:
        for number in range(options.episodes):
            seed = options.seed if number == 0 else None
            if not _episode(env, seed, shown, transcript):
                break
    except KeyboardInterrupt:
        shown.print()
    except SocraticError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    finally:
        env.close()
    if options.json:
        print(json.dumps({"id": options.id, "episodes": transcript}, indent=1))
    return status


def _make(options: Play) -> gym.Env[str, str]:
    names = ("questions", "domain", "split", "teacher", "protocol", "max_attempts", "viewpoints")
    chosen: dict[str, Any] = {name: getattr(options, name) for name in names}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    chosen |= {
        name: spec_of(chosen[name], f"--{name}") for name in ("questions", "teacher") if name in chosen
    }
    if "viewpoints" in chosen:
        chosen["viewpoints"] = viewpoints_of(options.viewpoints, "--viewpoints")
    try:
        env: gym.Env[str, str] = gym.make(options.id, **chosen)
    except (gym.error.Error, TypeError) as error:
        raise ConfigurationError(f"{options.id}: {error}; `socratic envs` lists the ids") from error
    if not isinstance(env.unwrapped, SocraticEnv):
        env.close()
        raise ConfigurationError(
            f"{options.id} is no text environment of this package; `socratic envs` lists them, and those "
            "named Discrete take no text"
        )
    return env


def _episode(
    env: gym.Env[str, str], seed: int | None, shown: Console, transcript: list[dict[str, Any]]
) -> bool:
    """One question; False if the input ended."""
    _, info = env.reset(seed=seed)
    question: Question = env.get_wrapper_attr("question")
    attempts: list[dict[str, Any]] = []
    transcript.append({"question_id": info["question_id"], "attempts": attempts, "stop_reason": None})
    shown.print(f"--- {info['question_id']} ---\n{question.text}\n")
    interaction: Interaction = env.get_wrapper_attr("interaction")
    for viewpoint in interaction.viewpoints.on(question):
        shown.print(f"keep in mind: {viewpoint.text}")
    while True:
        typed = _read(shown, question)
        if typed is None:
            shown.print("\nleft before the end")
            return False
        if not typed.strip():
            continue
        _, reward, terminated, truncated, info = env.step(typed)
        attempts.append(
            {
                "reply": typed,
                "correct": info["correct"],
                "answer": info["answer"],
                "verdict": info["verdict"],
                "reward": float(reward),
                "guidance": info["guidance"],
            }
        )
        shown.print(
            f"{'right' if info['correct'] else 'wrong'} ({info['verdict']}), reward {float(reward):.3f}"
        )
        if info["guidance"]:
            shown.print(f"teacher: {info['guidance']}\n")
        if terminated or truncated:
            transcript[-1]["stop_reason"] = info["stop_reason"]
            shown.print(f"the episode ended: {info['stop_reason']}")
            if not info["correct"]:
                shown.print(f"the right answer is {question.answer}")
            return True


def _read(shown: Console, question: Question) -> str | None:
    """What was typed, as a reply; None at the end of the input."""
    shown.print(f"your answer ({_hint(question)}): ", end="")
    shown.file.flush()
    lines: list[str] = []
    while True:
        line = sys.stdin.readline()
        if not line:
            return "\n".join(lines) if lines else None
        lines.append(line.rstrip("\r\n"))
        text = "\n".join(lines)
        if OPEN not in text or CLOSE in text:
            return wrapped(question, text)


def _hint(question: Question) -> str:
    if question.letters:
        return ", ".join(question.letters)
    if question.kind is AnswerKind.TEXT:
        return "your answer in words"
    return f"a number in {question.unit}" if question.unit else "a number"


def wrapped(question: Question, text: str) -> str:
    """A bare letter, number or answer in words as a reply in the form asked for; other texts as they are."""
    bare = text.strip()
    if question.kind is AnswerKind.CHOICE and bare.upper() in question.letters:
        return reply("Typed by hand.", bare.upper())
    if question.kind is AnswerKind.NUMERIC and parse_number(bare, question.unit) is not None:
        return reply("Typed by hand.", bare)
    if question.kind is AnswerKind.TEXT and bare and "<answer>" not in bare:
        return reply("Typed by hand.", bare)
    return text
