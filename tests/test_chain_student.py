"""The student of the world of chains: its words, the dialogues that it learns from, and its schooling."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.options import ChainStudent, TinyStudent
from agents.warm_start.chain_student import (
    HINTS,
    Dialogues,
    beliefs,
    make_tokenizer,
    warm_start,
)
from agents.warm_start.word_student import make_student
from socratic_env import dialogue as rules_of
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.background import run
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.errors import QuestionError
from socratic_env.models.chat import Chat
from socratic_env.questions.chains import ChainQuestions, World
from socratic_env.questions.procedural.concepts import OPERATIONS

WORLD = World(seed=5)
STUDENT = ChainStudent()
TOKENIZER = make_tokenizer(WORLD)
CHAT = Chat(TOKENIZER)
PROTOCOLS = {
    "next_step": "worked_next_step",
    "all_steps": "all_steps",
    "locate": "locate_error",
    "paper": "paper",
    "answer": "leak_answer",
    "retry": "fixed_retry",
}
"""The protocol under which the rule-based teacher says each kind of hint."""


def test_every_word_of_the_world_is_one_token() -> None:
    for text in (
        "<answer> add 8 max 8 </answer>",
        "not sub then gap",
        "Your answer is incorrect. Try again.",
    ):
        ids = TOKENIZER(text)["input_ids"]
        assert TOKENIZER.decode(ids) == text
        assert TOKENIZER.unk_token_id not in ids
        assert len(ids) == len(text.split())


@pytest.mark.parametrize("kind", HINTS)
def test_dialogues_are_those_of_the_environment_to_the_id(kind: str) -> None:
    """The fast path makes ids itself; a real interaction with the same replies has the same ones."""
    questions = [ChainQuestions(WORLD, split) for split in ("train", "test")]
    interaction = GuidedInteraction(EnvArguments(protocol=PROTOCOLS[kind], questions=questions[0]))
    seen = 0
    for pieces in Dialogues(WORLD, TOKENIZER, STUDENT, beliefs(WORLD, STUDENT), seed=1).pieces(400):
        if len(pieces) != 4:
            continue
        (_, prompt, _), (_, first, _), (_, hint, _), (_, second, _) = pieces
        name, *digits = TOKENIZER.decode(prompt, skip_special_tokens=True).split()
        question = None
        for split, each in zip(("train", "test"), questions, strict=True):
            try:
                question = each.find(f"chains/{split}/{name}/{''.join(digits)}")
            except QuestionError:
                continue
        assert question is not None
        dialogue = interaction.answer(interaction.open(question), CHAT.text(first))
        (dialogue,) = run(interaction.advise([dialogue]))
        told = dialogue.attempts[0].guidance
        assert told is not None
        if told.text.split() != TOKENIZER.decode(hint, skip_special_tokens=True).split():
            continue  # this dialogue has a hint of another kind
        seen += 1
        assert CHAT.prompt(rules_of.messages(rules_of.open_dialogue(question))) == prompt
        assert CHAT.extend(prompt, first, told.text) == prompt + first + hint
        assert CHAT.text(second).split()[0] == "<answer>"
    assert seen > 20


def test_first_attempts_have_the_stated_beliefs() -> None:
    likely_CLO = beliefs(WORLD, STUDENT)
    assert likely_CLO.sum(-1) == pytest.approx(np.ones((WORLD.concepts, WORLD.length)))
    right: Counter[str] = Counter()
    made: Counter[str] = Counter()
    for pieces in Dialogues(WORLD, TOKENIZER, STUDENT, likely_CLO, seed=2).pieces(6000):
        name = TOKENIZER.decode(pieces[0][1], skip_special_tokens=True).split()[0]
        place = WORLD.names.index(name)
        said = CHAT.text(pieces[1][1]).split()[1:-1:2]
        made[WORLD.levels[place]] += WORLD.length
        right[WORLD.levels[place]] += sum(a == b for a, b in zip(said, WORLD.rules[place], strict=True))
    for level in ("easy", "medium", "hard"):
        assert right[level] / made[level] == pytest.approx(getattr(STUDENT, level), abs=0.03)


def test_one_misconception_dominates_a_hard_step() -> None:
    likely_CLO = beliefs(WORLD, STUDENT)
    for concept, level in enumerate(WORLD.levels):
        if level == "hard":
            assert likely_CLO[concept].max(-1) == pytest.approx(0.975 * 0.6)


def test_schooling_draws_every_operation_evenly() -> None:
    said = Counter(
        word
        for pieces in Dialogues(WORLD, TOKENIZER, STUDENT, None, seed=3).pieces(4000)
        for word in CHAT.text(pieces[1][1]).split()
        if word in OPERATIONS
    )
    assert all(count == pytest.approx(1000, rel=0.15) for count in said.values())


def test_schooling_is_made_once_and_kept_by_content(tmp_path: Path) -> None:
    few = replace(STUDENT, schooling_steps=3, schooling_batch=4, steps=2, batch=4)
    steps: list[int] = []

    def student(options: ChainStudent, world: World = WORLD) -> torch.Tensor:
        model = make_student(TinyStudent(), make_tokenizer(world))
        warm_start(model, TOKENIZER, world, options, 0, tmp_path, lambda step, _: steps.append(step))
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    first = student(few)
    assert steps == [1, 2, 3, 4, 5]
    assert len(list(tmp_path.iterdir())) == 1
    assert torch.equal(student(few), first)
    assert steps[5:] == [4, 5]  # no schooling a second time
    assert not torch.equal(student(few, World(seed=6)), first)
    assert len(list(tmp_path.iterdir())) == 1
    student(replace(few, schooling_steps=4))
    assert len(list(tmp_path.iterdir())) == 2
