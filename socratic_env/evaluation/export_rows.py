"""Stored episodes as rows for training elsewhere, in the conversational forms of TRL.

"prompt-completion" (`SFTTrainer`): right replies. "preference" (`DPOTrainer`): a first reply that was wrong
against the correction that its guidance led to, both on the question alone. Replies that were cut, and
corrections after guidance that gave the answer away, are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from socratic_env.dialogue import Dialogue, messages, open_dialogue
from socratic_env.records.episodes import attempts_of
from socratic_env.types import Message, Question
from socratic_env.viewpoints import InContext

FORMS = ("prompt-completion", "preference")
CONTEXTS = ("question", "dialogue")
WHY = ("question gone", "question changed", "cut", "leaked", "same")
"""Why a row is left out: its question is not found, or asks something else; its reply was cut; guidance gave
the answer away; the same row stands already."""


def rows_of(
    form: str,
    records: Iterable[Mapping[str, Any]],
    questions: Mapping[str, Question],
    shown: InContext,
    context: str,
    provenance: Mapping[str, Any],
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """(rows, why how many were left out).

    shown: the viewpoints before the student. context: of prompt-completion rows, what stands before a
    corrected reply: the question alone, or the dialogue with its wrong attempts and guidance.
    provenance: of the run, added to that of the episode in each row.
    """
    found: dict[str, dict[str, Any]] = {}
    left: Counter[str] = Counter()
    for record in records:
        for why, row in _of_episode(form, record, questions.get(record["question_id"]), shown, context):
            key = repr([row.get(name) for name in ("prompt", "completion", "chosen", "rejected")])
            if why is not None or key in found:
                left[why or "same"] += 1
                continue
            place = {name: record[name] for name in ("step", "row", "sample") if name in record}
            about = {"question_id": record["question_id"], "domain": record["domain"], **place}
            found[key] = {**row, **about, **provenance}
    return list(found.values()), left


def _of_episode(
    form: str, record: Mapping[str, Any], question: Question | None, shown: InContext, context: str
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The row of an episode that ended right, with the reason to leave it out, if there is one."""
    attempts = attempts_of(record)
    if not attempts or not attempts[-1].verdict.correct or (form == "preference" and len(attempts) < 2):
        return
    why = None
    if question is None:
        why = "question gone"
    elif question.text != record["question"]:
        why = "question changed"
    elif attempts[-1].finished is False:
        why = "cut"
    elif any(attempt["leaks"] for attempt in record["attempts"]):
        why = "leaked"
    if why is not None or question is None:
        yield why, {}
        return
    opened = open_dialogue(shown.before(question))
    last = len(attempts)
    if form == "preference":
        yield (
            None,
            {
                "prompt": messages(opened),
                "chosen": _said(attempts[-1].text),
                "rejected": _said(attempts[0].text),
                "attempt": last,
            },
        )
        return
    before = attempts[:-1] if context == "dialogue" else []
    prompt = messages(Dialogue(opened.question, tuple(before)))
    yield None, {"prompt": prompt, "completion": _said(attempts[-1].text), "attempt": last}


def _said(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]
