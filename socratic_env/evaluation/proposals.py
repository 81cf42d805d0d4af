"""A language model that proposes better prompts for a teacher."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from socratic_env.models.endpoint import Endpoint
from socratic_env.protocols import TeachingProtocol
from socratic_env.reflection.structured import ask_checked, json_object
from socratic_env.types import Episode, Message, Usage

NEEDED = ("{question}", "{student_answer}")
"""Placeholders that a prompt must keep."""
_SHOWN, _LONGEST = 3, 1500


@dataclass(frozen=True)
class ByModel:
    """A language model proposes: it sees the prompt, and dialogues in which guidance helped and did not."""

    endpoint: Endpoint

    async def __call__(
        self, protocol: TeachingProtocol, episodes: Sequence[Episode], count: int, seed: int
    ) -> tuple[list[tuple[TeachingProtocol, str]], tuple[list[str], Usage]]:
        """`count` proposals, each asked for by itself; what cannot be used is a fault."""

        def read(text: str) -> tuple[TeachingProtocol, str]:
            found = json_object(text, "prompt")
            prompt, change = found["prompt"], found.get("change", "")
            if not isinstance(prompt, str) or not isinstance(change, str):
                raise ValueError('"prompt" and "change" must be texts')
            missing = [each for each in NEEDED if each not in prompt]
            if missing:
                raise ValueError(f'"prompt" lacks {" and ".join(missing)}')
            return replace(protocol, prompt=prompt.strip()), change or "rewritten"

        made, faults, usage = [], [], Usage()
        chosen = random.Random(seed)
        for _ in range(count):
            chat = proposal_chat(protocol, episodes, chosen)
            proposal, fault, cost = await ask_checked(self.endpoint, chat, read)
            usage += cost
            if proposal is not None:
                made.append(proposal)
            else:
                faults.append(str(fault))
        return made, (faults, usage)


def proposer_endpoint(base_url: str, model: str, api_key_env: str, fields: dict[str, Any]) -> Endpoint:
    """Where proposals are asked for, with the usual bounds of time and size."""
    return Endpoint(
        "the proposer",
        base_url,
        model,
        api_key_env,
        fields,
        request=None,
        rename=None,
        deadline_s=300.0,
        connect_s=10.0,
        retries=4,
        concurrency=8,
        max_reply_bytes=8 * 2**20,
    )


def proposal_chat(
    protocol: TeachingProtocol, episodes: Sequence[Episode], rng: random.Random
) -> list[Message]:
    """What a model is asked: the prompt as it is, and some dialogues with how they went on."""
    helped, failed = list[str](), list[str]()
    for episode in episodes:
        first = episode.attempts[0]
        if first.guidance is None or first.guidance.fault is not None or len(episode.attempts) < 2:
            continue
        told = (
            f"Question:\n{episode.question.text}\nStudent:\n{first.text}\nGuidance:\n{first.guidance.text}\n"
            f"Student then:\n{episode.attempts[1].text}"
        )[:_LONGEST]
        (helped if episode.attempts[1].verdict.correct else failed).append(told)
    shown = [
        f"{title}\n\n" + "\n\n---\n\n".join(rng.sample(texts, min(_SHOWN, len(texts))))
        for title, texts in (("Guidance that did not help:", failed), ("Guidance that helped:", helped))
        if texts
    ]
    content = (
        "A teacher is given the prompt below and helps a student after a wrong answer. Write a better one: a "
        "prompt after which more students get it right at the next attempt, and which never gives the "
        "answer away. Keep the placeholders in braces.\n\nThe prompt now:\n\n"
        f"{protocol.prompt}\n\n"
        + "\n\n".join(shown)
        + '\n\nOutput format: one JSON object with "change" (one '
        'sentence: what you changed and why) and "prompt" (the whole new prompt).'
    )
    return [{"role": "user", "content": content}]
